//! What clients of the other nodes notice of a planned change of the active node: nothing.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use serde_json::json;

use super::{Node, three, until};

#[tokio::test(flavor = "multi_thread")]
async fn sealing_the_active_node_under_load_fails_no_request_of_the_others() {
    let ([a, b, c], _, root) = three().await;
    a.write("sys/mounts/kv", &root, json!({ "type": "kv" })).await.unwrap();
    let (written, stop) = (AtomicU64::new(0), AtomicBool::new(false));
    let write = async |node: &Node, path: &str| {
        let mut own = 0;
        while !stop.load(Ordering::Relaxed) {
            let body = json!({ "number": own + 1 });
            node.write(path, &root, body).await.unwrap_or_else(|error| panic!("{path}: {error}"));
            own += 1;
            written.fetch_add(1, Ordering::Relaxed);
        }
        own
    };
    let seal = async {
        let more = async || {
            let before = written.load(Ordering::Relaxed);
            until("writes go on", async || written.load(Ordering::Relaxed) > before + 50).await;
        };
        more().await;
        a.write("sys/seal", &root, json!({})).await.unwrap();
        more().await;
        stop.store(true, Ordering::Relaxed);
    };
    let (first, second, third, ()) =
        tokio::join!(write(&b, "kv/b"), write(&b, "kv/bb"), write(&c, "kv/c"), seal);
    assert_eq!(a.read("sys/seal-status").await.1["sealed"], true);
    for (path, own) in [("kv/b", first), ("kv/bb", second), ("kv/c", third)] {
        let (_, read) =
            c.ask(strongroom::request::Operation::Read, path, &root, json!({})).await.unwrap();
        assert_eq!(read["number"], own, "{path} has what was acknowledged last");
    }
}
