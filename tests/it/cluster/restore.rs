//! `sys/storage/raft/snapshot` and `snapshot-force` by POST, on each node.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::{self, BoxStream};
use serde_json::json;
use strongroom::clock::{Clock as _, SystemClock, Timestamp};
use strongroom::http::{Answer, Handler as _, Upload};
use strongroom::record::{Restore, RestoreId, RestoreStep};
use strongroom::request::{Error, Operation, Request};
use strongroom::secret::Secret;
use strongroom::server::{self, Entrance, Renewal};

use super::{Node, backup, founded, joining, three, until};

const PATH: &str = "sys/storage/raft/snapshot";
const FORCE: &str = "sys/storage/raft/snapshot-force";

type Chunks = BoxStream<'static, io::Result<Bytes>>;

fn whole(archive: &[u8]) -> Chunks {
    let chunks: Vec<_> =
        archive.chunks(1000).map(|chunk| Ok(Bytes::copy_from_slice(chunk))).collect();
    stream::iter(chunks).boxed()
}

async fn send(node: &Node, path: &str, token: &str, body: Chunks) -> Result<(), Error> {
    let entrance = Entrance::default();
    entrance.open(node.running.node.service.clone());
    let request = Request {
        operation: Operation::Update,
        path: path.to_owned(),
        token: Some(Arc::new(Secret::new(token.to_owned()))),
        ..Request::default()
    };
    let Answer { outcome, .. } = entrance.handle(request, Some(Upload::new(body))).await;
    outcome.map(drop)
}

async fn restore(node: &Node, token: &str, archive: &[u8]) -> Result<(), Error> {
    send(node, PATH, token, whole(archive)).await
}

async fn put(node: &Node, root: &str, name: &str, value: &str) {
    node.write(&format!("cubbyhole/{name}"), root, json!({ "v": value })).await.unwrap();
}

/// `None` where there is none.
async fn get(node: &Node, root: &str, name: &str) -> Option<String> {
    let read = node.ask(Operation::Read, &format!("cubbyhole/{name}"), root, json!({})).await;
    match read {
        Ok((_, body)) => body["v"].as_str().map(str::to_owned),
        Err(Error::NotFound) => None,
        Err(error) => panic!("{error}"),
    }
}

/// Snapshots under way.
fn files(node: &Node) -> usize {
    std::fs::read_dir(node.folder.path().join("data/snapshots")).unwrap().count()
}

fn is_sealed(node: &Node) -> bool {
    node.running.node.control.barrier.is_sealed()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_written_since_is_gone_and_what_was_there_is_back_through_any_node() {
    let ([a, b, c], _, root) = Box::pin(three()).await;
    for (round, node) in [&a, &b, &c].into_iter().enumerate() {
        put(&a, &root, "kept", "1").await;
        put(&a, &root, "changed", "old").await;
        put(&a, &root, "deleted", "back").await;
        let archive = backup::ask(node, &root).await.unwrap();
        put(&a, &root, "changed", "new").await;
        put(&a, &root, &format!("later-{round}"), "2").await;
        let path = "cubbyhole/deleted";
        a.ask(Operation::Delete, path, &root, json!({})).await.unwrap();
        let policy = json!({ "policy": "path \"secret/*\" { capabilities = [\"read\"] }" });
        a.write("sys/policies/acl/later", &root, policy).await.unwrap();
        a.write("sys/mounts/later", &root, json!({ "type": "kv" })).await.unwrap();
        restore(node, &root, &archive).await.unwrap();
        for asked in [&a, &b, &c] {
            assert!(!is_sealed(asked), "the keys are the same");
            assert_eq!(get(asked, &root, "kept").await.as_deref(), Some("1"));
            assert_eq!(get(asked, &root, "changed").await.as_deref(), Some("old"));
            assert_eq!(get(asked, &root, "deleted").await.as_deref(), Some("back"));
            assert_eq!(get(asked, &root, &format!("later-{round}")).await, None);
            let policy =
                asked.ask(Operation::Read, "sys/policies/acl/later", &root, json!({})).await;
            assert!(matches!(policy, Err(Error::NotFound)), "{policy:?}");
            let mount = asked.ask(Operation::Read, "later/a", &root, json!({})).await;
            assert!(
                matches!(mount, Err(Error::NoRoute(_) | Error::Denied | Error::NotFound)),
                "{mount:?}"
            );
        }
        put(&b, &root, "after", "3").await;
        assert_eq!(get(&c, &root, "after").await.as_deref(), Some("3"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_since_is_undone_and_every_node_goes_on() {
    let ([a, b, c], _, root) = Box::pin(three()).await;
    put(&a, &root, "old", "1").await;
    let archive = backup::ask(&b, &root).await.unwrap();
    a.write("sys/rotate", &root, json!({})).await.unwrap();
    put(&a, &root, "new", "2").await;
    restore(&c, &root, &archive).await.unwrap();
    for node in [&a, &b, &c] {
        assert!(!is_sealed(node));
        assert_eq!(get(node, &root, "old").await.as_deref(), Some("1"));
        assert_eq!(get(node, &root, "new").await, None);
    }
    let status = a.ask(Operation::Read, "sys/key-status", &root, json!({})).await.unwrap().1;
    assert_eq!(status["term"], 1, "{status}");
    a.write("sys/step-down", &root, json!({})).await.unwrap();
    put(&b, &root, "after", "3").await;
    assert_eq!(get(&a, &root, "after").await.as_deref(), Some("3"));
}

#[tokio::test(flavor = "multi_thread")]
async fn another_clusters_snapshot_takes_force_and_then_its_own_shares() {
    let (other, other_share, other_root) = Box::pin(founded()).await;
    put(&other, &other_root, "theirs", "1").await;
    let archive = backup::ask(&other, &other_root).await.unwrap();
    let ([a, b, c], share, root) = Box::pin(three()).await;
    put(&a, &root, "ours", "2").await;
    for node in [&a, &b] {
        let refused = restore(node, &root, &archive).await.unwrap_err();
        assert!(matches!(refused, Error::BadRequest(_)), "{refused:?}");
        assert!(refused.to_string().starts_with("could not verify hash file"), "{refused}");
        assert_eq!(get(node, &root, "ours").await.as_deref(), Some("2"));
    }
    let id = a.read("sys/seal-status").await.1["cluster_id"].clone();
    send(&b, FORCE, &root, whole(&archive)).await.unwrap();
    for node in [&a, &b, &c] {
        until("it seals", async || is_sealed(node)).await;
        let status = node.read("sys/seal-status").await.1;
        assert_eq!((&status["initialized"], &status["sealed"]), (&json!(true), &json!(true)));
        assert!(node.unseal(&share).await.is_err(), "the old shares open nothing");
        node.unseal(&other_share).await.unwrap();
        assert!(!is_sealed(node));
    }
    until("it serves", async || {
        let read = a.ask(Operation::Read, "cubbyhole/theirs", &other_root, json!({})).await;
        read.is_ok()
    })
    .await;
    for node in [&a, &b, &c] {
        assert_eq!(get(node, &other_root, "theirs").await.as_deref(), Some("1"));
        let ours = node.ask(Operation::Read, "cubbyhole/ours", &root, json!({})).await;
        assert!(matches!(ours, Err(Error::Denied)), "{ours:?}");
        assert_eq!(node.read("sys/seal-status").await.1["cluster_id"], id);
        assert_eq!(node.names().len(), 3);
    }
    until("its authority's key is right", async || Box::pin(joins(&a, &other_root)).await).await;
    let authorities = a.raft().cluster().authorities().len();
    // One where the node that leads now had led before, and has the key; else another was made.
    assert!((1..=2).contains(&authorities), "{authorities} authorities");
}

/// Whether another node can join.
async fn joins(active: &Node, root: &str) -> bool {
    let node = Box::pin(Node::start("d")).await;
    let token = joining::token(active, root).await;
    match Box::pin(joining::join(&node, &token)).await {
        Ok(()) => {
            Box::pin(joining::settled(active, &node, "d")).await;
            true
        }
        Err(_) => false,
    }
}

/// The node that had the key of the old authority is gone.
#[tokio::test(flavor = "multi_thread")]
async fn a_new_authority_is_made_and_every_certificate_renewed_where_the_old_key_is_lost() {
    let (other, share, root) = Box::pin(founded()).await;
    let archive = backup::ask(&other, &root).await.unwrap();
    let ([a, b, c], _, old_root) = Box::pin(three()).await;
    send(&c, FORCE, &old_root, whole(&archive)).await.unwrap();
    for node in [&a, &b, &c] {
        until("it seals", async || is_sealed(node)).await;
    }
    drop(a.stop().await);
    for node in [&b, &c] {
        node.unseal(&share).await.unwrap();
    }
    for node in [&b, &c] {
        let cluster = node.raft().cluster();
        until("it trusts both", async || cluster.authorities().len() == 2).await;
        assert!(!renews(node).await, "a member does not know of it yet");
    }
    b.write("sys/storage/raft/remove-peer", &root, json!({ "server_id": "a" })).await.unwrap();
    for node in [&b, &c] {
        until("it is renewed", async || renews(node).await).await;
        assert!(!renews(node).await, "once");
    }
    let is_active =
        |node: &&Node| node.running.node.control.consensus.role() == server::Role::Active;
    let active = [&b, &c].into_iter().find(is_active).unwrap();
    assert!(Box::pin(joins(active, &root)).await);
    put(&c, &root, "new", "1").await;
    assert_eq!(get(&b, &root, "new").await.as_deref(), Some("1"));
}

async fn renews(node: &Node) -> bool {
    let mut renewal = Renewal::default();
    let looked = Box::pin(renewal.look(&node.running.node.service, SystemClock.now()));
    looked.await.unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_was_removed_since_stays_out() {
    let ([a, b, c], _, root) = Box::pin(three()).await;
    let archive = backup::ask(&a, &root).await.unwrap();
    a.write("sys/storage/raft/remove-peer", &root, json!({ "server_id": "c" })).await.unwrap();
    until("it knows", async || c.raft().is_removed()).await;
    restore(&b, &root, &archive).await.unwrap();
    assert_eq!(a.names().len(), 2);
    assert!(c.raft().is_removed());
    let folder = c.stop().await;
    let c = Node::start_in(folder, "c").await;
    assert!(c.raft().is_removed());
    let token = joining::token(&a, &root).await;
    assert!(joining::join(&c, &token).await.is_err(), "its identity is spent");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_whole_snapshot_changes_nothing() {
    let ([a, b, _c], _, root) = Box::pin(three()).await;
    put(&a, &root, "kept", "1").await;
    let archive = backup::ask(&a, &root).await.unwrap();
    put(&a, &root, "kept", "2").await;
    let flipped = |at: usize| {
        let mut flipped = archive.clone();
        flipped[at] ^= 1;
        flipped
    };
    let cases = [
        ("empty", Vec::new()),
        ("no archive", b"{\"a\": 1}".to_vec()),
        ("cut", archive[..archive.len() - 1].to_vec()),
        ("cut in the middle", archive[..archive.len() / 2].to_vec()),
        ("longer", [archive.as_slice(), b"x"].concat()),
        ("a bit in its middle", flipped(archive.len() / 2)),
        ("a bit at its start", flipped(12)),
        ("zeros", vec![0; 3 << 20]),
    ];
    for node in [&a, &b] {
        for (what, bytes) in &cases {
            for path in [PATH, FORCE] {
                let refused = send(node, path, &root, whole(bytes)).await.unwrap_err();
                assert!(matches!(refused, Error::BadRequest(_)), "{what}: {refused:?}");
            }
        }
        let broken =
            whole(&archive[..2000]).chain(stream::iter([Err(io::ErrorKind::TimedOut.into())]));
        let refused = send(node, PATH, &root, broken.boxed()).await.unwrap_err();
        assert!(matches!(refused, Error::BadRequest(_)), "{refused:?}");
        assert_eq!(get(node, &root, "kept").await.as_deref(), Some("2"));
        assert!(node.running.node.control.consensus.view().staged().unwrap().is_none());
        assert_eq!(files(node), 0, "nothing is left on disk");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_at_a_time_and_only_with_sudo() {
    let ([a, b, _c], _, root) = Box::pin(three()).await;
    put(&a, &root, "kept", "1").await;
    let archive = backup::ask(&a, &root).await.unwrap();
    for (path, token) in [(PATH, ""), (FORCE, ""), (PATH, "x"), (FORCE, "x")] {
        for node in [&a, &b] {
            let refused = send(node, path, token, whole(&archive)).await;
            assert!(matches!(refused, Err(Error::Denied)), "{refused:?}");
        }
    }
    let policy = "path \"sys/storage/raft/*\" { capabilities = [\"create\", \"update\"] }";
    a.write("sys/policies/acl/p", &root, json!({ "policy": policy })).await.unwrap();
    let made = Request {
        operation: Operation::Update,
        path: "auth/token/create".to_owned(),
        params: json!({ "policies": ["p"] }).as_object().unwrap().clone(),
        token: Some(Arc::new(Secret::new(root.clone()))),
        ..Request::default()
    };
    let made = Box::pin(a.running.node.service.answer(made)).await.outcome.unwrap();
    let token = made.auth.unwrap().client_token;
    assert!(matches!(restore(&a, &token, &archive).await, Err(Error::Denied)));
    let (sender, receiver) = tokio::sync::mpsc::channel::<io::Result<Bytes>>(1);
    let slow =
        stream::unfold(
            receiver,
            |mut receiver| async move { Some((receiver.recv().await?, receiver)) },
        );
    let first = send(&b, PATH, &root, slow.boxed());
    let second = async {
        let (head, tail) = archive.split_at(1000);
        sender.send(Ok(Bytes::copy_from_slice(head))).await.unwrap();
        until("the first is received", async || files(&a) == 1).await;
        for node in [&a, &b] {
            let refused = restore(node, &root, &archive).await;
            assert!(matches!(refused, Err(Error::Unavailable(_))), "{refused:?}");
        }
        put(&a, &root, "kept", "2").await;
        sender.send(Ok(Bytes::copy_from_slice(tail))).await.unwrap();
        drop(sender);
    };
    let (first, ()) = tokio::join!(first, second);
    first.unwrap();
    assert_eq!(get(&b, &root, "kept").await.as_deref(), Some("1"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_leader_has_staged_that_is_gone_is_dropped_and_the_next_restore_goes_on() {
    let ([a, b, c], _, root) = Box::pin(three()).await;
    put(&a, &root, "kept", "1").await;
    let archive = backup::ask(&a, &root).await.unwrap();
    put(&a, &root, "kept", "2").await;
    let view = b.running.node.control.consensus.view();
    let control = &a.running.node.control;
    let point = control.consensus.clone().log().begin().await.unwrap();
    for step in
        [RestoreStep::Begin, RestoreStep::Piece { number: 1, bytes: Bytes::from_static(b"x") }]
    {
        let restore = Restore { id: RestoreId([7; 16]), step };
        let entry = control.barrier.seal_restore(&point, Timestamp(0), restore).unwrap();
        control.consensus.clone().log().propose(entry).await.unwrap();
    }
    a.stop().await;
    until("it is dropped", async || view.staged().unwrap().is_none()).await;
    assert_eq!(get(&c, &root, "kept").await.as_deref(), Some("2"));
    restore(&b, &root, &archive).await.unwrap();
    assert_eq!(get(&c, &root, "kept").await.as_deref(), Some("1"));
}
