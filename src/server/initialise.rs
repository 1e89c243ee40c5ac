//! `sys/init`: makes a cluster of this node.

use prost::Message as _;
use std::sync::Arc;

use super::control::{ALREADY, AuthorityKey, CLUSTER_VERSION, Control, unavailable};
use super::removal::REMOVED;
use crate::barrier::{Barrier, Repeat};
use crate::crypto::{LockedKey, PgpKey};
use crate::mount::ROOT_NAMESPACE;
use crate::proto::system as wire;
use crate::record::{Applied, SystemKey};
use crate::request::Error;
use crate::seal::{self, Division, Initialised, SealConfiguration, Share, WrappedSealKey};
use crate::secret::Secret;
use crate::sys::{Init, InitReply, RecoveryRecord, RootTokenText, ShareText, write_first_records};

/// What a new cluster's seal is made of.
struct Made {
    seal: Initialised,
    /// Of the recovery key.
    check: Option<[u8; 32]>,
}

impl Control {
    /// With the keyring, and a root token of the caller's choice: `-dev`.
    ///
    /// # Errors
    /// As [`crate::sys::NodeControl::init`].
    pub async fn initialise(
        &self,
        init: Init,
        root_token: Option<Secret<String>>,
    ) -> Result<InitReply, Error> {
        let _one_at_a_time = self.initialising.lock().await;
        let configuration = self.planned(&init)?;
        self.may_initialise().await?;
        let opens_itself = configuration.kind().opens_itself();
        let wrapped = if opens_itself { Some(self.wrapped().await?) } else { None };
        let cluster = self.new_cluster();
        let founded = self.consensus.initialize(&cluster.id).await?;
        let made = self.made(&configuration, wrapped);
        let pgp_keys = if opens_itself { &init.recovery_pgp_keys } else { &init.pgp_keys };
        let shares = texts(self, &made.seal.shares, pgp_keys)?;
        // A barrier of its own: the node itself stays sealed until it is opened.
        let barrier = Barrier::new(self.shared_rng());
        barrier.open(Arc::new(made.seal.keyring));
        let point = self.log().begin().await.map_err(unavailable)?;
        let mut txn = barrier.begin(point, self.now())?;
        if txn.system(SystemKey::Cluster)?.is_some() {
            return Err(Error::bad_request(ALREADY));
        }
        let root_token = write_first_records(&mut txn, self.rng(), root_token)?;
        let root_token_text = match &init.root_token_pgp_key {
            Some(key) => RootTokenText::Pgp(encrypted(self, key, root_token.expose())?),
            None => RootTokenText::Plain,
        };
        if let Some(founded) = founded {
            let key = AuthorityKey { key: founded.authority_key.expose().clone() };
            txn.scope(ROOT_NAMESPACE).put("core/cluster/authority", &key)?;
            txn.put_system(SystemKey::CaCertificates, founded.certificates);
        }
        if let Some(check) = made.check {
            let record = RecoveryRecord::new(check);
            txn.scope("root/core/").put(RecoveryRecord::PATH, &record)?;
        }
        txn.put_system(SystemKey::Cluster, cluster.encode_to_vec().into());
        for (key, record) in made.seal.records {
            txn.put_system(key, record);
        }
        let batch = txn.into_batch()?.ok_or_else(|| Error::internal("nothing to initialise"))?;
        let entry = barrier.seal(batch, Repeat::default())?;
        match self.log().propose(entry).await.map_err(unavailable)? {
            Applied::Committed => {}
            Applied::Conflict(_) => return Err(Error::bad_request(ALREADY)),
            // Nothing is remembered of what has no request id.
            Applied::Fenced
            | Applied::Repeated
            | Applied::Forgotten
            | Applied::NoRoom
            | Applied::Damaged => {
                return Err(Error::NotActive);
            }
        }
        if let Some(node) = self.consensus.replicated() {
            node.note_founded().await;
        }
        if opens_itself && let Err(error) = self.open_by_seals().await {
            tracing::warn!(%error, "initialised, and still sealed: it is tried again");
        }
        Ok(InitReply { shares, is_recovery: opens_itself, root_token, root_token_text })
    }

    /// # Errors
    /// Where this node has a cluster, or is to join one.
    async fn may_initialise(&self) -> Result<(), Error> {
        if self.cluster()?.is_some() {
            return Err(Error::bad_request(ALREADY));
        }
        if self.is_removed() {
            return Err(Error::bad_request(REMOVED));
        }
        if self.identity().joins_by_token {
            return Err(Error::bad_request(
                "this node is to join with the token in `join_token_file`: unset it to make a \
                 cluster of this node",
            ));
        }
        if self.shares_so_far().2.is_some() {
            return Err(Error::bad_request("this node is to join a cluster: unseal it instead"));
        }
        for target in &self.identity().retry_join {
            if target.is_initialized().await {
                return Err(Error::BadRequest(format!(
                    "{} is initialised, and this node is to join it: unseal this node instead",
                    target.api_address
                )));
            }
        }
        Ok(())
    }

    /// What was asked for, as far as it fits the seals of the configuration.
    fn planned(&self, init: &Init) -> Result<SealConfiguration, Error> {
        let Some(kind) = self.seals.kind() else {
            return planned_of_shares(init);
        };
        if init.secret_shares > 0 || init.secret_threshold > 0 || !init.pgp_keys.is_empty() {
            return Err(Error::BadRequest(format!(
                "parameters secret_shares, secret_threshold and pgp_keys not applicable to seal \
                 type {}: it keeps its own key; recovery_shares, recovery_threshold and \
                 recovery_pgp_keys are for people",
                kind.name()
            )));
        }
        let recovery = match (init.recovery_shares, init.recovery_threshold) {
            (0, 0) => None,
            (shares, threshold) => Some(Division::new(shares, threshold).map_err(|error| {
                Error::BadRequest(format!("invalid recovery configuration: {error}"))
            })?),
        };
        let count = recovery.map_or(0, |division| usize::from(division.shares()));
        if !init.recovery_pgp_keys.is_empty() && init.recovery_pgp_keys.len() != count {
            return Err(Error::bad_request("incorrect number of PGP keys for recovery shares"));
        }
        Ok(SealConfiguration::opening_itself(kind, recovery))
    }

    /// A fresh seal key, and as every seal has wrapped it.
    pub(super) async fn wrapped(&self) -> Result<(LockedKey, Vec<WrappedSealKey>), Error> {
        let key = LockedKey::generate(self.rng());
        let wrapped = self.seals.wrap(&key).await;
        let wrapped = wrapped.map_err(|error| Error::Unavailable(error.to_string()))?;
        Ok((key, wrapped))
    }

    fn made(
        &self,
        configuration: &SealConfiguration,
        wrapped: Option<(LockedKey, Vec<WrappedSealKey>)>,
    ) -> Made {
        let (rng, now) = (self.rng(), self.now());
        match wrapped {
            Some((key, seals)) => {
                let (seal, check) =
                    seal::initialise_opening_itself(rng, now, configuration, &key, seals);
                Made { seal, check }
            }
            None => Made { seal: seal::initialise(rng, now, configuration), check: None },
        }
    }

    fn new_cluster(&self) -> wire::Cluster {
        let rng = self.rng();
        let digits = crate::text::hex(&rng.bytes::<4>());
        let name = match self.identity().cluster_name.as_str() {
            "" => format!("strongroom-cluster-{digits}"),
            name => name.to_owned(),
        };
        wire::Cluster { version: CLUSTER_VERSION, id: rng.uuid(), name }
    }
}

fn planned_of_shares(init: &Init) -> Result<SealConfiguration, Error> {
    if init.recovery_shares > 0
        || init.recovery_threshold > 0
        || init.stored_shares > 0
        || !init.recovery_pgp_keys.is_empty()
    {
        return Err(Error::bad_request(
            "recovery and stored shares belong to auto-unseal: this node's seal is shamir",
        ));
    }
    let fits = |number: i64| (1..=255).contains(&number);
    if !fits(init.secret_shares) {
        return Err(Error::bad_request("secret_shares must be from 1 to 255"));
    }
    if !fits(init.secret_threshold) {
        return Err(Error::bad_request("secret_threshold must be from 1 to 255"));
    }
    if init.secret_threshold > init.secret_shares {
        return Err(Error::bad_request("secret_threshold must be at most secret_shares"));
    }
    if init.secret_threshold == 1 && init.secret_shares > 1 {
        return Err(Error::bad_request(
            "secret_threshold must be at least 2 where there is more than one share",
        ));
    }
    let configuration = SealConfiguration::new(init.secret_shares, init.secret_threshold)
        .map_err(|error| Error::BadRequest(error.to_string()))?;
    if !init.pgp_keys.is_empty() && init.pgp_keys.len() != usize::from(configuration.shares()) {
        return Err(Error::bad_request("incorrect number of PGP keys for secret_shares"));
    }
    Ok(configuration)
}

fn texts(control: &Control, shares: &[Share], keys: &[PgpKey]) -> Result<Vec<ShareText>, Error> {
    let text = |(index, share): (usize, &Share)| match keys.get(index) {
        None => Ok(ShareText { hex: share.hex(), base64: share.base64() }),
        Some(key) => Ok(ShareText::of_message(&encrypted(control, key, share.hex().expose())?)),
    };
    shares.iter().enumerate().map(text).collect()
}

fn encrypted(control: &Control, key: &PgpKey, text: &str) -> Result<Vec<u8>, Error> {
    key.encrypt(control.rng(), text.as_bytes())
        .map_err(|error| Error::BadRequest(error.to_string()))
}
