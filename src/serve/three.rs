//! `server -dev -dev-three-node`: a real cluster of three processes on loopback, joined and
//! unsealed, so that one can kill its leader and watch.

use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep};

use crate::cli::env::Env;
use crate::cli::failure::Failure;
use crate::cli::io::Io;
use crate::cli::server::{Args, store_token};
use crate::client::{Address, Client, Config, Error, Request};
use crate::rng::{Rng, SystemRng};
use crate::secret::Secret;
use crate::server::Signals;

/// Returns when it was told to end, or when all three processes have.
pub(super) async fn run(args: &Args, env: &Env, io: &mut Io<'_>) -> Result<(), Failure> {
    let mut signals = Signals::new()?;
    let listen = args.dev_listen_address.as_deref().or_else(|| env.get("DEV_LISTEN_ADDRESS"));
    let listen = super::dev::address(listen.unwrap_or("127.0.0.1:8200"))?;
    let folder = Folder::make()?;
    let mut cluster = Cluster::start(&folder.0, listen)?;
    let root =
        args.dev_root_token_id.clone().or_else(|| env.get("DEV_ROOT_TOKEN_ID").map(Into::into));
    let opened = tokio::select! {
        opened = cluster.open(root.filter(|id| !id.is_empty()), args.dev_kv_v1) => opened?,
        () = signals.end() => return Ok(()),
    };
    if !args.dev_no_store_token
        && let Err(failure) = store_token(env, &opened.root_token)
    {
        io.warn(&failure.message);
    }
    // Whoever closed standard output does not read it.
    drop(io.print(&announcement(&cluster, &opened)));
    drop(io.output.flush());
    tokio::select! {
        () = cluster.watch(io) => {}
        () = signals.end() => {}
    }
    cluster.stop().await;
    Ok(())
}

/// Where the nodes keep what they have; gone when this ends.
struct Folder(PathBuf);

impl Folder {
    fn make() -> Result<Self, Failure> {
        let rng: &dyn Rng = &SystemRng;
        let folder = std::env::temp_dir().join(format!("strongroom-dev-{}", rng.base62(12)));
        let made = std::fs::DirBuilder::new().mode(0o700).create(&folder);
        made.map_err(|error| Failure::local(format!("{}: {error}", folder.display())))?;
        Ok(Self(folder))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What cannot be removed is in the folder for temporary files, readable by nobody else.
        drop(std::fs::remove_dir_all(&self.0));
    }
}

struct Cluster {
    nodes: Vec<Node>,
}

struct Node {
    name: String,
    address: SocketAddr,
    configuration: PathBuf,
    log: PathBuf,
    process: Option<Child>,
}

struct Opened {
    unseal_key: Secret<String>,
    root_token: Secret<String>,
    leader: String,
}

impl Cluster {
    /// Starts three processes of this program. With port 0 each gets whatever is free, else the
    /// given one and those 10 and 20 above.
    fn start(folder: &Path, listen: SocketAddr) -> Result<Self, Failure> {
        let program = std::env::current_exe()?;
        let mut nodes: Vec<Node> = Vec::new();
        for number in 0..3_u16 {
            let name = format!("node{}", number + 1);
            let port = listen.port().saturating_add(number * 10);
            let (address, cluster) = match listen.port() {
                0 => (free(listen)?, free(listen)?),
                _ => {
                    let at = |port| SocketAddr::new(listen.ip(), port);
                    (at(port), at(port.saturating_add(1)))
                }
            };
            let leader = nodes.first().map(|first| first.address);
            let configuration = folder.join(format!("{name}.json"));
            let text = configured(&name, folder, address, cluster, leader);
            std::fs::write(&configuration, text.to_string())?;
            let log = folder.join(format!("{name}.log"));
            let errors = std::fs::File::create(&log)?;
            let process = Command::new(&program)
                .arg("server")
                .arg(format!("-config={}", configuration.display()))
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::from(errors))
                .kill_on_drop(true)
                // Ctrl-C is for this process alone, which ends the others in order.
                .process_group(0)
                .spawn()?;
            nodes.push(Node { name, address, configuration, log, process: Some(process) });
        }
        Ok(Self { nodes })
    }

    /// Initialises the first, lets the others join, and mounts a KV engine at `secret/`.
    async fn open(&self, root: Option<String>, kv_v1: bool) -> Result<Opened, Failure> {
        let Some(first) = self.nodes.first() else {
            return Err(Failure::local("there is no node"));
        };
        let deadline = Instant::now() + START_TIME;
        let shares = json!({ "secret_shares": 1, "secret_threshold": 1 });
        let made = self.until(deadline, first, &Request::write("sys/init", &shares)).await?;
        let key = text(&made, "/keys_base64/0")?;
        let share = json!({ "key": key });
        for node in &self.nodes {
            let unseal = Request::write("sys/unseal", &share);
            loop {
                let status = self.until(deadline, node, &unseal).await?;
                if status.get("sealed") == Some(&Value::Bool(false)) {
                    break;
                }
                sleep(PAUSE).await;
            }
        }
        let mut token = text(&made, "/root_token")?;
        if let Some(id) = root {
            let create = json!({ "id": id, "policies": ["root"], "no_parent": true });
            let create =
                Request::write("auth/token/create", &create).with_token(Secret::new(token));
            self.until(deadline, first, &create).await?;
            token = id;
        }
        let root_token = Secret::new(token);
        let version = if kv_v1 { "1" } else { "2" };
        let mount = json!({ "type": "kv", "options": { "version": version } });
        let mount = Request::write("sys/mounts/secret", &mount).with_token(again(&root_token));
        self.until(deadline, first, &mount).await?;
        let leader = self.voters(deadline, first, &root_token).await?;
        Ok(Opened { unseal_key: Secret::new(key), root_token, leader })
    }

    /// Waits until all three vote; the name of the leader.
    async fn voters(
        &self,
        deadline: Instant,
        node: &Node,
        token: &Secret<String>,
    ) -> Result<String, Failure> {
        let request = Request::read("sys/storage/raft/configuration").with_token(again(token));
        loop {
            let answer = self.until(deadline, node, &request).await?;
            let servers = answer.pointer("/data/config/servers").and_then(Value::as_array);
            let servers = servers.map(Vec::as_slice).unwrap_or_default();
            let is = |server: &Value, what: &str| server.get(what) == Some(&Value::Bool(true));
            let voters = servers.iter().filter(|server| is(server, "voter")).count();
            let leader = servers.iter().find(|server| is(server, "leader"));
            if let Some(name) = leader.and_then(|leader| leader.get("node_id")?.as_str())
                && voters == self.nodes.len()
            {
                return Ok(name.to_owned());
            }
            if Instant::now() > deadline {
                return Err(Failure::local("the nodes did not become voters in time"));
            }
            sleep(PAUSE).await;
        }
    }

    /// Asks one node until it answers.
    async fn until(
        &self,
        deadline: Instant,
        node: &Node,
        request: &Request,
    ) -> Result<Value, Failure> {
        let mut config = Config::new(Address::parse(&format!("http://{}", node.address))?);
        config.retries_max = 0;
        let client = Client::new(config)?;
        loop {
            let failure = match client.send(request).await {
                Ok(response) if response.body.is_empty() => return Ok(Value::Null),
                Ok(response) => return Ok(response.json()?),
                Err(error) => error,
            };
            // A joiner is not initialised until the first node has answered it.
            let passing = match &failure {
                Error::Api(error) => error.status == 503 || error.says("not initialized"),
                _ => true,
            };
            if !passing || Instant::now() > deadline {
                let log = std::fs::read_to_string(&node.log).unwrap_or_default();
                let lines: Vec<&str> = log.lines().rev().take(LOG_LINES).collect();
                let log = lines.into_iter().rev().collect::<Vec<_>>().join("\n");
                return Err(Failure::local(format!("{}: {failure}\n{log}", node.name)));
            }
            sleep(PAUSE).await;
        }
    }

    /// Tells of each process that ends; returns when none is left.
    async fn watch(&mut self, io: &mut Io<'_>) {
        while self.nodes.iter().any(|node| node.process.is_some()) {
            for node in &mut self.nodes {
                let ended = node.process.as_mut().and_then(|process| process.try_wait().ok()?);
                if let Some(status) = ended {
                    node.process = None;
                    io.warn(&format!(
                        "{} has ended ({status}). To start it again, and then unseal it:\n    \
                         strongroom server -config={}\n    \
                         strongroom operator unseal -address=http://{} KEY",
                        node.name,
                        node.configuration.display(),
                        node.address,
                    ));
                }
            }
            sleep(PAUSE).await;
        }
    }

    /// Lets each end by itself, and kills what does not in time.
    async fn stop(&mut self) {
        for node in &mut self.nodes {
            let Some(process) = &mut node.process else {
                continue;
            };
            let id = process.id().and_then(|id| i32::try_from(id).ok());
            if let Some(id) = id.and_then(rustix::process::Pid::from_raw) {
                // It may have ended meanwhile.
                let _ended = rustix::process::kill_process(id, rustix::process::Signal::TERM);
            }
            drop(tokio::time::timeout(STOP_TIME, process.wait()).await);
        }
    }
}

fn configured(
    name: &str,
    folder: &Path,
    address: SocketAddr,
    cluster: SocketAddr,
    leader: Option<SocketAddr>,
) -> Value {
    let mut raft = json!({ "path": folder.join(name), "node_id": name });
    if let (Some(leader), Some(raft)) = (leader, raft.as_object_mut()) {
        let join = json!([{ "leader_api_addr": format!("http://{leader}") }]);
        raft.insert("retry_join".into(), join);
    }
    json!({
        "storage": { "raft": raft },
        "listener": [{ "tcp": {
            "address": address.to_string(),
            "cluster_address": cluster.to_string(),
            "tls_disable": true,
        } }],
        "api_addr": format!("http://{address}"),
        "cluster_addr": format!("https://{cluster}"),
        "cluster_name": "strongroom-dev",
        "disable_mlock": true,
    })
}

/// An address that nobody listens on. It is free again until the node takes it.
fn free(like: SocketAddr) -> Result<SocketAddr, Failure> {
    Ok(TcpListener::bind(SocketAddr::new(like.ip(), 0))?.local_addr()?)
}

/// A request takes its token with it.
fn again(token: &Secret<String>) -> Secret<String> {
    Secret::new(token.expose().clone())
}

fn text(answer: &Value, at: &str) -> Result<String, Failure> {
    let found = answer.pointer(at).and_then(Value::as_str).map(str::to_owned);
    found.ok_or_else(|| Failure::local(format!("an answer lacks `{at}`")))
}

/// Scripts read it: lines that begin with `Unseal Key: `, `Root Token: ` and `    $ export ` stay
/// as they are.
fn announcement(cluster: &Cluster, opened: &Opened) -> String {
    let mut text =
        "==> Strongroom runs three nodes on this machine: joined, unsealed, for trials.\n\
                    ==> What you write is gone when they end. Never use it for real secrets.\n\n"
            .to_owned();
    text.push_str("    Node     Address                   Process\n");
    for node in &cluster.nodes {
        let id = node.process.as_ref().and_then(Child::id).unwrap_or_default();
        let leader = if node.name == opened.leader { "  (leader)" } else { "" };
        let address = format!("http://{}", node.address);
        text.push_str(&format!("    {:<8} {address:<25} {id}{leader}\n", node.name));
    }
    if let Some(node) = cluster.nodes.iter().find(|node| node.name != opened.leader) {
        text.push_str(&format!(
            "\nIn another terminal, through a node that does not lead:\n\n    \
             $ export VAULT_ADDR='http://{}'\n",
            node.address
        ));
    }
    let leader = cluster.nodes.iter().find(|node| node.name == opened.leader);
    let process = leader.and_then(|node| node.process.as_ref()).and_then(Child::id);
    text.push_str(&format!(
        "\nThen kill the leader and read again: kill -9 {}\n\nUnseal Key: {}\nRoot Token: {}\n",
        process.unwrap_or_default(),
        opened.unseal_key.expose(),
        opened.root_token.expose(),
    ));
    text
}

/// For all of it, on a busy machine.
const START_TIME: Duration = Duration::from_secs(60);

const STOP_TIME: Duration = Duration::from_secs(5);

const PAUSE: Duration = Duration::from_millis(100);

/// Of a node's log, shown where it does not come up.
const LOG_LINES: usize = 20;
