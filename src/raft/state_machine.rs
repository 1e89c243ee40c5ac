//! Committed entries, applied to the state store.

use std::io;
use std::sync::Arc;

use futures_util::{Stream, StreamExt as _};
use openraft::storage::{EntryResponder, RaftSnapshotBuilder, RaftStateMachine};
use openraft::{EntryPayload, OptionalSend};
use tokio::sync::watch;

use super::sizes::Sizes;
use super::snapshot::SnapshotData;
use super::state::{ApplyObserver, StateStore};
use super::types::{Entry, LogId, Outcome, Position, SnapshotMeta, StoredMembership, TypeConfig};
use crate::record::{Applied, RestoreId, RestoreStep, SealedBatch, ViewError};

pub(super) type Snapshot = openraft::alias::SnapshotOf<TypeConfig, SnapshotData>;

/// openraft's state machine over a [`StateStore`].
pub(super) struct StateMachine {
    state: Arc<dyn StateStore>,
    observer: Arc<dyn ApplyObserver>,
    /// As far as applied.
    position: Position,
    /// As far as on disk: up to there the log may be purged, and a node that needs what was
    /// purged gets the state instead.
    durable: Arc<watch::Sender<Position>>,
    /// Index of the newest applied entry, for the node's status.
    applied: Arc<watch::Sender<u64>>,
    sizes: Arc<Sizes>,
}

impl StateMachine {
    /// # Errors
    /// Where the store does not say how far it has come.
    pub(super) fn new(
        state: Arc<dyn StateStore>,
        observer: Arc<dyn ApplyObserver>,
    ) -> io::Result<Self> {
        let position = state.position()?;
        let applied = position.last_applied.map_or(0, |id| id.index);
        Ok(Self {
            state,
            observer,
            durable: Arc::new(watch::Sender::new(position.clone())),
            position,
            applied: Arc::new(watch::Sender::new(applied)),
            sizes: Arc::default(),
        })
    }

    pub(super) fn applied_watch(&self) -> watch::Receiver<u64> {
        self.applied.subscribe()
    }

    pub(super) fn sizes(&self) -> Arc<Sizes> {
        self.sizes.clone()
    }

    fn apply_entry(&mut self, entry: Entry) -> io::Result<Outcome> {
        let id = entry.log_id;
        let outcome = match entry.payload {
            EntryPayload::Blank => {
                self.state.apply_blank(&id).map_err(view_error)?;
                None
            }
            EntryPayload::Normal(payload) => {
                self.sizes.add(id.index, payload.0.len());
                let (batch, encoded, mac) =
                    SealedBatch::decode_entry(payload.0).map_err(io::Error::other)?;
                let replaces = replaces(&batch);
                let applied = if replaces.is_some() {
                    tokio::task::block_in_place(|| self.replace(id, &batch))?
                } else {
                    self.state.apply(&id, &batch).map_err(view_error)?
                };
                self.observer.on_applied(id.index, &batch, &encoded, &mac, applied);
                if let Some(restore) = replaces.filter(|_| applied == Applied::Committed) {
                    self.observer.on_restored(id.index, restore);
                }
                Some(applied)
            }
            EntryPayload::Membership(membership) => {
                self.position.membership = StoredMembership::new(Some(id), membership);
                self.position.last_applied = Some(id);
                self.state.apply_membership(&id, &self.position).map_err(view_error)?;
                None
            }
        };
        self.position.last_applied = Some(id);
        Ok(outcome)
    }

    /// The whole state, at once, and durably.
    fn replace(&mut self, id: LogId, batch: &SealedBatch) -> io::Result<Applied> {
        let applied = self.state.apply(&id, batch).map_err(view_error)?;
        self.position.last_applied = Some(id);
        if applied == Applied::Committed {
            self.durable.send_replace(self.position.clone());
        }
        Ok(applied)
    }

    /// Waits for memory where there is little, without keeping raft's other tasks from running.
    fn apply_pressed(&mut self, entry: Entry) -> io::Result<Outcome> {
        if self.state.is_pressed() {
            return tokio::task::block_in_place(|| self.apply_entry(entry));
        }
        self.apply_entry(entry)
    }
}

impl RaftStateMachine<TypeConfig> for StateMachine {
    type SnapshotData = SnapshotData;
    type SnapshotBuilder = Builder;

    async fn applied_state(&mut self) -> Result<(Option<LogId>, StoredMembership), io::Error> {
        Ok((self.position.last_applied, self.position.membership.clone()))
    }

    async fn apply<S>(&mut self, mut entries: S) -> Result<(), io::Error>
    where
        S: Stream<Item = Result<EntryResponder<TypeConfig>, io::Error>> + Unpin + OptionalSend,
    {
        while let Some(next) = entries.next().await {
            let (entry, responder) = next?;
            let index = entry.log_id.index;
            let outcome = self.apply_pressed(entry)?;
            self.applied.send_replace(index);
            if let Some(responder) = responder {
                responder.send(outcome);
            }
        }
        Ok(())
    }

    async fn get_snapshot_builder(&mut self) -> Builder {
        Builder {
            state: self.state.clone(),
            position: self.position.clone(),
            durable: self.durable.clone(),
        }
    }

    async fn install_snapshot(
        &mut self,
        meta: &SnapshotMeta,
        snapshot: SnapshotData,
    ) -> Result<(), io::Error> {
        let state = self.state.clone();
        match snapshot {
            // At start raft offers what the store itself has said.
            SnapshotData::Live(own) if Arc::ptr_eq(&own, &state) => return Ok(()),
            SnapshotData::Live(other) => blocking(move || state.install(other.export()?)).await?,
            SnapshotData::Received(image) => blocking(move || state.install(image)).await?,
        }
        self.position = self.state.position()?;
        // Else entries would be applied twice, or never.
        assert_eq!(self.position.last_applied, meta.last_log_id, "a snapshot is what it says");
        self.durable.send_replace(self.position.clone());
        let index = self.position.last_applied.map_or(0, |id| id.index);
        self.observer.on_installed(index);
        self.applied.send_replace(index);
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> Result<Option<Snapshot>, io::Error> {
        let position = self.durable.borrow().clone();
        Ok(position.last_applied.is_some().then(|| snapshot_of(&self.state, position)))
    }
}

/// Makes a checkpoint: that is all a snapshot needs before someone asks for it.
pub(super) struct Builder {
    state: Arc<dyn StateStore>,
    position: Position,
    durable: Arc<watch::Sender<Position>>,
}

impl RaftSnapshotBuilder<TypeConfig> for Builder {
    type SnapshotData = SnapshotData;

    async fn build_snapshot(&mut self) -> Result<Snapshot, io::Error> {
        let state = self.state.clone();
        blocking(move || state.checkpoint()).await?;
        self.durable.send_replace(self.position.clone());
        Ok(snapshot_of(&self.state, self.position.clone()))
    }
}

/// The restore whose last step it is.
fn replaces(batch: &SealedBatch) -> Option<RestoreId> {
    let restore = batch.restore.as_ref()?;
    matches!(restore.step, RestoreStep::Replace { .. }).then_some(restore.id)
}

fn snapshot_of(state: &Arc<dyn StateStore>, position: Position) -> Snapshot {
    let Position { last_applied: last_log_id, membership: last_membership } = position;
    let meta = SnapshotMeta { last_log_id, last_membership };
    Snapshot { meta, snapshot: SnapshotData::Live(state.clone()) }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}

fn view_error(error: ViewError) -> io::Error {
    io::Error::other(error)
}
