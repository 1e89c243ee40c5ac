//! The key sets that anyone may read. They are made once for each change of what they are made
//! of: nobody without a token makes this server read every role and client.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;
use serde_json::Value;

use super::named_key::{NamedKey, PublicKey};
use crate::clock::Timestamp;
use crate::record::Revision;
use crate::request::Error;
use crate::txn::Scope;

/// By provider: that of the roles has no name.
#[derive(Default)]
pub struct KeySets(Mutex<BTreeMap<String, Arc<KeySet>>>);

/// As others read it (RFC 7517, section 5).
pub(super) struct KeySet {
    /// Of [`CHANGES`], when it was made.
    revision: Revision,
    /// When the first of the keys verifies no more.
    until: Timestamp,
    pub(super) keys: Vec<Value>,
    /// When another key signs; `None` where none does.
    pub(super) next_rotation: Option<Timestamp>,
}

impl KeySets {
    /// `names`: of the keys that are in the set of `provider`. It is not asked where the set is
    /// known.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub(super) fn get(
        &self,
        core: &mut Scope<'_>,
        provider: &str,
        now: Timestamp,
        names: impl FnOnce(&mut Scope<'_>) -> Result<BTreeSet<String>, Error>,
    ) -> Result<Arc<KeySet>, Error> {
        // Before what it stands for: a set that is newer than its revision is only made again.
        let revision = core.peek_revision(CHANGES)?;
        let mut sets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = sets.get(provider);
        if let Some(set) = known.filter(|set| set.revision == revision && now < set.until) {
            return Ok(set.clone());
        }
        let names = names(core)?;
        let set = Arc::new(KeySet::of(core, names, revision, now)?);
        // Of those that are left of a change, some providers may be gone.
        sets.retain(|_, set| set.revision == revision);
        sets.insert(provider.to_owned(), set.clone());
        Ok(set)
    }
}

impl KeySet {
    fn of(
        core: &mut Scope<'_>,
        names: BTreeSet<String>,
        revision: Revision,
        now: Timestamp,
    ) -> Result<Self, Error> {
        let mut set =
            Self { revision, until: Timestamp(u64::MAX), keys: Vec::new(), next_rotation: None };
        for name in names {
            let Some(key) = NamedKey::get(core, &name)? else { continue };
            set.keys.extend(key.public(now).map(PublicKey::jwk));
            let over = key.retired.iter().map(|old| old.until).filter(|until| now < *until);
            set.until = over.fold(set.until, Ord::min);
            if key.current.is_some() {
                let next = set.next_rotation.unwrap_or(key.next_rotation);
                set.next_rotation = Some(next.min(key.next_rotation));
            }
        }
        Ok(set)
    }
}

/// Writes a role, a client, a provider or a key: what key sets are made of.
///
/// # Errors
/// Where it cannot be written.
pub(super) fn put<T: Serialize>(core: &mut Scope<'_>, path: &str, value: &T) -> Result<(), Error> {
    core.put(path, value)?;
    note_change(core)
}

/// As [`put`].
///
/// # Errors
/// Where it cannot be written.
pub(super) fn delete(core: &mut Scope<'_>, path: &str) -> Result<(), Error> {
    core.delete(path)?;
    note_change(core)
}

/// Whatever is written there, its revision is another.
fn note_change(core: &mut Scope<'_>) -> Result<(), Error> {
    core.put(CHANGES, &())
}

/// Its revision stands for all that key sets are made of.
const CHANGES: &str = "identity/oidc/changes";
