//! What audit adds to a request: reads of one small secret through the pipeline over a log in
//! memory, without a device and with each kind, one client and many at a time.
//!
//! `cargo bench --bench audit -- [requests] [folder]` (20,000; the folder for the log: give one on
//! the disk that counts).

#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "measures by the real clock, and prints what it measured"
)]

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use serde_json::{Value, json};
use strongroom::clock::SystemClock;
use strongroom::framework::TtlLimits;
use strongroom::pipeline::Pipeline;
use strongroom::request::{Operation, Request};
use strongroom::rng::{Rng, SystemRng};
use strongroom::secret::Secret;
use strongroom::server::{Alone, Identity, Node, Parts};
use strongroom::sys::{Init, NodeControl as _, Unseal};

fn main() {
    let mut arguments = std::env::args().skip(1).filter(|argument| !argument.starts_with("--"));
    let requests: u32 = arguments.next().map_or(20_000, |requests| requests.parse().unwrap());
    let folder: PathBuf = arguments.next().map_or_else(std::env::temp_dir, Into::into);
    let folder = tempfile::tempdir_in(folder).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    for (name, options) in [
        ("no device", None),
        ("discard", Some(json!({ "file_path": "discard" }))),
        ("file", Some(json!({ "file_path": folder.path().join("file") }))),
        (
            "file, sync=batch",
            Some(json!({ "file_path": folder.path().join("sync"), "sync": "batch" })),
        ),
    ] {
        for clients in [1, 64] {
            let each = runtime.block_on(measure(options.clone(), requests, clients));
            println!("{name:18} {clients:3} clients  {each:8.1} µs a request");
        }
    }
}

async fn measure(options: Option<Value>, requests: u32, clients: u32) -> f64 {
    let (pipeline, root) = node().await;
    let send = |operation, path: &str, body: Value| Request {
        id: (&SystemRng as &dyn Rng).uuid(),
        operation,
        path: path.into(),
        params: body.as_object().cloned().unwrap_or_default(),
        token: Some(Arc::new(Secret::new(root.clone()))),
        ..Request::default()
    };
    let mount = send(Operation::Update, "sys/mounts/kv", json!({ "type": "kv" }));
    pipeline.handle(&mount).await.unwrap();
    let secret = json!({ "user": "app", "password": "s3cret", "host": "db.example.com" });
    pipeline.handle(&send(Operation::Update, "kv/a", secret)).await.unwrap();
    if let Some(options) = options {
        let body = json!({ "type": "file", "options": options });
        pipeline.handle(&send(Operation::Update, "sys/audit/log", body)).await.unwrap();
    }
    // One that waits for the disk each time would take minutes.
    let requests = requests.div_ceil(clients);
    let start = Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..clients {
        let (pipeline, read) = (pipeline.clone(), send(Operation::Read, "kv/a", Value::Null));
        tasks.spawn(async move {
            for _ in 0..requests {
                pipeline.handle(&read).await.unwrap();
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
    start.elapsed().as_secs_f64() * 1e6 / f64::from(requests * clients)
}

async fn node() -> (Arc<Pipeline>, String) {
    let rng: Arc<dyn Rng> = Arc::new(SystemRng);
    let node = Node::new(Parts {
        audit: strongroom::audit::Rules::default(),
        barrier: Arc::new(strongroom::barrier::Barrier::new(rng.clone())),
        clock: Arc::new(SystemClock),
        consensus: Arc::new(Alone::default()),
        identity: Identity {
            api_address: String::new(),
            cluster_address: String::new(),
            cluster_name: String::new(),
            version: "1.19.0".into(),
            retry_join: Vec::new(),
            joins_by_token: false,
        },
        rng,
        telemetry: Arc::new(strongroom::telemetry::Telemetry::new(Default::default()).unwrap()),
        ttl: TtlLimits::default(),
        value_bytes_max: 1 << 20,
    })
    .unwrap();
    let made = node.control.initialise(Init { shares: 1, threshold: 1 }, None).await.unwrap();
    let share = Secret::new(made.shares.first().unwrap().hex.expose().clone());
    node.control.unseal(Unseal::Share(share)).await.unwrap();
    (node.pipeline.clone(), made.root_token.expose().clone())
}
