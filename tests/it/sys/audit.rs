//! Audit devices over the pipeline: enabled by request, opened on the next, and failing closed.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Value, json};
use strongroom::audit::StoredDevice;
use strongroom::audit_log::{ChainKey, Head, Verdict, Verifier};
use strongroom::log::MemoryLog;
use strongroom::record::{OriginId, RequestId};
use strongroom::request::{Error, Operation, Request};
use strongroom::rng::SystemRng;
use strongroom::secret::Secret;
use tempfile::TempDir;

use crate::harness::{Server, data};

/// A server whose own recorder takes nothing any more, so that only enabled devices count.
struct Audited {
    server: Server,
    folder: TempDir,
}

impl Audited {
    fn new() -> Self {
        Self { server: Server::new(), folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn enable(&self, name: &str, more: &[(&str, &str)]) {
        let mut options = json!({ "file_path": self.path(name) });
        for (option, value) in more {
            options[*option] = json!(value);
        }
        let body = json!({ "type": "file", "options": options });
        self.server.write(&format!("sys/audit/{name}"), &body).unwrap();
    }

    /// From now on an enabled device must have written before an answer comes.
    fn alone(&self) {
        self.server.audit.step_out(true);
    }

    fn not_alone(&self) {
        self.server.audit.step_out(false);
    }

    fn lines(&self, name: &str) -> Vec<Value> {
        let text = fs::read_to_string(self.path(name)).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    fn verify(&self, name: &str) -> Verdict {
        let chain = data(self.server.read(&format!("sys/audit-chain/{name}")).unwrap());
        let key: ChainKey = chain["key"].as_str().unwrap().parse().unwrap();
        let head: Head = chain["head"].as_str().unwrap().parse().unwrap();
        let mut verifier = Verifier::new(vec![key], vec![head]);
        let text = fs::read_to_string(self.path(name)).unwrap();
        for (number, line) in text.lines().enumerate() {
            verifier.line(name, number as u64 + 1, line.as_bytes());
        }
        verifier.end()
    }
}

fn block(path: &Path) {
    fs::remove_file(path).unwrap();
    fs::create_dir(path).unwrap();
}

#[test]
fn a_device_is_enabled_listed_and_disabled() {
    let audited = Audited::new();
    let server = &audited.server;
    assert_eq!(data(server.read("sys/audit").unwrap()), serde_json::Map::new());
    let path = audited.path("f1");
    let body = json!({
        "type": "file", "description": "d", "local": "true",
        "options": { "file_path": path, "hmac_accessor": false },
    });
    server.write("sys/audit/f1", &body).unwrap();
    assert_eq!(
        Value::Object(data(server.read("sys/audit").unwrap())),
        json!({ "f1/": {
            "description": "d", "local": true, "path": "f1/", "type": "file",
            "options": { "file_path": path, "hmac_accessor": "0" },
        } })
    );
    for nested in ["f1", "f1/below", "/f1/"] {
        let outcome = server.write(&format!("sys/audit/{nested}"), &body);
        assert!(matches!(&outcome, Err(Error::BadRequest(text)) if text == "path already in use"));
    }
    audited.alone();
    server.read("sys/audit").unwrap();
    audited.not_alone();
    let types: Vec<String> = audited
        .lines("f1")
        .iter()
        .map(|line| format!("{} {}", line["type"], line["request"]["path"]).replace('"', ""))
        .collect();
    assert_eq!(
        types[..4],
        ["chain null", "request sys/audit/test", "chain null", "response sys/audit/f1"]
    );
    server.delete("sys/audit/f1").unwrap();
    server.read("sys/mounts").unwrap();
    assert!(audited.lines("f1").iter().all(|line| line["request"]["path"] != "sys/mounts"));
    // What is not there is no error, as in Vault.
    server.delete("sys/audit/f1").unwrap();
    assert_eq!(data(server.read("sys/audit").unwrap()), serde_json::Map::new());
}

#[test]
fn what_cannot_be_enabled_changes_nothing() {
    let audited = Audited::new();
    let server = &audited.server;
    let file = audited.path("a");
    let long = "x".repeat(5000);
    let rows: &[(&str, Value, &str)] = &[
        ("a", json!({}), "unknown backend type: \"\""),
        ("a", json!({"type": "nope"}), "unknown backend type: \"nope\""),
        ("a", json!({"type": "file"}), "file_path is required"),
        ("a", json!({"type": "file", "options": "zz"}), "Field validation failed"),
        ("a", json!({"type": "file", "local": "zz"}), "Field validation failed"),
        (
            "a",
            json!({"type": "file", "options": {"file_path": {"a": 1}}}),
            "Field validation failed",
        ),
        (
            "a",
            json!({"type": "file", "description": long, "options": {"file_path": file}}),
            "`description` must have",
        ),
        (
            "a",
            json!({"type": "file", "options": {"file_path": audited.folder.path()}}),
            "sanity check failed; unable to open",
        ),
        (
            "a",
            json!({"type": "file", "options": {"file_path": "/dev/full"}}),
            "audit backend failed test message",
        ),
        (
            "a",
            json!({"type": "file", "options": {"file_path": file, "mode": "0777"}}),
            "mode \"0777\"",
        ),
        ("a", json!({"type": "file", "options": {"file_path": file, "filter": "("}}), "filter: "),
        (
            "a",
            json!({"type": "socket", "options": {"address": "127.0.0.1:1"}}),
            "audit backend failed test message",
        ),
        (
            "a",
            json!({"type": "socket", "options": {"address": "nonsense"}}),
            "audit backend failed test message",
        ),
        (
            "a",
            json!({"type": "syslog", "options": {"address": "/nonexistent/log"}}),
            "audit backend failed test message",
        ),
        (
            "a b",
            json!({"type": "file", "options": {"file_path": file}}),
            "the path of an audit device",
        ),
        (
            "a/../b",
            json!({"type": "file", "options": {"file_path": file}}),
            "path leaves its mount",
        ),
    ];
    for (name, body, expected) in rows {
        let outcome = server.write(&format!("sys/audit/{name}"), body);
        let Err(Error::BadRequest(text)) = outcome else { panic!("{body}: {outcome:?}") };
        assert!(text.starts_with(expected), "{body}: {text}");
    }
    assert_eq!(data(server.read("sys/audit").unwrap()), serde_json::Map::new());
}

#[test]
fn a_device_that_is_not_there_has_no_hash_and_no_chain() {
    let server = Server::new();
    for path in ["sys/audit-hash/none", "sys/audit-chain/none"] {
        let operation = if path.contains("hash") { Operation::Update } else { Operation::Read };
        let outcome = server.send(operation, path, &json!({"input": "x"}), &server.root);
        assert!(
            matches!(&outcome, Err(Error::BadRequest(text)) if text.contains("unknown audit backend")),
            "{outcome:?}"
        );
    }
    let outcome = server.write("sys/audit-hash/none", &json!({}));
    assert!(
        matches!(&outcome, Err(Error::BadRequest(text)) if text.contains("parameter is empty"))
    );
}

#[test]
fn only_sudo_may_touch_devices() {
    let audited = Audited::new();
    let server = &audited.server;
    let text = r#"path "sys/*" { capabilities = ["create", "read", "update", "delete", "list"] }"#;
    server.write("sys/policies/acl/most", &json!({ "policy": text })).unwrap();
    let token = crate::token::create(server, &json!({"policies": ["most"]}));
    for (operation, path) in [
        (Operation::Read, "sys/audit"),
        (Operation::Update, "sys/audit/a"),
        (Operation::Delete, "sys/audit/a"),
        (Operation::Read, "sys/audit-chain/a"),
        (Operation::Read, "sys/config/auditing/request-headers"),
        (Operation::Update, "sys/config/auditing/request-headers/x"),
    ] {
        let outcome = server.send(operation, path, &json!({}), &token);
        assert!(matches!(outcome, Err(Error::Denied)), "{operation:?} {path}: {outcome:?}");
    }
    // The hash of a text is for whoever may write there, as in Vault.
    let outcome =
        server.send(Operation::Update, "sys/audit-hash/a", &json!({"input": "x"}), &token);
    assert!(matches!(outcome, Err(Error::BadRequest(_))), "{outcome:?}");
}

#[test]
fn no_secret_stands_in_the_log_and_its_hash_can_be_asked_for() {
    let audited = Audited::new();
    let server = &audited.server;
    server.mount("kv/", "kv", &[]);
    audited.enable("log", &[]);
    audited.alone();
    server.write("kv/a", &json!({"password": "CANARY", "deep": [{"x": "CANARY"}]})).unwrap();
    server.read("kv/a").unwrap();
    server.write("sys/policies/acl/p", &json!({"policy": "CANARY"})).unwrap_err();
    let token = crate::token::create(server, &json!({"policies": ["default"], "meta": {"a": "b"}}));
    server.send(Operation::Read, "kv/a", &Value::Null, &token).unwrap_err();
    server.send(Operation::Read, "kv/a", &Value::Null, "CANARY").unwrap_err();
    let text = fs::read_to_string(audited.path("log")).unwrap();
    for secret in ["CANARY", &server.root, &token] {
        assert!(!text.contains(secret), "{secret}");
    }
    let hash = |text: &str| {
        let hash = data(server.write("sys/audit-hash/log", &json!({"input": text})).unwrap());
        hash["hash"].as_str().unwrap().to_owned()
    };
    let lines = audited.lines("log");
    let of = |kind: &str, path: &str| {
        let found =
            lines.iter().find(|line| line["type"] == kind && line["request"]["path"] == path);
        found.unwrap_or_else(|| panic!("{kind} {path}")).clone()
    };
    assert_eq!(of("request", "kv/a")["request"]["data"]["password"], hash("CANARY"));
    assert_eq!(of("request", "kv/a")["auth"]["client_token"], hash(&server.root));
    let created = of("response", "auth/token/create");
    assert_eq!(created["response"]["auth"]["client_token"], hash(&token));
}

#[test]
fn the_deciding_policy_is_told_whether_it_grants_or_not() {
    let audited = Audited::new();
    let server = &audited.server;
    server.mount("kv/", "kv", &[]);
    audited.enable("log", &[]);
    audited.alone();
    let text = r#"path "kv/*" { capabilities = ["read"] }"#;
    server.write("sys/policies/acl/reads", &json!({ "policy": text })).unwrap();
    server.write("kv/a", &json!({"x": "y"})).unwrap();
    let token = crate::token::create(server, &json!({"policies": ["reads"]}));
    server.send(Operation::Read, "kv/a", &Value::Null, &token).unwrap();
    server.send(Operation::Update, "kv/a", &json!({"x": "z"}), &token).unwrap_err();
    server.send(Operation::Read, "elsewhere/a", &json!({}), &token).unwrap_err();
    let lines = audited.lines("log");
    let results: Vec<&Value> = lines[lines.len() - 6..]
        .iter()
        .step_by(2)
        .map(|line| &line["auth"]["policy_results"])
        .collect();
    assert_eq!(
        results,
        [
            &json!({"allowed": true, "granting_policies": [
                {"name": "reads", "namespace_id": "root", "type": "acl"}]}),
            &json!({"allowed": false, "rule": "kv/*", "refusal": "the rule does not grant `update`"}),
            &json!({"allowed": false, "refusal": "no rule matches the path"}),
        ]
    );
}

#[test]
fn nothing_runs_once_no_device_takes_records_and_one_of_two_suffices() {
    let audited = Audited::new();
    let server = &audited.server;
    server.mount("kv/", "kv", &[]);
    audited.enable("one", &[]);
    audited.enable("two", &[]);
    audited.alone();
    server.write("kv/a", &json!({"x": "1"})).unwrap();
    block(&audited.path("one"));
    server.write("kv/a", &json!({"x": "2"})).unwrap();
    block(&audited.path("two"));
    let entries = server.entries();
    let outcome = server.write("kv/a", &json!({"x": "3"}));
    assert!(matches!(outcome, Err(Error::Internal(_))), "{outcome:?}");
    assert_eq!(server.entries(), entries, "nothing was written");
    fs::remove_dir(audited.path("two")).unwrap();
    assert_eq!(data(server.read("kv/a").unwrap())["x"], "2");
    let (all, each) = server.pipeline.audit.counts();
    assert_eq!((all.request_failures, all.response_failures), (1, 0));
    assert!(each["one/"].request_failures >= 2, "{each:?}");
    assert_eq!(each["two/"].request_failures, 1);
}

#[test]
fn devices_are_opened_again_by_whoever_leads_next_and_the_chain_holds() {
    let audited = Audited::new();
    let server = &audited.server;
    audited.enable("log", &[]);
    audited.alone();
    for _ in 0..3 {
        server.read("sys/mounts").unwrap();
        server.pipeline.forget();
    }
    server.read("sys/mounts").unwrap();
    let verdict = audited.verify("log");
    assert!(verdict.is_whole(), "{:?}", verdict.findings);
    assert_eq!(verdict.segments, 5, "the test of the device, and one for each time");
    let text = fs::read_to_string(audited.path("log")).unwrap();
    fs::write(
        audited.path("log"),
        text.replacen("\"operation\":\"read\"", "\"operation\":\"list\"", 1),
    )
    .unwrap();
    let findings = audited.verify("log").findings;
    assert_eq!(findings.len(), 1);
    assert!(findings[0].to_string().ends_with("the record was changed"), "{findings:?}");
}

#[test]
fn headers_are_logged_as_configured() {
    let audited = Audited::new();
    let server = &audited.server;
    audited.enable("log", &[]);
    let path = "sys/config/auditing/request-headers";
    server.write(&format!("{path}/X-Plain"), &json!({})).unwrap();
    server.write(&format!("{path}/X-Hashed"), &json!({"hmac": true})).unwrap();
    assert_eq!(
        Value::Object(data(server.read(path).unwrap())),
        json!({"headers": {"x-hashed": {"hmac": true}, "x-plain": {"hmac": false}}})
    );
    assert_eq!(
        Value::Object(data(server.read(&format!("{path}/X-Plain")).unwrap())),
        json!({"X-Plain": {"hmac": false}})
    );
    let request = Request {
        id: "with headers".into(),
        path: "sys/mounts".into(),
        token: Some(Arc::new(Secret::new(server.root.clone()))),
        headers: [("x-plain", "a"), ("x-hashed", "CANARY"), ("x-other", "CANARY")]
            .map(|(name, value)| (name.to_owned(), vec![value.to_owned()]))
            .into(),
        ..Default::default()
    };
    audited.alone();
    server.block_on(server.pipeline.handle(&request)).unwrap();
    audited.not_alone();
    let lines = audited.lines("log");
    let line = lines.iter().find(|line| line["request"]["id"] == "with headers").unwrap();
    assert_eq!(line["request"]["headers"]["x-plain"], json!(["a"]));
    assert!(!line.to_string().contains("CANARY"), "{line}");
    assert_eq!(line["request"]["headers"].as_object().unwrap().len(), 2);
    server.delete(&format!("{path}/x-plain")).unwrap();
    for (operation, name) in
        [(Operation::Read, "x-plain"), (Operation::Update, "a b"), (Operation::Read, "ü")]
    {
        let outcome = server.send(operation, &format!("{path}/{name}"), &json!({}), &server.root);
        assert!(matches!(outcome, Err(Error::BadRequest(_))), "{name}: {outcome:?}");
    }
    let outcome = server.write(&format!("{path}/x"), &json!({"hmac": "zz"}));
    assert!(matches!(outcome, Err(Error::BadRequest(_))));
}

#[test]
fn filters_choose_and_a_fallback_takes_what_is_left() {
    let audited = Audited::new();
    let server = &audited.server;
    server.mount("kv/", "kv", &[]);
    audited.enable("kv", &[("filter", "mount_type == \"kv\"")]);
    audited.enable("rest", &[("fallback", "true")]);
    audited.alone();
    server.write("kv/a", &json!({"x": "1"})).unwrap();
    server.read("sys/mounts").unwrap();
    let paths = |name: &str| -> Vec<String> {
        let lines = audited.lines(name);
        let paths = lines.iter().filter_map(|line| line["request"]["path"].as_str());
        paths.map(str::to_owned).filter(|path| !path.starts_with("sys/audit")).collect()
    };
    assert_eq!(paths("kv"), ["kv/a", "kv/a"]);
    assert_eq!(paths("rest"), ["sys/mounts", "sys/mounts"]);
    // What no device is for needs none; what one is for needs that one.
    server.delete("sys/audit/rest").unwrap();
    block(&audited.path("kv"));
    server.read("sys/mounts").unwrap();
    server.read("kv/a").unwrap_err();
}

#[test]
fn a_device_that_hangs_stops_nobody_while_another_takes_records() {
    let audited = Audited::new();
    let server = &audited.server;
    let pipe = audited.path("pipe");
    let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    let flags = rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::NONBLOCK;
    let _unread = rustix::fs::open(&pipe, flags, rustix::fs::Mode::empty()).unwrap();
    audited.enable("pipe", &[]);
    audited.enable("log", &[]);
    audited.alone();
    for _ in 0..100 {
        server.read("sys/mounts").unwrap();
    }
    // One record for each side of each, beside those of the devices themselves.
    let lines = audited.lines("log");
    assert_eq!(lines.iter().filter(|line| line["request"]["path"] == "sys/mounts").count(), 200);
    server.delete("sys/audit/pipe").unwrap();
    server.read("sys/mounts").unwrap();
}

#[test]
fn an_answer_that_is_given_again_is_told_to_the_device_that_was_told_of_the_first() {
    let audited = Audited::new();
    let server = &audited.server;
    server.mount("kv/", "kv", &[("version", "2")]);
    let created = server.write("auth/token/create", &json!({"num_uses": 2, "policies": ["root"]}));
    let token = created.unwrap().auth.unwrap().client_token;
    audited.enable("kv", &[("filter", "mount_type == \"kv\"")]);
    audited.alone();
    let id = RequestId::Numbered { origin: OriginId([7; 16]), number: 1 };
    let put = Request {
        id: "put".into(),
        known_as: Some(id),
        operation: Operation::Update,
        path: "kv/data/a".into(),
        params: json!({"data": {}}).as_object().cloned().unwrap(),
        token: Some(Arc::new(Secret::new(token))),
        ..Request::default()
    };
    for _ in 0..3 {
        server.block_on(server.pipeline.handle(&put)).unwrap();
    }
    let lines = audited.lines("kv");
    let of_put: Vec<_> = lines.iter().filter(|line| line["request"]["id"] == "put").collect();
    assert_eq!(of_put.len(), 6, "{lines:?}");
    for line in of_put {
        assert_eq!(line["request"]["mount_type"], "kv");
        assert_eq!(line["auth"]["policies"], json!(["root"]), "{line}");
    }
    // What was not left to do is not counted: a use is left.
    let again = Request { id: "other".into(), known_as: None, ..put };
    server.block_on(server.pipeline.handle(&again)).unwrap();
}

#[test]
fn nobody_is_named_whose_token_went_before_the_request_ran_again() {
    let audited = Audited::new();
    let server = &audited.server;
    server.mount("kv/", "kv", &[("version", "2")]);
    let created = server.write("auth/token/create", &json!({"policies": ["root"]})).unwrap();
    let token = created.auth.unwrap().client_token;
    audited.enable("all", &[]);
    audited.alone();
    let (pipeline, root) = (server.pipeline.clone(), server.root.clone());
    let revoke = Request {
        operation: Operation::Update,
        path: "auth/token/revoke".into(),
        params: json!({ "token": token }).as_object().cloned().unwrap(),
        token: Some(Arc::new(Secret::new(root))),
        ..Request::default()
    };
    server.log.before_next_proposal(move |_| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let revoking = std::thread::spawn(move || runtime.block_on(pipeline.handle(&revoke)));
        revoking.join().unwrap().unwrap();
    });
    let outcome = server.send(Operation::Update, "kv/data/a", &json!({"data": {}}), &token);
    assert!(matches!(outcome, Err(Error::Denied)), "{outcome:?}");
    let lines = audited.lines("all");
    let of_put: Vec<_> =
        lines.iter().filter(|line| line["request"]["path"] == "kv/data/a").collect();
    let [request, response] = of_put[..] else { panic!("{lines:?}") };
    assert_eq!(request["auth"]["policies"], json!(["root"]));
    assert!(response["error"].as_str().unwrap().contains("permission denied"), "{response}");
    assert_eq!(response["auth"]["policies"], Value::Null, "{response}");
}

#[test]
fn nothing_runs_before_the_devices_of_the_configuration_are_enabled() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    let mut device = StoredDevice::new("declared/".into(), "file".into(), &SystemRng);
    device.options.insert("file_path".into(), path.to_str().unwrap().into());
    let server = Server::declaring(vec![device]);
    let broker = &server.pipeline.audit;
    // Whoever leads next may have another configuration: it declares its own first.
    for leadership in 0..2 {
        let refused = server.read("sys/mounts");
        assert!(matches!(refused, Err(Error::NotActive)), "{leadership}: {refused:?}");
        assert!(server.audited().is_empty(), "it did not begin");
        let declared = server.block_on(server.pipeline.internal(|txn| {
            let mut core = txn.scope("root/core/");
            broker.declare(&mut core)?;
            Ok(core.leadership())
        }));
        broker.note_declared(declared.unwrap());
        server.audit.step_out(true);
        server.read("sys/mounts").unwrap();
        server.audit.step_out(false);
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(text.matches("\"path\":\"sys/mounts\"").count(), 2 * (leadership + 1));
        MemoryLog::change_leadership(&server.log);
    }
}

#[test]
fn two_devices_do_not_write_to_one_file() {
    let audited = Audited::new();
    audited.enable("one", &[]);
    audited.alone();
    let path = audited.folder.path().join(".").join("one");
    let body = json!({"type": "file", "options": {"file_path": path}});
    let refused = audited.server.write("sys/audit/two", &body);
    let Err(Error::BadRequest(text)) = refused else { panic!("{refused:?}") };
    assert_eq!(text, "the audit device one/ writes to this file: give each a file of its own");
    let lines = audited.lines("one");
    let of = |path: &str| lines.iter().filter(|line| line["request"]["path"] == path).count();
    assert_eq!((of("sys/audit/two"), of("sys/audit/test")), (2, 1), "no record of a second device");
    assert_eq!(audited.verify("one").findings, []);
}

#[test]
fn a_declared_device_takes_the_file_of_one_that_was_enabled() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    let mut device = StoredDevice::new("declared/".into(), "file".into(), &SystemRng);
    device.options.insert("file_path".into(), path.to_str().unwrap().into());
    let server = Server::declaring(vec![device]);
    let enabled = |name: &str, path: &Path| {
        let mut device = StoredDevice::new(name.into(), "file".into(), &SystemRng);
        device.options.insert("file_path".into(), path.to_str().unwrap().into());
        device
    };
    let broker = &server.pipeline.audit;
    let declared = server.block_on(server.pipeline.internal(|txn| {
        let mut core = txn.scope("root/core/");
        let mut store = strongroom::audit::AuditStore::new(&mut core);
        store.put(&enabled("same/", &path))?;
        store.put(&enabled("other/", &folder.path().join("other")))?;
        broker.declare(&mut core)?;
        Ok(core.leadership())
    }));
    broker.note_declared(declared.unwrap());
    let listed = data(server.read("sys/audit").unwrap());
    assert_eq!(listed.keys().collect::<Vec<_>>(), ["declared/", "other/"]);
}
