//! A node that was killed knows at once what it is when it comes back.

use std::path::Path;

use rustix::process::Signal;
use serde_json::{Value, json};

use super::process::{Process, exchange};

/// The state's checkpoint shows it, or else the node's certificate: its log takes a moment, since
/// a node that was just started leads nothing.
#[test]
fn killed_node_is_initialised_in_its_first_answer_and_takes_a_share_at_once() {
    for without_state in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let config = configuration(folder.path());
        let mut server = Process::configured(folder.path(), &config);
        let address = server.address();
        let init = json!({ "secret_shares": 3, "secret_threshold": 2 });
        let made = put(&address, "sys/init", &init);
        server.signal(Signal::KILL);
        server.ended();
        if without_state {
            std::fs::remove_dir_all(folder.path().join("data/state")).unwrap();
        }
        let mut server = Process::configured(folder.path(), &config);
        let address = server.address();
        let status = read(&address, "sys/seal-status");
        assert_eq!(status["initialized"], true, "{without_state}: {status}");
        assert_eq!(status["n"], if without_state { 0 } else { 3 }, "{status}");
        for path in ["sys/init", "sys/health"] {
            assert_eq!(read(&address, path)["initialized"], true, "{without_state}: {path}");
        }
        for (share, sealed) in [(0, true), (1, false)] {
            let status = put(&address, "sys/unseal", &json!({ "key": made["keys"][share] }));
            assert_eq!(status["sealed"], sealed, "{without_state}: {status}");
            assert_eq!(status["n"], 3, "{status}");
        }
    }
}

fn configuration(folder: &Path) -> String {
    let data = folder.join("data");
    format!(
        "storage \"raft\" {{\n path = {data:?}\n node_id = \"a\"\n}}\nlistener \"tcp\" {{\n \
         address = \"127.0.0.1:0\"\n cluster_address = \"127.0.0.1:0\"\n tls_disable = true\n}}\n"
    )
}

fn read(address: &str, path: &str) -> Value {
    body(&exchange(address, &super::process::get(&format!("/v1/{path}"))))
}

fn put(address: &str, path: &str, content: &Value) -> Value {
    let content = content.to_string();
    let length = content.len();
    let request = format!(
        "PUT /v1/{path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: \
         {length}\r\n\r\n{content}"
    );
    body(&exchange(address, request.as_bytes()))
}

fn body(answer: &str) -> Value {
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {head}\n{body}"))
}
