use super::harness::*;
use crate::clock::{Clock as _, SystemClock};
use crate::cluster::*;
use crate::proto::cluster as proto;
use crate::proto::cluster::raft_client::RaftClient;
use crate::raft::{Lane, Profile};
use crate::rng::SystemRng;

fn vote_request(sender: u64, target: u64, candidate: u64) -> proto::VoteRequest {
    let leader = crate::proto::raft::LeaderId { term: 1000, node: candidate };
    proto::VoteRequest {
        header: Some(proto::Header { version: 1, sender, target }),
        vote: Some(crate::proto::raft::Vote { leader: Some(leader), committed: false }),
        last: None,
        leadership_transfer: true,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_message_speaks_for_its_own_node_only() {
    let world = World::of(&["a", "b", "c"], crate::raft::Options::default()).await;
    let [a, b, c] = ["a", "b", "c"].map(|name| world.id(name));
    let channel = world.node("c").cluster.peers().channel(b, &world.node("b").info, Lane::Control);
    let mut client = RaftClient::new(channel);
    for (sender, target, candidate, code) in [
        (a, b, a, tonic::Code::PermissionDenied),
        (a, b, c, tonic::Code::PermissionDenied),
        (c, b, a, tonic::Code::PermissionDenied),
        (c, a, c, tonic::Code::FailedPrecondition),
    ] {
        let request = vote_request(sender, target, candidate);
        let refused = within(client.pre_vote(request), "an answer").await.unwrap_err();
        assert_eq!(refused.code(), code, "{sender} {target} {candidate}: {refused:?}");
        let refused = within(client.vote(request), "an answer").await.unwrap_err();
        assert_eq!(refused.code(), code, "{sender} {target} {candidate}: {refused:?}");
    }
    let mut newer = vote_request(c, b, c);
    newer.header.as_mut().unwrap().version = 2;
    let refused = within(client.pre_vote(newer), "an answer").await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::Unimplemented);
    within(client.pre_vote(vote_request(c, b, c)), "an answer").await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn another_authoritys_certificate_is_refused() {
    let world = World::of(&["a"], crate::raft::Options::default()).await;
    let other = Authority::generate(CLUSTER, SystemClock.now(), &SystemRng).unwrap();
    let a = world.id("a");
    for (issuer, good) in [(&other, false), (&world.authority, true)] {
        let identity = world.identity(if good { "friend" } else { "stranger" });
        world.issue(&identity, issuer);
        let id = identity.id();
        let key = Arc::new(Key(None.into()));
        let cut = Arc::new(Cut::default());
        let timing = world.options.timing;
        let cluster = Cluster::new(identity, key, cut, &timing).unwrap();
        let channel = cluster.peers().channel(a, &world.node("a").info, Lane::Control);
        let answer = within(RaftClient::new(channel).pre_vote(vote_request(id, a, id)), "").await;
        assert_eq!(answer.is_ok(), good, "{answer:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_connection_reaches_the_node_that_is_meant_or_nobody() {
    let world = World::of(&["a", "b"], crate::raft::Options::default()).await;
    let [a, b] = ["a", "b"].map(|name| world.id(name));
    let elsewhere =
        world.node("b").cluster.peers().channel(a, &world.node("b").info, Lane::Control);
    let answer = within(RaftClient::new(elsewhere).pre_vote(vote_request(b, a, b)), "").await;
    assert!(answer.is_err(), "{answer:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_removed_node_is_told_so() {
    let world = World::of(&["a", "b", "c"], crate::raft::Options::default()).await;
    let (gone, id) = (world.node("c"), world.id("c"));
    for name in ["a", "b"] {
        world.node(name).cut.0.lock().unwrap().insert(id);
        world.node(name).cluster.close_node(id);
    }
    let (peer, info) = (world.id("a"), &world.node("a").info);
    let channel = gone.cluster.peers().channel(peer, info, Lane::Control);
    let mut client = RaftClient::new(channel);
    let answer = within(client.pre_vote(vote_request(id, peer, id)), "").await;
    assert!(answer.is_err(), "{answer:?}");
    within(gone.cluster.removed().wait_for(|removed| *removed), "it knows").await.unwrap();
}

#[test]
fn dates_do_not_matter_between_nodes() {
    let world = World::new(Profile::Lan);
    let identity = world.identity("old");
    let long_ago = crate::clock::Timestamp::from_seconds(1_000_000_000);
    let authority = Authority::generate(CLUSTER, long_ago, &SystemRng).unwrap();
    let name = NodeName { cluster: CLUSTER.into(), node: identity.id() };
    let request = identity.request().unwrap();
    let certificate = authority.issue(&request, &name, long_ago, &SystemRng).unwrap();
    let (_, end) = validity(&certificate).unwrap();
    assert!(end < SystemClock.now());
    identity.install(certificate.clone(), vec![authority.certificate().clone()]).unwrap();
    let trust = Trust::new();
    trust.set(CLUSTER, &[authority.certificate().clone()]).unwrap();
    let server = rustls::pki_types::ServerName::try_from("node").unwrap();
    let now = rustls::pki_types::UnixTime::now();
    let verified = rustls::client::danger::ServerCertVerifier::verify_server_cert(
        &*trust,
        &certificate,
        &[],
        &server,
        &[],
        now,
    );
    verified.unwrap();
    let verified = rustls::server::danger::ClientCertVerifier::verify_client_cert(
        &*trust,
        &certificate,
        &[],
        now,
    );
    verified.unwrap();
    trust.set("another", &[authority.certificate().clone()]).unwrap();
    let verified = rustls::server::danger::ClientCertVerifier::verify_client_cert(
        &*trust,
        &certificate,
        &[],
        now,
    );
    assert!(verified.is_err(), "of another cluster");
}
