//! What a node tells of its process. The log's levels are the process's: one test alone sets them.

use serde_json::{Value, json};
use strongroom::request::{Body, Error};

use crate::harness::{Server, data, line};

#[test]
fn levels_are_set_and_reset_by_logger_and_for_all() {
    let server = Server::new();
    let level = |name: &str| {
        data(server.read(&format!("sys/loggers/{name}")).unwrap())[name]
            .as_str()
            .unwrap()
            .to_owned()
    };
    let all = data(server.read("sys/loggers").unwrap());
    assert!(all.contains_key("raft") && all.contains_key("server"), "{all:?}");
    assert_eq!(line(server.write("sys/loggers/raft", &json!({"level": "debug"}))), "204");
    assert_eq!(level("raft"), "debug");
    assert_eq!(level("store"), "info");
    assert_eq!(line(server.write("sys/loggers", &json!({"level": "warning"}))), "204");
    assert_eq!((level("raft"), level("store")), ("warn".into(), "warn".into()));
    assert_eq!(line(server.write("sys/loggers/raft", &json!({"level": "error"}))), "204");
    assert_eq!(line(server.delete("sys/loggers/raft")), "204");
    assert_eq!(level("raft"), "warn");
    assert_eq!(line(server.delete("sys/loggers")), "204");
    assert_eq!(level("raft"), "info");
    assert_eq!(line(server.read("sys/loggers/nosuch")), "200 {}");
    for (outcome, expected) in [
        (server.write("sys/loggers", &json!({})), "400 level is required"),
        (
            server.write("sys/loggers", &json!({"level": "foo"})),
            "400 invalid level provided: unknown log level: foo",
        ),
        (
            server.write("sys/loggers/nosuch", &json!({"level": "info"})),
            "400 logger \"nosuch\" not found",
        ),
        (server.delete("sys/loggers/nosuch"), "400 logger \"nosuch\" not found"),
    ] {
        assert_eq!(line(outcome), expected);
    }
}

#[test]
fn the_host_and_the_configuration_are_told() {
    let server = Server::new();
    let info = data(server.read("sys/host-info").unwrap());
    for name in ["cpu", "cpu_times", "disk", "host", "memory", "timestamp"] {
        assert!(info.contains_key(name), "{name}");
    }
    assert!(matches!(server.read("sys/config/state/sanitized").unwrap().body, Body::Data(_)));
    let Body::Bare(Value::Object(requests)) = server.read("sys/in-flight-req").unwrap().body else {
        panic!("in-flight-req is bare");
    };
    // They are counted before the pipeline.
    assert!(requests.is_empty());
}

#[test]
fn what_is_no_subsystem_cannot_be_reloaded() {
    let server = Server::new();
    for subsystem in ["tls", "log"] {
        let path = format!("sys/config/reload/{subsystem}");
        assert_eq!(line(server.write(&path, &json!({}))), "204");
    }
    for subsystem in ["license", "nosuch"] {
        let outcome = server.write(&format!("sys/config/reload/{subsystem}"), &json!({}));
        assert!(matches!(outcome, Err(Error::UnsupportedPath)), "{subsystem}");
    }
}

#[test]
fn the_log_is_watched_by_level_and_format() {
    let server = Server::new();
    let watch = |level: &str, format: &str| {
        let params = json!({"log_level": level, "log_format": format});
        server.send(strongroom::request::Operation::Read, "sys/monitor", &params, &server.root)
    };
    assert!(watch("", "").is_ok());
    assert!(watch("debug", "json").is_ok());
    assert_eq!(line(watch("foo", "")), "400 unknown log level");
    assert_eq!(line(watch("", "foo")), "400 unknown log format");
}
