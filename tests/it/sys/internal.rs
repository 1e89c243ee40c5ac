use serde_json::{Value, json};
use strongroom::request::Operation;

use crate::harness::{Server, data, line};

#[test]
fn tokens_are_counted_by_the_store() {
    let server = Server::new();
    let count = || {
        let counted = data(server.read("sys/internal/counters/tokens").unwrap());
        counted["counters"]["service_tokens"]["total"].as_u64().unwrap()
    };
    assert_eq!(count(), 1);
    let made = server.write("auth/token/create", &json!({})).unwrap().auth.unwrap();
    assert_eq!(count(), 2);
    server.write("auth/token/revoke", &json!({"token": made.client_token})).unwrap();
    assert_eq!(count(), 1);
    let entities = line(server.read("sys/internal/counters/entities"));
    assert_eq!(entities, r#"200 {"counters":{"entities":{"total":0}}}"#);
    let requests = line(server.read("sys/internal/counters/requests"));
    assert_eq!(requests, "error The functionality has been removed on this path");
}

#[test]
fn dashboards_read_that_no_clients_are_counted() {
    let server = Server::new();
    let read = |params: &Value| {
        let path = "sys/internal/counters/activity";
        server.send(Operation::Read, path, params, &server.root)
    };
    let activity = data(read(&json!({"start_time": "2023-01-01T00:00:00Z"})).unwrap());
    assert_eq!(activity["total"]["clients"], 0);
    assert_eq!(activity["start_time"], "2023-01-01T00:00:00Z");
    assert_eq!(activity["end_time"], "2023-11-14T22:13:20Z");
    assert!(line(read(&json!({"start_time": "yesterday"}))).starts_with("400 `start_time`"));
    assert!(line(read(&json!({"end_time": "1"}))).starts_with("400 `start_time` is later"));
    assert_eq!(data(server.read("sys/internal/counters/activity/monthly").unwrap())["clients"], 0);
    assert_eq!(
        data(server.read("sys/internal/counters/config").unwrap())["enabled"],
        "default-disabled"
    );
}

#[test]
fn the_router_is_shown_to_whoever_looks_into_trouble() {
    let server = Server::new();
    server.mount("kv/", "kv", &[]);
    for (tag, shows_storage) in
        [("root", true), ("storage", true), ("uuid", false), ("accessor", false)]
    {
        let shown = data(server.read(&format!("sys/internal/inspect/router/{tag}")).unwrap());
        let mounts = shown[tag].as_array().unwrap();
        let kv = mounts.iter().find(|mount| mount["mount_path"] == "kv/").unwrap();
        assert_eq!(kv["mount_type"], "kv");
        assert_eq!(kv.get("storage_prefix").is_some(), shows_storage, "{tag}");
    }
    assert_eq!(line(server.read("sys/internal/inspect/router/nosuch")), "error unsupported path");
}

#[test]
fn user_interfaces_read_that_there_is_nothing() {
    let server = Server::new();
    let anyone = |path: &str| server.send(Operation::Read, path, &Value::Null, "");
    assert_eq!(data(anyone("sys/internal/ui/feature-flags").unwrap())["feature_flags"], json!([]));
    assert_eq!(
        line(anyone("sys/internal/ui/unauthenticated-messages")),
        r#"200 {"keys":[],"key_info":{}}"#
    );
    assert_eq!(line(anyone("sys/internal/ui/authenticated-messages")), "403");
    assert_eq!(line(anyone("sys/internal/ui/namespaces")), "403");
    assert_eq!(line(server.read("sys/internal/ui/namespaces")), "200 {}");
    assert_eq!(data(anyone("sys/replication/status").unwrap())["mode"], "disabled");
    for kind in ["dr", "performance"] {
        let path = format!("sys/replication/{kind}/status");
        assert_eq!(line(anyone(&path)), r#"200 {"mode":"disabled"}"#);
    }
    assert_eq!(data(server.read("sys/license/status").unwrap())["autoloading_used"], false);
}
