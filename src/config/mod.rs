//! The server's configuration: Vault's, in HCL or JSON, from files, folders and the environment.
//!
//! Files become one tree (`syntax`), whose keys are read by tables (`stanza`) into one struct per
//! stanza. A wrong value stops the start, and all of them are reported at once; a key that is
//! unknown, or Vault's but without effect here, only warns.
//! **Invariant:** a `Config` is whole: each TCP listener without `tls_disable` has its files, and
//! `api_addr` and `cluster_addr` are known.

pub mod env;
pub mod sockaddr;

mod audit;
mod docs;
mod listener;
mod problem;
mod seal;
mod settings;
mod stanza;
mod storage;
mod syntax;
mod telemetry;
mod user_lockout;
mod value;

/// Read and checked, but of parts that are not there.
const NOT_YET: &[(&str, &str)] = &[("raw_storage_endpoint", "sys/raw is not offered")];

#[cfg(test)]
mod tests;

pub use audit::AuditDevice;
pub use docs::{keys, markdown};
pub use listener::{
    Listener, ListenerTelemetry, ProxyProtocol, ResponseHeaders, TcpListener, TlsFiles, TlsVersion,
    UnixListener,
};
pub use problem::{ConfigErrors, Place, Problem, Warning};
pub use seal::{AwsKmsSeal, Pkcs11Seal, Seal, StaticSeal, TransitSeal};
pub use settings::{LogFormat, LogLevel, Settings};
pub use stanza::KeyDoc;
pub use storage::{HaProfile, InmemStorage, RaftStorage, RetryJoin, StateStore, Storage};
pub use telemetry::Telemetry;
pub use user_lockout::{UserLockout, UserLockouts};
pub use value::{
    ClusterEndpoint, Endpoint, Mode, Networks, Scheme, Size, SizeLimit, Version, Words,
};

use std::fs;
use std::io::Read as _;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use env::Env;
use sockaddr::Interface;
use stanza::{Body, Reader};
use syntax::{Entry, Node, Value};

/// A whole configuration.
#[derive(Debug)]
pub struct Config {
    pub settings: Settings,
    /// Where clients and other nodes reach this one. The port is 0 if the first listener's is,
    /// until it is bound.
    pub api_addr: Endpoint,
    /// Where the other nodes reach this one; always `https`.
    pub cluster_addr: Endpoint,
}

impl Config {
    /// Reads files, and folders' `*.hcl` and `*.json` in alphabetical order, as one configuration:
    /// blocks add up, of a single value the last holds. The environment goes before them.
    pub fn load(
        paths: &[PathBuf],
        env: Env<'_>,
        interfaces: &[Interface],
    ) -> Result<(Self, Vec<Warning>), ConfigErrors> {
        let mut problems = Vec::new();
        let mut entries = Vec::new();
        for file in files(paths, &mut problems) {
            match read_file(&file) {
                Ok(read) => entries.extend(read),
                Err(problem) => problems.push(problem),
            }
        }
        if !problems.is_empty() {
            // What cannot be read may hold what the others seem to miss.
            return Err(ConfigErrors(problems));
        }
        let whole = match paths {
            [path] => path.display().to_string(),
            _ => "configuration".to_owned(),
        };
        Self::of_entries(entries, &Place::whole(&whole), env, interfaces)
    }

    /// Reads one text, which messages call `source`.
    pub fn parse(
        source: &str,
        text: &str,
        env: Env<'_>,
        interfaces: &[Interface],
    ) -> Result<(Self, Vec<Warning>), ConfigErrors> {
        let entries =
            syntax::parse(&source.into(), text).map_err(|problem| ConfigErrors(vec![problem]))?;
        Self::of_entries(entries, &Place::whole(source), env, interfaces)
    }

    fn of_entries(
        mut entries: Vec<Entry>,
        place: &Place,
        env: Env<'_>,
        interfaces: &[Interface],
    ) -> Result<(Self, Vec<Warning>), ConfigErrors> {
        for entry in &mut entries {
            if let Some((_, name)) = SYNONYMS.iter().find(|(synonym, _)| *synonym == entry.key) {
                entry.key = (*name).to_owned();
            }
        }
        for set in overrides(TOP_OVERRIDES, env) {
            entries.retain(|entry| entry.key != set.key);
            entries.push(set);
        }
        let mut reader = Reader::new(interfaces, overrides(RAFT_OVERRIDES, env));
        let body = Body { place: place.clone(), entries: &entries };
        let settings = Settings::read_body(&body, &mut reader);
        for (key, why) in NOT_YET {
            if let Some(entry) = entries.iter().find(|entry| entry.key == *key) {
                reader.warn(&entry.node.place, format!("`{key}` has no effect yet: {why}"));
            }
        }
        let config = settings
            .filter(|_| reader.problems.is_empty())
            .and_then(|settings| Self::complete(settings, &body, &mut reader));
        let Reader { mut problems, mut warnings, .. } = reader;
        problems.sort_by(|left, right| left.place.cmp(&right.place));
        warnings.sort_by(|left, right| left.place.cmp(&right.place));
        match config {
            Some(config) if problems.is_empty() => Ok((config, warnings)),
            _ => Err(ConfigErrors(problems)),
        }
    }

    fn complete(settings: Settings, body: &Body<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        let api_addr = match settings.api_addr.clone() {
            Some(api_addr) => api_addr,
            None => derive_api_addr(&settings, body, reader)?,
        };
        let cluster_addr = match settings.cluster_addr.clone() {
            Some(ClusterEndpoint(cluster_addr)) => cluster_addr,
            None => {
                let port = match api_addr.port {
                    0 => Some(0),
                    port => port.checked_add(1),
                };
                let Some(port) = port else {
                    let text = "`cluster_addr` must be set: `api_addr` has the last port";
                    reader.problem(body.place_of("api_addr"), text.to_owned());
                    return None;
                };
                Endpoint { scheme: Scheme::Https, host: api_addr.host.clone(), port }
            }
        };
        Some(Self { settings, api_addr, cluster_addr })
    }
}

/// From the first TCP listener. One that listens on every address is reached through a private
/// one, as in Vault.
fn derive_api_addr(
    settings: &Settings,
    body: &Body<'_>,
    reader: &mut Reader<'_>,
) -> Option<Endpoint> {
    let tcp = settings.listener.iter().find_map(|listener| match listener {
        Listener::Tcp(tcp) => Some(tcp),
        Listener::Unix(_) => None,
    });
    let Some(tcp) = tcp else {
        let text = "`api_addr` must be set: there is no `listener \"tcp\"` to take it from";
        reader.problem(&body.place, text.to_owned());
        return None;
    };
    let scheme = if tcp.tls_disable { Scheme::Http } else { Scheme::Https };
    let mut host = tcp.address.ip().to_string();
    if tcp.address.ip().is_unspecified() {
        let private = sockaddr::expand("{{ GetPrivateIP }}", reader.interfaces);
        host = private.unwrap_or_else(|_| IpAddr::from([127, 0, 0, 1]).to_string());
    }
    let endpoint = Endpoint { scheme, host, port: tcp.address.port() };
    if tcp.address.ip().is_unspecified() {
        let text = format!(
            "`api_addr` is not set and the listener is on {}: others will be sent to {endpoint}",
            tcp.address,
        );
        reader.warn(body.place_of("listener"), text);
    }
    Some(endpoint)
}

/// Keys that the environment sets, with the variable as their place.
fn overrides(table: &[(&str, &str)], env: Env<'_>) -> Vec<Entry> {
    let mut entries: Vec<Entry> = Vec::new();
    for (suffix, key) in table {
        let Some(set) = env::lookup(env, suffix) else { continue };
        if entries.iter().any(|entry| entry.key == *key) {
            continue;
        }
        let text = if *suffix == env::CLUSTER_INTERFACE {
            format!("https://{{{{ GetInterfaceIP \"^{}$\" }}}}:8201", set.value)
        } else {
            set.value
        };
        let place = Place::whole(&format!("environment variable {}", set.name));
        let node = Node { place, value: Value::Text(text) };
        entries.push(Entry { key: (*key).to_owned(), labels: Vec::new(), node });
    }
    entries
}

fn files(paths: &[PathBuf], problems: &mut Vec<Problem>) -> Vec<PathBuf> {
    if paths.is_empty() {
        let text = "no file or folder was named".to_owned();
        problems.push(Problem { place: Place::whole("configuration"), text });
    }
    let mut files = Vec::new();
    for path in paths {
        if !path.is_dir() {
            files.push(path.clone());
            continue;
        }
        match folder(path) {
            Ok(found) if found.is_empty() => {
                let text = "holds no file that ends in .hcl or .json".to_owned();
                problems.push(Problem { place: whole(path), text });
            }
            Ok(found) => files.extend(found),
            Err(error) => problems.push(unreadable(path, &error)),
        }
    }
    files
}

fn folder(path: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(path)? {
        let path = entry?.path();
        let wanted = path.extension().is_some_and(|end| end == "hcl" || end == "json");
        if wanted && !path.is_dir() {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

fn read_file(path: &Path) -> Result<Vec<Entry>, Problem> {
    let mut text = String::new();
    // One byte more than may be shows that there are too many.
    let bytes_max = syntax::FILE_BYTES_MAX as u64 + 1;
    fs::File::open(path)
        .and_then(|file| file.take(bytes_max).read_to_string(&mut text))
        .map_err(|error| unreadable(path, &error))?;
    let source: Arc<str> = path.display().to_string().into();
    syntax::parse(&source, &text)
}

fn unreadable(path: &Path, error: &std::io::Error) -> Problem {
    Problem { place: whole(path), text: format!("cannot be read: {error}") }
}

fn whole(path: &Path) -> Place {
    Place::whole(&path.display().to_string())
}

/// Vault's older names.
const SYNONYMS: &[(&str, &str)] = &[("backend", "storage"), ("ha_backend", "ha_storage")];

/// Variables and the keys that they set; of two for one key the first goes first.
const TOP_OVERRIDES: &[(&str, &str)] = &[
    (env::API_ADDR, "api_addr"),
    (env::REDIRECT_ADDR, "api_addr"),
    (env::CLUSTER_ADDR, "cluster_addr"),
    (env::CLUSTER_INTERFACE, "cluster_addr"),
    (env::LOG_LEVEL, "log_level"),
    (env::LOG_FORMAT, "log_format"),
    (env::UI, "ui"),
    (env::DISABLE_MLOCK, "disable_mlock"),
    (env::REPORTED_VERSION, "reported_version"),
];

/// The same for `storage "raft"`.
const RAFT_OVERRIDES: &[(&str, &str)] = &[(env::RAFT_NODE_ID, "node_id"), (env::RAFT_PATH, "path")];
