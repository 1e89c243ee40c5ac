//! What only the server knows: mounts, paths, policies.

use std::time::Duration;

use clap::Parser as _;
use serde_json::Value;

use super::Env;
use crate::cli::global::GlobalFlags;
use crate::client::{Client, GET, Request};
use crate::config::env;

/// What a command takes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum What {
    Path,
    SecretMount,
    AuthMount,
    AuditDevice,
    Policy,
    Node,
    File,
}

impl What {
    /// Of the argument with this number.
    pub(super) fn of(command: &[&str], number: usize) -> Option<Self> {
        let what = match (command, number) {
            (["read" | "write" | "delete" | "list" | "patch" | "path-help" | "explain"], 0)
            | (["kv", _], 0)
            | (["token", "capabilities"], 0 | 1) => Self::Path,
            (["secrets", "disable" | "move" | "tune"], 0) => Self::SecretMount,
            (["auth", "disable" | "move" | "tune" | "help"], 0) => Self::AuthMount,
            (["audit", "disable"], 0) => Self::AuditDevice,
            (["policy", "read" | "write" | "delete"], 0) => Self::Policy,
            (["policy", "write"], 1) | (["policy", "fmt" | "test"], _) => Self::File,
            (["audit", "verify" | "report"], _) => Self::File,
            (["operator", "validate-config"], _) => Self::File,
            (["operator", "raft", "snapshot", _], 0) => Self::File,
            (["operator", "raft", "remove-peer" | "promote" | "demote"], 0) => Self::Node,
            _ => return None,
        };
        Some(what)
    }
}

/// The server that the command would speak to. It is asked for a moment only, and what it does
/// not say is not completed.
pub(super) struct Live<'a> {
    pub(super) env: &'a Env,
    /// Those of the line, such as `-address`.
    pub(super) flags: &'a [(String, String)],
    /// Whether paths are without `data/` and `metadata/`.
    pub(super) is_kv: bool,
}

/// Flags that say which server is asked, and as whom.
#[derive(clap::Parser)]
struct Only {
    #[command(flatten)]
    global: GlobalFlags,
}

struct Mount {
    path: String,
    is_versioned: bool,
}

impl Live<'_> {
    pub(super) fn find(&self, what: What, partial: &str) -> Vec<String> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let (Ok(runtime), Some(client)) = (runtime, self.client()) else { return Vec::new() };
        let asked = self.ask(&client, what, partial);
        runtime
            .block_on(async { tokio::time::timeout(ALL_TIME_MAX, asked).await })
            .ok()
            .flatten()
            .unwrap_or_default()
    }

    fn client(&self) -> Option<Client> {
        let words = self.flags.iter().filter(|(name, _)| SERVER_FLAGS.contains(&name.as_str()));
        let words = words.map(|(name, value)| match value.is_empty() {
            true => format!("--{name}"),
            false => format!("--{name}={value}"),
        });
        let only = Only::try_parse_from(std::iter::once("strongroom".to_owned()).chain(words));
        let global = only.ok()?.global;
        let given = self.flags.iter().find(|(name, _)| name == "address");
        let address = given.map(|(_, value)| value.as_str()).or_else(|| self.env.get(env::ADDR));
        let mut config = global.client_config(self.env, address.unwrap_or(ADDRESS_DEFAULT)).ok()?;
        config.timeout = TIME_MAX;
        config.retries_max = 0;
        Client::new(config).ok()
    }

    async fn ask(&self, client: &Client, what: What, partial: &str) -> Option<Vec<String>> {
        match what {
            What::Path => self.paths(client, partial).await,
            What::SecretMount => Some(names(&mounts(client, "secret").await?)),
            What::AuthMount => Some(names(&mounts(client, "auth").await?)),
            What::Policy => listed(client, "sys/policies/acl").await,
            What::AuditDevice => {
                let reply = client.send(&Request::read("sys/audit")).await.ok()?;
                let reply = reply.envelope().ok()??;
                Some(reply.data()?.keys().cloned().collect())
            }
            What::Node => {
                let path = "sys/storage/raft/configuration";
                let reply = client.send(&Request::read(path)).await.ok()?.json().ok()?;
                let servers = reply.pointer("/data/config/servers")?.as_array()?;
                let ids = servers.iter().filter_map(|server| server.get("node_id")?.as_str());
                Some(ids.map(str::to_owned).collect())
            }
            What::File => None,
        }
    }

    async fn paths(&self, client: &Client, partial: &str) -> Option<Vec<String>> {
        let secret = mounts(client, "secret").await.unwrap_or_default();
        let flag = self.flags.iter().find(|(name, _)| name == "mount" && self.is_kv);
        if let Some((_, mount)) = flag {
            let mount = format!("{}/", mount.trim_matches('/'));
            let is_versioned = secret.iter().any(|other| other.path == mount && other.is_versioned);
            return below(client, &Mount { path: mount, is_versioned }, "", partial, true).await;
        }
        let inside = secret.iter().find(|mount| partial.starts_with(&mount.path));
        if let Some(mount) = inside {
            let rest = partial.strip_prefix(&mount.path)?;
            return below(client, mount, &mount.path, rest, self.is_kv).await;
        }
        let mut found = names(&secret);
        if !self.is_kv {
            found.extend(["auth/", "sys/", "identity/", "cubbyhole/"].map(str::to_owned));
            let auth = mounts(client, "auth").await.unwrap_or_default();
            found.extend(auth.iter().map(|mount| format!("auth/{}", mount.path)));
            // `auth/` alone leads there, unless something after it is being written.
            if !partial.starts_with("auth/") {
                found.retain(|path| path == "auth/" || !path.starts_with("auth/"));
            }
            if let Some((folder, _)) = partial.rsplit_once('/').filter(|_| partial != "auth/") {
                let keys = listed(client, folder).await.unwrap_or_default();
                found.extend(keys.into_iter().map(|key| format!("{folder}/{key}")));
            }
        }
        Some(found)
    }
}

/// What a mount holds in the folder that `rest` is in, with `shown` before it.
async fn below(
    client: &Client,
    mount: &Mount,
    shown: &str,
    rest: &str,
    is_kv: bool,
) -> Option<Vec<String>> {
    let folder = rest.rsplit_once('/').map(|(folder, _)| format!("{folder}/")).unwrap_or_default();
    let asked = match (mount.is_versioned, is_kv) {
        (false, _) => folder.clone(),
        (true, true) => format!("metadata/{folder}"),
        (true, false) => match folder.split_once('/') {
            // Names are listed in one place, whatever is done with them.
            Some((kind, inside)) if KV_KINDS.contains(&kind) => format!("metadata/{inside}"),
            _ => {
                let kinds = KV_KINDS.iter().map(|kind| format!("{shown}{kind}/"));
                return Some(kinds.chain([format!("{shown}config")]).collect());
            }
        },
    };
    let keys = listed(client, &format!("{}{asked}", mount.path)).await?;
    Some(keys.into_iter().map(|key| format!("{shown}{folder}{key}")).collect())
}

async fn listed(client: &Client, path: &str) -> Option<Vec<String>> {
    let reply = client.send(&Request::list(path)).await.ok()?.envelope().ok()??;
    let keys = reply.keys()?.iter().filter_map(Value::as_str);
    // A name with a blank would become two words, one with a line break two candidates.
    let keys = keys.filter(|key| !key.contains(|c: char| c.is_whitespace() || c.is_control()));
    Some(keys.take(KEYS_MAX).map(str::to_owned).collect())
}

/// Those that the token may see.
async fn mounts(client: &Client, table: &str) -> Option<Vec<Mount>> {
    let request = Request::new(GET, "sys/internal/ui/mounts");
    let reply = client.send(&request).await.ok()?.json().ok()?;
    let mounts = reply.pointer(&format!("/data/{table}"))?.as_object()?;
    let mounts = mounts.iter().map(|(path, mount)| Mount {
        path: path.clone(),
        is_versioned: mount.pointer("/options/version").and_then(Value::as_str) == Some("2"),
    });
    Some(mounts.collect())
}

fn names(mounts: &[Mount]) -> Vec<String> {
    mounts.iter().map(|mount| mount.path.clone()).collect()
}

const SERVER_FLAGS: [&str; 9] = [
    "address",
    "ca-cert",
    "ca-path",
    "client-cert",
    "client-key",
    "namespace",
    "ns",
    "tls-server-name",
    "tls-skip-verify",
];
const ADDRESS_DEFAULT: &str = "https://127.0.0.1:8200";
const KV_KINDS: [&str; 6] = ["data", "delete", "destroy", "metadata", "subkeys", "undelete"];
/// Of one question.
const TIME_MAX: Duration = Duration::from_millis(500);
/// Of all: whoever pressed the key waits.
const ALL_TIME_MAX: Duration = Duration::from_millis(1000);
const KEYS_MAX: usize = 1000;
