//! `debug`: what a server tells of itself over a time, in one archive, for whoever is to help.
//!
//! **Invariant:** nothing secret is in it. Each answer is of an endpoint that shows none; of the
//! paths of requests under way only the beginning is kept, since their ends may be tokens; the
//! command line itself, which may hold a token, is left out.

mod bundle;
mod capture;

use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{Instant, sleep, sleep_until};

use self::bundle::Bundle;
use self::capture::{CAPTURED, Captures, follow_log};
use super::failure::Failure;
use super::session::Session;
use super::{args, version};
use crate::client::{Client, GET, Request};
use crate::clock::{Clock as _, SystemClock};

/// Gather what a server tells of itself, for whoever is to help
///
/// For a time, configuration (without secrets), host, metrics, state of raft and seal, requests
/// under way and the log are written into an archive, with `index.json` as its table of contents.
/// What the token may not read is missing and noted there. Interrupted, it keeps what it has.
#[derive(clap::Args)]
pub(super) struct Args {
    /// How long to gather.
    #[arg(long, value_name = "DURATION", default_value = "2m", value_parser = args::seconds)]
    duration: i64,
    /// How often to look at the server's state.
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = args::seconds)]
    interval: i64,
    /// How often to read the metrics.
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = args::seconds)]
    metrics_interval: i64,
    /// How the log is written: standard or json.
    #[arg(long, default_value = "standard", value_parser = ["standard", "json"])]
    log_format: String,
    /// Where the archive goes; strongroom-debug-TIME.tar.gz if not set.
    #[arg(long, value_name = "PATH")]
    output: Option<PathBuf>,
    /// Write an archive; -compress=false writes a folder.
    #[arg(
        long,
        value_name = "BOOL",
        default_value = "true",
        default_missing_value = "true",
        num_args = 0..=1,
        require_equals = true,
        value_parser = args::go_bool,
        action = clap::ArgAction::Set,
    )]
    compress: bool,
    /// What to gather: config, host, metrics, replication-status, server-status, requests, log;
    /// all if not set. May be repeated.
    #[arg(long, value_name = "NAME", value_delimiter = ',', alias = "targets", value_parser = CAPTURED)]
    target: Vec<String>,
}

/// The flags, as they hold.
struct Plan {
    duration: Duration,
    interval: Duration,
    metrics_interval: Duration,
    log_format: String,
    targets: Vec<&'static str>,
}

impl Plan {
    fn of(args: &Args) -> Result<Self, Failure> {
        let positive = |flag: &str, seconds: i64| match u64::try_from(seconds) {
            Ok(seconds @ 1..) => Ok(Duration::from_secs(seconds)),
            _ => Err(Failure::local(format!("-{flag} must be a second or more"))),
        };
        let duration = positive("duration", args.duration)?;
        if duration > DURATION_MAX {
            return Err(Failure::local("-duration must be 24h or less"));
        }
        let wanted = |name: &str| args.target.is_empty() || args.target.iter().any(|t| t == name);
        Ok(Self {
            duration,
            interval: positive("interval", args.interval)?.min(duration),
            metrics_interval: positive("metrics-interval", args.metrics_interval)?.min(duration),
            log_format: args.log_format.clone(),
            targets: CAPTURED.into_iter().filter(|name| wanted(name)).collect(),
        })
    }

    fn has(&self, target: &str) -> bool {
        self.targets.contains(&target)
    }
}

pub(super) async fn run(session: &mut Session<'_, '_>, args: &Args) -> Result<(), Failure> {
    session.refuse_raw()?;
    let plan = Plan::of(args)?;
    let client = session.client()?;
    let begun = SystemClock.now().rfc3339();
    let health = health(&client).await?;
    let bundle = Bundle::new(args.output.clone(), &begun, args.compress)?;
    let shown = |key: &str| health.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let address = client.config().address.to_string();
    let head = json!({
        "version": INDEX_VERSION,
        "vault_address": address,
        "client_version": version::line(),
        "server_version": shown("version"),
        "cluster_name": shown("cluster_name"),
        "timestamp": begun,
        "duration_seconds": plan.duration.as_secs(),
        "interval_seconds": plan.interval.as_secs(),
        "metrics_interval_seconds": plan.metrics_interval.as_secs(),
        "compress": args.compress,
        "targets": plan.targets,
    });
    session.success(&announcement(&plan, &address, &bundle))?;
    session.io.output.flush()?;
    let captures = gather(&client, &plan).await;
    for error in captures.errors() {
        session.io.warn(&format!("not gathered: {error}"));
    }
    let path = bundle.write(head, captures)?;
    session.success(&format!("Success! Bundle written to: {}", path.display()))
}

/// Answers sealed or not, and without a token.
async fn health(client: &Client) -> Result<Value, Failure> {
    let failed = |error| Failure::during("Error asking the server for its health", error);
    let request = capture::health();
    client.send(&request).await.and_then(|answer| answer.json()).map_err(failed)
}

fn announcement(plan: &Plan, address: &str, bundle: &Bundle) -> String {
    let seconds = |duration: Duration| format!("{}s", duration.as_secs());
    let rows = [
        ("Vault Address", address.to_owned()),
        ("Client Version", version::line()),
        ("Duration", seconds(plan.duration)),
        ("Interval", seconds(plan.interval)),
        ("Metrics Interval", seconds(plan.metrics_interval)),
        ("Targets", plan.targets.join(", ")),
        ("Output", bundle.path().display().to_string()),
    ];
    let rows = rows.map(|(name, value)| format!("{name:>24}: {value}\n")).concat();
    format!("==> Starting debug capture...\n{rows}\n==> Capturing until then, or Ctrl-C...")
}

/// Until the time is over, or someone interrupts.
async fn gather(client: &Client, plan: &Plan) -> Captures {
    let captures = Captures::default();
    if plan.has("config") {
        captures.take(client, "config", Request::new(GET, "sys/config/state/sanitized")).await;
    }
    let end = Instant::now() + plan.duration;
    let state = repeat(plan.interval, async || {
        if plan.has("host") {
            captures.take(client, "host", Request::new(GET, "sys/host-info")).await;
        }
        if plan.has("replication-status") {
            captures.replication(client).await;
        }
        if plan.has("server-status") {
            captures.server(client).await;
        }
        if plan.has("requests") {
            captures.requests(client).await;
        }
    });
    let metrics = repeat(plan.metrics_interval, async || {
        if plan.has("metrics") {
            captures.take(client, "metrics", Request::new(GET, "sys/metrics")).await;
        }
    });
    let log = async {
        if plan.has("log") {
            follow_log(client, &plan.log_format, &captures).await;
        }
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = state => {}
        () = metrics => {}
        () = log => {}
        () = sleep_until(end) => {}
        _ = tokio::signal::ctrl_c() => captures.error("all", "interrupted: what follows is missing"),
    }
    captures
}

async fn repeat(interval: Duration, look: impl AsyncFn()) {
    loop {
        look().await;
        sleep(interval).await;
    }
}

const DURATION_MAX: Duration = Duration::from_secs(24 * 60 * 60);
const INDEX_VERSION: u32 = 1;
