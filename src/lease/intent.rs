use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::request::{Error, Params};
use crate::txn::Scope;

/// What a handler was about to do outside. It goes in the entry that says it is done, and is else
/// finished or undone by its engine.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct StoredIntent {
    /// As the engine declares it.
    pub act: String,
    pub intent: Params,
    pub since: Timestamp,
    /// Until then whoever wrote it may be at work, unless it was given up.
    pub settle_after: Timestamp,
    /// Nothing is to come of it: it is settled, whatever its handler may still say.
    pub given_up: bool,
    /// Failed tries to settle it.
    pub attempts: u32,
    pub error: String,
}

/// The intents of one namespace, over its `core/` scope; each is named by its mount's accessor
/// and an id of its own.
pub struct IntentStore<'s, 't> {
    scope: &'s mut Scope<'t>,
}

impl<'s, 't> IntentStore<'s, 't> {
    pub fn new(scope: &'s mut Scope<'t>) -> Self {
        Self { scope }
    }

    /// # Errors
    /// Where it cannot be written.
    pub fn put(&mut self, mount: &str, id: &str, intent: &StoredIntent) -> Result<(), Error> {
        self.scope.put(&key(mount, id), intent)
    }

    /// # Errors
    /// Where the store cannot be read.
    pub fn get(&mut self, mount: &str, id: &str) -> Result<Option<StoredIntent>, Error> {
        self.scope.get(&key(mount, id))
    }

    /// # Errors
    /// Where it cannot be written.
    pub fn remove(&mut self, mount: &str, id: &str) -> Result<(), Error> {
        self.scope.delete(&key(mount, id))
    }

    /// Accessors of mounts that have some.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub fn mounts(&mut self) -> Result<Vec<String>, Error> {
        let names = self.scope.list(INTENTS)?;
        Ok(names.into_iter().map(|name| name.trim_end_matches('/').to_owned()).collect())
    }

    /// Accessors of mounts that have some whose time has come.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub fn due_mounts(&mut self) -> Result<Vec<String>, Error> {
        let now = self.scope.now();
        let mut due = Vec::new();
        for mount in self.mounts()? {
            for id in self.of_mount(&mount, LOOKED_AT_MAX)? {
                if self.get(&mount, &id)?.is_some_and(|intent| intent.settle_after <= now) {
                    due.push(mount);
                    break;
                }
            }
        }
        Ok(due)
    }

    /// # Errors
    /// Where the store cannot be read.
    pub fn of_mount(&mut self, mount: &str, intents_max: usize) -> Result<Vec<String>, Error> {
        Ok(self.scope.page(&format!("{INTENTS}/{mount}"), None, intents_max)?.names)
    }

    /// Later each time, never given up.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn failed(
        &mut self,
        mount: &str,
        id: &str,
        intent: StoredIntent,
        error: &str,
        now: Timestamp,
    ) -> Result<(), Error> {
        let attempts = intent.attempts.saturating_add(1);
        let pause = FIRST_PAUSE * (1 << attempts.saturating_sub(1).min(PAUSE_DOUBLINGS_MAX));
        let intent = StoredIntent {
            attempts,
            settle_after: now.plus(pause),
            error: error.chars().take(500).collect(),
            ..intent
        };
        self.put(mount, id, &intent)
    }
}

fn key(mount: &str, id: &str) -> String {
    format!("{INTENTS}/{mount}/{id}")
}

const INTENTS: &str = "lease/intent";

/// Of a mount, each time: as many as are under way at once.
const LOOKED_AT_MAX: usize = 1024;

const FIRST_PAUSE: std::time::Duration = std::time::Duration::from_secs(10);

/// About an hour and a half at most.
const PAUSE_DOUBLINGS_MAX: u32 = 9;
