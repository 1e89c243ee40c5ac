//! Which policies a new token gets.

use super::roles::Role;
use crate::policy::{DEFAULT, RESPONSE_WRAPPING, ROOT, sanitize_names};
use crate::request::Error;

/// What decides it.
pub(super) struct Asked<'a> {
    /// Sorted, lower case, without doubles.
    pub(super) requested: Vec<String>,
    pub(super) no_default: bool,
    pub(super) parent: &'a [String],
    /// The parent is of a namespace above: its policies are others, of the same names.
    pub(super) from_above: bool,
    pub(super) has_sudo: bool,
    pub(super) role: Option<&'a Role>,
}

/// Exactly one rule applies, in this order: the role's lists; a parent of a namespace above,
/// which has sudo; nothing requested; a caller without sudo; one with.
///
/// # Errors
/// [`Error::BadRequest`], with what is not allowed.
pub(super) fn choose(asked: Asked<'_>) -> Result<Vec<String>, Error> {
    let no_default = asked.no_default || asked.role.is_some_and(|role| role.no_default_policy);
    let chosen = match asked.role.filter(|role| role.limits_policies()) {
        Some(role) => of_role(role, &asked, no_default)?,
        None if asked.from_above => with_default(asked.requested, !no_default),
        None if asked.requested.is_empty() => asked.parent.to_vec(),
        None if !asked.has_sudo => {
            if !asked.requested.iter().all(|name| asked.parent.contains(name)) {
                return Err(Error::bad_request("child policies must be subset of parent"));
            }
            let parent_has = asked.parent.iter().any(|name| name == DEFAULT);
            with_default(asked.requested, parent_has && !no_default)
        }
        None => with_default(asked.requested, !no_default),
    };
    if chosen.iter().any(|name| name == RESPONSE_WRAPPING) {
        return Err(Error::BadRequest(format!("cannot assign policy {RESPONSE_WRAPPING:?}")));
    }
    if chosen.iter().any(|name| name == ROOT) {
        if asked.from_above {
            return Err(Error::bad_request(
                "root tokens may not be created from a parent namespace",
            ));
        }
        // It grants all there is: beside it others say nothing.
        if !asked.parent.iter().any(|name| name == ROOT) {
            return Err(Error::bad_request(
                "root tokens may not be created without parent token being root",
            ));
        }
        return Ok(vec![ROOT.into()]);
    }
    Ok(chosen)
}

/// The parent's policies are no limit here.
fn of_role(role: &Role, asked: &Asked<'_>, no_default: bool) -> Result<Vec<String>, Error> {
    let disallowed = |name: &str| {
        role.disallowed_policies.iter().any(|other| other == name)
            || role.disallowed_policies_glob.iter().any(|glob| matches_glob(glob, name))
    };
    let add_default = !no_default && !disallowed(DEFAULT);
    let limited = !role.allowed_policies.is_empty() || !role.allowed_policies_glob.is_empty();
    let chosen = if !asked.requested.is_empty() {
        asked.requested.clone()
    } else if limited {
        role.allowed_policies.clone()
    } else if asked.from_above {
        Vec::new()
    } else {
        asked.parent.to_vec()
    };
    let chosen = with_default(chosen, add_default);
    if limited {
        let allowed = with_default(role.allowed_policies.clone(), add_default);
        let globs = &role.allowed_policies_glob;
        let is_allowed = |name: &String| {
            allowed.contains(name) || globs.iter().any(|glob| matches_glob(glob, name))
        };
        if !chosen.iter().all(is_allowed) {
            return Err(Error::BadRequest(format!(
                "token policies ({}) must be subset of the role's allowed policies ({}) or glob \
                 policies ({})",
                listed(&chosen),
                listed(&allowed),
                listed(globs)
            )));
        }
    }
    match chosen.iter().find(|name| disallowed(name)) {
        Some(name) => {
            Err(Error::BadRequest(format!("token policy {name:?} is disallowed by this role")))
        }
        None => Ok(chosen),
    }
}

fn with_default(names: Vec<String>, add: bool) -> Vec<String> {
    let has_root = names.iter().any(|name| name == ROOT);
    let default = (add && !has_root).then(|| DEFAULT.to_owned());
    sanitize_names(names.into_iter().chain(default))
}

/// `*` stands for any text, also none.
pub(super) fn matches_glob(glob: &str, name: &str) -> bool {
    let mut parts = glob.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = name.strip_prefix(first) else {
        return false;
    };
    let Some(last) = parts.next_back() else {
        return rest.is_empty();
    };
    for part in parts {
        match rest.find(part).and_then(|at| rest.get(at + part.len()..)) {
            Some(after) => rest = after,
            None => return false,
        }
    }
    rest.ends_with(last)
}

/// As Vault writes a list: `["a" "b"]`.
fn listed(names: &[String]) -> String {
    let names: Vec<String> = names.iter().map(|name| format!("{name:?}")).collect();
    format!("[{}]", names.join(" "))
}

#[cfg(test)]
mod tests;
