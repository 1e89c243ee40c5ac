use serde_json::{Value, json};
use strongroom::request::Error;

use crate::harness::{Server, data, line};

#[test]
fn new_cluster_has_its_own_mounts() {
    let server = Server::new();
    let mounts = data(server.read("sys/mounts").unwrap());
    let paths: Vec<&String> = mounts.keys().collect();
    assert_eq!(paths, ["cubbyhole/", "identity/", "sys/"]);
    let system = &mounts["sys/"];
    assert_eq!(system["type"], "system");
    assert_eq!(system["options"], json!({}));
    assert_eq!(system["config"]["default_lease_ttl"], 0);
    let methods = data(server.read("sys/auth").unwrap());
    assert_eq!(methods.keys().collect::<Vec<_>>(), ["token/"]);
    assert!(methods["token/"]["accessor"].as_str().unwrap().starts_with("auth_token_"));
}

#[test]
fn what_cannot_be_mounted_is_refused_with_its_reason() {
    let server = Server::new();
    for (path, params, message) in [
        ("sys/mounts/x", json!({"type": "nosuch"}), "plugin not found in the catalog: nosuch"),
        ("sys/mounts/x", json!({}), "backend type must be specified as a string"),
        (
            "sys/mounts/sys/x",
            json!({"type": "kv"}),
            "cannot mount over the reserved path \"sys/x/\"",
        ),
        (
            "sys/mounts/auth/x",
            json!({"type": "kv"}),
            "cannot mount over the reserved path \"auth/x/\"",
        ),
        ("sys/auth/token/x", json!({"type": "nosuch"}), "plugin not found in the catalog: nosuch"),
    ] {
        let outcome = server.write(path, &params);
        let Err(Error::BadRequest(text)) = outcome else { panic!("{path}: {outcome:?}") };
        assert_eq!(text, message, "{path}");
    }
}

#[test]
fn built_in_mounts_stay() {
    let server = Server::new();
    for (path, message) in [
        ("sys/mounts/sys", "cannot unmount \"sys/\""),
        ("sys/mounts/cubbyhole/", "cannot unmount \"cubbyhole/\""),
        ("sys/auth/token", "cannot unmount \"auth/token/\""),
    ] {
        let outcome = server.delete(path);
        let Err(Error::BadRequest(text)) = outcome else { panic!("{path}: {outcome:?}") };
        assert_eq!(text, message);
    }
    assert!(server.delete("sys/mounts/nosuch").unwrap().is_empty());
}

#[test]
fn tuning_reads_as_effective_seconds_and_refuses_what_does_not_fit() {
    let server = Server::new();
    let tune = "sys/mounts/cubbyhole/tune";
    assert_eq!(data(server.read(tune).unwrap())["max_lease_ttl"], 2_764_800);
    server.write(tune, &json!({"default_lease_ttl": "1h", "max_lease_ttl": 7200})).unwrap();
    let tuned = data(server.read(tune).unwrap());
    assert_eq!(
        (&tuned["default_lease_ttl"], &tuned["max_lease_ttl"]),
        (&json!(3600), &json!(7200))
    );
    for (params, message) in [
        (
            json!({"default_lease_ttl": "3h"}),
            "given default lease TTL of 10800 s is greater than the max lease TTL of 7200 s",
        ),
        (
            json!({"listing_visibility": "all"}),
            "invalid listing_visibility \"all\": \"\", \"hidden\" or \"unauth\"",
        ),
        (json!({"token_type": "batch"}), "'token_type' can only be modified on auth mounts"),
        (
            json!({"max_lease_ttl": "long"}),
            "\"long\" is no time to live: seconds, a duration such as 1h, or system",
        ),
    ] {
        let outcome = server.write(tune, &params);
        let Err(Error::BadRequest(text)) = outcome else { panic!("{params}: {outcome:?}") };
        assert_eq!(text, message);
    }
    server.write(tune, &json!({"max_lease_ttl": "system", "default_lease_ttl": "system"})).unwrap();
    assert_eq!(data(server.read(tune).unwrap())["max_lease_ttl"], 2_764_800);
    assert!(matches!(server.read("sys/mounts/nosuch/tune"), Err(Error::BadRequest(_))));
}

#[test]
fn an_empty_time_to_live_stays_and_the_system_s_default_may_be_over_a_mount_s_maximum() {
    let server = Server::new();
    let tune = "sys/mounts/cubbyhole/tune";
    for (params, default, max) in [
        (json!({"max_lease_ttl": "3h"}), 2_764_800, 10_800),
        (json!({"default_lease_ttl": "2h", "max_lease_ttl": ""}), 7200, 10_800),
        (json!({"default_lease_ttl": "", "max_lease_ttl": "4h"}), 7200, 14_400),
    ] {
        server.write(tune, &params).unwrap();
        let tuned = data(server.read(tune).unwrap());
        let found = (&tuned["default_lease_ttl"], &tuned["max_lease_ttl"]);
        assert_eq!(found, (&json!(default), &json!(max)), "{params}");
    }
    assert!(server.write(tune, &json!({"max_lease_ttl": "1h"})).is_err());
}

#[test]
fn preflight_tells_the_mount_of_a_path_and_no_more_to_strangers() {
    let server = Server::new();
    let mount = data(server.read("sys/internal/ui/mounts/cubbyhole/a/b").unwrap());
    assert_eq!(mount["path"], "cubbyhole/");
    let outcome = server.read("sys/internal/ui/mounts/nope/a");
    let Err(Error::Forbidden(text)) = outcome else { panic!("{outcome:?}") };
    assert!(text.starts_with("preflight capability check returned 403"), "{text}");
    let read = strongroom::request::Operation::Read;
    let seen = server.send(read, "sys/internal/ui/mounts", &Value::Null, "").unwrap();
    assert_eq!(Value::Object(data(seen)), json!({"secret": {}, "auth": {}}));
}

#[test]
fn a_mount_tuned_to_version_2_shows_what_version_1_stored() {
    let server = Server::new();
    for options in [json!({}), json!({"version": "1"})] {
        server.write("sys/mounts/kv", &json!({"type": "kv", "options": options})).unwrap();
        server.write("kv/a/b", &json!({"x": 1})).unwrap();
        let entries = server.entries();
        server.write("sys/mounts/kv/tune", &json!({"options": {"version": "2"}})).unwrap();
        assert_eq!(server.entries(), entries + 1);
        let secret = data(server.read("kv/data/a/b").unwrap());
        assert_eq!(secret["data"], json!({"x": 1}));
        assert_eq!(secret["metadata"]["version"], 1);
        assert_eq!(line(server.list("kv/metadata/a/")), r#"200 {"keys":["b"]}"#);
        // Once more is no second upgrade: what was written since stays.
        server.write("kv/data/a/b", &json!({"data": {"x": 2}})).unwrap();
        server.write("sys/mounts/kv/tune", &json!({"options": {"version": 2}})).unwrap();
        assert_eq!(data(server.read("kv/data/a/b").unwrap())["metadata"]["version"], 2);
        let down = server.write("sys/mounts/kv/tune", &json!({"options": {"version": "1"}}));
        assert_eq!(line(down), "400 cannot downgrade mount from version 2");
        server.delete("sys/mounts/kv").unwrap();
    }
}
