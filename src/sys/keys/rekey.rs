//! Another set of shares for what the present set opens.

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
use crate::text::hex;
use crate::txn::Scope;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

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
    /// The request that they were given to.
    request: String,
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
    pub(super) request: &'a str,
    pub(super) rng: &'a dyn Rng,
    pub(super) now: Timestamp,
    /// A fresh key and how the seals have wrapped it, where one opens by itself.
    pub(super) wrapped: Option<(LockedKey, Vec<WrappedSealKey>)>,
}

impl Keys {
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
            return Err(Error::bad_request("rekey already in progress"));
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
        *slot = Some(rekey);
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

    /// Nothing where there is none.
    pub(super) fn cancel_rekey(
        &self,
        storage: &mut Scope<'_>,
        target: Target,
        nonce: &str,
    ) -> Result<(), Error> {
        let generation = generation(&self.sealing(storage)?, target)?;
        let mut state = self.state();
        let slot = state.slot(target);
        if let Some(rekey) = live(slot, storage.leadership(), generation) {
            if !nonce.is_empty() && nonce != rekey.nonce {
                return Err(wrong_nonce(&rekey.nonce, "rekey"));
            }
            *slot = None;
        }
        Ok(())
    }

    /// Whether `nonce` names the rekey under way; asked before anything is done outside.
    pub(super) fn check_rekey(
        &self,
        storage: &mut Scope<'_>,
        target: Target,
        nonce: &str,
    ) -> Result<SealKind, Error> {
        let sealing = self.sealing(storage)?;
        let generation = generation(&sealing, target)?;
        let mut state = self.state();
        let rekey = live(state.slot(target), storage.leadership(), generation).ok_or_else(none)?;
        if rekey.nonce != nonce {
            return Err(wrong_nonce(&rekey.nonce, "rekey"));
        }
        Ok(sealing.configuration.kind())
    }

    /// One more of the old shares. With the last, the new ones.
    pub(super) fn give_rekey(
        &self,
        storage: &mut Scope<'_>,
        given: Given<'_>,
    ) -> Result<Map<String, Value>, Error> {
        let Given { target, nonce, share, request, rng, now, wrapped } = given;
        let sealing = self.sealing(storage)?;
        let generation = generation(&sealing, target)?;
        let guard = sealing.guard()?;
        let mut state = self.state();
        let slot = state.slot(target);
        let rekey = live(slot, storage.leadership(), generation).ok_or_else(none)?;
        if rekey.nonce != nonce {
            return Err(wrong_nonce(&rekey.nonce, "rekey"));
        }
        if let Some(made) = rekey.made.as_ref().filter(|made| made.request != request) {
            return Err(Error::BadRequest(format!(
                "rekey operation already finished; verification must be performed; nonce for the \
                 verification operation is {:?}",
                made.nonce
            )));
        }
        let opened = rekey.quorum.offer(rng, &guard, share).map_err(|error| refused(&error))?;
        let Some(opened) = opened else {
            return Ok(status(Some(rekey), guard.threshold()));
        };
        let key = LockedKey::generate(rng);
        let opens_itself = sealing.configuration.kind().opens_itself();
        if target == Target::Barrier && opens_itself {
            let (key, seals) = wrapped.ok_or_else(|| Error::internal("no seal has wrapped"))?;
            let to = Next { key: &key, division: Division::WHOLE, seals, previous: None };
            change(storage, rng, &sealing, target, to)?;
            let done = json!({ "nonce": nonce, "complete": true, "keys": [], "keys_base64": [],
                "pgp_fingerprints": null, "backup": false, "verification_required": false });
            return Ok(object(done));
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
            let request = request.to_owned();
            let quorum = Quorum::default();
            rekey.made = Some(Made { request, key, nonce: verification, quorum });
            return Ok(reply);
        }
        let previous = (!opens_itself).then_some(&opened);
        let to = Next { key: &key, division: rekey.division, seals: Vec::new(), previous };
        change(storage, rng, &sealing, target, to)?;
        if target == Target::Barrier {
            let next = sealing.configuration.generation().saturating_add(1);
            state.given = Some((next, now));
        }
        Ok(reply)
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
    ) -> Result<Map<String, Value>, Error> {
        let generation = generation(&self.sealing(storage)?, target)?;
        let mut state = self.state();
        let rekey = live(state.slot(target), storage.leadership(), generation)
            .ok_or_else(|| Error::bad_request(NO_CONFIGURATION))?;
        if let Some(made) = &mut rekey.made {
            if !nonce.is_empty() && nonce != made.nonce {
                return Err(wrong_nonce(&made.nonce, "verification"));
            }
            made.quorum.reset();
            made.nonce = rng.uuid();
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
            return Err(wrong_nonce(&made.nonce, "verification"));
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

/// New shares, as they are given out.
struct Texts {
    hex: Vec<String>,
    base64: Vec<String>,
}

type Kept = std::collections::BTreeMap<String, Vec<String>>;

fn texts(rng: &dyn Rng, pgp_keys: &[PgpKey], shares: &[Share]) -> Result<(Texts, Kept), Error> {
    let mut texts = Texts { hex: Vec::new(), base64: Vec::new() };
    let mut kept = Kept::new();
    for (index, share) in shares.iter().enumerate() {
        match pgp_keys.get(index) {
            Some(key) => {
                let message = key
                    .encrypt(rng, share.hex().expose().as_bytes())
                    .map_err(|error| Error::BadRequest(error.to_string()))?;
                kept.entry(key.fingerprint()).or_default().push(hex(&message));
                texts.hex.push(hex(&message));
                texts.base64.push(STANDARD.encode(&message));
            }
            None => {
                texts.hex.push(share.hex().expose().clone());
                texts.base64.push(share.base64().expose().clone());
            }
        }
    }
    Ok((texts, kept))
}

fn reply(rekey: &Rekey, texts: &Texts) -> Map<String, Value> {
    object(json!({
        "nonce": rekey.nonce,
        "complete": true,
        "keys": texts.hex,
        "keys_base64": texts.base64,
        "pgp_fingerprints": fingerprints(rekey),
        "backup": rekey.backup,
        "verification_required": rekey.verification,
    }))
}

/// As `GET sys/rekey/init` answers.
fn status(rekey: Option<&Rekey>, required: u8) -> Map<String, Value> {
    let Some(rekey) = rekey else {
        return object(json!({
            "nonce": "", "started": false, "t": 0, "n": 0, "progress": 0, "required": required,
            "pgp_fingerprints": null, "backup": false, "verification_required": false,
        }));
    };
    let mut status = object(json!({
        "nonce": rekey.nonce,
        "started": true,
        "t": rekey.division.threshold(),
        "n": rekey.division.shares(),
        "progress": if rekey.made.is_some() { 0 } else { rekey.quorum.progress() },
        "required": required,
        "pgp_fingerprints": fingerprints(rekey),
        "backup": rekey.backup,
        "verification_required": rekey.verification,
    }));
    if let Some(made) = &rekey.made {
        status.insert("verification_nonce".into(), json!(made.nonce));
    }
    status
}

/// As `GET sys/rekey/verify` answers.
fn verification(rekey: &Rekey) -> Map<String, Value> {
    object(json!({
        "nonce": rekey.made.as_ref().map_or("", |made| made.nonce.as_str()),
        "started": rekey.made.is_some(),
        "t": rekey.division.threshold(),
        "n": rekey.division.shares(),
        "progress": rekey.made.as_ref().map_or(0, |made| made.quorum.progress()),
    }))
}

fn fingerprints(rekey: &Rekey) -> Value {
    if rekey.pgp_keys.is_empty() {
        return Value::Null;
    }
    rekey.pgp_keys.iter().map(|key| Value::String(key.fingerprint())).collect()
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

fn none() -> Error {
    Error::bad_request(
        "no rekey in progress: it was not begun, or was cancelled, or is done, or another node \
         has become active since; begin again with sys/rekey/init",
    )
}

fn wrong_nonce(nonce: &str, of: &str) -> Error {
    Error::BadRequest(format!(
        "incorrect nonce supplied; nonce for this {of} operation is {nonce:?}"
    ))
}

const NO_CONFIGURATION: &str = "no rekey configuration found";

/// How long an answer with new shares may take to its client before the old ones end.
const ARRIVAL_MILLISECONDS: u64 = 3_000;
