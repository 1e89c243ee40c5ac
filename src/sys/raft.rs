//! `sys/storage/raft`: who belongs to the cluster, and how one becomes part of it.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::Node;
use crate::clock::Timestamp;
use crate::framework::{Call, NoParams, Route, Seconds};
use crate::request::{Error, Reply};
use crate::secret::Secret;

pub(super) fn routes() -> Vec<Route<Node>> {
    vec![
        Route::new("storage/raft/configuration", "The cluster's nodes.").read(configuration),
        Route::new("storage/raft/remove-peer", "Take a node out of the cluster.")
            .acts_outside()
            .write(remove_peer),
        Route::new("storage/raft/join", "Let this node join a cluster.").local().write(join),
        Route::new("storage/raft/join-token", "Make a token with which one node can join.")
            .sudo()
            .write(join_token),
        Route::new("storage/raft/bootstrap/challenge", "Ask to join: first step.")
            .unauthenticated()
            .write(challenge),
        Route::new("storage/raft/bootstrap/answer", "Ask to join: second step.")
            .unauthenticated()
            .acts_outside_after(check_answer)
            .write(answer),
    ]
}

/// A node of the cluster, as `sys/storage/raft/configuration` shows it.
#[derive(Clone, Debug, Serialize)]
pub struct Peer {
    pub node_id: String,
    pub address: String,
    pub leader: bool,
    pub protocol_version: String,
    pub voter: bool,
}

async fn configuration(call: &mut Call<'_, Node>, _: NoParams) -> Result<Reply, Error> {
    let (index, servers) = call.state.raft_configuration()?;
    Reply::of(&json!({ "config": { "index": index, "servers": servers } }))
}

#[derive(Deserialize, JsonSchema)]
struct RemovePeer {
    /// Its `node_id`, or its raft id.
    #[serde(default)]
    server_id: String,
}

async fn remove_peer(call: &mut Call<'_, Node>, input: RemovePeer) -> Result<Reply, Error> {
    if input.server_id.is_empty() {
        return Err(Error::bad_request("no server id provided"));
    }
    call.state.remove_peer(&input.server_id).await?;
    Ok(Reply::default())
}

/// Where to join, and how to trust who answers there.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct Join {
    /// Any unsealed node's API address.
    #[serde(default)]
    pub leader_api_addr: String,
    /// The CA certificate of that address, PEM.
    #[serde(default)]
    pub leader_ca_cert: Option<String>,
    /// The name that its certificate must bear.
    #[serde(default)]
    pub leader_tls_servername: Option<String>,
    /// Never to vote.
    #[serde(default)]
    pub non_voter: bool,
    /// Of `sys/storage/raft/join-token`: says where to join, and needs no shares.
    #[serde(default)]
    pub token: Option<Secret<String>>,
    /// Try until it succeeds.
    #[serde(default)]
    pub retry: bool,
}

async fn join(call: &mut Call<'_, Node>, input: Join) -> Result<Reply, Error> {
    let has_token = input.token.as_ref().is_some_and(|token| !token.expose().is_empty());
    if has_token && !input.leader_api_addr.is_empty() {
        return Err(Error::bad_request("the token says where to join: set no leader_api_addr"));
    }
    if !has_token && input.leader_api_addr.is_empty() {
        return Err(Error::bad_request("leader_api_addr must be set: nodes are not discovered"));
    }
    call.state.join(input).await?;
    Reply::bare(&json!({ "joined": true }))
}

/// A token that was drawn, and the name under which it is kept.
pub struct JoinToken {
    pub token: Secret<String>,
    /// A hash of it.
    pub name: String,
}

/// What is kept of a token until it is used.
#[derive(Debug, Deserialize, Serialize)]
pub struct JoinTokenRecord {
    pub expires: Timestamp,
    pub non_voter: bool,
}

/// Where a token's record is, by its name.
pub fn join_token_path(name: &str) -> String {
    format!("{JOIN_TOKENS}/{name}")
}

#[derive(Deserialize, JsonSchema)]
struct MakeJoinToken {
    /// How long it can be used; 15 minutes where it is not set, 24 hours at most.
    ttl: Option<Seconds>,
    /// The node that joins with it never votes.
    #[serde(default)]
    non_voter: bool,
}

async fn join_token(call: &mut Call<'_, Node>, input: MakeJoinToken) -> Result<Reply, Error> {
    let ttl = input.ttl.map_or(0, |ttl| ttl.0);
    let ttl = match u64::try_from(ttl) {
        Ok(0) => JOIN_TOKEN_SECONDS,
        Ok(seconds) if seconds <= JOIN_TOKEN_SECONDS_MAX => seconds,
        _ => return Err(Error::bad_request("ttl must be more than 0 and at most 24h")),
    };
    let mut live = 0;
    for name in call.storage.list(JOIN_TOKENS)? {
        let path = join_token_path(&name);
        match call.storage.get::<JoinTokenRecord>(&path)? {
            Some(record) if call.now < record.expires => live += 1,
            _ => call.storage.delete(&path)?,
        }
    }
    if live >= JOIN_TOKENS_MAX {
        return Err(Error::bad_request("too many join tokens are unused: wait until some expire"));
    }
    let made = call.state.join_token()?;
    let expires = call.now.plus(Duration::from_secs(ttl));
    let record = JoinTokenRecord { expires, non_voter: input.non_voter };
    call.storage.put(&join_token_path(&made.name), &record)?;
    Reply::of(&json!({
        "token": made.token.expose(),
        "ttl": ttl,
        "expire_time": expires.rfc3339(),
        "non_voter": input.non_voter,
    }))
}

/// What a joiner says of itself before it has shown anything.
#[derive(Debug, Deserialize, JsonSchema, Serialize)]
pub struct Joiner {
    /// Its `node_id`.
    #[serde(default)]
    pub server_id: String,
    /// Its raft id, in decimal: a JSON number may lose digits.
    #[serde(default)]
    pub raft_id: String,
}

/// What only shares can open.
#[derive(Debug, Deserialize, Serialize)]
pub struct Challenge {
    pub cluster_id: String,
    /// Base64, like all bytes here.
    pub challenge: String,
    /// Milliseconds since the Unix epoch: until then it can be answered.
    pub expires: u64,
    /// As stored in clear.
    pub seal_configuration: String,
    /// Of the stored record, what opening the challenge needs.
    pub root_key: String,
}

async fn challenge(call: &mut Call<'_, Node>, input: Joiner) -> Result<Reply, Error> {
    Reply::of(&call.state.challenge(&input)?)
}

/// What the challenge authenticates.
#[derive(Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(default)]
pub struct Answer {
    pub server_id: String,
    pub raft_id: String,
    pub cluster_addr: String,
    pub api_addr: String,
    pub non_voter: bool,
    pub challenge: String,
    pub expires: u64,
    /// A signing request for the node's key, DER.
    pub request: String,
    /// HMAC-SHA256 over all of it, under the key in the challenge.
    pub answer: String,
}

/// What the joiner is given.
#[derive(Debug, Deserialize, Serialize)]
pub struct Admitted {
    /// DER.
    pub certificate: String,
    /// DER.
    pub authorities: Vec<String>,
    /// HMAC-SHA256 over both, under the key in the challenge.
    pub mac: String,
    pub peers: Vec<String>,
}

/// What is kept of a node that was admitted, until it has its place.
#[derive(Debug, Deserialize, Serialize)]
pub struct NodeRecord {
    pub name: String,
    pub non_voter: bool,
    /// The id of the node whose name it has, and whose place it takes.
    pub replaces: Option<u64>,
}

#[derive(Deserialize, Serialize)]
struct AuthorityKey {
    key: String,
}

/// Strangers may ask, and an entry is for whoever has opened the challenge.
async fn check_answer(call: &mut Call<'_, Node>, input: Answer) -> Result<(), Error> {
    call.state.check_answer(&input)
}

async fn answer(call: &mut Call<'_, Node>, input: Answer) -> Result<Reply, Error> {
    let authority = call.storage.get::<AuthorityKey>("cluster/authority")?;
    let authority = authority.ok_or_else(|| Error::bad_request("this cluster has one node"))?;
    let (admitted, id, record) = call.state.admit(&input, Secret::new(authority.key)).await?;
    call.storage.put(&format!("cluster/node/{id}"), &record)?;
    Reply::of(&admitted)
}

const JOIN_TOKENS: &str = "cluster/join-token";

/// Long enough to carry it to a new machine.
const JOIN_TOKEN_SECONDS: u64 = 15 * 60;
const JOIN_TOKEN_SECONDS_MAX: u64 = 24 * 60 * 60;

/// Unused at one time.
const JOIN_TOKENS_MAX: usize = 100;
