//! A cluster of three real nodes on this machine: writes and reads a second with their latency,
//! through the active node and through a standby, memory, time to serve, and lists.
//!
//! `cargo build --release && cargo bench --bench cluster -- [options]`
//!
//! * `seconds=2`, `rounds=3`: each load is offered so long, so often, in turn with its peer.
//! * `clients=1,16,64`: that many at one time, each on a connection of its own (HTTP/1.1), and
//!   then together on one (HTTP/2).
//! * `names=10000`: so many names are written, and listed; 0 leaves this out.
//! * `folder=...`: for data; give one on the disk that counts.
//!
//! `BAO_BINARY=/path/to/bao` does the same with OpenBao, `OTHER_BINARY=/path/to/strongroom` with
//! another build of this program, and ratios are printed. Figures of two runs are comparable only
//! on a machine without other work; those of one run always are.

#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "measures by the real clock, and prints what it measured"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::{http1, http2};
use hyper::{Method, Request};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};
use tokio::net::TcpStream;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let options = Options::parse();
    let folder = tempfile::tempdir_in(&options.folder).unwrap();
    let own = Path::new(env!("CARGO_BIN_EXE_strongroom"));
    let mut clusters = vec![Cluster::new("strongroom", own, folder.path())];
    for (name, variable) in [("bao", "BAO_BINARY"), ("other", "OTHER_BINARY")] {
        if let Some(peer) = std::env::var_os(variable) {
            clusters.push(Cluster::new(name, Path::new(&peer), folder.path()));
        }
    }
    for cluster in &mut clusters {
        cluster.start().await;
    }
    for protocol in [Protocol::Http1, Protocol::Http2] {
        for clients in &options.clients {
            for through in [Through::Active, Through::Standby] {
                for what in [What::Write, What::Read] {
                    let load = Load { protocol, clients: *clients, through, what };
                    compare(&clusters, load, &options).await;
                }
            }
        }
    }
    for cluster in &mut clusters {
        cluster.print_memory("after the load");
        cluster.restart_standby().await;
        if options.names > 0 {
            cluster.list(options.names).await;
        }
    }
}

struct Options {
    seconds: u64,
    rounds: usize,
    clients: Vec<usize>,
    names: usize,
    folder: PathBuf,
}

impl Options {
    fn parse() -> Self {
        let mut options = Self {
            seconds: 2,
            rounds: 3,
            clients: vec![1, 16, 64],
            names: 10_000,
            folder: std::env::temp_dir(),
        };
        // Cargo adds `--bench`.
        for argument in std::env::args().skip(1).filter(|argument| !argument.starts_with("--")) {
            let (name, value) = argument.split_once('=').expect("an option is `name=value`");
            match name {
                "seconds" => options.seconds = value.parse().unwrap(),
                "rounds" => options.rounds = value.parse().unwrap(),
                "clients" => {
                    options.clients = value.split(',').map(|one| one.parse().unwrap()).collect();
                }
                "names" => options.names = value.parse().unwrap(),
                "folder" => options.folder = value.into(),
                other => panic!("no option `{other}`"),
            }
        }
        options
    }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Protocol {
    Http1,
    Http2,
}

#[derive(Clone, Copy, Debug)]
enum Through {
    Active,
    Standby,
}

#[derive(Clone, Copy, Debug)]
enum What {
    Write,
    Read,
}

#[derive(Clone, Copy)]
struct Load {
    protocol: Protocol,
    clients: usize,
    through: Through,
    what: What,
}

/// The same load for each in turn, so that what else the machine does hits both.
async fn compare(clusters: &[Cluster], load: Load, options: &Options) {
    let mut results: Vec<_> = clusters.iter().map(|_| Measured::default()).collect();
    for _ in 0..options.rounds {
        for (cluster, result) in clusters.iter().zip(&mut results) {
            if load.protocol == Protocol::Http2 && cluster.name == "bao" {
                // It offers HTTP/2 over TLS alone.
                continue;
            }
            result.add(cluster.offer(load, Duration::from_secs(options.seconds)).await);
        }
    }
    let Load { protocol, clients, through, what } = load;
    for (cluster, result) in clusters.iter().zip(&mut results) {
        if !result.rates.is_empty() {
            let what = format!("{what:?} through {through:?}, {protocol:?}, {clients:>2} clients");
            println!("{:<10} {what:<46} {}", cluster.name, result.line());
        }
    }
    for (cluster, peer) in clusters.iter().zip(&results).skip(1) {
        if !peer.rates.is_empty() {
            let ratio = results[0].rate() / peer.rate();
            println!("{:>60.2} times the rate of {}", ratio, cluster.name);
        }
    }
}

#[derive(Default)]
struct Measured {
    /// Of each round, a second.
    rates: Vec<f64>,
    latencies: Vec<Duration>,
    failed: usize,
    /// Of all nodes' processors, in hundredths of a second.
    ticks: u64,
}

impl Measured {
    fn add(&mut self, mut other: Self) {
        self.rates.append(&mut other.rates);
        self.latencies.append(&mut other.latencies);
        self.failed += other.failed;
        self.ticks += other.ticks;
    }

    /// The median of the rounds; the lower one where there are two.
    fn rate(&self) -> f64 {
        let mut rates = self.rates.clone();
        rates.sort_by(f64::total_cmp);
        rates[(rates.len() - 1) / 2]
    }

    fn line(&mut self) -> String {
        self.latencies.sort();
        let last = self.latencies.len().saturating_sub(1);
        let at = |percent: usize| {
            let latency = self.latencies.get(last * percent / 100).copied();
            latency.unwrap_or_default().as_secs_f64() * 1000.0
        };
        let least = self.rates.iter().copied().fold(f64::MAX, f64::min);
        let most = self.rates.iter().copied().fold(0.0, f64::max);
        let work = self.ticks as f64 * 10_000.0 / self.latencies.len().max(1) as f64;
        format!(
            "{:>6.0}/s ({least:.0} to {most:.0}), p50 {:.2} ms, p99 {:.2} ms, \
             {work:.0} us of processors each, {} failed",
            self.rate(),
            at(50),
            at(99),
            self.failed,
        )
    }
}

struct Cluster {
    name: &'static str,
    nodes: Vec<Node>,
    share: String,
    token: Arc<str>,
}

impl Cluster {
    fn new(name: &'static str, binary: &Path, folder: &Path) -> Self {
        let folder = folder.join(name);
        let nodes = (1..=3).map(|number| Node::new(number, binary, &folder)).collect();
        Self { name, nodes, share: String::new(), token: "".into() }
    }

    /// Until three vote.
    async fn start(&mut self) {
        let first = &mut self.nodes[0];
        first.start(None).await;
        let shares = json!({ "secret_shares": 1, "secret_threshold": 1 });
        let (_, made) = first.call(Method::PUT, "sys/init", "", Some(&shares)).await;
        self.share = made["keys"][0].as_str().unwrap().to_owned();
        self.token = made["root_token"].as_str().unwrap().into();
        println!("{:<10} one node, sealed: {}", self.name, self.nodes[0].memory());
        self.nodes[0].unseal(&self.share).await;
        let kv = json!({ "type": "kv", "options": { "version": "2" } });
        self.write("sys/mounts/secret", &kv).await;
        self.write("sys/mounts/plain", &json!({ "type": "kv" })).await;
        self.write("secret/data/first", &json!({ "data": { "a": "b" } })).await;
        println!("{:<10} one node, unsealed: {}", self.name, self.nodes[0].memory());
        let mut times = Vec::new();
        for _ in 0..5 {
            self.nodes[0].kill();
            times.push(self.restart(0, None).await);
        }
        print_times(self.name, "one node, last share to first answer", &mut times);
        let leader = self.nodes[0].port;
        for node in &mut self.nodes[1..] {
            node.start(Some(leader)).await;
            node.unseal(&self.share).await;
        }
        let ready = || async {
            let path = "sys/storage/raft/configuration";
            let (_, answer) = self.nodes[0].call(Method::GET, path, &self.token, None).await;
            let servers = answer["data"]["config"]["servers"].as_array().cloned();
            servers.unwrap_or_default().iter().filter(|server| server["voter"] == true).count() == 3
        };
        wait("three voters", ready).await;
        self.write("secret/data/first", &json!({ "data": { "a": "b" } })).await;
        let before: Vec<_> = self.nodes.iter().map(Node::processor_ticks).collect();
        tokio::time::sleep(Duration::from_secs(IDLE_SECONDS)).await;
        for (node, before) in self.nodes.iter().zip(before) {
            // A tick is a hundredth of a second.
            let percent = (node.processor_ticks() - before) as f64 / IDLE_SECONDS as f64;
            println!("{:<10} idle, node {}: {percent:.1} % of a core", self.name, node.number);
        }
        self.print_memory("idle");
    }

    async fn write(&self, path: &str, body: &Value) {
        let accepted = || async {
            let (status, _) = self.nodes[0].call(Method::POST, path, &self.token, Some(body)).await;
            status == 200 || status == 204
        };
        wait(path, accepted).await;
    }

    /// How long after its last share a node that has been up for a while gives its first answer.
    async fn restart(&mut self, number: usize, leader: Option<u16>) -> Duration {
        self.nodes[number].start(leader).await;
        // Longer than any election timeout.
        tokio::time::sleep(Duration::from_secs(1)).await;
        let node = &self.nodes[number];
        let begin = Instant::now();
        node.unseal(&self.share).await;
        let serves = || async {
            node.call(Method::GET, "secret/data/first", &self.token, None).await.0 == 200
        };
        wait("a read", serves).await;
        begin.elapsed()
    }

    async fn restart_standby(&mut self) {
        let leader = self.nodes[0].port;
        let mut times = Vec::new();
        for _ in 0..5 {
            self.nodes[2].kill();
            times.push(self.restart(2, Some(leader)).await);
        }
        print_times(self.name, "standby, last share to first answer", &mut times);
    }

    fn print_memory(&self, when: &str) {
        for node in &self.nodes {
            println!("{:<10} {when}, node {}: {}", self.name, node.number, node.memory());
        }
    }

    async fn offer(&self, load: Load, time: Duration) -> Measured {
        let port = match load.through {
            Through::Active => self.nodes[0].port,
            Through::Standby => self.nodes[1].port,
        };
        let shared = match load.protocol {
            Protocol::Http1 => None,
            Protocol::Http2 => Some(Sender::http2(port).await),
        };
        let mut tasks = Vec::new();
        for client in 0..load.clients {
            let mut sender = match &shared {
                Some(shared) => Sender::Http2(shared.clone()),
                None => Sender::http1(port).await,
            };
            let token = self.token.clone();
            tasks.push(tokio::spawn(async move {
                // Once without being counted: a read must find something.
                let mut measured = Measured::default();
                if matches!(load.what, What::Read) {
                    sender.send(&ask(port, What::Write, client, 0, &token)).await;
                }
                let begin = Instant::now();
                let mut number = 0;
                while begin.elapsed() < time {
                    let request = ask(port, load.what, client, number, &token);
                    let sent = Instant::now();
                    match sender.send(&request).await {
                        (200, _) => measured.latencies.push(sent.elapsed()),
                        _ => measured.failed += 1,
                    }
                    number += 1;
                }
                measured
            }));
        }
        let ticks = || self.nodes.iter().map(Node::processor_ticks).sum::<u64>();
        let (begin, ticks_before) = (Instant::now(), ticks());
        let mut all = Measured::default();
        for task in tasks {
            all.add(task.await.unwrap());
        }
        let rate = all.latencies.len() as f64 / begin.elapsed().as_secs_f64();
        all.rates.push(rate);
        all.ticks = ticks() - ticks_before;
        all
    }

    /// Names in one folder of a KV mount without versions, and the time to list them.
    async fn list(&self, names: usize) {
        let port = self.nodes[0].port;
        let begin = Instant::now();
        let writers = 64;
        let mut tasks = Vec::new();
        for writer in 0..writers {
            let (token, mut sender) = (self.token.clone(), Sender::http1(port).await);
            tasks.push(tokio::spawn(async move {
                for number in (writer..names).step_by(writers) {
                    let path = format!("plain/names/{number:07}");
                    let body = json!({ "a": "b" });
                    let request = prepared(port, Method::POST, &path, &token, Some(&body));
                    assert_eq!(sender.send(&request).await.0, 204);
                }
            }));
        }
        for task in tasks {
            task.await.unwrap();
        }
        let rate = names as f64 / begin.elapsed().as_secs_f64();
        println!("{:<10} {names} names written, {rate:.0}/s", self.name);
        let (mut times, mut bytes) = (Vec::new(), 0);
        for _ in 0..5 {
            let mut sender = Sender::http1(port).await;
            let list = prepared(port, Method::GET, "plain/names?list=true", &self.token, None);
            let begin = Instant::now();
            let (status, body) = sender.send(&list).await;
            times.push(begin.elapsed());
            assert_eq!(status, 200);
            bytes = body.len();
        }
        print_times(self.name, &format!("list of {names} names ({bytes} bytes)"), &mut times);
    }
}

fn print_times(name: &str, what: &str, times: &mut [Duration]) {
    times.sort();
    let middle = times[times.len() / 2];
    println!(
        "{name:<10} {what}: {middle:.1?} ({:.1?} to {:.1?})",
        times[0],
        times[times.len() - 1]
    );
}

/// Each client has its own hundred secrets, so that the state stays small and none conflict.
fn ask(port: u16, what: What, client: usize, number: usize, token: &str) -> Request<Full<Bytes>> {
    match what {
        What::Write => {
            let path = format!("secret/data/load/{client}/{}", number % 100);
            let body = json!({ "data": { "user": "app", "password": "p".repeat(64) } });
            prepared(port, Method::POST, &path, token, Some(&body))
        }
        What::Read => {
            prepared(port, Method::GET, &format!("secret/data/load/{client}/0"), token, None)
        }
    }
}

fn prepared(
    port: u16,
    method: Method,
    path: &str,
    token: &str,
    body: Option<&Value>,
) -> Request<Full<Bytes>> {
    let body = body.map(Value::to_string).unwrap_or_default();
    Request::builder()
        .method(method)
        .uri(format!("http://127.0.0.1:{port}/v1/{path}"))
        .header("host", format!("127.0.0.1:{port}"))
        .header("x-vault-token", token)
        .body(Full::new(Bytes::from(body)))
        .unwrap()
}

enum Sender {
    Http1(http1::SendRequest<Full<Bytes>>),
    Http2(http2::SendRequest<Full<Bytes>>),
}

impl Sender {
    async fn http1(port: u16) -> Self {
        let (sender, connection) = http1::handshake(connect(port).await.unwrap()).await.unwrap();
        tokio::spawn(connection);
        Self::Http1(sender)
    }

    async fn http2(port: u16) -> http2::SendRequest<Full<Bytes>> {
        let stream = connect(port).await.unwrap();
        let (sender, connection) = http2::handshake(TokioExecutor::new(), stream).await.unwrap();
        tokio::spawn(connection);
        sender
    }

    /// Status and body; status 0 where there is no answer.
    async fn send(&mut self, request: &Request<Full<Bytes>>) -> (u16, Bytes) {
        let request = request.clone();
        let answer = match self {
            Self::Http1(sender) => match sender.ready().await {
                Ok(()) => sender.send_request(request).await,
                Err(error) => Err(error),
            },
            Self::Http2(sender) => sender.send_request(request).await,
        };
        let Ok(answer) = answer else { return (0, Bytes::new()) };
        let status = answer.status().as_u16();
        let body = answer.into_body().collect().await;
        body.map_or((0, Bytes::new()), |body| (status, body.to_bytes()))
    }
}

async fn connect(port: u16) -> std::io::Result<TokioIo<TcpStream>> {
    let stream = TcpStream::connect(("127.0.0.1", port)).await?;
    stream.set_nodelay(true)?;
    Ok(TokioIo::new(stream))
}

struct Node {
    number: usize,
    binary: PathBuf,
    folder: PathBuf,
    port: u16,
    cluster_port: u16,
    process: Option<Child>,
}

impl Node {
    fn new(number: usize, binary: &Path, folder: &Path) -> Self {
        let folder = folder.join(format!("n{number}"));
        let binary = binary.to_owned();
        fs::create_dir_all(folder.join("data")).unwrap();
        let (port, cluster_port) = (free_port(), free_port());
        Self { number, binary, folder, port, cluster_port, process: None }
    }

    /// Until it answers.
    async fn start(&mut self, leader: Option<u16>) {
        let Self { number, folder, port, cluster_port, .. } = self;
        let join = leader.map_or_else(String::new, |port| {
            format!("retry_join {{ leader_api_addr = \"http://127.0.0.1:{port}\" }}\n")
        });
        let configuration = format!(
            "storage \"raft\" {{\n path = \"{folder}/data\"\n node_id = \"n{number}\"\n{join}}}\n\
             listener \"tcp\" {{\n address = \"127.0.0.1:{port}\"\n\
             cluster_address = \"127.0.0.1:{cluster_port}\"\n tls_disable = true\n}}\n\
             api_addr = \"http://127.0.0.1:{port}\"\n\
             cluster_addr = \"https://127.0.0.1:{cluster_port}\"\n",
            folder = folder.display(),
        );
        let file = self.folder.join("node.hcl");
        fs::write(&file, configuration).unwrap();
        let log = fs::File::create(self.folder.join("log")).unwrap();
        let child = Command::new(&self.binary)
            .arg("server")
            .arg(format!("-config={}", file.display()))
            .env("HOME", &self.folder)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn();
        self.process = Some(child.expect("the server starts"));
        let answers =
            || async { self.call(Method::GET, "sys/seal-status", "", None).await.0 == 200 };
        wait("a node", answers).await;
    }

    /// Waits until the node has heard of its cluster.
    async fn unseal(&self, share: &str) {
        let initialized = || async {
            let (_, status) = self.call(Method::GET, "sys/seal-status", "", None).await;
            status["initialized"] == true
        };
        wait("a cluster to join", initialized).await;
        let key = json!({ "key": share });
        let (status, answer) = self.call(Method::PUT, "sys/unseal", "", Some(&key)).await;
        assert_eq!(status, 200, "{answer}");
    }

    /// On a connection of its own.
    async fn call(
        &self,
        method: Method,
        path: &str,
        token: &str,
        body: Option<&Value>,
    ) -> (u16, Value) {
        let Ok(stream) = connect(self.port).await else { return (0, Value::Null) };
        let Ok((sender, connection)) = http1::handshake(stream).await else {
            return (0, Value::Null);
        };
        tokio::spawn(connection);
        let request = prepared(self.port, method, path, token, body);
        let (status, body) = Sender::Http1(sender).send(&request).await;
        (status, serde_json::from_slice(&body).unwrap_or_default())
    }

    fn told(&self, file: &str) -> String {
        let id = self.process.as_ref().map_or(0, Child::id);
        fs::read_to_string(format!("/proc/{id}/{file}")).unwrap_or_default()
    }

    /// As Linux tells it.
    fn memory(&self) -> String {
        let status = self.told("status");
        let wanted = ["RssAnon:", "RssFile:"];
        let lines = status.lines().filter(|line| wanted.iter().any(|name| line.starts_with(name)));
        lines.map(|line| line.replace('\t', " ")).collect::<Vec<_>>().join(", ")
    }

    /// Spent by the process so far, as Linux counts it.
    fn processor_ticks(&self) -> u64 {
        let stat = self.told("stat");
        // After the name, which is in parentheses, and eleven more.
        let fields = stat.rsplit(')').next().unwrap_or_default();
        fields.split_whitespace().skip(11).take(2).map(|ticks| ticks.parse().unwrap_or(0)).sum()
    }

    fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            // It may have ended by itself.
            drop(process.kill());
            drop(process.wait());
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.kill();
    }
}

fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

async fn wait<F: Future<Output = bool>>(what: &str, mut holds: impl FnMut() -> F) {
    let begin = Instant::now();
    while !holds().await {
        assert!(begin.elapsed() < WAIT_MAX, "waited too long for {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

const IDLE_SECONDS: u64 = 5;
/// OpenBao lets a node vote after ten.
const WAIT_MAX: Duration = Duration::from_secs(60);
