use std::any::Any;
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::key::Key;
use crate::record::Revision;

/// Parsed records, each valid while the stored one has the same revision. Never a source of
/// staleness: the revision is looked up before a cached value is used. Dropped on seal, because
/// it holds plaintext.
#[derive(Default)]
pub struct RecordCache(Mutex<Records>);

#[derive(Default)]
struct Records {
    by_key: BTreeMap<Key, (Revision, Cached)>,
    /// Raised by every clearing: what a transaction of before it has parsed is not kept.
    generation: u64,
    /// Where the last victim was. Going round, every record comes up once.
    last_victim: Option<Key>,
}

type Cached = Arc<dyn Any + Send + Sync>;

impl RecordCache {
    pub fn clear(&self) {
        let mut records = self.lock();
        records.by_key.clear();
        records.last_victim = None;
        records.generation += 1;
    }

    /// Of what is kept from now on; see [`Self::insert`].
    pub(super) fn generation(&self) -> u64 {
        self.lock().generation
    }

    pub(super) fn get<T: Send + Sync + 'static>(
        &self,
        key: &Key,
        revision: Revision,
    ) -> Option<Arc<T>> {
        let records = self.lock();
        let (cached_at, value) = records.by_key.get(key)?;
        if *cached_at != revision {
            return None;
        }
        value.clone().downcast().ok()
    }

    /// Keeps a value, unless all was dropped since `generation` was asked for.
    pub(super) fn insert(&self, generation: u64, key: Key, revision: Revision, value: Cached) {
        let mut records = self.lock();
        if records.generation != generation {
            return;
        }
        if records.by_key.len() >= RECORDS_MAX && !records.by_key.contains_key(&key) {
            records.drop_one();
        }
        records.by_key.insert(key, (revision, value));
    }

    fn lock(&self) -> MutexGuard<'_, Records> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Records {
    fn drop_one(&mut self) {
        let after = self.last_victim.take().map_or(Bound::Unbounded, Bound::Excluded);
        let next = self.by_key.range((after, Bound::Unbounded)).next();
        let victim = next.or_else(|| self.by_key.first_key_value()).map(|(key, _)| key.clone());
        if let Some(victim) = victim {
            self.by_key.remove(&victim);
            self.last_victim = Some(victim);
        }
    }
}

/// As many as Vault's `cache_size` may hold by default.
const RECORDS_MAX: usize = 131_072;

#[cfg(test)]
mod tests;
