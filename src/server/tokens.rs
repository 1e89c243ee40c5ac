//! Joining by token, both sides, and the members' next certificates.
//!
//! **Invariant:** a token is used up in the transaction that notes whom it admits, so that of two
//! who come with one token, one at most is admitted.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;

use super::admission::{apart, place};
use super::consensus::Role;
use super::control::{AuthorityKey, Control};
use super::removal::REMOVED;
use super::replicated::Replicated;
use super::service::Service;
use crate::cluster::{
    Admission, Application, Authority, JoinError, JoinRefusal, NodeName, Renewed, is_issued_by,
};
use crate::crypto::sha256;
use crate::raft::RaftLog;
use crate::request::Error;
use crate::secret::Secret;
use crate::sys::{JoinToken, JoinTokenRecord, NodeRecord, join_token_path};
use crate::text::hex;

/// What a token says: whom to ask, how to know them, and what to show.
struct Token {
    /// Of the authority's certificate.
    fingerprint: [u8; 32],
    secret: Secret<[u8; 32]>,
    /// `host:port`; the active node's first, when the token was made.
    addresses: Vec<String>,
}

impl Token {
    fn encode(&self) -> Secret<String> {
        let addresses = self.addresses.join(" ");
        let secret = self.secret.expose();
        let bytes = Secret::new(
            [&[VERSION], &self.fingerprint[..], &secret[..], addresses.as_bytes()].concat(),
        );
        Secret::new(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes.expose())))
    }

    fn decode(text: &Secret<String>) -> Option<Self> {
        let text = text.expose().trim();
        if text.len() > TEXT_BYTES_MAX {
            return None;
        }
        let bytes = Secret::new(URL_SAFE_NO_PAD.decode(text.strip_prefix(PREFIX)?).ok()?);
        let (version, rest) = bytes.expose().split_first()?;
        let (fingerprint, rest) = rest.split_first_chunk::<32>()?;
        let (secret, rest) = rest.split_first_chunk::<32>()?;
        let addresses = std::str::from_utf8(rest).ok()?;
        let addresses: Vec<String> = addresses.split_whitespace().map(str::to_owned).collect();
        (*version == VERSION && !addresses.is_empty()).then(|| Self {
            fingerprint: *fingerprint,
            secret: Secret::new(*secret),
            addresses,
        })
    }

    /// What goes over the wire: the rest is the joiner's own business.
    fn shown(&self) -> Secret<String> {
        Secret::new(URL_SAFE_NO_PAD.encode(self.secret.expose()))
    }
}

/// The name under which a token is kept: a hash, so that whoever reads it cannot use it.
fn name_of(secret: &[u8]) -> String {
    hex(&sha256(&[b"join token", secret]))
}

impl Control {
    /// A token, and the name under which to keep it. It is good once its record is committed.
    pub(super) fn make_join_token(&self) -> Result<JoinToken, Error> {
        let node = self.replicated()?;
        let authorities = node.cluster().authorities();
        let issued = node.cluster().identity().issued().ok_or(Error::Uninitialized)?;
        // This node's own is the one that whoever comes with the token sees first.
        let own = authorities.iter().find(|one| is_issued_by(&issued.certificate, one));
        let authority = own.or(authorities.first()).ok_or(Error::Uninitialized)?;
        let mut members = node.raft().configuration();
        // Whoever leads by then admits; the others say so at once.
        members.sort_by_key(|member| (!member.leader, !member.voter, member.id));
        let addresses = members.into_iter().map(|member| member.info.cluster_address);
        let token = Token {
            fingerprint: sha256(&[authority.as_ref()]),
            secret: Secret::new(self.rng().bytes()),
            addresses: addresses.take(ADDRESSES_MAX).collect(),
        };
        Ok(JoinToken { name: name_of(token.secret.expose()), token: token.encode() })
    }

    /// Makes this node part of the token's cluster: sealed, and without shares. Nothing where it
    /// belongs to a cluster already.
    ///
    /// # Errors
    /// [`Error::Forbidden`] where the token is not good, [`Error::BadRequest`] where it is none or
    /// the node may not join, [`Error::Unavailable`] where nobody decides.
    pub(super) async fn join_by_token(&self, text: &Secret<String>) -> Result<(), Error> {
        let node = self.replicated()?;
        let token = Token::decode(text)
            .ok_or_else(|| Error::bad_request("this is not a join token: copy all of it"))?;
        let _one_at_a_time = self.initialising.lock().await;
        if node.is_removed() {
            return Err(Error::bad_request(REMOVED));
        }
        let identity = node.cluster().identity();
        if identity.issued().is_some() || self.cluster()?.is_some() {
            return Ok(());
        }
        let application =
            Application::of(identity, node.info().clone()).map_err(Error::internal)?;
        let admission = ask_all(node, &token, &application).await?;
        let known = |der: &_| sha256(&[AsRef::<[u8]>::as_ref(der)]) == token.fingerprint;
        if !admission.authorities.iter().any(known) {
            return Err(Error::Unavailable("the cluster did not give its own authority".into()));
        }
        node.cluster()
            .install(admission.certificate, &admission.authorities)
            .map_err(Error::internal)?;
        // A challenge asked for before leads nowhere now.
        drop(self.pending.lock().unwrap_or_else(PoisonError::into_inner).take());
        tracing::info!(cluster = admission.cluster, "joined by token: unseal me");
        Ok(())
    }
}

async fn ask_all(
    node: &Replicated,
    token: &Token,
    application: &Application,
) -> Result<Admission, Error> {
    let mut last = String::new();
    for address in &token.addresses {
        let shown = token.shown();
        match node.cluster().join(address, token.fingerprint, application, &shown).await {
            Ok(admission) => return Ok(admission),
            Err(JoinError::Refused(JoinRefusal::Token)) => {
                return Err(Error::Forbidden(format!("join token: {}", JoinRefusal::Token)));
            }
            Err(JoinError::Refused(refusal)) if refusal != JoinRefusal::NotActive => {
                return Err(Error::BadRequest(refusal.to_string()));
            }
            Err(error) => {
                tracing::debug!(address, %error, "not joined through this node");
                last = format!("{address}: {error}");
            }
        }
    }
    Err(Error::Unavailable(format!("no active node could be asked to join ({last})")))
}

/// Until this node belongs to a cluster, joins with the token in this file. A token that was
/// refused is not shown again until another is in the file.
pub async fn join_with_file(control: Arc<Control>, file: PathBuf) {
    let mut refused: Option<[u8; 32]> = None;
    while control
        .consensus
        .replicated()
        .is_some_and(|node| node.cluster().identity().issued().is_none() && !node.is_removed())
    {
        if let Some(text) = read_token(&file) {
            let hash = sha256(&[text.expose().as_bytes()]);
            if refused != Some(hash) {
                match control.join_by_token(&text).await {
                    Ok(()) => return,
                    Err(Error::Unavailable(reason)) => {
                        tracing::debug!(reason, "not joined yet");
                    }
                    Err(error) => {
                        tracing::error!(file = %file.display(), %error, "cannot join");
                        refused = Some(hash);
                    }
                }
            }
        }
        tokio::time::sleep(FILE_PAUSE).await;
    }
}

fn read_token(file: &Path) -> Option<Secret<String>> {
    let text = Secret::new(std::fs::read_to_string(file).ok()?);
    (!text.expose().trim().is_empty()).then_some(text)
}

impl Service {
    /// Admits whoever shows a good token, as a learner; it votes once it has the log.
    ///
    /// # Errors
    /// Why it is not admitted. The token is used up by an admission alone.
    pub async fn admit(
        &self,
        application: Application,
        shown: Secret<String>,
    ) -> Result<Admission, JoinRefusal> {
        let control = &self.control;
        let node = self.deciding()?;
        let secret =
            Secret::new(URL_SAFE_NO_PAD.decode(shown.expose()).map_err(|_| JoinRefusal::Token)?);
        let path = join_token_path(&name_of(secret.expose()));
        let _one_at_a_time = control.admitting.lock().await;
        // Before anything else is told: strangers learn nothing of the members.
        let non_voter = self.token_record(&path).await?.ok_or(JoinRefusal::Token)?.non_voter;
        let Application { id, info, request } = application;
        if info.cluster_address.is_empty()
            || info.cluster_address.len().max(info.api_address.len()) > ADDRESS_BYTES_MAX
        {
            return Err(JoinRefusal::Application);
        }
        let is_known = node.raft().configuration().iter().any(|member| member.id == id);
        let removed = control.removed_ids().map_err(|error| undecided(&error))?;
        if is_known || removed.contains(&id) {
            return Err(JoinRefusal::IdTaken);
        }
        let replaces = place(node, id, &info.name)?;
        let (cluster, authority) = self.issuer().await?;
        let name = NodeName { cluster: cluster.clone(), node: id };
        let certificate = authority
            .issue(&request, &name, control.now(), control.rng())
            .map_err(|_| JoinRefusal::Application)?;
        let record = NodeRecord { name: info.name.clone(), non_voter, replaces };
        self.use_up(&path, id, &record).await?;
        let newcomer = info.clone();
        apart(node.raft(), async move |raft: &RaftLog| raft.add_learner(id, newcomer).await)
            .await
            .map_err(|error| undecided(&error))?;
        tracing::info!(id, name = info.name, "a node joins by token");
        let members = node.raft().configuration();
        let members = members.into_iter().map(|member| (member.id, member.info)).collect();
        let authorities = node.cluster().authorities();
        Ok(Admission { cluster, certificate, authorities, members })
    }

    /// A member's next certificate, for the key that its request names.
    ///
    /// # Errors
    /// [`JoinRefusal::NotActive`] where this node cannot issue one, sealed for instance.
    pub async fn renew(&self, id: u64, request: Bytes) -> Result<Renewed, JoinRefusal> {
        let control = &self.control;
        let node = self.deciding()?;
        let is_member = node.raft().configuration().iter().any(|member| member.id == id);
        let removed = control.removed_ids().map_err(|error| undecided(&error))?;
        if !is_member || removed.contains(&id) {
            return Err(JoinRefusal::IdTaken);
        }
        let (cluster, authority) = self.issuer().await?;
        // Of a new one a certificate is good for nothing before all trust it.
        if !node.authority_is_known().map_err(|error| undecided(&error))? {
            return Err(JoinRefusal::NotActive);
        }
        let name = NodeName { cluster, node: id };
        let certificate = authority
            .issue(&request, &name, control.now(), control.rng())
            .map_err(|_| JoinRefusal::Application)?;
        tracing::info!(id, "a node's certificate was renewed");
        Ok(Renewed { certificate, authorities: node.cluster().authorities() })
    }

    fn deciding(&self) -> Result<&Replicated, JoinRefusal> {
        let control = &self.control;
        let is_active = control.consensus.role() == Role::Active;
        let node = control.consensus.replicated().filter(|_| is_active);
        node.filter(|_| !control.barrier.is_sealed()).ok_or(JoinRefusal::NotActive)
    }

    async fn issuer(&self) -> Result<(String, Authority), JoinRefusal> {
        let key = self
            .pipeline
            .internal(|txn| txn.scope(CORE).get::<AuthorityKey>("cluster/authority"))
            .await
            .map_err(|error| undecided(&error))?
            .ok_or(JoinRefusal::NotActive)?;
        let cluster = self.control.cluster().map_err(|error| undecided(&error))?;
        let cluster = cluster.ok_or(JoinRefusal::NotActive)?.id;
        let authority = self.control.authority(&Secret::new(key.key));
        Ok((cluster, authority.map_err(|error| undecided(&error))?))
    }

    /// `None` where it is unknown, was used, or is too old.
    async fn token_record(&self, path: &str) -> Result<Option<JoinTokenRecord>, JoinRefusal> {
        let read = self.pipeline.internal(|txn| {
            let now = txn.now();
            let record = txn.scope(CORE).get::<JoinTokenRecord>(path)?;
            Ok(record.filter(|record| now < record.expires))
        });
        read.await.map_err(|error| undecided(&error))
    }

    async fn use_up(&self, path: &str, id: u64, record: &NodeRecord) -> Result<(), JoinRefusal> {
        let used = self.pipeline.internal(|txn| {
            let now = txn.now();
            let mut core = txn.scope(CORE);
            let token = core.get::<JoinTokenRecord>(path)?;
            if token.is_none_or(|token| token.expires <= now) {
                return Ok(false);
            }
            core.delete(path)?;
            core.put(&format!("cluster/node/{id}"), record)?;
            Ok(true)
        });
        match used.await {
            Ok(true) => Ok(()),
            Ok(false) => Err(JoinRefusal::Token),
            Err(error) => Err(undecided(&error)),
        }
    }
}

/// What keeps this node from deciding is its own affair: the log says it.
fn undecided(error: &Error) -> JoinRefusal {
    tracing::warn!(%error, "nobody can be admitted now");
    JoinRefusal::NotActive
}

const CORE: &str = "root/core/";
const PREFIX: &str = "join.";
const VERSION: u8 = 1;
const ADDRESSES_MAX: usize = 9;
const ADDRESS_BYTES_MAX: usize = 512;
const TEXT_BYTES_MAX: usize = 16 * 1024;

/// How often the token's file is looked at.
const FILE_PAUSE: Duration = Duration::from_millis(500);

#[cfg(test)]
mod tests;
