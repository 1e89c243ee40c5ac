//! The key that encrypts: `rotate`, `rotate/config`, `key-status`.
//!
//! One key is good for some 2³² messages (NIST SP 800-38D, section 8.3). What each process has
//! encrypted is counted in its memory, and written down by the active node every five minutes. A
//! node that ends, or leads no more, takes what it has not written down with it: at most the count
//! of five minutes each time. The bound lies 430 million below 2³²: at 10,000 messages a second,
//! the leader may be lost 143 times in the life of one key before that is used up.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::authority::CORE;
use super::{Keys, Node};
use crate::clock::Timestamp;
use crate::framework::{Call, NoParams, Route, Seconds};
use crate::record::SystemKey;
use crate::request::{Error, Reply};
use crate::rng::Rng;
use crate::seal;
use crate::txn::Scope;

pub(super) fn routes() -> Vec<Route<Node>> {
    let mut routes = vec![
        Route::new("key-status", "Which key encrypts, and since when.").read(key_status),
        Route::new("rotate", "Encrypt with a new key from now on.").sudo().write(rotate),
        Route::new("rotate/keyring", "Encrypt with a new key from now on.").sudo().write(rotate),
    ];
    for template in ["rotate/config", "rotate/keyring/config"] {
        let help = "When a new key is made without being asked for.";
        routes.push(Route::new(template, help).read(read_config).write(write_config));
    }
    routes
}

/// When the key is changed without being asked for.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
struct RotationConfig {
    /// Messages of one key.
    max_operations: u64,
    /// Seconds; 0: however old it is.
    interval: u64,
    enabled: bool,
}

impl Default for RotationConfig {
    fn default() -> Self {
        Self { max_operations: OPERATIONS_MAX, interval: 0, enabled: true }
    }
}

/// How many messages a key has encrypted, as far as that is written down.
#[derive(Default, Deserialize, Serialize)]
struct Counted {
    term: u32,
    encryptions: u64,
}

impl Keys {
    /// Adds a term, which encrypts once this is committed.
    ///
    /// # Errors
    /// Where the node is sealed, or a record cannot be read.
    pub fn rotate(
        &self,
        storage: &mut Scope<'_>,
        rng: &dyn Rng,
        now: Timestamp,
    ) -> Result<(), Error> {
        let (record, keyring) = self.keyring(storage)?;
        let (_, record) = seal::rotate(rng, now, &keyring, &record).map_err(Error::internal)?;
        storage.put_system(SystemKey::Keyring, record.encode())
    }

    /// Adds a term where the present one has served its time.
    ///
    /// # Errors
    /// As [`Self::rotate`].
    pub fn rotate_if_due(
        &self,
        storage: &mut Scope<'_>,
        rng: &dyn Rng,
        now: Timestamp,
    ) -> Result<bool, Error> {
        let config = config(storage)?;
        let status = self.status(storage)?;
        let age = now.0.saturating_sub(status.installed.0) / 1000;
        let is_due = status.encryptions >= config.max_operations
            || (config.interval > 0 && age >= config.interval);
        if !config.enabled || !is_due {
            return Ok(false);
        }
        self.rotate(storage, rng, now)?;
        Ok(true)
    }

    /// Writes down what this process has encrypted since it last did. What it returns is to be
    /// given to [`Self::counted`] once that is committed.
    ///
    /// # Errors
    /// As [`Self::rotate`].
    pub fn count(&self, storage: &mut Scope<'_>) -> Result<(u32, u64), Error> {
        let status = self.status(storage)?;
        if status.unwritten > 0 {
            let counted = Counted { term: status.term, encryptions: status.encryptions };
            storage.beside(CORE, |core| core.put(COUNTED, &counted))?;
        }
        Ok((status.term, status.local))
    }

    pub fn counted(&self, (term, local): (u32, u64)) {
        self.state().counted = (term, local);
    }

    fn status(&self, storage: &mut Scope<'_>) -> Result<Status, Error> {
        let (_, keyring) = self.keyring(storage)?;
        let counted: Option<Counted> = storage.beside(CORE, |core| core.get(COUNTED))?;
        let term = keyring.active_term();
        let written = counted.filter(|counted| counted.term == term);
        let written = written.map_or(0, |counted| counted.encryptions);
        let local = keyring.encryptions();
        let known = match self.state().counted {
            (of, known) if of == term => known,
            _ => 0,
        };
        let unwritten = local.saturating_sub(known);
        Ok(Status {
            term,
            installed: keyring.installed(),
            encryptions: written.saturating_add(unwritten),
            local,
            unwritten,
        })
    }
}

struct Status {
    term: u32,
    installed: Timestamp,
    /// Of all processes.
    encryptions: u64,
    /// Of this process.
    local: u64,
    unwritten: u64,
}

async fn key_status(call: &mut Call<'_, Node>, _: NoParams) -> Result<Reply, Error> {
    let status = call.state.keys().status(&mut call.storage)?;
    Reply::of(&json!({
        "term": status.term,
        "install_time": status.installed.rfc3339(),
        "encryptions": status.encryptions,
    }))
}

async fn rotate(call: &mut Call<'_, Node>, _: NoParams) -> Result<Reply, Error> {
    call.state.keys().rotate(&mut call.storage, call.rng, call.now)?;
    Ok(Reply::default())
}

async fn read_config(call: &mut Call<'_, Node>, _: NoParams) -> Result<Reply, Error> {
    let config = config(&mut call.storage)?;
    let interval = match config.interval {
        0 => json!(0),
        seconds => json!(go_duration(seconds)),
    };
    Reply::of(&json!({
        "max_operations": config.max_operations,
        "interval": interval,
        "enabled": config.enabled,
    }))
}

#[derive(Deserialize, JsonSchema)]
struct WriteConfig {
    /// How many messages one key encrypts.
    max_operations: Option<i64>,
    /// How long one key encrypts; 0 is without limit.
    interval: Option<Seconds>,
    /// Whether keys are changed without being asked for.
    enabled: Option<bool>,
}

async fn write_config(call: &mut Call<'_, Node>, input: WriteConfig) -> Result<Reply, Error> {
    let mut new = config(&mut call.storage)?;
    if let Some(operations) = input.max_operations {
        let operations = u64::try_from(operations).unwrap_or(0);
        if !(OPERATIONS_MIN..=OPERATIONS_MAX).contains(&operations) {
            return Err(Error::BadRequest(format!(
                "max_operations must be in the range [{OPERATIONS_MIN},{OPERATIONS_MAX}]"
            )));
        }
        new.max_operations = operations;
    }
    if let Some(interval) = input.interval {
        let seconds = u64::try_from(interval.0).unwrap_or(1);
        if seconds != 0 && seconds < INTERVAL_MIN {
            return Err(Error::bad_request("interval must be greater or equal to 24h0m0s"));
        }
        new.interval = seconds;
    }
    if let Some(enabled) = input.enabled {
        new.enabled = enabled;
    }
    call.storage.beside(CORE, |core| core.put(CONFIG, &new))?;
    Ok(Reply::default())
}

fn config(storage: &mut Scope<'_>) -> Result<RotationConfig, Error> {
    Ok(storage.beside(CORE, |core| core.get(CONFIG))?.unwrap_or_default())
}

/// As Go prints a duration.
fn go_duration(seconds: u64) -> String {
    format!("{}h{}m{}s", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

/// Below 2³² by a tenth.
const OPERATIONS_MAX: u64 = 3_865_470_566;
const OPERATIONS_MIN: u64 = 1_000_000;
/// Seconds.
const INTERVAL_MIN: u64 = 86_400;

const CONFIG: &str = "keyring/config";
const COUNTED: &str = "keyring/encryptions";
