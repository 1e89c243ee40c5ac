use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

use super::{BoxFuture, LogError, Point, ReplicatedLog};
use crate::record::{Applied, Leadership, SealedBatch, View};
use crate::store::MemoryState;

/// A cluster of one, in memory: `-dev`, `storage "inmem"`, and tests.
#[derive(Default)]
pub struct MemoryLog {
    log: Mutex<Log>,
    state: Arc<MemoryState>,
}

struct Log {
    leadership: Leadership,
    last_index: u64,
    /// Run just before the next proposal is applied, last one first.
    events: Vec<Event>,
    /// Told of each entry that took effect.
    observer: Option<Observer>,
    fate: Fate,
}

/// What happens to the next proposal.
#[derive(Clone, Copy, Default)]
enum Fate {
    #[default]
    Applied,
    AppliedUnseen,
    AppliedTwice,
    Refused,
}

type Observer = Arc<dyn Fn(&SealedBatch) + Send + Sync>;

type Event = Box<dyn FnOnce(&MemoryLog) + Send>;

impl Default for Log {
    fn default() -> Self {
        Self {
            leadership: Leadership { term: 1, node: 1 },
            last_index: 0,
            events: Vec::new(),
            observer: None,
            fate: Fate::Applied,
        }
    }
}

impl MemoryLog {
    /// What has been applied.
    pub fn view(&self) -> Arc<dyn View> {
        self.state.clone()
    }

    /// Entries so far, refused ones included.
    pub fn last_index(&self) -> u64 {
        self.lock().last_index
    }

    /// As after an election: what was proposed under the old leadership is fenced.
    pub fn change_leadership(&self) {
        self.lock().leadership.term += 1;
    }

    /// As raft's observer: told of each entry that took effect, in their order.
    pub fn observe(&self, observer: impl Fn(&SealedBatch) + Send + Sync + 'static) {
        self.lock().observer = Some(Arc::new(observer));
    }

    /// Lets a test put something between what a request read and what it writes.
    pub fn before_next_proposal(&self, event: impl FnOnce(&Self) + Send + 'static) {
        self.lock().events.push(Box::new(event));
    }

    /// As when a leader ends between the commit and the answer.
    pub fn lose_next_answer(&self) {
        self.lock().fate = Fate::AppliedUnseen;
    }

    /// As where the node does not lead any more.
    pub fn refuse_next_proposal(&self) {
        self.lock().fate = Fate::Refused;
    }

    /// As when two who know nothing of each other propose the same; the second is answered.
    pub fn repeat_next_proposal(&self) {
        self.lock().fate = Fate::AppliedTwice;
    }

    /// Appends an entry and applies it at once.
    ///
    /// # Errors
    /// Where the bytes are no entry.
    pub fn append(&self, entry: Bytes) -> Result<Applied, LogError> {
        let stopped = |message: String| LogError::Stopped(message);
        let (batch, _, _) =
            SealedBatch::decode_entry(entry).map_err(|error| stopped(error.to_string()))?;
        // Held while applying: entries are applied in the order of their indexes.
        let mut log = self.lock();
        log.last_index += 1;
        let applied = self.state.apply(log.last_index, log.leadership, &batch);
        let applied = applied.map_err(|error| stopped(error.to_string()))?;
        if let Some(observer) = log.observer.as_ref().filter(|_| applied == Applied::Committed) {
            observer(&batch);
        }
        Ok(applied)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ReplicatedLog for MemoryLog {
    fn begin(&self) -> BoxFuture<'_, Result<Point, LogError>> {
        let view: Arc<dyn View> = self.state.clone();
        let point = Point { leadership: self.lock().leadership, view };
        Box::pin(async move { Ok(point) })
    }

    fn propose(&self, entry: Bytes) -> BoxFuture<'_, Result<Applied, LogError>> {
        let event = self.lock().events.pop();
        if let Some(event) = event {
            event(self);
        }
        let fate = std::mem::take(&mut self.lock().fate);
        let applied = match fate {
            Fate::Applied => self.append(entry),
            Fate::AppliedUnseen => self.append(entry).and(Err(LogError::Unknown)),
            Fate::Refused => Err(LogError::NotLeader),
            Fate::AppliedTwice => self.append(entry.clone()).and_then(|_| self.append(entry)),
        };
        Box::pin(async move { applied })
    }
}
