//! `sys/storage/raft/autopilot`, promote and demote.

use serde_json::{Value, json};
use strongroom::request::{Error, Operation};

use super::{Node, three, until};

const CONFIGURATION: &str = "sys/storage/raft/autopilot/configuration";

async fn read(node: &Node, root: &str, path: &str) -> Value {
    node.ask(Operation::Read, path, root, json!({})).await.unwrap().1
}

#[tokio::test(flavor = "multi_thread")]
async fn state_tells_of_each_node_whichever_is_asked() {
    let ([a, b, c], _, root) = three().await;
    for node in [&a, &b] {
        let state = read(node, &root, "sys/storage/raft/autopilot/state").await;
        assert_eq!(state["healthy"], true, "{state}");
        assert_eq!(state["failure_tolerance"], 1);
        assert_eq!(state["leader"], "a");
        assert_eq!(state["voters"], json!(["a", "b", "c"]));
        let server = &state["servers"]["b"];
        assert_eq!(server["status"], "voter");
        assert_eq!(server["node_status"], "alive");
        assert_eq!(state["servers"]["a"]["last_contact"], "0s");
    }
    a.write(CONFIGURATION, &root, json!({ "last_contact_threshold": "1s" })).await.unwrap();
    drop(c.stop().await);
    until("c is missed", async || {
        let state = read(&b, &root, "sys/storage/raft/autopilot/state").await;
        state["servers"]["c"]["healthy"] == false && state["failure_tolerance"] == 0
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vote_is_taken_away_and_given_back() {
    let ([a, b, _c], _, root) = three().await;
    let votes = |name: &str| {
        let members = a.raft().raft().configuration();
        members.iter().any(|member| member.info.name == name && member.voter)
    };
    for path in ["sys/storage/raft/demote", "sys/storage/raft/promote"] {
        let unnamed = b.write(path, &root, json!({})).await;
        assert!(matches!(unnamed, Err(Error::BadRequest(_))), "{unnamed:?}");
        b.write(path, &root, json!({ "server_id": "nobody" })).await.unwrap();
    }
    b.write("sys/storage/raft/demote", &root, json!({ "server_id": "c" })).await.unwrap();
    assert!(!votes("c"));
    let state = read(&b, &root, "sys/storage/raft/autopilot/state").await;
    assert_eq!(state["non_voters"], json!(["c"]));
    b.write("sys/storage/raft/promote", &root, json!({ "server_id": "c" })).await.unwrap();
    assert!(votes("c"));
    let own = b.write("sys/storage/raft/demote", &root, json!({ "server_id": "a" })).await;
    assert!(matches!(own, Err(Error::BadRequest(_))), "{own:?}");
    assert!(votes("a"));
}

#[tokio::test(flavor = "multi_thread")]
async fn configuration_is_vaults_until_it_is_set_and_nonsense_changes_nothing() {
    let (a, _, root) = super::founded().await;
    let before = read(&a, &root, CONFIGURATION).await;
    assert_eq!(
        before,
        json!({
            "cleanup_dead_servers": false,
            "dead_server_last_contact_threshold": "24h0m0s",
            "disable_upgrade_migration": false,
            "last_contact_threshold": "10s",
            "max_trailing_logs": 1000,
            "min_quorum": 0,
            "server_stabilization_time": "10s",
        })
    );
    for nonsense in [
        json!({ "cleanup_dead_servers": true }),
        json!({ "cleanup_dead_servers": true, "min_quorum": 2 }),
        json!({ "dead_server_last_contact_threshold": "59s" }),
        json!({ "last_contact_threshold": 0 }),
        json!({ "last_contact_threshold": "soon" }),
        json!({ "max_trailing_logs": -1 }),
        json!({ "min_quorum": "many" }),
        json!({ "server_stabilization_time": -1 }),
        json!({ "cleanup_dead_servers": "perhaps" }),
    ] {
        let refused = a.write(CONFIGURATION, &root, nonsense.clone()).await;
        assert!(matches!(refused, Err(Error::BadRequest(_))), "{nonsense}: {refused:?}");
    }
    assert_eq!(read(&a, &root, CONFIGURATION).await, before);
    let set = json!({ "cleanup_dead_servers": true, "min_quorum": 3, "max_trailing_logs": 7 });
    a.write(CONFIGURATION, &root, set).await.unwrap();
    let after = read(&a, &root, CONFIGURATION).await;
    assert_eq!((&after["min_quorum"], &after["max_trailing_logs"]), (&json!(3), &json!(7)));
    assert_eq!(after["last_contact_threshold"], "10s", "what is not given stays");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newcomer_votes_only_once_it_was_healthy_for_long_enough() {
    let (a, _, root) = super::founded().await;
    // Below this a leader is too young to ask for it.
    a.write(CONFIGURATION, &root, json!({ "server_stabilization_time": 2 })).await.unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(2300)).await;
    let b = Node::start("b").await;
    super::joining::join(&b, &super::joining::token(&a, &root).await).await.unwrap();
    let joined = tokio::time::Instant::now();
    super::joining::settled(&a, &b, "b").await;
    assert!(joined.elapsed().as_millis() >= 1500, "{:?}", joined.elapsed());
}
