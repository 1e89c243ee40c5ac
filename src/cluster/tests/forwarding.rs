use std::io;

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream;

use super::harness::*;
use crate::cluster::*;
use crate::raft::Options;
use crate::request::{Body, Error, Operation, Request};

fn forwarded(path: &str) -> Forwarded {
    let request = Request { path: path.into(), operation: Operation::Update, ..Request::default() };
    Forwarded {
        request,
        wanted: Wanted::Answer,
        remaining: DEADLINE,
        hops: 1,
        finished: Vec::new(),
        leader_term: 1,
    }
}

async fn ask(world: &World, from: &str, to: &str, path: &str) -> Result<Outcome, ForwardError> {
    let (node, to) = (world.node(from), world.node(to));
    let asked = forwarded(path);
    let answer = node.cluster.forward(to.raft.id(), &to.info, &asked);
    within(answer, "an answer").await.map(|(outcome, _)| outcome)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_unsealed_node_answers_another() {
    let world = World::of(&["a", "b"], Options::default()).await;
    world.put(1, b"one").await;
    world.holds("b", 1, b"one").await;
    let outcome = ask(&world, "b", "a", "kv/x").await.unwrap();
    let Outcome::Answered(Ok(reply)) = outcome else { panic!("{outcome:?}") };
    let Body::Bare(path) = reply.body else { panic!() };
    assert_eq!(path, "kv/x");
    let outcome = ask(&world, "b", "a", "standby").await.unwrap();
    assert!(matches!(outcome, Outcome::NotActive));
    let asked = forwarded("kv/x");
    let (a, info) = (world.id("a"), &world.node("a").info);
    let (_, applied) = world.node("b").cluster.forward(a, info, &asked).await.unwrap();
    assert!(applied >= 1);
}

/// Sends a body of so many pieces of this length; it breaks off at the end, or not.
async fn upload(world: &World, pieces: usize, length: usize, breaks: bool) -> Outcome {
    let node = world.node("b");
    let piece = Bytes::from(vec![7; length]);
    let broken = breaks.then(|| Err(io::ErrorKind::TimedOut.into()));
    let body = stream::iter((0..pieces).map(move |_| Ok(piece.clone())).chain(broken));
    let asked = forwarded("kv/x");
    let (a, info) = (world.id("a"), &world.node("a").info);
    let answer = node.cluster.upload(a, info, &asked, body.boxed());
    within(answer, "an answer").await.unwrap().0
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_body_arrives_whole_or_as_broken_off() {
    let world = World::of(&["a", "b"], Options::default()).await;
    for (pieces, length) in [(0, 0), (1, 1), (3, 1000), (200, 300_000)] {
        for breaks in [false, true] {
            let outcome = upload(&world, pieces, length, breaks).await;
            let Outcome::Answered(Err(Error::BadRequest(text))) = outcome else {
                panic!("{outcome:?}")
            };
            let whole = (pieces * length).to_string();
            assert_eq!(text, if breaks { "broken off" } else { &whole });
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_sealed_node_neither_sends_nor_takes_a_request() {
    let world = World::of(&["a", "b"], Options::default()).await;
    for (sealed, key) in [("a", None), ("b", None), ("a", Some(2))] {
        *world.node(sealed).key.0.lock().unwrap() = key;
        world.node(sealed).cluster.close_forwarding();
        for (from, to) in [("a", "b"), ("b", "a")] {
            let answer = ask(&world, from, to, "kv/x").await;
            assert!(
                matches!(answer, Err(ForwardError::Refused(Refusal::Sealed))),
                "{sealed} {from} {to}: {answer:?}"
            );
        }
        *world.node(sealed).key.0.lock().unwrap() = Some(1);
        for (from, to) in [("a", "b"), ("b", "a")] {
            ask(&world, from, to, "kv/x").await.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn sealing_ends_connections_under_way() {
    let world = World::of(&["a", "b"], Options::default()).await;
    for sealed in ["a", "b"] {
        let asking = ask(&world, "b", "a", "wait");
        let sealing = async {
            let mut handled = world.node("a").handled.subscribe();
            let wanted = if sealed == "a" { 1 } else { 2 };
            within(handled.wait_for(|count| *count >= wanted), "it arrives").await.unwrap();
            *world.node(sealed).key.0.lock().unwrap() = None;
            world.node(sealed).cluster.close_forwarding();
        };
        let (answer, ()) = tokio::join!(asking, sealing);
        assert!(matches!(answer, Err(ForwardError::Unknown(_))), "{sealed}: {answer:?}");
        *world.node(sealed).key.0.lock().unwrap() = Some(1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_node_that_is_gone_got_no_request() {
    let mut world = World::of(&["a", "b"], Options::default()).await;
    let (id, info) = (world.id("a"), world.node("a").info.clone());
    world.kill("a");
    let node = world.node("b");
    let asked = forwarded("kv/x");
    let answer = within(node.cluster.forward(id, &info, &asked), "an answer").await;
    assert!(matches!(answer, Err(ForwardError::NotSent(_))), "{answer:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_request_that_goes_in_circles_is_stopped() {
    let world = World::of(&["a", "b"], Options::default()).await;
    let (to, node) = (world.node("a"), world.node("b"));
    let mut asked = forwarded("kv/x");
    asked.hops = 3;
    let answer = within(node.cluster.forward(to.raft.id(), &to.info, &asked), "").await;
    assert!(matches!(answer, Err(ForwardError::NotSent(_))), "{answer:?}");
}
