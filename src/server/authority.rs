//! The cluster's authority after a restore. The key in a snapshot may be another cluster's, or an
//! older one, and the certificates that nodes trust are not restored: the active node puts back
//! the key that it had, or makes a new authority, which all nodes trust before any certificate is
//! of it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use super::control::{AuthorityKey, Control};
use super::replicated::Replicated;
use crate::cluster::{Authority, is_issued_by};
use crate::pipeline::Pipeline;
use crate::record::{Revision, SystemKey};
use crate::request::Error;
use crate::secret::Secret;

/// What [`Control::mend_authority`] has found.
enum Mended {
    NotNeeded,
    PutBack,
    Made,
}

impl Control {
    /// Before a snapshot takes the state's place: the key may be needed afterwards.
    ///
    /// # Errors
    /// Where this node does not lead, or the store cannot be read.
    pub(super) async fn keep_authority(&self, pipeline: &Pipeline) -> Result<(), Error> {
        let key = pipeline.internal(|txn| txn.scope(CORE).get::<AuthorityKey>(KEY)).await?;
        let key = key.map(|key| Secret::new(key.key));
        *self.replicated()?.restores.kept_authority() = key;
        Ok(())
    }

    /// Sees to it that the key that is stored is that of the first authority that nodes trust.
    /// For the active node.
    ///
    /// # Errors
    /// Where this node does not lead, or the store cannot be read or written.
    pub(super) async fn mend_authority(&self, pipeline: &Pipeline) -> Result<(), Error> {
        let Some(node) = self.consensus.replicated() else {
            return Ok(());
        };
        let cluster = self.cluster()?.ok_or(Error::Uninitialized)?.id;
        let (rng, now) = (self.shared_rng(), self.now());
        let kept = node.restores.kept_authority().as_ref().map(|key| key.expose().clone());
        let mended = pipeline.internal(|txn| {
            let Some(trusted) = txn.system(SystemKey::CaCertificates)? else {
                return Ok(Mended::NotNeeded);
            };
            let text = std::str::from_utf8(&trusted).map_err(Error::internal)?;
            let fits = |key: &str| Authority::from_pem(text, &Secret::new(key.to_owned())).is_ok();
            let mut core = txn.scope(CORE);
            if core.get::<AuthorityKey>(KEY)?.is_some_and(|stored| fits(&stored.key)) {
                return Ok(Mended::NotNeeded);
            }
            if let Some(key) = kept.clone().filter(|key| fits(key)) {
                core.put(KEY, &AuthorityKey { key })?;
                return Ok(Mended::PutBack);
            }
            let made = Authority::generate(&cluster, now, rng.as_ref()).map_err(Error::internal)?;
            core.put(KEY, &AuthorityKey { key: made.key_pem().expose().clone() })?;
            let all = made.certificate_pem() + text;
            txn.put_system(SystemKey::CaCertificates, all.into());
            Ok(Mended::Made)
        });
        match mended.await? {
            Mended::NotNeeded => {}
            Mended::PutBack => tracing::info!("the authority of the nodes' certificates is kept"),
            Mended::Made => tracing::warn!(
                "the key of the authority of the nodes' certificates was not in the snapshot that \
                 was restored: a new authority is made, and every node's certificate renewed"
            ),
        }
        *node.restores.kept_authority() = None;
        Ok(())
    }
}

impl Replicated {
    /// Trusts the authorities that the state names, and no others.
    ///
    /// # Errors
    /// Where the state cannot be read, or this node's certificate not be written.
    pub(super) fn follow_authorities(&self) -> Result<(), Error> {
        let Some((_, listed)) = self.listed_authorities()? else {
            return Ok(());
        };
        let Some(issued) = self.cluster.identity().issued() else {
            return Ok(());
        };
        let all = CertificateDer::pem_slice_iter(&listed).collect::<Result<Vec<_>, _>>();
        let all = all.map_err(Error::internal)?;
        // One that trusted nobody any more could not be told otherwise.
        if all.is_empty() || all == self.cluster.authorities() {
            return Ok(());
        }
        self.cluster.install(issued.certificate.clone(), &all).map_err(Error::internal)?;
        tracing::info!(authorities = all.len(), "the authorities of nodes have changed");
        Ok(())
    }

    /// Whether this node's certificate is of an authority that is no longer the first.
    pub(super) fn has_old_authority(&self) -> bool {
        let authorities = self.cluster.authorities();
        match (self.cluster.identity().issued(), authorities.first()) {
            (Some(issued), Some(first)) => !is_issued_by(&issued.certificate, first),
            _ => false,
        }
    }

    /// Whether every other member has applied the newest change of the authorities: until then a
    /// certificate of the first might not be known to it. For the active node.
    pub(super) fn authority_is_known(&self) -> Result<bool, Error> {
        let Some((Revision(changed), listed)) = self.listed_authorities()? else {
            return Ok(false);
        };
        // The only one there is, every member has had from the start: one that is away keeps no
        // other from its next certificate.
        if CertificateDer::pem_slice_iter(&listed).count() == 1 {
            return Ok(true);
        }
        Ok(self.raft.configuration().into_iter().all(|member| {
            let applied = member.status.map_or(0, |status| status.applied);
            member.id == self.raft.id() || applied >= changed
        }))
    }

    fn listed_authorities(&self) -> Result<Option<(Revision, Bytes)>, Error> {
        self.state.view().system(SystemKey::CaCertificates).map_err(Error::internal)
    }
}

/// Keeps the authorities that this node trusts those that the cluster names, sealed or not. Runs
/// until dropped.
pub async fn watch_authorities(control: Arc<Control>) {
    let Some(node) = control.consensus.replicated() else {
        return;
    };
    let mut followed = None;
    loop {
        let listed = node.listed_authorities().ok().flatten().map(|(revision, _)| revision);
        if listed.is_some() && listed != followed && node.cluster().identity().issued().is_some() {
            match node.follow_authorities() {
                Ok(()) => followed = listed,
                Err(error) => tracing::error!(%error, "the authorities of nodes are not followed"),
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
}

const CORE: &str = "root/core/";
const KEY: &str = "cluster/authority";

const PAUSE: Duration = Duration::from_secs(1);
