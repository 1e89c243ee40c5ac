//! Other nodes: do their names resolve, do they answer, what time is it there.

use std::time::Duration;

use serde_json::Value;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;

use super::check::Check;
use super::words;
use crate::client::{Address, Client, Config as ClientConfig, GET, Request, Tls};
use crate::clock::{Clock as _, SystemClock};
use crate::config::{Config, Endpoint, RetryJoin, Storage};

pub(super) async fn look(config: &Config) -> Check {
    const NAME: &str = "Check Other Nodes";
    let targets = match &config.settings.storage {
        Storage::Raft(raft) => raft.retry_join.as_slice(),
        Storage::Inmem(_) => &[],
    };
    if targets.is_empty() {
        return Check::skipped(NAME, "No `retry_join` names one.");
    }
    let mut parts = Vec::new();
    let mut reached = 0_usize;
    for target in targets {
        let looked = one(target).await;
        reached = reached.saturating_add(usize::from(looked.1));
        parts.push(looked.0);
    }
    if reached == 0 {
        parts.push(Check::warn(
            "Check Joining",
            "None of them answers: a new node could not join, and this one founds no cluster.",
            "Start another first, or, on the very first node of a cluster, remove `retry_join` or \
             run `strongroom operator init` there.",
        ));
    }
    Check::group(NAME, parts)
}

/// And whether it could be reached.
async fn one(target: &RetryJoin) -> (Check, bool) {
    let endpoint = &target.leader_api_addr;
    let name = format!("Check {endpoint}");
    let mut parts = Vec::new();
    if let Err(check) = connect(endpoint).await {
        return (Check::group(&name, [check]), false);
    }
    parts.push(Check::ok("Connect", ""));
    let health = match health(target).await {
        Ok(health) => health,
        Err(text) => {
            parts.push(Check::fail(
                "Ask For Health",
                &text,
                "Where its certificate is of an authority of your own, give that in \
                 `leader_ca_cert_file`; where its name is another, in `leader_tls_servername`.",
            ));
            return (Check::group(&name, parts), false);
        }
    };
    let version = health.get("version").and_then(Value::as_str).unwrap_or_default();
    parts.push(Check::ok("Ask For Health", &format!("It speaks version {version}.")));
    parts.extend(clock(&health));
    (Check::group(&name, parts), true)
}

async fn connect(endpoint: &Endpoint) -> Result<(), Check> {
    let authority = endpoint.authority();
    let resolved = timeout(WAIT, lookup_host(authority.as_str())).await;
    let addresses: Vec<_> = match resolved {
        Ok(Ok(addresses)) => addresses.collect(),
        Ok(Err(error)) => {
            let advice = "Correct `leader_api_addr`, or enter the name in DNS or /etc/hosts.";
            return Err(Check::fail("Resolve", &words(error), advice));
        }
        Err(_) => {
            let advice = "Check the machine's resolver (/etc/resolv.conf).";
            return Err(Check::fail("Resolve", "There is no answer from DNS.", advice));
        }
    };
    match timeout(WAIT, TcpStream::connect(addresses.as_slice())).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(Check::warn(
            "Connect",
            &words(error),
            "Check that a server runs there, and its port in `leader_api_addr`.",
        )),
        Err(_) => Err(Check::warn(
            "Connect",
            "There is no answer.",
            "Check that machine, and what filters packets between here and there.",
        )),
    }
}

async fn health(target: &RetryJoin) -> Result<Value, String> {
    let address = Address::parse(&target.leader_api_addr.to_string());
    let mut config = ClientConfig::new(address.map_err(|error| error.to_string())?);
    config.tls = Tls {
        ca_cert: target.leader_ca_cert_file.clone(),
        ca_cert_pem: target.leader_ca_cert.clone(),
        client_cert: target.leader_client_cert_file.clone(),
        client_key: target.leader_client_key_file.clone(),
        server_name: target.leader_tls_servername.clone(),
        ..Tls::default()
    };
    config.timeout = WAIT;
    config.retries_max = 0;
    let client = Client::new(config).map_err(|error| error.to_string())?;
    let request = ["standbycode", "sealedcode", "uninitcode", "removedcode", "haunhealthycode"]
        .iter()
        .fold(Request::new(GET, "sys/health"), |request, code| request.query(code, "200"));
    let answer = client.send(&request).await.map_err(|error| error.to_string())?;
    answer.json().map_err(|error| error.to_string())
}

/// Both times are whole seconds, and the answer takes its time.
fn clock(health: &Value) -> Option<Check> {
    const NAME: &str = "Check Clock";
    let there = health.get("server_time_utc").and_then(Value::as_u64)?;
    let here = SystemClock.now().seconds();
    let apart = here.abs_diff(there);
    let side = if there > here { "ahead" } else { "behind" };
    let text = format!("Its clock is {apart} s {side}.");
    let advice = "Let both machines follow a time server (chrony, systemd-timesyncd): ends of tokens, \
                  leases and certificates are by the clock (deploy/runbooks/clock-skew.md).";
    Some(match apart {
        0..SKEW_SECONDS => Check::ok(NAME, &text),
        SKEW_SECONDS..MUCH_SKEW_SECONDS => Check::warn(NAME, &text, advice),
        _ => Check::fail(NAME, &text, advice),
    })
}

const WAIT: Duration = Duration::from_secs(5);
const SKEW_SECONDS: u64 = 3;
const MUCH_SKEW_SECONDS: u64 = 60;
