use std::time::Duration;

use hyper::http::request::Parts;
use serde_json::{Value, json};

use super::super::settings::JsonLimits;
use super::super::status::Refusal;
use super::{Head, Origin};
use crate::request::{Operation, Request};

fn parts(method: &str, target: &str, headers: &[(&str, &str)]) -> Parts {
    let mut request = hyper::Request::builder().method(method).uri(target);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(()).unwrap().into_parts().0
}

fn decoded(
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Result<Request, Refusal> {
    let parts = parts(method, target, headers);
    let path = parts.uri.path().trim_start_matches("/v1/").to_owned();
    let head = Head::decode(&parts, path, Origin::default())?;
    head.with_body("id".to_owned(), body.as_bytes(), JsonLimits::default())
}

const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");
const MERGE: (&str, &str) = ("content-type", "application/merge-patch+json; charset=utf-8");

#[test]
fn methods_become_operations() {
    for (method, target, operation, path) in [
        ("GET", "/v1/a", Operation::Read, "a"),
        ("GET", "/v1/a/", Operation::Read, "a/"),
        ("GET", "/v1/a?list=true", Operation::List, "a/"),
        ("GET", "/v1/a/?list=T", Operation::List, "a/"),
        ("GET", "/v1/a?list=1", Operation::List, "a/"),
        ("GET", "/v1/a?list=False", Operation::Read, "a"),
        ("GET", "/v1/a?list=", Operation::Read, "a"),
        ("GET", "/v1/a?help=1", Operation::Help, "a"),
        ("HELP", "/v1/a", Operation::Help, "a"),
        ("LIST", "/v1/a", Operation::List, "a/"),
        ("LIST", "/v1/a/", Operation::List, "a/"),
        ("POST", "/v1/a?list=true", Operation::Update, "a"),
        ("PUT", "/v1/a", Operation::Update, "a"),
        ("DELETE", "/v1/a", Operation::Delete, "a"),
        ("HEAD", "/v1/a", Operation::Header, "a"),
    ] {
        let request = decoded(method, target, &[], "").unwrap();
        let actual = (request.operation, request.path.as_str());
        assert_eq!(actual, (operation, path), "{method} {target}");
    }
    for (method, target, status, errors) in [
        ("GET", "/v1/a?list=maybe", 400, 0),
        ("GET", "/v1/a?x=%ff", 400, 1),
        ("OPTIONS", "/v1/a", 400, 1),
        ("SCAN", "/v1/a", 405, 0),
        ("get", "/v1/a", 405, 0),
        ("TRACE", "/v1/a", 405, 0),
    ] {
        let refusal = decoded(method, target, &[], "").unwrap_err();
        assert_eq!((refusal.status, refusal.errors.len()), (status, errors), "{method} {target}");
    }
}

#[test]
fn a_patch_needs_its_content_type() {
    let other = "PATCH requires Content-Type of application/merge-patch+json, provided text/plain";
    for (headers, status, text) in [
        (vec![], 400, "mime: no media type"),
        (vec![("content-type", ";;")], 400, "mime: no media type"),
        (vec![("content-type", "a b/c")], 400, "mime: no media type"),
        (vec![("content-type", "Text/Plain; x=y")], 415, other),
    ] {
        let refusal = decoded("PATCH", "/v1/a", &headers, "{}").unwrap_err();
        assert_eq!((refusal.status, refusal.errors), (status, vec![text.to_owned()]));
    }
    let request = decoded("PATCH", "/v1/a", &[MERGE], r#"{"a":null}"#).unwrap();
    assert_eq!(request.operation, Operation::Patch);
    assert_eq!(Value::Object(request.params), json!({ "a": null }));
    assert_eq!(decoded("PATCH", "/v1/a", &[MERGE], "a=1").unwrap_err().status, 400);
}

#[test]
fn parameters_come_from_query_form_or_json() {
    let plain = ("content-type", "text/plain");
    for (method, target, header, body, expected) in [
        (
            "GET",
            "/v1/a?x=1&y=a+b&x=2&x=3&list=0&help=&scan=1",
            plain,
            "",
            json!({ "x": ["1", "2", "3"], "y": "a b" }),
        ),
        ("DELETE", "/v1/a?versions=1", plain, "", json!({ "versions": "1" })),
        ("POST", "/v1/a?y=2", plain, r#"{"x":1}"#, json!({ "x": 1 })),
        ("POST", "/v1/a", plain, " \n", json!({})),
        ("PUT", "/v1/a?y=2", FORM, "x=1&x=2&z", json!({ "x": "1,2", "z": "" })),
        ("PUT", "/v1/a", FORM, "not json", json!({ "not json": "" })),
        ("PUT", "/v1/a", FORM, r#"{"a":1}"#, json!({ "a": 1 })),
    ] {
        let request = decoded(method, target, &[header], body).unwrap();
        assert_eq!(Value::Object(request.params), expected, "{method} {target} {body}");
    }
    for (header, body) in [(plain, "x=1"), (FORM, "[1]"), (FORM, "x=%f"), (plain, "[{}]")] {
        let refusal = decoded("POST", "/v1/a", &[header], body).unwrap_err();
        assert_eq!(refusal.status, 400, "{body}");
    }
}

#[test]
fn tokens_are_taken_and_do_not_stay_among_the_headers() {
    for (headers, token, kept) in [
        (vec![("x-vault-token", "a")], Some("a"), vec![]),
        (vec![("authorization", "Bearer b")], Some("b"), vec![]),
        (vec![("authorization", "Basic b")], None, vec!["authorization"]),
        (vec![("authorization", "bearer b")], None, vec!["authorization"]),
        (
            vec![("x-vault-token", "a"), ("authorization", "Bearer b")],
            Some("a"),
            vec!["authorization"],
        ),
        (vec![("x-vault-token", ""), ("authorization", "Bearer b")], Some("b"), vec![]),
        (vec![("x-vault-token", " ")], None, vec![]),
        (
            vec![("X-Vault-Index", "i"), ("X-Vault-Request", "true")],
            None,
            vec!["x-vault-index", "x-vault-request"],
        ),
    ] {
        let request = decoded("GET", "/v1/a", &headers, "").unwrap();
        let actual = request.token.as_ref().map(|token| token.expose().as_str());
        assert_eq!(actual, token, "{headers:?}");
        assert_eq!(request.headers.keys().collect::<Vec<_>>(), kept, "{headers:?}");
    }
}

#[test]
fn repeated_headers_are_all_kept() {
    let request =
        decoded("GET", "/v1/a", &[("x-vault-mfa", "a:1"), ("X-Vault-MFA", "b:2")], "").unwrap();
    assert_eq!(request.headers["x-vault-mfa"], ["a:1", "b:2"]);
}

#[test]
fn a_header_names_a_namespace_with_its_slashes_put_right() {
    for (name, namespace) in [
        ("", ""),
        ("/", ""),
        ("root", ""),
        ("/root/", ""),
        (" root ", ""),
        ("foo", "foo/"),
        ("root/foo", "root/foo/"),
        ("/foo//bar", "foo/bar/"),
        ("Root", "Root/"),
        ("foo/...", "foo/.../"),
    ] {
        let request = decoded("GET", "/v1/a", &[("x-vault-namespace", name)], "").unwrap();
        assert_eq!(request.namespace, namespace, "{name}");
    }
    for name in ["foo/..", "./foo", "foo/../foo"] {
        let refusal = decoded("GET", "/v1/a", &[("x-vault-namespace", name)], "").unwrap_err();
        assert_eq!(refusal, Refusal::text(404, "namespace not found"), "{name}");
    }
}

#[test]
fn the_wrap_ttl_is_read_and_its_errors_are_told() {
    let header = "x-vault-wrap-ttl";
    for (text, seconds) in [
        ("60", Some(60)),
        ("2m", Some(120)),
        ("9223372036", Some(9_223_372_036)),
        ("0", None),
        ("-0", None),
        ("", None),
        (" ", None),
    ] {
        let request = decoded("GET", "/v1/a", &[(header, text)], "").unwrap();
        assert_eq!(request.wrap_ttl, seconds.map(Duration::from_secs), "{text}");
    }
    for (text, error) in [
        ("-5", "requested wrap ttl cannot be negative"),
        ("-5s", "requested wrap ttl cannot be negative"),
        ("banana", "time: invalid duration \"banana\""),
        ("9223372037", "time: invalid duration \"9223372037\""),
    ] {
        let refusal = decoded("GET", "/v1/a", &[(header, text)], "").unwrap_err();
        let expected = format!("error parsing X-Vault-Wrap-TTL header: {error}");
        assert_eq!(refusal, Refusal::text(400, expected));
    }
}

#[test]
fn wrapping_lives_for_whole_milliseconds() {
    for (sent, milliseconds) in [("1s", 1000), ("1ms", 1), ("1500us", 2), ("1ns", 1)] {
        let request = decoded("GET", "/v1/a", &[("x-vault-wrap-ttl", sent)], "").unwrap();
        assert_eq!(request.wrap_ttl, Some(Duration::from_millis(milliseconds)), "{sent}");
    }
}
