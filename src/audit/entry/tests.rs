use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::*;
use crate::audit_log::Style;
use crate::mount::MountConfig;
use crate::request::{Lease, RawBody, Request, TokenFacts};
use crate::secret::Secret;

struct Case {
    shape: Shape,
    headers: Headers,
    mount: MountEntry,
    request: Request,
    caller: Option<Caller>,
    policies: Option<PolicyResults>,
    operation: Operation,
    is_repeated: bool,
}

fn case() -> Case {
    let mount = MountEntry {
        table: Table::Secret,
        path: "secret/".into(),
        kind: "kv".into(),
        description: String::new(),
        uuid: "u".into(),
        accessor: "kv_1".into(),
        local: false,
        seal_wrap: false,
        external_entropy_access: false,
        options: BTreeMap::new(),
        config: MountConfig::default(),
        tainted: false,
    };
    let request = Request {
        id: "id-1".into(),
        path: "secret/data/a".into(),
        params: json!({ "data": { "password": "CANARY", "n": 5 } }).as_object().cloned().unwrap(),
        token: Some(Arc::new(Secret::new("hvs.CANARY".into()))),
        remote: Some(([10, 0, 0, 9], 4567).into()),
        wrap_ttl: Some(Duration::from_secs(60)),
        headers: BTreeMap::from([
            ("x-plain".into(), vec!["one".into(), "two".into()]),
            ("x-hashed".into(), vec!["CANARY".into()]),
            ("x-other".into(), vec!["CANARY".into()]),
        ]),
        ..Request::default()
    };
    let caller = Caller {
        accessor: "CANARY-accessor".into(),
        display_name: "token-ann".into(),
        policies: vec!["default".into(), "p1".into(), "team".into()],
        facts: TokenFacts {
            policies: vec!["default".into(), "p1".into()],
            metadata: BTreeMap::from([("who".into(), "me".into())]),
            remaining_uses: 3,
            ttl: 3600,
            issued: Timestamp(1_795_518_279_554),
        },
        ..Caller::default()
    };
    let granting = vec!["p1".into()];
    Case {
        shape: Shape {
            style: Style::Json,
            prefix: String::new(),
            hmac_accessor: true,
            log_raw: false,
            elide_list_responses: false,
        },
        headers: BTreeMap::from([("x-plain".into(), false), ("x-hashed".into(), true)]),
        mount,
        request,
        caller: Some(caller),
        policies: Some(PolicyResults { allowed: true, granting, ..PolicyResults::default() }),
        operation: Operation::Update,
        is_repeated: false,
    }
}

impl Case {
    fn entry(&self, side: Side<'_>) -> Value {
        let hasher = hasher();
        let writing = Writing { hasher: &hasher, shape: &self.shape, headers: &self.headers };
        let record = Record {
            request: &self.request,
            operation: self.operation,
            caller: self.caller.as_ref(),
            mount: Some(&self.mount),
            policies: self.policies.as_ref(),
            is_repeated: self.is_repeated,
            side,
        };
        Value::Object(writing.entry(&record, "2026-11-24T11:04:39.554Z"))
    }
}

fn hasher() -> Hasher {
    Hasher::of_stored(&STANDARD.encode([1; 32])).unwrap()
}

fn h(text: &str) -> String {
    hasher().hash(text)
}

/// The names of members, as they stand, of those that are objects too.
fn names(value: &Value) -> String {
    let members = value.as_object().unwrap();
    let named = members.iter().map(|(name, value)| match value {
        Value::Object(_) => format!("{name}{{{}}}", names(value)),
        _ => name.clone(),
    });
    named.collect::<Vec<_>>().join(" ")
}

/// In the order that was measured of OpenBao 2.7.
#[test]
fn members_stand_in_vaults_order() {
    let case = case();
    let request = case.entry(Side::Request(None));
    assert_eq!(
        names(&request),
        "time type auth{client_token accessor display_name policies token_policies \
         identity_policies policy_results{allowed granting_policies} metadata{who} remaining_uses \
         token_type token_ttl token_issue_time} request{id client_id operation mount_point \
         mount_type mount_accessor mount_running_version mount_class client_token \
         client_token_accessor namespace{id} path data{data{password n}} remote_address \
         remote_port wrap_ttl headers{x-hashed x-plain}}"
    );
    let reply = Reply::data(json!({ "version": 1 }).as_object().cloned().unwrap());
    let response = case.entry(Side::Response(Ok(&reply)));
    let expected = names(&request)
        + " response{mount_point mount_type mount_accessor mount_running_plugin_version \
           mount_class data{version}}";
    assert_eq!(names(&response), expected);
}

#[test]
fn values_are_vaults() {
    let entry = case().entry(Side::Request(None));
    for (pointer, expected) in [
        ("/type", json!("request")),
        ("/auth/client_token", json!(h("hvs.CANARY"))),
        ("/auth/accessor", json!(h("CANARY-accessor"))),
        ("/auth/identity_policies", json!(["team"])),
        ("/auth/token_issue_time", json!("2026-11-24T11:04:39Z")),
        ("/auth/token_type", json!("service")),
        (
            "/auth/policy_results/granting_policies/0",
            json!({ "name": "p1", "namespace_id": "root", "type": "acl" }),
        ),
        ("/request/operation", json!("update")),
        ("/request/mount_point", json!("secret/")),
        ("/request/data/data/password", json!(h("CANARY"))),
        ("/request/data/data/n", json!(5)),
        ("/request/remote_address", json!("10.0.0.9")),
        ("/request/remote_port", json!(4567)),
        ("/request/wrap_ttl", json!(60)),
        ("/request/headers/x-plain", json!(["one", "two"])),
        ("/request/headers/x-hashed", json!([h("CANARY")])),
        ("/request/headers/x-other", Value::Null),
    ] {
        assert_eq!(entry.pointer(pointer).cloned().unwrap_or_default(), expected, "{pointer}");
    }
}

/// Measured of OpenBao.
#[test]
fn a_client_without_an_entity_is_its_set_of_policies() {
    let of = |policies: &[&str]| {
        let policies = policies.iter().map(|name| (*name).to_owned()).collect();
        client_id(&Caller { policies, ..Caller::default() })
    };
    assert_eq!(of(&["root"]), "0DHqvq2D77kL2/JTPSZkTMJbkFVmUu0TzMi0jiXcFy8=");
    assert_eq!(of(&["p1", "default"]), "tmjo+uDmY7m4LZiGz4tQcRdhypv5j6yreNmFmsXUtp0=");
    let entity = Caller { entity_id: "e".into(), ..Caller::default() };
    assert_eq!(client_id(&entity), "e");
}

/// Whatever is answered, what was sent and what is secret of the answer stand nowhere in clear.
#[test]
fn nothing_secret_stands_in_clear() {
    let case = case();
    let text = "the value CANARY is wrong";
    let errors = [
        Error::BadRequest(text.into()),
        Error::Conflict,
        Error::Denied,
        Error::Forbidden(text.into()),
        Error::internal(text),
        Error::Failed(text.into()),
        Error::NotFound,
        Error::NotFoundWith(Box::new(Reply::data(
            json!({ "a": "CANARY" }).as_object().cloned().unwrap(),
        ))),
        Error::NoRoute(text.into()),
        Error::Missing(text.into()),
        Error::Unavailable(text.into()),
        Error::TooLarge(text.into()),
        Error::TooMany(text.into()),
        Error::TooManyWith { text: text.into(), headers: BTreeMap::new() },
        Error::InvalidCredentials(text.into()),
    ];
    for error in &errors {
        for side in [Side::Request(Some(error)), Side::Response(Err(error))] {
            let line = case.entry(side).to_string();
            assert!(!line.contains("CANARY"), "{error:?}: {line}");
        }
    }
    let auth = Auth {
        client_token: "hvs.CANARY".into(),
        accessor: "CANARY".into(),
        policies: vec!["p".into()],
        ..Auth::default()
    };
    let wrap = WrapInfo {
        token: "CANARY".into(),
        accessor: "CANARY".into(),
        ttl: Duration::from_secs(1),
        creation_time: Timestamp::ZERO,
        creation_path: "secret/data/a".into(),
        wrapped_accessor: Some("CANARY".into()),
    };
    let raw = RawBody { content_type: "text/plain".into(), bytes: Bytes::from_static(b"CANARY") };
    let replies = [
        Reply::data(json!({ "a": ["CANARY", { "b": "CANARY" }] }).as_object().cloned().unwrap()),
        Reply::bare(&json!("CANARY")).unwrap(),
        Reply::bare(&json!({ "a": "CANARY" })).unwrap(),
        Reply { auth: Some(auth), ..Reply::default() },
        Reply {
            body: Body::Data(Map::from_iter([("a".into(), "CANARY".into())])),
            wrap_info: Some(wrap),
            ..Reply::default()
        },
        Reply { body: Body::Raw(raw), ..Reply::default() },
    ];
    for reply in &replies {
        let line = case.entry(Side::Response(Ok(reply))).to_string();
        let encoded = STANDARD.encode("CANARY");
        assert!(!line.contains("CANARY") && !line.contains(&encoded), "{line}");
    }
    let mut stranger = self::case();
    stranger.caller = None;
    assert!(!stranger.entry(Side::Request(None)).to_string().contains("CANARY"));
}

#[test]
fn errors_stand_in_vaults_frame_and_the_text_is_hashed() {
    let case = case();
    let frame = |text: &str| json!(format!("1 error occurred:\n\t* {text}\n\n"));
    for (error, expected) in [
        (Error::BadRequest("x".into()), frame("invalid request")),
        (Error::Denied, frame("permission denied")),
        (Error::NoRoute("a/b".into()), frame("unsupported path")),
        (Error::UnsupportedOperation, frame("unsupported operation")),
        (Error::internal("x"), frame("internal error")),
        (Error::InvalidCredentials("x".into()), frame("invalid credentials")),
        (
            Error::TooManyWith { text: "x".into(), headers: BTreeMap::new() },
            frame("request path quota exceeded"),
        ),
        (Error::NotFound, Value::Null),
    ] {
        let entry = case.entry(Side::Response(Err(&error)));
        assert_eq!(entry.get("error").cloned().unwrap_or_default(), expected, "{error:?}");
    }
    let entry = case.entry(Side::Response(Err(&Error::BadRequest("told".into()))));
    assert_eq!(entry.pointer("/response/data"), Some(&json!({ "error": h("told") })));
    // Without a token there is no policy that denies.
    let mut stranger = self::case();
    (stranger.caller, stranger.policies) = (None, None);
    let entry = stranger.entry(Side::Request(Some(&Error::Denied)));
    assert_eq!(entry["error"], "permission denied");
    assert_eq!(entry["auth"], json!({ "token_type": "default" }));
}

#[test]
fn a_refusal_says_why_beside_vaults_members() {
    let mut case = case();
    case.policies = Some(PolicyResults {
        allowed: false,
        granting: vec!["p1".into()],
        rule: Some("secret/*".into()),
        refusal: Some("the rule does not grant `update`".into()),
    });
    let entry = case.entry(Side::Request(Some(&Error::Denied)));
    assert_eq!(
        entry["auth"]["policy_results"],
        json!({
            "allowed": false,
            "rule": "secret/*",
            "refusal": "the rule does not grant `update`"
        })
    );
}

#[test]
fn a_repeated_request_is_told_from_one_that_ran() {
    let mut case = case();
    assert_eq!(case.entry(Side::Request(None)).pointer("/request/repeated"), None);
    case.is_repeated = true;
    for side in [Side::Request(None), Side::Response(Err(&Error::Unresolved))] {
        assert_eq!(case.entry(side).pointer("/request/repeated"), Some(&json!(true)));
    }
}

#[test]
fn options_change_what_is_hashed() {
    let mut case = case();
    case.shape.hmac_accessor = false;
    let entry = case.entry(Side::Request(None));
    assert_eq!(entry["auth"]["accessor"], "CANARY-accessor");
    assert_eq!(entry["auth"]["client_token"], h("hvs.CANARY"));
    case.shape.log_raw = true;
    let entry = case.entry(Side::Request(None));
    assert_eq!(entry["request"]["client_token"], "hvs.CANARY");
    assert_eq!(entry["request"]["data"]["data"]["password"], "CANARY");

    case.shape.log_raw = false;
    case.mount.config.audit_non_hmac_request_keys = vec!["password".into()];
    case.mount.config.audit_non_hmac_response_keys = vec!["clear".into()];
    let entry = case.entry(Side::Request(None));
    assert_eq!(entry["request"]["data"]["data"]["password"], "CANARY");
    let reply = Reply::data(json!({ "clear": "a", "other": "b" }).as_object().cloned().unwrap());
    let entry = case.entry(Side::Response(Ok(&reply)));
    assert_eq!(entry["response"]["data"], json!({ "clear": "a", "other": h("b") }));
}

#[test]
fn lists_are_counted_where_asked() {
    let mut case = case();
    case.shape.elide_list_responses = true;
    let data = json!({ "keys": ["a", "b"], "key_info": { "a": {}, "b": {} }, "more": "x" });
    let reply = Reply::data(data.as_object().cloned().unwrap());
    let entry = case.entry(Side::Response(Ok(&reply)));
    assert_eq!(entry["response"]["data"]["keys"], json!([h("a"), h("b")]), "no list was asked for");
    case.operation = Operation::List;
    let entry = case.entry(Side::Response(Ok(&reply)));
    assert_eq!(entry["response"]["data"], json!({ "keys": 2, "key_info": 2, "more": h("x") }));
}

#[test]
fn a_login_is_told_by_its_answer() {
    let mut case = case();
    (case.caller, case.policies, case.request.token) = (None, None, None);
    let auth = Auth {
        client_token: "t".into(),
        accessor: "a".into(),
        display_name: "userpass-u".into(),
        policies: vec!["default".into()],
        token_policies: vec!["default".into()],
        ttl: Duration::from_secs(60),
        entity_id: "e".into(),
        ..Auth::default()
    };
    let reply = Reply { auth: Some(auth), ..Reply::default() };
    let entry = case.entry(Side::Response(Ok(&reply)));
    assert_eq!(entry["auth"], entry["response"]["auth"]);
    assert_eq!(
        names(&entry["auth"]),
        "client_token accessor display_name policies token_policies entity_id token_type token_ttl"
    );
}

#[test]
fn leases_forwarding_and_certificates_are_told() {
    let mut case = case();
    case.request.forwarded_from = Some("10.0.0.2:8201".into());
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
    params.serial_number = Some(rcgen::SerialNumber::from(258_u64));
    case.request.client_certificates = vec![params.self_signed(&key).unwrap().der().to_vec()];
    let lease = Lease { id: "db/creds/r/x".into(), ..Lease::default() };
    let reply = Reply { lease: Some(lease), ..Reply::default() };
    let entry = case.entry(Side::Response(Ok(&reply)));
    assert_eq!(entry["response"]["secret"], json!({ "lease_id": "db/creds/r/x" }));
    assert_eq!(entry["forwarded_from"], "10.0.0.2:8201");
    assert_eq!(entry["request"]["client_certificate_serial_number"], "258");
}

#[test]
fn jsonx_says_the_same() {
    let entry = json!({ "a": "<&\">", "b": [1, true, null], "c": { "d": 1.50 } });
    assert_eq!(
        crate::audit::jsonx::document(entry.as_object().unwrap()),
        "<json:object xmlns:json=\"http://www.ibm.com/xmlns/prod/2009/jsonx\">\
         <json:string name=\"a\">&lt;&amp;&#34;&gt;</json:string>\
         <json:array name=\"b\"><json:number>1</json:number><json:boolean>true</json:boolean>\
         <json:null></json:null></json:array>\
         <json:object name=\"c\"><json:number name=\"d\">1.5</json:number></json:object>\
         </json:object>"
    );
}
