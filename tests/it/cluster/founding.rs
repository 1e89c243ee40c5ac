//! `sys/init`: broken off, repeated, and where there is a cluster already.

use serde_json::json;
use strongroom::clock::{Clock as _, SystemClock};
use strongroom::cluster::{Authority, NodeName};
use strongroom::http::BoundAddress;
use strongroom::request::Error;
use strongroom::rng::SystemRng;

use super::{Node, founded};

#[tokio::test(flavor = "multi_thread")]
async fn init_that_was_broken_off_is_none_and_can_be_repeated() {
    let node = Node::start("a").await;
    // As far as a process that dies before the cluster's first entry comes.
    node.running.node.control.consensus.initialize("first").await.unwrap();
    assert!(node.raft().cluster().identity().issued().is_some());
    assert_eq!(node.read("sys/seal-status").await.1["initialized"], false);
    let node = Node::start_in(node.stop().await, "a").await;
    for path in ["sys/init", "sys/health", "sys/seal-status"] {
        assert_eq!(node.read(path).await.1["initialized"], false, "{path}");
    }
    let refused = node.unseal(&"ab".repeat(33)).await;
    assert!(matches!(&refused, Err(Error::BadRequest(text)) if text.contains("not init")));
    let init = json!({ "secret_shares": 1, "secret_threshold": 1 });
    let made = node.write("sys/init", "", init.clone()).await.unwrap();
    node.unseal(made["keys"][0].as_str().unwrap()).await.unwrap();
    let cluster = node.read("sys/health").await.1["cluster_id"].clone();
    let issued = node.raft().cluster().identity().issued().unwrap();
    assert_eq!(issued.name.cluster, cluster.as_str().unwrap(), "the last certificate counts");
    let again = node.write("sys/init", "", init).await;
    assert!(matches!(&again, Err(Error::BadRequest(text)) if text.contains("already")));
    let again = node.running.node.control.consensus.initialize("third").await;
    assert!(matches!(again, Err(Error::BadRequest(_))), "below the handler, too");
    let node = Node::start_in(node.stop().await, "a").await;
    assert_eq!(node.read("sys/seal-status").await.1["initialized"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn node_that_joined_and_has_no_log_yet_founds_nothing() {
    let node = Node::start("a").await;
    let authority = Authority::generate("other", SystemClock.now(), &SystemRng).unwrap();
    let cluster = node.raft().cluster();
    let name = NodeName { cluster: "other".into(), node: cluster.identity().id() };
    let request = cluster.identity().request().unwrap();
    let issued = authority.issue(&request, &name, SystemClock.now(), &SystemRng).unwrap();
    cluster.install(issued, std::slice::from_ref(authority.certificate())).unwrap();
    assert_eq!(node.read("sys/init").await.1["initialized"], true);
    let init = json!({ "secret_shares": 1, "secret_threshold": 1 });
    let refused = node.write("sys/init", "", init).await;
    let Err(Error::BadRequest(text)) = refused else { panic!("{refused:?}") };
    assert!(text.contains("has joined a cluster"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn init_is_refused_where_a_node_to_join_through_is_initialised() {
    let (a, ..) = founded().await;
    let BoundAddress::Tcp(address) = a.running.addresses().next().unwrap() else { panic!() };
    let away = "retry_join { leader_api_addr = \"http://127.0.0.1:1\" }";
    let there = format!("retry_join {{ leader_api_addr = \"http://{address}\" }}");
    let init = json!({ "secret_shares": 1, "secret_threshold": 1 });
    let folder = tempfile::tempdir().unwrap();
    let b = Node::configured(folder, "b", &format!("{away}\n{there}")).await;
    let refused = b.write("sys/init", "", init.clone()).await;
    let Err(Error::BadRequest(text)) = refused else { panic!("{refused:?}") };
    assert!(text.contains(&address.to_string()) || text.contains("is to join"), "{text}");
    assert!(b.raft().cluster().identity().issued().is_none());
    // Whom nobody answers may found one.
    let c = Node::configured(tempfile::tempdir().unwrap(), "c", away).await;
    c.write("sys/init", "", init).await.unwrap();
}
