//! How this node opens: by shares that are typed, or by the seals of its configuration.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use super::control::Control;
use super::joining::parse_share;
use super::migration::Migration;
use super::removal::REMOVED;
use crate::barrier::Keyring;
use crate::record::SystemKey;
use crate::request::Error;
use crate::seal::{Guard, KeyringRecord, Quorum, SealConfiguration};
use crate::secret::Secret;
use crate::sys::{NodeControl as _, RecoveryRecord};

/// What the configuration of this node and what is stored say of the seal.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Way {
    /// People type shares.
    Shares,
    /// It opens by itself.
    Seals,
    /// People type shares to move to the seals of the configuration.
    ToSeals,
    /// People type recovery shares to move to shares.
    ToShares,
}

impl Control {
    pub(super) fn way(&self, configuration: &SealConfiguration) -> Way {
        match (configuration.kind().opens_itself(), self.seals.kind().is_some()) {
            (false, false) => Way::Shares,
            (false, true) => Way::ToSeals,
            (true, true) => Way::Seals,
            (true, false) => Way::ToShares,
        }
    }

    /// One share, typed to this node.
    pub(super) async fn take_share(
        &self,
        share: &Secret<String>,
        migrate: bool,
    ) -> Result<(), Error> {
        if self.is_removed() {
            return Err(Error::Unavailable(REMOVED.into()));
        }
        let share = parse_share(share)?;
        let (configuration, record) = match (self.seal_configuration()?, self.keyring_record()?) {
            (Some(configuration), Some(record)) => (configuration, record),
            _ if self.belongs_to_cluster() => self.records_arrive().await?,
            _ => return self.join_with(share).await,
        };
        let way = self.way(&configuration);
        let migrates = matches!(way, Way::ToSeals | Way::ToShares);
        if migrates && !migrate {
            return Err(Error::bad_request(
                "this node's configuration has another seal than the cluster: set `migrate` to \
                 move there (operator unseal -migrate), or put the configuration back",
            ));
        }
        if migrate && !migrates {
            return Err(Error::bad_request("no seal migration is under way"));
        }
        let guard = match way {
            Way::Seals | Way::ToShares => self.recovery_guard(way, &configuration, &record).await?,
            Way::Shares | Way::ToSeals => Arc::new(Guard::of_root_key(&configuration, &record)),
        };
        let opened = {
            let mut quorum = self.shares.lock().unwrap_or_else(PoisonError::into_inner);
            let refused = |error: crate::seal::UnsealError| Error::BadRequest(error.to_string());
            quorum.offer(self.rng(), &guard, share).map_err(refused)?
        };
        let Some(opened) = opened else {
            return Ok(());
        };
        let keyring = match &opened.root_key {
            // While the seals are away the shares are kept: the last one may be given again.
            None => Ok(self.keyring_by_seals(&record).await?),
            Some(root_key) => record.open_with(root_key),
        };
        self.shares.lock().unwrap_or_else(PoisonError::into_inner).reset();
        let keyring = keyring
            .map_err(|error| Error::BadRequest(format!("the root key is open, but: {error}")))?;
        self.open(Arc::new(keyring), &record)?;
        if migrates {
            let division = match way {
                Way::ToShares => configuration.recovery().map(|recovery| recovery.division),
                _ => Some(record.division_of(opened.generation, &configuration)),
            };
            let division = division.ok_or_else(|| Error::internal("no recovery key"))?;
            self.await_migration(Migration { from: configuration, key: opened.key, division });
        } else if way == Way::Shares && opened.generation == record.generation() {
            self.keys().note_used(opened.generation);
        }
        Ok(())
    }

    /// Opens this node by the first seal that can.
    ///
    /// # Errors
    /// [`Error::Unavailable`] with what each said.
    pub(super) async fn open_by_seals(&self) -> Result<(), Error> {
        let Some(record) = self.keyring_record()? else {
            return Ok(());
        };
        let keyring = self.keyring_by_seals(&record).await?;
        self.open(Arc::new(keyring), &record)
    }

    async fn keyring_by_seals(&self, record: &KeyringRecord) -> Result<Keyring, Error> {
        let root_key = self.root_key_by_seals(record).await?;
        record.open_with(&root_key).map_err(|error| {
            Error::Unavailable(format!("the seal has opened the root key, but: {error}"))
        })
    }

    pub(super) async fn root_key_by_seals(
        &self,
        record: &KeyringRecord,
    ) -> Result<crate::crypto::LockedKey, Error> {
        let seal_key = self.seals.unwrap(record.seals()).await.map_err(|failures| {
            let texts: Vec<String> = failures.iter().map(ToString::to_string).collect();
            Error::Unavailable(texts.join("; "))
        })?;
        record.open_root_key(&seal_key).map_err(|error| Error::Unavailable(error.to_string()))
    }

    /// What the recovery shares are given for. Their check lies behind the barrier, so the seals
    /// are asked; no more often than the recovery key changes, as anyone may type something.
    async fn recovery_guard(
        &self,
        way: Way,
        configuration: &SealConfiguration,
        record: &KeyringRecord,
    ) -> Result<Arc<Guard>, Error> {
        let recovery = configuration.recovery().ok_or_else(|| no_recovery_key(way))?;
        let mut known = self.recovery_guard.lock().await;
        if let Some((of, guard)) = known.as_ref()
            && of == configuration
        {
            return Ok(guard.clone());
        }
        let keyring = self.keyring_by_seals(record).await?;
        let key = crate::key::Key::new(format!("root/core/{}", RecoveryRecord::PATH));
        let stored = keyring.stored_key(&key);
        let value = self.consensus.view().get(&stored).map_err(Error::internal)?;
        let value = value.ok_or_else(|| no_recovery_key(way))?.value;
        let (_, check) = keyring.open_record(&stored, &value).map_err(Error::internal)?;
        let check = serde_json::from_slice::<RecoveryRecord>(check.expose());
        let check = check.map_err(|error| Error::damaged(&error))?;
        let guard = Arc::new(Guard::of_key(recovery.division, recovery.generation, check.check()?));
        *known = Some((*configuration, guard.clone()));
        Ok(guard)
    }

    /// Whether this node is sealed, and would open by itself.
    fn awaits_seals(&self) -> bool {
        let opens = |configuration: SealConfiguration| self.way(&configuration) == Way::Seals;
        self.barrier.is_sealed()
            && !self.stays_sealed()
            && !self.is_removed()
            && self.seal_configuration().ok().flatten().is_some_and(opens)
            && self.consensus.view().system(SystemKey::Keyring).is_ok_and(|record| record.is_some())
    }
}

fn no_recovery_key(way: Way) -> Error {
    Error::bad_request(match way {
        Way::Seals => {
            "this node opens by itself, and the cluster has no recovery key whose shares could \
             open it: restart it"
        }
        _ => {
            "this cluster has no recovery key, so nobody can authorise the move: make one with \
             the old seal"
        }
    })
}

/// Opens this node by its seals after each start, again and again while key services are away.
pub async fn unseal_by_seals(control: Arc<Control>) {
    let mut pause = PAUSE;
    loop {
        if control.awaits_seals() {
            match control.open_by_seals().await {
                Ok(()) => pause = PAUSE,
                Err(error) => {
                    tracing::warn!(%error, ?pause, "still sealed: it is tried again");
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(PAUSE_MAX);
                }
            }
        } else {
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// What shares this node was given. In its memory alone.
pub(super) type Shares = std::sync::Mutex<Quorum>;

/// What recovery shares are given for under this configuration. Held while the seals are asked.
pub(super) type RecoveryGuard = tokio::sync::Mutex<Option<(SealConfiguration, Arc<Guard>)>>;

const PAUSE: Duration = Duration::from_millis(500);
const PAUSE_MAX: Duration = Duration::from_secs(30);
