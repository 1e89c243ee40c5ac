//! How a node becomes part of the cluster: it shows that whoever runs it has a threshold of
//! shares, by opening a challenge, and is given a certificate.
//!
//! Everything both sides say is authenticated by the key in the challenge, so that it does not
//! matter who carries it.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::CertificateDer;
use tokio::runtime::Handle;

use super::control::Control;
use super::replicated::Replicated;
use crate::barrier::Repeat;
use crate::clock::Timestamp;
use crate::cluster::{Authority, JoinRefusal, NodeName};
use crate::crypto::{LockedKey, equal, hmac_sha256};
use crate::raft::{Member, MembershipError, NodeInfo, RaftLog};
use crate::record::{Applied, SystemKey};
use crate::request::Error;
use crate::seal;
use crate::secret::Secret;
use crate::sys::{Admitted, Answer, Challenge, Joiner, NodeRecord};

/// What a good answer says, and is authenticated by.
pub(super) struct Checked {
    id: u64,
    cluster: String,
    key: LockedKey,
    /// The id of the node whose place it takes.
    replaces: Option<u64>,
}

impl Control {
    pub(super) fn replicated(&self) -> Result<&Replicated, Error> {
        self.consensus.replicated().ok_or_else(|| {
            Error::bad_request("raft storage is not in use: this node cannot have peers")
        })
    }

    pub(super) fn make_challenge(&self, joiner: &Joiner) -> Result<Challenge, Error> {
        self.replicated()?;
        let id = raft_id(&joiner.raft_id)?;
        let keyring = self.barrier.keyring()?;
        let cluster = self.cluster()?.ok_or(Error::Uninitialized)?;
        let record = self.keyring_record()?.ok_or(Error::Uninitialized)?;
        let configuration = self.seal_configuration()?.ok_or(Error::Uninitialized)?;
        let expires = self.now().plus(CHALLENGE_TIME);
        let context = context(&cluster.id, id, expires.0);
        let challenge = seal::challenge(self.rng(), &keyring, &context).map_err(Error::internal)?;
        Ok(Challenge {
            cluster_id: cluster.id,
            challenge: STANDARD.encode(challenge),
            expires: expires.0,
            seal_configuration: STANDARD.encode(configuration.encode()),
            root_key: STANDARD.encode(record.for_joiner().encode()),
        })
    }

    /// Whether whoever answers has opened the challenge, and the node may join.
    pub(super) fn checked(&self, answer: &Answer) -> Result<Checked, Error> {
        let node = self.replicated()?;
        let id = raft_id(&answer.raft_id)?;
        let cluster = self.cluster()?.ok_or(Error::Uninitialized)?;
        let key = self.recall(&cluster.id, id, answer)?;
        let replaces = place(node, id, &answer.server_id).map_err(|refusal| match refusal {
            JoinRefusal::Application => {
                Error::bad_request("server_id must have from 1 to 128 bytes")
            }
            JoinRefusal::NameTaken => Error::BadRequest(format!(
                "a node named {:?} is in the cluster and in contact: remove it, or choose another \
                 node_id",
                answer.server_id
            )),
            other => Error::BadRequest(other.to_string()),
        })?;
        if self.removed_ids()?.contains(&id) {
            return Err(Error::bad_request(
                "this node was removed from the cluster: empty its data folder, and it can join \
                 as another",
            ));
        }
        Ok(Checked { id, cluster: cluster.id, key, replaces })
    }

    /// Checks an answer, and makes the joiner a learner with a certificate.
    pub(super) async fn take_answer(
        &self,
        answer: &Answer,
        authority_key: Secret<String>,
    ) -> Result<(Admitted, u64, NodeRecord), Error> {
        let node = self.replicated()?;
        let Checked { id, cluster, key, replaces } = self.checked(answer)?;
        let authority = self.authority(&authority_key)?;
        let request = decoded(&answer.request)?;
        let name = NodeName { cluster, node: id };
        let certificate = authority
            .issue(&request, &name, self.now(), self.rng())
            .map_err(|error| Error::BadRequest(error.to_string()))?;
        let authorities = node.cluster().authorities();
        let info = NodeInfo {
            name: answer.server_id.clone(),
            cluster_address: answer.cluster_addr.clone(),
            api_address: answer.api_addr.clone(),
        };
        apart(node.raft(), async move |raft: &RaftLog| raft.add_learner(id, info).await).await?;
        tracing::info!(id, name = answer.server_id, "a node joins");
        let mac = admitted_mac(&key, &certificate, &authorities);
        let members = node.raft().configuration();
        let admitted = Admitted {
            certificate: STANDARD.encode(&certificate),
            authorities: authorities.iter().map(|der| STANDARD.encode(der)).collect(),
            mac: STANDARD.encode(mac),
            peers: members.into_iter().map(|member| member.info.cluster_address).collect(),
        };
        let name = answer.server_id.clone();
        Ok((admitted, id, NodeRecord { name, non_voter: answer.non_voter, replaces }))
    }

    /// The key in the challenge that an answer answers, once the answer is known to be good.
    fn recall(&self, cluster: &str, id: u64, answer: &Answer) -> Result<LockedKey, Error> {
        let refused = || Error::bad_request("the answer does not fit the challenge");
        if Timestamp(answer.expires) < self.now() {
            return Err(Error::bad_request("the challenge has expired: ask for another"));
        }
        let context = context(cluster, id, answer.expires);
        let challenge = decoded(&answer.challenge)?;
        let key = seal::recall_challenge(&*self.barrier.keyring()?, &context, &challenge)
            .ok_or_else(refused)?;
        let mac = answer_mac(&key, cluster, answer);
        if !equal(&mac, &decoded(&answer.answer)?) {
            return Err(refused());
        }
        Ok(key)
    }

    pub(super) fn authority(&self, key: &Secret<String>) -> Result<Authority, Error> {
        let view = self.consensus.view();
        let record = view.system(SystemKey::CaCertificates).map_err(Error::internal)?;
        let (_, pem) = record.ok_or_else(|| Error::internal("no authority is stored"))?;
        let pem = std::str::from_utf8(&pem).map_err(Error::internal)?;
        Authority::from_pem(pem, key).map_err(Error::internal)
    }

    pub(super) fn removed_ids(&self) -> Result<Vec<u64>, Error> {
        let view = self.consensus.view();
        let record = view.system(SystemKey::RemovedNodes).map_err(Error::internal)?;
        Ok(record.map(|(_, ids)| decode_ids(&ids)).unwrap_or_default())
    }

    /// Notes the id as removed, for ever, then takes the node out.
    pub(super) async fn take_out(&self, name: &str) -> Result<(), Error> {
        let node = self.replicated()?;
        let members = node.raft().configuration();
        let is_meant = |member: &&Member| member.info.name == name || member.id.to_string() == name;
        let Some(member) = members.iter().find(is_meant) else {
            return Ok(());
        };
        let voters = members.iter().filter(|member| member.voter).count();
        if member.voter && voters == 1 {
            return Err(Error::bad_request("the last voter cannot be removed"));
        }
        self.note_removed(member.id).await?;
        self.remove_member(member.id).await
    }

    /// # Errors
    /// Where the membership cannot be changed now.
    pub(super) async fn remove_member(&self, id: u64) -> Result<(), Error> {
        let node = self.replicated()?;
        apart(node.raft(), async move |raft: &RaftLog| raft.remove(id).await).await?;
        node.cluster().close_node(id);
        tracing::info!(id, "a node was removed");
        Ok(())
    }

    pub(super) async fn note_removed(&self, id: u64) -> Result<(), Error> {
        for _ in 0..TRIES_MAX {
            let point = self.log().begin().await.map_err(|_| Error::NotActive)?;
            let mut txn = self.barrier.begin(point, self.now())?;
            let mut ids = txn
                .system(SystemKey::RemovedNodes)?
                .map(|ids| decode_ids(&ids))
                .unwrap_or_default();
            if ids.contains(&id) {
                return Ok(());
            }
            ids.push(id);
            let record: Vec<u8> = ids.iter().flat_map(|id| id.to_be_bytes()).collect();
            txn.put_system(SystemKey::RemovedNodes, record.into());
            let batch = txn.into_batch()?.ok_or(Error::Conflict)?;
            let entry = self.barrier.seal(batch, Repeat::default())?;
            match self.log().propose(entry).await.map_err(|_| Error::NotActive)? {
                Applied::Committed => return Ok(()),
                Applied::Conflict(_) => {}
                // Nothing is remembered of what has no request id.
                Applied::Fenced
                | Applied::Repeated
                | Applied::Forgotten
                | Applied::NoRoom
                | Applied::Damaged => {
                    return Err(Error::NotActive);
                }
            }
        }
        Err(Error::Unavailable("the list of removed nodes kept changing: try again".into()))
    }

    /// Gives learners their vote once they have caught up; the active node calls it every now
    /// and then. What another node has begun is taken up where it was left.
    pub(super) async fn settle(&self, records: Vec<(u64, NodeRecord)>) -> Result<Vec<u64>, Error> {
        let Some(node) = self.consensus.replicated() else {
            return Ok(Vec::new());
        };
        let members = node.raft().configuration();
        let mut settled = Vec::new();
        for (id, record) in records {
            let Some(member) = members.iter().find(|member| member.id == id) else {
                // Unless it is being admitted right now.
                if let Ok(_none) = self.admitting.try_lock()
                    && node.raft().configuration().iter().all(|member| member.id != id)
                {
                    settled.push(id);
                }
                continue;
            };
            if member.voter || record.non_voter {
                // Also where another leader has made the change, and got no further.
                if let Some(replaced) = record.replaces.filter(|_| member.voter) {
                    self.note_removed(replaced).await?;
                }
                settled.push(id);
                continue;
            }
            let replaces = record.replaces;
            let promoted = apart(node.raft(), async move |raft: &RaftLog| {
                raft.promote(id, replaces, CATCH_UP_TIME).await
            })
            .await;
            match promoted {
                Ok(()) => {
                    // Not before: a node that never catches up must not cost the old one its place.
                    if let Some(replaced) = record.replaces {
                        self.note_removed(replaced).await?;
                        self.remove_member(replaced).await?;
                    }
                    tracing::info!(id, name = record.name, "a node votes");
                    settled.push(id);
                }
                Err(error) => tracing::debug!(id, %error, "a node does not vote yet"),
            }
        }
        Ok(settled)
    }
}

/// Changes the membership on a thread of its own: it takes as long as the slowest node, and the
/// compiler cannot prove openraft's future to be `Send` for all lifetimes at once.
pub(super) async fn apart<T: Send + 'static>(
    raft: &Arc<RaftLog>,
    change: impl AsyncFnOnce(&RaftLog) -> Result<T, MembershipError> + Send + 'static,
) -> Result<T, Error> {
    let (raft, runtime) = (raft.clone(), Handle::current());
    let changed = tokio::task::spawn_blocking(move || runtime.block_on(change(&raft)));
    changed.await.map_err(Error::internal)?.map_err(|error| Error::Unavailable(error.to_string()))
}

/// Whose place a joiner takes: that of a member of its name that is out of contact. Its own id may
/// be one that was admitted before and never heard of since: the answer was lost.
pub(super) fn place(node: &Replicated, id: u64, name: &str) -> Result<Option<u64>, JoinRefusal> {
    if name.is_empty() || name.len() > NAME_BYTES_MAX {
        return Err(JoinRefusal::Application);
    }
    let members = node.raft().configuration();
    let in_contact = |member: &Member| {
        member.leader || member.silent.is_some_and(|silent| silent <= CONTACT_TIME)
    };
    if let Some(member) = members.iter().find(|member| member.id == id)
        && (member.info.name != name || in_contact(member))
    {
        return Err(JoinRefusal::IdTaken);
    }
    let Some(member) = members.iter().find(|member| member.info.name == name) else {
        return Ok(None);
    };
    if member.id == id {
        return Ok(None);
    }
    if in_contact(member) {
        return Err(JoinRefusal::NameTaken);
    }
    Ok(Some(member.id))
}

pub(super) fn raft_id(text: &str) -> Result<u64, Error> {
    let id = text.parse().ok().filter(|id| *id != 0);
    id.ok_or_else(|| Error::bad_request("raft_id must be a node's number, in decimal"))
}

pub(super) fn decode_ids(record: &[u8]) -> Vec<u64> {
    record.chunks_exact(8).filter_map(|id| id.try_into().ok().map(u64::from_be_bytes)).collect()
}

fn decoded(text: &str) -> Result<Vec<u8>, Error> {
    STANDARD.decode(text).map_err(|_| Error::bad_request("a field is not base64"))
}

/// What a challenge is for, and until when.
pub(super) fn context(cluster: &str, id: u64, expires: u64) -> Vec<u8> {
    format!("join\0{cluster}\0{id}\0{expires}").into_bytes()
}

pub(super) fn answer_mac(key: &LockedKey, cluster: &str, answer: &Answer) -> [u8; 32] {
    let non_voter = if answer.non_voter { "1" } else { "0" };
    mac(
        key,
        b"join answer",
        &[
            cluster.as_bytes(),
            answer.server_id.as_bytes(),
            answer.raft_id.as_bytes(),
            answer.cluster_addr.as_bytes(),
            answer.api_addr.as_bytes(),
            non_voter.as_bytes(),
            answer.request.as_bytes(),
        ],
    )
}

pub(super) fn admitted_mac(
    key: &LockedKey,
    certificate: &CertificateDer<'_>,
    authorities: &[CertificateDer<'_>],
) -> [u8; 32] {
    let mut parts: Vec<&[u8]> = vec![certificate.as_ref()];
    parts.extend(authorities.iter().map(AsRef::as_ref));
    mac(key, b"join admitted", &parts)
}

/// Each part with its length, so that none can pass for another.
fn mac(key: &LockedKey, what: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let lengths: Vec<[u8; 8]> =
        parts.iter().map(|part| (part.len() as u64).to_be_bytes()).collect();
    let mut message: Vec<&[u8]> = vec![what];
    for (length, part) in lengths.iter().zip(parts) {
        message.extend([length.as_slice(), *part]);
    }
    hmac_sha256(key.expose(), &message)
}

/// For typing shares.
const CHALLENGE_TIME: std::time::Duration = std::time::Duration::from_secs(600);

/// A node that was heard within it is in contact.
const CONTACT_TIME: std::time::Duration = std::time::Duration::from_secs(10);

const CATCH_UP_TIME: std::time::Duration = std::time::Duration::from_secs(5);

const NAME_BYTES_MAX: usize = 128;

const TRIES_MAX: usize = 16;
