use std::any::Any;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::key::Key;
use crate::record::Revision;

/// Parsed records, each valid while the stored one has the same revision. Never a source of
/// staleness: the revision is looked up before a cached value is used. Dropped on seal, because
/// it holds plaintext.
#[derive(Default)]
pub struct RecordCache(Mutex<BTreeMap<Key, (Revision, Cached)>>);

type Cached = Arc<dyn Any + Send + Sync>;

impl RecordCache {
    pub fn clear(&self) {
        self.lock().clear();
    }

    pub(super) fn get<T: Send + Sync + 'static>(
        &self,
        key: &Key,
        revision: Revision,
    ) -> Option<Arc<T>> {
        let records = self.lock();
        let (cached_at, value) = records.get(key)?;
        if *cached_at != revision {
            return None;
        }
        value.clone().downcast().ok()
    }

    pub(super) fn insert(&self, key: Key, revision: Revision, value: Cached) {
        let mut records = self.lock();
        if records.len() >= RECORDS_MAX && !records.contains_key(&key) {
            // Any will do: keys sort by path, so a fixed choice could starve one directory.
            let victim = records.keys().nth(records.len() / 2).cloned();
            victim.and_then(|victim| records.remove(&victim));
        }
        records.insert(key, (revision, value));
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<Key, (Revision, Cached)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// As many as Vault's `cache_size` may hold by default.
const RECORDS_MAX: usize = 131_072;
