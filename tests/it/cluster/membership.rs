//! Who is in the cluster, and how one sees it from outside.

use serde_json::{Value, json};
use strongroom::request::{Error, Operation};

use super::joining::{join, token};
use super::{Node, founded, three, until};

#[tokio::test(flavor = "multi_thread")]
async fn joiner_takes_the_place_of_a_member_of_its_name_once_that_is_out_of_contact() {
    let ([a, b, c], _, root) = three().await;
    let old = b.raft().raft().id();
    let folder = b.stop().await;
    let twin = Node::start("b").await;
    let text = token(&a, &root).await;
    let refused = join(&twin, &text).await;
    let Err(Error::BadRequest(refusal)) = refused else { panic!("{refused:?}") };
    assert!(refusal.contains("in contact"), "{refusal}");
    assert_eq!(a.names().len(), 3, "nothing has changed");
    until("the old one is out of contact", async || join(&twin, &text).await.is_ok()).await;
    let new = twin.raft().raft().id();
    until("it has the place", async || {
        let members = a.raft().raft().configuration();
        let voters: Vec<u64> =
            members.iter().filter(|member| member.voter).map(|member| member.id).collect();
        voters.len() == 3 && voters.contains(&new) && members.iter().all(|member| member.id != old)
    })
    .await;
    // The old one may not come back, and is told so.
    let b = Node::start_in(folder, "b").await;
    until("it knows", async || b.read("sys/health").await.0 == Some(530)).await;
    drop(c);
}

#[tokio::test(flavor = "multi_thread")]
async fn node_that_was_removed_while_it_was_off_learns_it() {
    let ([a, b, c], share, root) = three().await;
    let folder = b.stop().await;
    a.write("sys/storage/raft/remove-peer", &root, json!({ "server_id": "b" })).await.unwrap();
    assert_eq!(a.names().len(), 2);
    let b = Node::start_in(folder, "b").await;
    until("it knows", async || b.read("sys/health").await.0 == Some(530)).await;
    let (_, status) = b.read("sys/seal-status").await;
    assert_eq!((&status["removed_from_cluster"], &status["sealed"]), (&json!(true), &json!(true)));
    assert!(matches!(b.unseal(&share).await, Err(Error::Unavailable(_))));
    drop(c);
}

#[tokio::test(flavor = "multi_thread")]
async fn ha_status_shows_each_node_whichever_is_asked() {
    let ([a, b, c], _, root) = three().await;
    for node in [&a, &b, &c] {
        let asked = node.ask(Operation::Read, "sys/ha-status", &root, json!({})).await.unwrap();
        let nodes = asked.1["nodes"].as_array().unwrap().clone();
        let names: Vec<&str> = nodes.iter().filter_map(|node| node["hostname"].as_str()).collect();
        assert_eq!(names, ["a", "b", "c"]);
        for (shown, node) in nodes.iter().zip([&a, &b, &c]) {
            let info = node.raft().info();
            assert_eq!(shown["api_address"], json!(info.api_address), "{shown}");
            let cluster = format!("https://{}", info.cluster_address);
            assert_eq!(shown["cluster_address"], json!(cluster), "{shown}");
            let active = info.name == "a";
            assert_eq!(shown["active_node"], active, "{shown}");
            // The active node alone hears the others, and it was forwarded to it.
            assert_eq!(shown["last_echo"].is_null(), active, "{shown}");
            for name in ["version", "strongroom_version"] {
                assert_ne!(shown[name], "", "{name}: {shown}");
            }
            for name in ["echo_duration_ms", "clock_skew_ms"] {
                assert_eq!(shown[name], 0, "{shown}");
            }
        }
    }
    let refused = a.ask(Operation::Read, "sys/ha-status", "", json!({})).await;
    assert!(matches!(refused, Err(Error::Denied)), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn ha_status_of_a_node_alone_is_itself() {
    let (a, _, root) = founded().await;
    let (_, told) = a.ask(Operation::Read, "sys/ha-status", &root, json!({})).await.unwrap();
    let nodes = told["nodes"].as_array().unwrap();
    assert_eq!(nodes.len(), 1, "{told}");
    assert_eq!(nodes[0]["active_node"], true);
    assert_eq!(nodes[0]["last_echo"], Value::Null);
}

/// A load balancer goes by this: no request that it sends there could succeed.
#[tokio::test(flavor = "multi_thread")]
async fn active_node_that_has_lost_its_quorum_answers_as_a_standby() {
    let ([a, b, c], ..) = three().await;
    assert_eq!(a.read("sys/health").await.0, Some(200));
    b.stop().await;
    until("two are a quorum", async || a.read("sys/health").await.0 == Some(200)).await;
    c.stop().await;
    until("one is none", async || a.read("sys/health").await.0 == Some(429)).await;
    let (_, health) = a.read("sys/health").await;
    assert_eq!((&health["standby"], &health["sealed"]), (&json!(true), &json!(false)), "{health}");
    let (code, _) =
        a.ask(Operation::Read, "sys/health", "", json!({ "standbycode": 473 })).await.unwrap();
    assert_eq!(code, Some(473));
    a.stop().await;
}
