//! Users who are locked out because someone tried too often to log in as them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::clock::Timestamp;
use crate::duration::SignedDuration;
use crate::mount::{MountEntry, Table};
use crate::request::Error;
use crate::text::{as_name, of_name};
use crate::txn::Scope;

/// What a mount or the configuration says; 0 and `None`: nothing. As Vault names it where a mount
/// is shown.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub struct LockoutTerms {
    /// Failures after which a user is locked out.
    #[serde(rename = "user_lockout_threshold")]
    pub threshold: u64,
    /// Seconds for which they are.
    #[serde(rename = "user_lockout_duration")]
    pub duration: u64,
    /// Seconds without a failure after which they are counted from 0.
    #[serde(rename = "user_lockout_counter_reset_duration")]
    pub counter_reset: u64,
    #[serde(rename = "user_lockout_disable")]
    pub disable: Option<bool>,
}

/// Of the configuration: by kind of auth method, or `all`.
#[derive(Clone, Debug, Default)]
pub struct LockoutSettings(pub BTreeMap<String, LockoutTerms>);

impl LockoutSettings {
    /// What holds for a mount: its own terms, then its kind's, then those for all, then Vault's.
    /// `None` where nobody is locked out.
    pub fn of(&self, mount: &MountEntry) -> Option<LockoutTerms> {
        if !is_lockable(mount) {
            return None;
        }
        let own = mount.config.user_lockout_config.clone().map(Value::Object);
        let own: Option<LockoutTerms> = own.and_then(|own| serde_json::from_value(own).ok());
        let said = [own, self.0.get(&mount.kind).copied(), self.0.get("all").copied()];
        let of = |field: fn(&LockoutTerms) -> u64, default: u64| {
            said.iter().flatten().map(field).find(|value| *value > 0).unwrap_or(default)
        };
        if said.iter().flatten().find_map(|terms| terms.disable) == Some(true) {
            return None;
        }
        Some(LockoutTerms {
            threshold: of(|terms| terms.threshold, THRESHOLD),
            duration: of(|terms| terms.duration, DURATION),
            counter_reset: of(|terms| terms.counter_reset, COUNTER_RESET),
            disable: None,
        })
    }
}

/// Reads `user_lockout_config` of a tune; what is not given stays as the mount has it. The result
/// is what the mount keeps, and shows.
///
/// # Errors
/// [`Error::BadRequest`] with what cannot be read.
pub fn tuned(mount: &MountEntry, given: &Map<String, Value>) -> Result<Map<String, Value>, Error> {
    if !is_lockable(mount) {
        return Err(Error::BadRequest(format!(
            "tuning of user lockout configuration for auth type {:?} not allowed",
            mount.kind
        )));
    }
    let before = mount.config.user_lockout_config.clone().unwrap_or_default();
    let terms = serde_json::from_value::<LockoutTerms>(Value::Object(before));
    let mut terms = terms.map_err(|error| Error::damaged(&error))?;
    for (name, value) in given {
        let text = match value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let text = text.trim();
        match name.as_str() {
            "lockout_threshold" => {
                terms.threshold = text.parse().map_err(|_| refused(name, text, "a count"))?;
            }
            "lockout_duration" => terms.duration = seconds(name, text)?,
            "lockout_counter_reset_duration" | "lockout_counter_reset" => {
                terms.counter_reset = seconds(name, text)?;
            }
            "lockout_disable" => {
                terms.disable = Some(match text {
                    "true" | "1" => true,
                    "false" | "0" | "" => false,
                    _ => return Err(refused(name, text, "true or false")),
                });
            }
            _ => {
                return Err(Error::BadRequest(format!(
                    "user_lockout_config has no field {name:?}: lockout_threshold, \
                     lockout_duration, lockout_counter_reset_duration or lockout_disable"
                )));
            }
        }
    }
    terms.disable = terms.disable.or(Some(false));
    match serde_json::to_value(terms) {
        Ok(Value::Object(kept)) => Ok(kept),
        _ => Err(Error::internal("lockout terms are no object")),
    }
}

/// The users of one namespace that are locked out, over its `core/` scope.
pub struct Locks<'s, 't> {
    scope: &'s mut Scope<'t>,
}

impl<'s, 't> Locks<'s, 't> {
    pub fn new(scope: &'s mut Scope<'t>) -> Self {
        Self { scope }
    }

    /// Until when; it may be over.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub fn get(&mut self, accessor: &str, name: &str) -> Result<Option<Timestamp>, Error> {
        Ok(self.scope.get_shared::<Timestamp>(&key(accessor, name))?.map(|until| *until))
    }

    /// # Errors
    /// Where it cannot be written.
    pub fn lock(&mut self, accessor: &str, name: &str, until: Timestamp) -> Result<(), Error> {
        self.scope.put(&key(accessor, name), &until)
    }

    /// What is not locked is no error.
    ///
    /// # Errors
    /// Where the accessor is none.
    pub fn unlock(&mut self, accessor: &str, name: &str) -> Result<(), Error> {
        self.scope.delete(&key(accessor, name))
    }

    /// The mounts' accessors under which there may be some.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub fn accessors(&mut self) -> Result<Vec<String>, Error> {
        let names = self.scope.list(DIRECTORY)?;
        Ok(names.iter().map(|name| name.trim_end_matches('/').to_owned()).collect())
    }

    /// The names of those that are locked out now.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub fn names(&mut self, accessor: &str, now: Timestamp) -> Result<Vec<String>, Error> {
        let mut names = Vec::new();
        for stored in self.scope.list(&directory(accessor))? {
            let name = of_name(stored.trim_start_matches('='));
            if self.get(accessor, &name)?.is_some_and(|until| now < until) {
                names.push(name);
            }
        }
        Ok(names)
    }
}

/// Where the locks of a mount are, below `core/`.
pub fn directory(accessor: &str) -> String {
    format!("{DIRECTORY}/{accessor}")
}

/// A name may be any text: here it is one segment, and never `..`.
fn key(accessor: &str, name: &str) -> String {
    format!("{}/={}", directory(accessor), as_name(name))
}

fn is_lockable(mount: &MountEntry) -> bool {
    mount.table == Table::Auth && KINDS.contains(&mount.kind.as_str())
}

fn seconds(name: &str, text: &str) -> Result<u64, Error> {
    let length = SignedDuration::parse(text).ok().and_then(SignedDuration::unsigned);
    length.map(|length| length.as_secs()).ok_or_else(|| refused(name, text, "a duration"))
}

fn refused(name: &str, text: &str, expected: &str) -> Error {
    Error::BadRequest(format!("unable to parse {name} {text:?}: {expected} is expected"))
}

const DIRECTORY: &str = "lockout";

/// Methods by a name and something secret.
const KINDS: &[&str] = &["approle", "ldap", "userpass"];

/// As in Vault.
const THRESHOLD: u64 = 5;
const DURATION: u64 = 900;
const COUNTER_RESET: u64 = 900;
