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
        if way == Way::Seals {
            return self.open_by_seals().await;
        }
        // Opened first: the check of the recovery key lies behind the barrier.
        let (guard, keyring) = if way == Way::ToShares {
            let keyring = self.keyring_by_seals(&record).await?;
            (self.recovery_guard(&configuration, &keyring)?, Some(keyring))
        } else {
            (Guard::of_root_key(&configuration, &record), None)
        };
        let opened = {
            let mut quorum = self.shares.lock().unwrap_or_else(PoisonError::into_inner);
            let refused = |error: crate::seal::UnsealError| Error::BadRequest(error.to_string());
            let opened = quorum.offer(self.rng(), &guard, share).map_err(refused)?;
            if opened.is_some() {
                quorum.reset();
            }
            opened
        };
        let Some(opened) = opened else {
            return Ok(());
        };
        let keyring = match (keyring, &opened.root_key) {
            (Some(keyring), _) => keyring,
            (None, Some(root_key)) => {
                let opened = record.open_with(root_key);
                opened.map_err(|error| {
                    Error::BadRequest(format!("the root key is open, but: {error}"))
                })?
            }
            (None, None) => return Err(Error::internal("no root key was opened")),
        };
        if migrates {
            let division = match way {
                Way::ToShares => configuration.recovery().map(|recovery| recovery.division),
                _ => Some(record.division_of(opened.generation, &configuration)),
            };
            let division = division.ok_or_else(|| Error::internal("no recovery key"))?;
            self.await_migration(Migration { key: opened.key, division });
        } else if opened.generation == record.generation() {
            self.keys().note_used(opened.generation);
        }
        self.open(Arc::new(keyring));
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
        self.open(Arc::new(keyring));
        Ok(())
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

    fn recovery_guard(
        &self,
        configuration: &SealConfiguration,
        keyring: &Keyring,
    ) -> Result<Guard, Error> {
        let none = || {
            Error::bad_request(
                "this cluster has no recovery key, so nobody can authorise the move: make one \
                 with the old seal",
            )
        };
        let recovery = configuration.recovery().ok_or_else(none)?;
        let key = crate::key::Key::new(format!("root/core/{}", RecoveryRecord::PATH));
        let stored = keyring.stored_key(&key);
        let value = self.consensus.view().get(&stored).map_err(Error::internal)?;
        let value = value.ok_or_else(none)?.value;
        let (_, record) = keyring.open_record(&stored, &value).map_err(Error::internal)?;
        let record = serde_json::from_slice::<RecoveryRecord>(record.expose());
        let record = record.map_err(|error| Error::damaged(&error))?;
        Ok(Guard::of_key(recovery.division, recovery.generation, record.check()?))
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

const PAUSE: Duration = Duration::from_millis(500);
const PAUSE_MAX: Duration = Duration::from_secs(30);
