use serde_json::json;

use crate::harness::{Server, data, line};

#[test]
fn the_catalog_is_what_can_be_mounted() {
    let server = Server::new();
    let catalog = data(server.read("sys/plugins/catalog").unwrap());
    assert!(catalog["secret"].as_array().unwrap().contains(&json!("kv")));
    for detail in catalog["detailed"].as_array().unwrap() {
        let (kind, name) = (detail["type"].as_str().unwrap(), detail["name"].as_str().unwrap());
        assert!(catalog[kind].as_array().unwrap().contains(&json!(name)), "{detail}");
        let one = data(server.read(&format!("sys/plugins/catalog/{kind}/{name}")).unwrap());
        assert_eq!((&one["name"], &one["builtin"]), (&json!(name), &json!(true)));
        let enabled = match kind {
            "auth" => server.write(&format!("sys/auth/x-{name}"), &json!({"type": name})),
            "database" => {
                let _there = server.write("sys/mounts/database", &json!({"type": "database"}));
                let connection = json!({
                    "plugin_name": name, "verify_connection": false,
                    "connection_url": "postgres://{{username}}:{{password}}@h/d", "username": "u",
                });
                server.write(&format!("database/config/x-{name}"), &connection)
            }
            _ => server.write(&format!("sys/mounts/x-{name}"), &json!({"type": name})),
        };
        assert!(enabled.is_ok(), "{kind} {name}: {enabled:?}");
    }
    let listed = data(server.list("sys/plugins/catalog/secret").unwrap());
    assert_eq!(listed["keys"], catalog["secret"]);
}

#[test]
fn nothing_else_can_be_registered() {
    let server = Server::new();
    assert_eq!(line(server.read("sys/plugins/catalog/secret/nosuch")), "404");
    assert_eq!(line(server.delete("sys/plugins/catalog/secret/nosuch")), "204");
    for (outcome, expected) in [
        (server.write("sys/plugins/catalog/secret/x", &json!({"sha256": "aa"})), "cannot be"),
        (server.write("sys/plugins/catalog/foo/x", &json!({})), "unknown type of plugin \"foo\""),
        (server.delete("sys/plugins/catalog/secret/kv"), "is built in"),
        (server.list("sys/plugins/catalog/foo"), "unknown type of plugin"),
    ] {
        let refused = line(outcome);
        assert!(refused.starts_with("400 ") && refused.contains(expected), "{refused}");
    }
    assert_eq!(line(server.list("sys/plugins/runtimes/catalog")), "204");
    assert_eq!(server.entries(), 1);
}
