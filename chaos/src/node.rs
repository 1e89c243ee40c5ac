//! One server process, with what an operator does to it.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{Read as _, Seek as _, SeekFrom};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use strongroom::client::{Address, Client, Config, Error, Request};
use strongroom::secret::Secret;
use tokio::process::{Child, Command};
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep};

use crate::random::Random;

pub(crate) struct Node {
    pub(crate) name: String,
    pub(crate) address: String,
    /// Everything that this node writes, its log included.
    pub(crate) folder: PathBuf,
    cluster_port: u16,
    program: PathBuf,
    process: Mutex<Option<Child>>,
    /// Odd while a fault is at work here, and never the same again after one.
    disturbances: AtomicU64,
}

impl Node {
    pub(crate) fn new(
        program: &Path,
        folder: &Path,
        number: usize,
        random: &mut Random,
    ) -> Result<Self, String> {
        let name = format!("n{number}");
        let folder = folder.join(&name);
        fs::create_dir_all(folder.join("data")).map_err(|error| error.to_string())?;
        Ok(Self {
            address: format!("http://127.0.0.1:{}", free_port(random)?),
            cluster_port: free_port(random)?,
            program: program.to_owned(),
            process: Mutex::new(None),
            disturbances: AtomicU64::new(0),
            name,
            folder,
        })
    }

    /// What it asks to join: nothing, where it founds the cluster.
    pub(crate) fn configure(&self, peers: &[String]) -> Result<(), String> {
        let mut joins = String::new();
        for peer in peers {
            let _: std::fmt::Result =
                writeln!(joins, "  retry_join {{ leader_api_addr = \"{peer}\" }}");
        }
        let text = format!(
            "storage \"raft\" {{\n  path = \"{folder}/data\"\n  node_id = \"{name}\"\n{joins}}}\n\
             listener \"tcp\" {{\n  address = \"{listen}\"\n  \
             cluster_address = \"127.0.0.1:{port}\"\n  tls_disable = true\n}}\n\
             api_addr = \"{api}\"\ncluster_addr = \"https://127.0.0.1:{port}\"\n",
            folder = self.folder.display(),
            name = self.name,
            listen = self.address.trim_start_matches("http://"),
            port = self.cluster_port,
            api = self.address,
        );
        fs::write(self.folder.join("node.hcl"), text).map_err(|error| error.to_string())
    }

    /// Returns once it answers.
    pub(crate) async fn start(&self) -> Result<(), String> {
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.log())
            .map_err(|error| error.to_string())?;
        let copy = log.try_clone().map_err(|error| error.to_string())?;
        let child = Command::new(&self.program)
            .arg("server")
            .arg(format!("-config={}", self.folder.join("node.hcl").display()))
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", &self.folder)
            .stdin(Stdio::null())
            .stdout(copy)
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| format!("{}: {error}", self.program.display()))?;
        *self.process.lock().await = Some(child);
        self.until("to answer", async || {
            if let Some(child) = self.process.lock().await.as_mut()
                && let Ok(Some(status)) = child.try_wait()
            {
                return Err(format!("{} ended by itself: {status}", self.name));
            }
            Ok(self.seal_status().await.is_some())
        })
        .await
    }

    /// SIGKILL, and returns once it is gone.
    pub(crate) async fn kill(&self) -> Result<(), String> {
        match self.process.lock().await.take() {
            Some(mut child) => child.kill().await.map_err(|error| error.to_string()),
            None => Ok(()),
        }
    }

    /// SIGTERM, and returns once it has ended by itself.
    pub(crate) async fn terminate(&self) -> Result<(), String> {
        let Some(mut child) = self.process.lock().await.take() else { return Ok(()) };
        let id = child.id().ok_or("it has ended already")?;
        let told = Command::new("kill").args(["-TERM", &id.to_string()]).status().await;
        told.map_err(|error| error.to_string())?;
        let ended = tokio::time::timeout(WAIT_MAX, child.wait()).await;
        let status = ended.map_err(|_| format!("{} does not end", self.name))?;
        match status.map_err(|error| error.to_string())? {
            status if status.success() => Ok(()),
            status => Err(format!("{} ended with {status}", self.name)),
        }
    }

    /// Marks the begin of a fault, before it happens.
    pub(crate) fn disturb(&self) {
        self.disturbances.fetch_or(1, Ordering::SeqCst);
    }

    /// Marks its end: the node is as good as any other.
    pub(crate) fn calm(&self) {
        if self.disturbances() % 2 == 1 {
            self.disturbances.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// Two equal and even answers: no fault was here between them.
    pub(crate) fn disturbances(&self) -> u64 {
        self.disturbances.load(Ordering::SeqCst)
    }

    /// A client of its own connections, which never tries twice: a second try would hide an error,
    /// or make two writes of one.
    pub(crate) fn client(&self, token: Option<&str>, timeout: Duration) -> Result<Client, String> {
        let address = Address::parse(&self.address).map_err(|error| error.to_string())?;
        let mut config = Config::new(address);
        config.token = token.map(|token| Secret::new(token.to_owned()));
        config.retries_max = 0;
        config.timeout = timeout;
        Client::new(config).map_err(|error| error.to_string())
    }

    async fn ask(&self, request: &Request) -> Result<Value, Option<u16>> {
        // A new connection each time: this is asked of nodes that were just killed.
        let client = self.client(None, ASK_TIMEOUT).map_err(|_| None)?;
        let reply = client.send(request).await.map_err(|error| error.status())?;
        reply.json().map_err(|_| Some(reply.status.as_u16()))
    }

    /// `None` where nobody answers.
    async fn seal_status(&self) -> Option<Value> {
        self.ask(&Request::read("sys/seal-status")).await.ok()
    }

    /// The status of `sys/health`: 200 active, 429 standby.
    pub(crate) async fn health(&self) -> Option<u16> {
        match self.ask(&Request::read("sys/health")).await {
            Ok(_) => Some(200),
            Err(status) => status,
        }
    }

    /// Waits until it belongs to a cluster, gives it shares, and waits until it serves.
    pub(crate) async fn unseal(&self, shares: &[String]) -> Result<(), String> {
        self.until("to be unsealed", async || {
            let Some(status) = self.seal_status().await else { return Ok(false) };
            if status["initialized"] != json!(true) {
                return Ok(false);
            }
            if status["sealed"] == json!(false) {
                return Ok(true);
            }
            for share in shares {
                let request = Request::write("sys/unseal", &json!({ "key": share }));
                if let Err(Some(status)) = self.ask(&request).await
                    && status == 400
                {
                    return Err(format!("{} refuses a share", self.name));
                }
            }
            Ok(false)
        })
        .await?;
        self.until("to be active or standby", async || {
            Ok(matches!(self.health().await, Some(200 | 429)))
        })
        .await
    }

    async fn until(
        &self,
        what: &str,
        mut holds: impl AsyncFnMut() -> Result<bool, String>,
    ) -> Result<(), String> {
        let deadline = Instant::now() + WAIT_MAX;
        while !holds().await? {
            if Instant::now() >= deadline {
                let seconds = WAIT_MAX.as_secs();
                return Err(format!("waited {seconds} s for {} {what}", self.name));
            }
            sleep(Duration::from_millis(25)).await;
        }
        Ok(())
    }

    fn log(&self) -> PathBuf {
        self.folder.join("log")
    }

    pub(crate) fn end_of_log(&self) -> String {
        let mut text = Vec::new();
        if let Ok(mut file) = File::open(self.log()) {
            let length = file.metadata().map_or(0, |metadata| metadata.len());
            let from = SeekFrom::Start(length.saturating_sub(LOG_SHOWN));
            if file.seek(from).and_then(|_| file.read_to_end(&mut text)).is_err() {
                return "(its log cannot be read)".into();
            }
        }
        String::from_utf8_lossy(&text).into_owned()
    }
}

/// A reply that a writer or a checker could not use, in one line.
pub(crate) fn line(error: &Error) -> String {
    match error {
        Error::Api(refused) => match &refused.errors {
            Some(errors) => format!("{}: {}", refused.status, errors.join("; ")),
            None => format!("{}: {}", refused.status, refused.raw),
        },
        other => other.to_string(),
    }
}

/// Below the range from which systems take ports for outgoing connections: there, whoever connects
/// to a killed node could be given its port, or be connected to itself.
fn free_port(random: &mut Random) -> Result<u16, String> {
    for _ in 0..1000 {
        let port = u16::try_from(random.within(10_000..32_000)).unwrap_or(10_000);
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return Ok(port);
        }
    }
    Err("no free port".into())
}

const ASK_TIMEOUT: Duration = Duration::from_secs(3);

/// Whatever a node does within a run, it does in this time even on a busy machine.
const WAIT_MAX: Duration = Duration::from_secs(60);

const LOG_SHOWN: u64 = 4000;
