//! From one seal to another: what the active node writes once it may.

use std::sync::PoisonError;

use super::control::Control;
use super::unsealing::Way;
use crate::crypto::LockedKey;
use crate::pipeline::Pipeline;
use crate::record::SystemKey;
use crate::request::Error;
use crate::seal::{
    self, Division, KeyringRecord, Reseal, RootKey, SealConfiguration, SealKind, key_check,
};
use crate::sys::RecoveryRecord;
use crate::txn::Txn;

/// A move that shares have authorised on this node. It is made by whoever is active: until then
/// it waits in memory.
pub(super) struct Migration {
    /// The seal that the shares were of: of another one they authorise nothing.
    pub(super) from: SealConfiguration,
    /// What the shares combine to: it becomes the recovery key, or the seal key.
    pub(super) key: LockedKey,
    pub(super) division: Division,
}

/// What a seal changes to.
struct To<'a> {
    configuration: SealConfiguration,
    seal_key: &'a LockedKey,
    seals: Vec<seal::WrappedSealKey>,
    /// The new recovery key's, where there is another.
    check: Option<[u8; 32]>,
}

impl Control {
    pub(super) fn await_migration(&self, migration: Migration) {
        *self.migration.lock().unwrap_or_else(PoisonError::into_inner) = Some(migration);
    }

    /// On the active node: moves to the seals of the configuration where that was authorised, and
    /// wraps anew where they are others than those that have wrapped.
    ///
    /// # Errors
    /// Where a seal does not wrap, or the entry cannot be committed: it is tried again.
    pub(super) async fn settle_seal(&self, pipeline: &Pipeline) -> Result<(), Error> {
        let (Some(now), Some(record)) = (self.seal_configuration()?, self.keyring_record()?) else {
            return Ok(());
        };
        let way = self.way(&now);
        if way == Way::Seals && self.seals.differ_from(record.seals()) {
            let (key, seals) = self.wrapped().await?;
            let kind = self.seals.kind().unwrap_or(now.kind());
            let configuration = now.rewrapped(kind);
            let to = To { configuration, seal_key: &key, seals, check: None };
            self.write_seal(pipeline, &now, to).await?;
            tracing::info!("the root key is wrapped by the seals of the configuration");
            return Ok(());
        }
        let taken = self.migration.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(migration) = taken else {
            return Ok(());
        };
        if migration.from != now && matches!(way, Way::ToSeals | Way::ToShares) {
            tracing::warn!(
                "the seal has changed since the keys for its migration were given: the migration \
                 is forgotten; seal this node and give the present keys"
            );
            return Ok(());
        }
        let outcome = self.migrate(pipeline, &now, way, &migration).await;
        // Whoever has sealed this node has called it off.
        if outcome.is_err() && !self.barrier.is_sealed() {
            self.await_migration(migration);
        }
        outcome
    }

    async fn migrate(
        &self,
        pipeline: &Pipeline,
        now: &SealConfiguration,
        way: Way,
        migration: &Migration,
    ) -> Result<(), Error> {
        let Migration { key, division, .. } = migration;
        match way {
            Way::ToSeals => {
                let (seal_key, seals) = self.wrapped().await?;
                let kind = self.seals.kind().unwrap_or(now.kind());
                let configuration = now.migrated(kind, Division::WHOLE, Some(*division));
                let check = Some(key_check(key));
                let to = To { configuration, seal_key: &seal_key, seals, check };
                self.write_seal(pipeline, now, to).await?;
            }
            Way::ToShares => {
                let configuration = now.migrated(SealKind::Shamir, *division, None);
                let to = To { configuration, seal_key: key, seals: Vec::new(), check: None };
                self.write_seal(pipeline, now, to).await?;
            }
            // Another node has made the move.
            Way::Shares | Way::Seals => return Ok(()),
        }
        tracing::info!("the seal has been migrated");
        Ok(())
    }

    /// In one entry, refused where the seal has changed meanwhile.
    async fn write_seal(
        &self,
        pipeline: &Pipeline,
        before: &SealConfiguration,
        to: To<'_>,
    ) -> Result<(), Error> {
        let write = |txn: &mut Txn| {
            let stored = txn.system(SystemKey::SealConfiguration)?.ok_or(Error::Uninitialized)?;
            if SealConfiguration::decode(&stored).ok().as_ref() != Some(before) {
                return Err(Error::Unavailable("the seal has changed meanwhile".into()));
            }
            let stored = txn.system(SystemKey::Keyring)?.ok_or(Error::Uninitialized)?;
            let record = KeyringRecord::decode(&stored).map_err(Error::internal)?;
            let keyring = record.follow(&*self.barrier.keyring()?).map_err(|error| {
                Error::Unavailable(format!("this node follows the keyring first: {error}"))
            })?;
            let reseal = Reseal {
                configuration: &to.configuration,
                root_key: RootKey::Keep,
                seal_key: to.seal_key,
                seals: to.seals.clone(),
                previous: None,
            };
            let (_, records) =
                seal::reseal(self.rng(), &keyring, reseal).map_err(Error::internal)?;
            for (key, record) in records {
                txn.put_system(key, record);
            }
            if let Some(check) = to.check {
                txn.scope("root/core/").put(RecoveryRecord::PATH, &RecoveryRecord::new(check))?;
            }
            Ok(())
        };
        pipeline.internal(write).await
    }
}
