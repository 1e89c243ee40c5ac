//! What a namespace may be called, and what is the root namespace's alone.

use super::Namespace;
use crate::request::Error;

/// # Errors
/// [`Error::BadRequest`] for what is no name, or is something else's.
pub fn check_name(name: &str) -> Result<(), Error> {
    let refused = |text: String| Err(Error::BadRequest(text));
    if name.is_empty() {
        return refused("the name of a namespace must not be empty".into());
    }
    if name.contains('/') {
        return refused("namespace name cannot contain /".into());
    }
    if name.len() > NAME_BYTES_MAX {
        return refused(format!("namespace name cannot have more than {NAME_BYTES_MAX} bytes"));
    }
    if name.chars().any(char::is_whitespace) {
        return refused(format!(
            "{name:?} contains space characters that cannot be used in a namespace name"
        ));
    }
    if let Some(wildcard) = name.chars().find(|c| matches!(c, '+' | '*')) {
        return refused(format!(
            "{name:?} contains wildcard characters that cannot be used in a namespace name: \
             '{wildcard}'"
        ));
    }
    if matches!(name, "." | "..") || name.chars().any(char::is_control) {
        return refused(format!("{name:?} cannot be used as a namespace name"));
    }
    if RESERVED.contains(&name) {
        return refused(format!(
            "\"{name}/\" is a reserved path and cannot be used as a namespace name"
        ));
    }
    Ok(())
}

/// Why a path of `sys/` is refused in a namespace; `None` in the root namespace, and for what every
/// namespace has. Whoever adds a path to `sys/` must say here if it is for every namespace: what
/// is not listed belongs to the cluster.
pub fn refusal(namespace: &Namespace, path: &str) -> Option<Error> {
    if namespace.is_root() { None } else { refused(path) }
}

/// What each node answers for itself is none of a namespace's, whether or not there is one: asked
/// before anything is read.
pub fn refusal_in_header(path: &str) -> Option<Error> {
    let below = path.strip_prefix("sys/")?;
    let is_nodes = NODES.iter().any(|start| {
        below.strip_prefix(start).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    });
    if is_nodes { refused(path) } else { None }
}

fn refused(path: &str) -> Option<Error> {
    let path = path.strip_prefix("sys/")?;
    let path = path.trim_end_matches('/');
    let is_in = |list: &[&str]| {
        list.iter().any(|start| {
            path.strip_prefix(start).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        })
    };
    if is_in(EVERYWHERE) {
        return None;
    }
    let text = if is_in(NODES) {
        "operation unavailable in namespaces"
    } else if is_in(KEYS) {
        "namespace is not sealable"
    } else {
        "operation only available in root namespace"
    };
    Some(Error::bad_request(text))
}

/// First segments of paths that are always there, or the root namespace's name.
const RESERVED: &[&str] = &["root", "sys", "audit", "auth", "cubbyhole", "identity"];

const NAME_BYTES_MAX: usize = 255;

/// Below `sys/`, what every namespace has.
const EVERYWHERE: &[&str] = &[
    "auth",
    "capabilities",
    "capabilities-accessor",
    "capabilities-self",
    "ha-status",
    "internal/counters/entities",
    "internal/counters/tokens",
    "internal/specs",
    "internal/ui",
    "leader",
    "leases",
    "locked-users",
    "mounts",
    "namespaces",
    "policies",
    "policy",
    "remount",
    "renew",
    "revoke",
    "revoke-force",
    "revoke-prefix",
    "seal-status",
    "tools",
    "wrapping",
];

/// What each node answers for itself, or the cluster as a whole.
const NODES: &[&str] = &[
    "generate-root",
    "health",
    "in-flight-req",
    "init",
    "metrics",
    "pprof",
    "raw",
    "rekey",
    "seal",
    "step-down",
    "storage",
    "unseal",
];

const KEYS: &[&str] = &["key-status", "rotate"];
