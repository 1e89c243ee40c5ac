//! Another set of shares for what the present set opens.

mod answers;

use answers::{object, reply, status, texts, verification};
use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::Keys;
use super::authority::{CORE, RecoveryRecord, Sealing, refused};
use super::backup::{self, Backup};
use crate::clock::Timestamp;
use crate::crypto::{LockedKey, PgpKey};
use crate::record::{Leadership, SystemKey};
use crate::request::Error;
use crate::rng::Rng;
use crate::seal::{
    self, Division, Guard, Opened, Quorum, Reseal, RootKey, SealKind, Share, WrappedSealKey,
    key_check,
};
use crate::txn::Scope;

/// Whose shares are renewed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Target {
    /// Those that unseal.
    Barrier,
    /// Those of the recovery key.
    Recovery,
}

/// A rekey under way.
pub(super) struct Rekey {
    nonce: String,
    division: Division,
    pgp_keys: Vec<PgpKey>,
    backup: bool,
    verification: bool,
    leadership: Leadership,
    /// Of the target when it began: once it is done, there is another.
    generation: u64,
    quorum: Quorum,
    made: Option<Made>,
}

/// New shares that were given out, and hold once enough of them were given back.
struct Made {
    key: LockedKey,
    nonce: String,
    quorum: Quorum,
}

/// What `init` was asked for.
pub(super) struct Wanted {
    pub(super) division: Division,
    pub(super) pgp_keys: Vec<PgpKey>,
    pub(super) backup: bool,
    pub(super) verification: bool,
}

/// A request, as far as a rekey looks at it.
pub(super) struct Given<'a> {
    pub(super) target: Target,
    pub(super) nonce: &'a str,
    pub(super) share: Share,
    pub(super) rng: &'a dyn Rng,
    /// A fresh key and how the seals have wrapped it, where one opens by itself.
    pub(super) wrapped: Option<(LockedKey, Vec<WrappedSealKey>)>,
}

/// What one more share has come to.
pub(super) enum Gave {
    Answer(Map<String, Value>),
    /// It was the last, and the seals are to wrap a fresh key: then it is given again.
    Opened,
}

impl Keys {
    /// # Errors
    /// Where a rekey is under way already, which is told before anything costs.
    pub(super) fn check_no_rekey(
        &self,
        storage: &mut Scope<'_>,
        target: Target,
    ) -> Result<(), Error> {
        let generation = generation(&self.sealing(storage)?, target)?;
        match live(self.state().slot(target), storage.leadership(), generation) {
            Some(_) => Err(Error::bad_request(IN_PROGRESS)),
            None => Ok(()),
        }
    }

    pub(super) fn begin_rekey(
        &self,
        storage: &mut Scope<'_>,
        rng: &dyn Rng,
        target: Target,
        wanted: Wanted,
    ) -> Result<Map<String, Value>, Error> {
        let sealing = self.sealing(storage)?;
        let generation = generation(&sealing, target)?;
        check(&sealing, target, &wanted)?;
        let leadership = storage.leadership();
        let mut state = self.state();
        let slot = state.slot(target);
        if live(slot, leadership, generation).is_some() {
            return Err(Error::bad_request(IN_PROGRESS));
        }
        let rekey = Rekey {
            nonce: rng.uuid(),
            division: wanted.division,
            pgp_keys: wanted.pgp_keys,
            backup: wanted.backup,
            verification: wanted.verification,
            leadership,
            generation,
            quorum: Quorum::default(),
            made: None,
        };
        let status = status(Some(&rekey), sealing.guard()?.threshold());
        let nonce = rekey.nonce.clone();
        *slot = Some(rekey);
        drop(state);
        self.afterwards(storage, move |state, stands| {
            let slot = state.slot(target);
            if stands.is_none() && slot.as_ref().is_some_and(|rekey| rekey.nonce == nonce) {
                *slot = None;
            }
        });
        Ok(status)
    }

    pub(super) fn rekey_status(
        &self,
        storage: &mut Scope<'_>,
        target: Target,
    ) -> Result<Map<String, Value>, Error> {
        let sealing = self.sealing(storage)?;
        let generation = generation(&sealing, target)?;
        let mut state = self.state();
        let rekey = live(state.slot(target), storage.leadership(), generation);
        Ok(status(rekey.as_deref(), sealing.guard()?.threshold()))
    }

    /// Nothing where there is none. Whoever has no token must name what keys were given for.
    pub(super) fn cancel_rekey(
        &self,
        storage: &mut Scope<'_>,
        target: Target,
        nonce: &str,
        has_token: bool,
    ) -> Result<(), Error> {
        let generation = generation(&self.sealing(storage)?, target)?;
        let mut state = self.state();
        let slot = state.slot(target);
        let Some(rekey) = live(slot, storage.leadership(), generation) else {
            return Ok(());
        };
        if nonce.is_empty() && !has_token && rekey.quorum.progress() > 0 {
            return Err(Error::bad_request(NONCE_NEEDED));
        }
        if !nonce.is_empty() && nonce != rekey.nonce {
            return Err(wrong_nonce("rekey"));
        }
        let taken = slot.take();
        drop(state);
        self.afterwards(storage, move |state, stands| {
            let slot = state.slot(target);
            if stands.is_none() && slot.is_none() {
                *slot = taken;
            }
        });
        Ok(())
    }

    /// One more of the old shares. With the last, the new ones.
    pub(super) fn give_rekey(
        &self,
        storage: &mut Scope<'_>,
        given: Given<'_>,
    ) -> Result<Gave, Error> {
        let Given { target, nonce, share, rng, wrapped } = given;
        let sealing = self.sealing(storage)?;
        let generation = generation(&sealing, target)?;
        let guard = sealing.guard()?;
        let mut state = self.state();
        let slot = state.slot(target);
        let rekey = live(slot, storage.leadership(), generation).ok_or_else(none)?;
        if rekey.nonce != nonce {
            return Err(wrong_nonce("rekey"));
        }
        if rekey.made.is_some() {
            return Err(Error::bad_request(
                "rekey operation already finished; verification must be performed",
            ));
        }
        let opened = rekey.quorum.offer(rng, &guard, share).map_err(|error| refused(&error))?;
        let Some(opened) = opened else {
            return Ok(Gave::Answer(status(Some(rekey), guard.threshold())));
        };
        let key = LockedKey::generate(rng);
        let opens_itself = sealing.configuration.kind().opens_itself();
        if target == Target::Barrier && opens_itself {
            let Some((key, seals)) = wrapped else { return Ok(Gave::Opened) };
            let to = Next { key: &key, division: Division::WHOLE, seals, previous: None };
            change(storage, rng, &sealing, target, to)?;
            let done = json!({ "nonce": nonce, "complete": true, "keys": [], "keys_base64": [],
                "pgp_fingerprints": null, "backup": false, "verification_required": false });
            return Ok(Gave::Answer(object(done)));
        }
        let shares = seal::split(rng, &key, rekey.division);
        let (texts, kept) = texts(rng, &rekey.pgp_keys, &shares)?;
        if rekey.backup {
            let backup = Backup { nonce: rekey.nonce.clone(), keys: kept };
            backup::put(storage, target, &backup)?;
        }
        let mut reply = reply(rekey, &texts);
        if rekey.verification {
            let verification = rng.uuid();
            reply.insert("verification_nonce".into(), json!(verification));
            let nonce = verification.clone();
            rekey.made = Some(Made { key, nonce: verification, quorum: Quorum::default() });
            drop(state);
            // Shares that reached nobody cannot be given back: others are made then.
            self.afterwards(storage, move |state, stands| {
                let rekey = state.slot(target).as_mut().filter(|_| stands.is_none());
                if let Some(rekey) = rekey
                    && rekey.made.as_ref().is_some_and(|made| made.nonce == nonce)
                {
                    rekey.made = None;
                }
            });
            return Ok(Gave::Answer(reply));
        }
        let previous = (!opens_itself).then_some(&opened);
        let to = Next { key: &key, division: rekey.division, seals: Vec::new(), previous };
        change(storage, rng, &sealing, target, to)?;
        drop(state);
        if target == Target::Barrier {
            let next = sealing.configuration.generation().saturating_add(1);
            self.afterwards(storage, move |state, stands| {
                state.given = stands.map(|now| (next, now)).or(state.given);
            });
        }
        Ok(Gave::Answer(reply))
    }

    pub(super) fn verification_status(
        &self,
        storage: &mut Scope<'_>,
        target: Target,
    ) -> Result<Map<String, Value>, Error> {
        let generation = generation(&self.sealing(storage)?, target)?;
        let mut state = self.state();
        let rekey = live(state.slot(target), storage.leadership(), generation)
            .ok_or_else(|| Error::bad_request(NO_CONFIGURATION))?;
        Ok(verification(rekey))
    }

    /// The new shares that were given back are forgotten, and the next attempt has another nonce.
    pub(super) fn cancel_verification(
        &self,
        storage: &mut Scope<'_>,
        target: Target,
        rng: &dyn Rng,
        nonce: &str,
        has_token: bool,
    ) -> Result<Map<String, Value>, Error> {
        let generation = generation(&self.sealing(storage)?, target)?;
        let mut state = self.state();
        let rekey = live(state.slot(target), storage.leadership(), generation)
            .ok_or_else(|| Error::bad_request(NO_CONFIGURATION))?;
        if let Some(made) = &mut rekey.made {
            if nonce.is_empty() && !has_token && made.quorum.progress() > 0 {
                return Err(Error::bad_request(NONCE_NEEDED));
            }
            if !nonce.is_empty() && nonce != made.nonce {
                return Err(wrong_nonce("verification"));
            }
            let fresh = rng.uuid();
            let quorum = std::mem::take(&mut made.quorum);
            let before = (std::mem::replace(&mut made.nonce, fresh.clone()), quorum);
            let answer = verification(rekey);
            drop(state);
            self.afterwards(storage, move |state, stands| {
                let made = state.slot(target).as_mut().and_then(|rekey| rekey.made.as_mut());
                if let Some(made) = made.filter(|made| stands.is_none() && made.nonce == fresh) {
                    (made.nonce, made.quorum) = before;
                }
            });
            return Ok(answer);
        }
        Ok(verification(rekey))
    }

    /// One of the new shares, given back. With the last, the new shares hold.
    pub(super) fn verify_rekey(
        &self,
        storage: &mut Scope<'_>,
        given: Given<'_>,
    ) -> Result<Map<String, Value>, Error> {
        let Given { target, nonce, share, rng, .. } = given;
        let sealing = self.sealing(storage)?;
        let generation = generation(&sealing, target)?;
        let mut state = self.state();
        let rekey = live(state.slot(target), storage.leadership(), generation)
            .ok_or_else(|| Error::bad_request(NO_CONFIGURATION))?;
        let division = rekey.division;
        let Some(made) = &mut rekey.made else {
            return Err(Error::bad_request("no rekey verification in progress"));
        };
        if made.nonce != nonce {
            return Err(wrong_nonce("verification"));
        }
        let guard = Guard::of_key(division, generation, key_check(&made.key));
        if made.quorum.has(&share) && made.quorum.progress() < usize::from(division.threshold()) {
            return Err(Error::bad_request(
                "given key has already been provided during this verify operation",
            ));
        }
        let given = made.quorum.offer(rng, &guard, share).map_err(|error| refused(&error))?;
        if given.is_none() {
            return Ok(verification(rekey));
        }
        let to = Next { key: &made.key, division, seals: Vec::new(), previous: None };
        change(storage, rng, &sealing, target, to)?;
        Ok(object(json!({ "nonce": nonce, "complete": true })))
    }

    /// Renews the root key, where no people are needed to wrap it.
    pub(super) fn rotate_root(
        &self,
        storage: &mut Scope<'_>,
        rng: &dyn Rng,
        (key, seals): (LockedKey, Vec<WrappedSealKey>),
    ) -> Result<(), Error> {
        let sealing = self.sealing(storage)?;
        let to = Next { key: &key, division: Division::WHOLE, seals, previous: None };
        change(storage, rng, &sealing, Target::Barrier, to)
    }

    pub(super) fn kind(&self, storage: &mut Scope<'_>) -> Result<SealKind, Error> {
        Ok(self.sealing(storage)?.configuration.kind())
    }

    /// # Errors
    /// As [`super::SealWrapper::wrap`].
    pub(super) async fn fresh(&self) -> Result<(LockedKey, Vec<WrappedSealKey>), Error> {
        let key = LockedKey::generate(&crate::rng::SystemRng);
        let wrapped = self.wrapper.wrap(&key).await?;
        Ok((key, wrapped))
    }

    /// Ends the shares of before a rekey, once the new ones had time to arrive; `true` where it
    /// did.
    ///
    /// # Errors
    /// Where a record cannot be read.
    pub fn end_previous(&self, storage: &mut Scope<'_>, now: Timestamp) -> Result<bool, Error> {
        let Some((generation, since)) = self.state().given else {
            return Ok(false);
        };
        if now.0 < since.0.saturating_add(ARRIVAL_MILLISECONDS) {
            return Ok(false);
        }
        let (record, _) = self.keyring(storage)?;
        let ends = record.generation() == generation && record.has_previous();
        if ends {
            storage.put_system(SystemKey::Keyring, record.without_previous().encode())?;
        }
        Ok(ends)
    }

    /// Whether [`Self::end_previous`] has anything to look at.
    pub fn awaits_end(&self) -> bool {
        self.state().given.is_some()
    }

    /// [`Self::end_previous`] is committed, or had nothing to do.
    pub fn ended(&self, now: Timestamp) {
        let mut state = self.state();
        if state
            .given
            .is_some_and(|(_, since)| now.0 >= since.0.saturating_add(ARRIVAL_MILLISECONDS))
        {
            state.given = None;
        }
    }

    /// Drops the bridge of a rekey that was there already when last asked: by then every unsealed
    /// node in contact has followed.
    ///
    /// # Errors
    /// Where a record cannot be read.
    pub fn drop_bridge(&self, storage: &mut Scope<'_>) -> Result<(), Error> {
        let (record, _) = self.keyring(storage)?;
        if !record.has_bridge() {
            return Ok(());
        }
        let mut state = self.state();
        if state.bridge == record.generation() {
            storage.put_system(SystemKey::Keyring, record.without_bridge().encode())?;
        }
        state.bridge = record.generation();
        Ok(())
    }
}

impl super::State {
    fn slot(&mut self, target: Target) -> &mut Option<Rekey> {
        match target {
            Target::Barrier => &mut self.rekey,
            Target::Recovery => &mut self.recovery,
        }
    }
}

/// What the target changes to.
struct Next<'a> {
    key: &'a LockedKey,
    division: Division,
    seals: Vec<WrappedSealKey>,
    previous: Option<&'a Opened>,
}

/// Into one entry: the seal's configuration, and what is wrapped by the new key.
fn change(
    storage: &mut Scope<'_>,
    rng: &dyn Rng,
    sealing: &Sealing,
    target: Target,
    next: Next<'_>,
) -> Result<(), Error> {
    if target == Target::Recovery {
        let configuration = sealing.configuration.with_recovery(next.division);
        let record = RecoveryRecord::new(key_check(next.key));
        storage.beside(CORE, |core| core.put(RecoveryRecord::PATH, &record))?;
        return storage.put_system(SystemKey::SealConfiguration, configuration.encode());
    }
    let configuration = sealing.configuration.next_of(next.division);
    let threshold_of = |generation| sealing.record.division_of(generation, &sealing.configuration);
    let previous = next
        .previous
        .map(|opened| (&opened.key, opened.generation, threshold_of(opened.generation)));
    let to = Reseal {
        configuration: &configuration,
        root_key: RootKey::Renew,
        seal_key: next.key,
        seals: next.seals,
        previous,
    };
    let (_, records) = seal::reseal(rng, &sealing.keyring, to).map_err(Error::internal)?;
    let mut put = |(key, record): (SystemKey, Bytes)| storage.put_system(key, record);
    records.into_iter().try_for_each(&mut put)
}

/// Forgets what another leader began, or what is done.
fn live(slot: &mut Option<Rekey>, leadership: Leadership, generation: u64) -> Option<&mut Rekey> {
    if slot
        .as_ref()
        .is_some_and(|rekey| rekey.leadership != leadership || rekey.generation != generation)
    {
        *slot = None;
    }
    slot.as_mut()
}

fn generation(sealing: &Sealing, target: Target) -> Result<u64, Error> {
    let configuration = &sealing.configuration;
    match target {
        Target::Barrier => Ok(configuration.generation()),
        Target::Recovery if configuration.kind().opens_itself() => {
            Ok(configuration.recovery().map_or(0, |recovery| recovery.generation))
        }
        Target::Recovery => Err(Error::bad_request(
            "recovery rekeying not supported: this cluster's seal is shamir and has no recovery \
             key",
        )),
    }
}

fn check(sealing: &Sealing, target: Target, wanted: &Wanted) -> Result<(), Error> {
    if target == Target::Barrier && sealing.configuration.kind().opens_itself() {
        let asks_for_keys = wanted.division != Division::WHOLE
            || wanted.backup
            || wanted.verification
            || !wanted.pgp_keys.is_empty();
        if asks_for_keys {
            return Err(Error::bad_request(
                "the seal opens by itself and gives out no keys: secret_shares and \
                 secret_threshold must be 1, without pgp_keys, backup and require_verification; \
                 sys/rekey-recovery-key/init renews the recovery keys",
            ));
        }
    }
    Ok(())
}

fn none() -> Error {
    Error::bad_request(
        "no rekey in progress: it was not begun, or was cancelled, or is done, or another node \
         has become active since; begin again with sys/rekey/init",
    )
}

/// It is told to whoever asks for it, and not in errors, which end up in logs.
fn wrong_nonce(of: &str) -> Error {
    Error::BadRequest(format!(
        "incorrect nonce supplied: it is not that of the {of} operation under way"
    ))
}

const IN_PROGRESS: &str = "rekey already in progress";

/// Of a rekey and a root token that are cancelled without a token.
pub(super) const NONCE_NEEDED: &str =
    "keys were given for the operation under way: give its nonce to cancel it";

const NO_CONFIGURATION: &str = "no rekey configuration found";

/// How long an answer with new shares may take to its client before the old ones end.
const ARRIVAL_MILLISECONDS: u64 = 3_000;
