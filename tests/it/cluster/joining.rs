use std::time::Duration;

use serde_json::json;
use strongroom::clock::{Clock as _, SystemClock};
use strongroom::request::Error;
use strongroom::server::Renewal;

use super::{Node, founded, until};

/// On a machine whose cores are busy, two nodes that are left may need a while to agree on a leader.
pub(super) async fn token(node: &Node, root: &str) -> String {
    let mut token = String::new();
    until("a token is made", async || {
        match node.write("sys/storage/raft/join-token", root, json!({})).await {
            Err(Error::Unavailable(_)) => false,
            made => {
                let made = made.unwrap();
                assert_eq!(made["ttl"], 900);
                made["token"].as_str().unwrap().clone_into(&mut token);
                true
            }
        }
    })
    .await;
    token
}

pub(super) async fn join(node: &Node, token: &str) -> Result<(), Error> {
    let joined = node.write("sys/storage/raft/join", "", json!({ "token": token })).await?;
    assert_eq!(joined["joined"], true);
    Ok(())
}

/// Waits until the node has the cluster's log and votes.
pub(super) async fn settled(active: &Node, node: &Node, name: &str) {
    until("the log arrives", async || node.read("sys/seal-status").await.1["initialized"] == true)
        .await;
    until("it votes", async || {
        let members = active.raft().raft().configuration();
        members.iter().any(|member| member.info.name == name && member.voter)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_joins_by_token_without_shares_and_is_unsealed_as_any_other() {
    let (a, share, root) = founded().await;
    let b = Node::start("b").await;
    join(&b, &token(&a, &root).await).await.unwrap();
    settled(&a, &b, "b").await;
    assert_eq!(b.read("sys/seal-status").await.1["sealed"], true);
    assert_eq!(b.unseal(&share).await.unwrap()["sealed"], false);
    assert_eq!(a.names().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_who_come_with_one_token_one_joins() {
    let (a, _, root) = founded().await;
    let (b, c) = (Node::start("b").await, Node::start("c").await);
    let text = token(&a, &root).await;
    let (first, second) = tokio::join!(join(&b, &text), join(&c, &text));
    let (won, lost) = if first.is_ok() { (first, second) } else { (second, first) };
    won.unwrap();
    assert!(matches!(lost, Err(Error::Forbidden(_))), "{lost:?}");
    assert_eq!(a.names().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_not_good_joins_nobody() {
    let (a, _, root) = founded().await;
    let b = Node::start("b").await;
    let good = token(&a, &root).await;
    for bad in ["join.", "nonsense", &good[..good.len() / 2]] {
        let refused = join(&b, bad).await;
        assert!(matches!(refused, Err(Error::BadRequest(_))), "{bad}: {refused:?}");
    }
    for ttl in [json!("25h"), json!(-1)] {
        let made = a.write("sys/storage/raft/join-token", &root, json!({ "ttl": ttl })).await;
        assert!(matches!(made, Err(Error::BadRequest(_))), "{made:?}");
    }
    let made = a.write("sys/storage/raft/join-token", &root, json!({ "ttl": "1s" })).await.unwrap();
    let short = made["token"].as_str().unwrap();
    let expires = SystemClock.now().plus(Duration::from_secs(1));
    until("it has expired", async || SystemClock.now() > expires).await;
    let refused = join(&b, short).await;
    assert!(matches!(refused, Err(Error::Forbidden(_))), "{refused:?}");
    assert_eq!(a.names(), ["a"]);
    // None of it has used the good one up.
    join(&b, &good).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_name_of_a_member_in_contact_is_refused_and_the_token_stays_good() {
    let (a, _, root) = founded().await;
    let twin = Node::start("a").await;
    let text = token(&a, &root).await;
    let refused = join(&twin, &text).await;
    assert!(matches!(refused, Err(Error::BadRequest(_))), "{refused:?}");
    let b = Node::start("b").await;
    join(&b, &text).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_in_a_file_is_found_and_such_a_node_founds_no_cluster() {
    let (a, _, root) = founded().await;
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("token"), token(&a, &root).await + "\n").unwrap();
    let b = Node::start_in(folder, "b").await;
    let init = json!({ "secret_shares": 1, "secret_threshold": 1 });
    let refused = b.write("sys/init", "", init).await;
    assert!(matches!(refused, Err(Error::BadRequest(_))), "{refused:?}");
    settled(&a, &b, "b").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_are_renewed_at_two_thirds_of_their_life() {
    let (a, _, root) = founded().await;
    let b = Node::start("b").await;
    join(&b, &token(&a, &root).await).await.unwrap();
    settled(&a, &b, "b").await;
    let now = SystemClock.now();
    let later = now.plus(Duration::from_hours(24 * 250));
    // The second is sealed.
    for node in [&a, &b] {
        let issued = || node.raft().cluster().identity().issued().unwrap().certificate.clone();
        let (before, service) = (issued(), &node.running.node.service);
        let mut renewal = Renewal::default();
        assert!(!renewal.look(service, now).await.unwrap());
        assert_eq!(issued(), before);
        assert!(renewal.look(service, later).await.unwrap());
        assert_ne!(issued(), before);
    }
    // A sealed active node has no key to sign with.
    a.write("sys/seal", &root, json!({})).await.unwrap();
    let refused = Renewal::default().look(&b.running.node.service, later).await;
    assert!(matches!(refused, Err(Error::Unavailable(_) | Error::NotActive)), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_node_knows_it_and_still_does_after_a_restart() {
    let (a, share, root) = founded().await;
    let b = Node::start("b").await;
    join(&b, &token(&a, &root).await).await.unwrap();
    settled(&a, &b, "b").await;
    b.unseal(&share).await.unwrap();
    a.write("sys/storage/raft/remove-peer", &root, json!({ "server_id": "b" })).await.unwrap();
    until("it knows", async || b.read("sys/health").await.0 == Some(530)).await;
    removed(&b, &share).await;
    let Node { running, folder } = b;
    running.shut_down().await;
    let b = Node::start_in(folder, "b").await;
    removed(&b, &share).await;
    let refused = join(&b, &token(&a, &root).await).await;
    assert!(matches!(refused, Err(Error::BadRequest(_))), "{refused:?}");
}

async fn removed(node: &Node, share: &str) {
    assert_eq!(node.read("sys/health").await.0, Some(530));
    let (_, status) = node.read("sys/seal-status").await;
    assert_eq!(status["removed_from_cluster"], true);
    for refused in [
        node.unseal(share).await,
        node.write("sys/policies/acl/p", "token", json!({ "policy": "" })).await,
    ] {
        let Err(Error::Unavailable(text)) = refused else { panic!("{refused:?}") };
        assert!(text.contains("removed from its cluster"), "{text}");
    }
}
