use super::*;

#[test]
fn an_address_names_its_scheme() {
    for (text, accepted) in [
        ("https://127.0.0.1:8200", true),
        ("http://[::1]:8200/", true),
        ("https://vault.example/prefix", true),
        ("unix:///run/vault.sock", true),
        ("unix://", false),
        ("127.0.0.1:8200", false),
        ("ftp://host", false),
        ("", false),
    ] {
        assert_eq!(Address::parse(text).is_ok(), accepted, "{text}");
    }
}

#[test]
fn a_path_is_cleaned_and_encoded() {
    let address = Address::parse("http://host:1/prefix/").unwrap();
    for (path, url) in [
        ("secret/data/a", "secret/data/a"),
        ("/secret//data/./a/", "secret/data/a"),
        ("secret/x/../y", "secret/y"),
        ("a b?c#d%41", "a%20b%3Fc%23d%2541"),
        ("ü", "%C3%BC"),
        ("users/a@b.example", "users/a@b.example"),
    ] {
        let request = Request::new(GET, path);
        assert_eq!(address.url(&request), format!("http://host:1/prefix/v1/{url}"), "{path}");
    }
    let request = Request::list("x").query("a b", "1&2");
    assert_eq!(address.url(&request), "http://host:1/prefix/v1/x?list=true&a%20b=1%262");
}

#[test]
fn a_redirect_never_leaves_https() {
    for (from, location, target) in [
        ("http://a:1/v1/x", "http://b:2/v1/x", Some("http://b:2/v1/x")),
        ("http://a:1/v1/x", "https://b:2/v1/x", Some("https://b:2/v1/x")),
        ("https://a:1/v1/x", "https://b:2/v1/x", Some("https://b:2/v1/x")),
        ("https://a:1/v1//x", "/v1/x", Some("https://a:1/v1/x")),
        ("https://a:1/v1/x", "http://b:2/v1/x", None),
    ] {
        let mut headers = HeaderMap::new();
        headers.insert(header::LOCATION, HeaderValue::from_str(location).unwrap());
        assert_eq!(redirect_target(from, &headers).ok().as_deref(), target, "{from} {location}");
    }
    assert!(redirect_target("http://a/", &HeaderMap::new()).is_err());
}

#[test]
fn what_may_pass_is_retried() {
    for (status, retried) in [
        (200, false),
        (400, false),
        (404, false),
        (412, true),
        (500, true),
        (501, false),
        (503, true),
    ] {
        assert_eq!(may_pass(StatusCode::from_u16(status).unwrap()), retried, "{status}");
    }
}

#[test]
fn an_envelope_is_read_with_nulls_and_without_keys() {
    let response = |status, body: &str| {
        let status = StatusCode::from_u16(status).unwrap();
        Response::new("http://a/".into(), status, HeaderMap::new(), Bytes::from(body.to_owned()))
    };
    assert!(response(204, "").envelope().unwrap().is_none());
    assert!(response(404, r#"{"errors":[]}"#).envelope().unwrap().is_none());
    assert!(response(404, "<html>").envelope().unwrap().is_none());
    assert!(response(200, "<html>").envelope().is_err());
    let warned = response(404, r#"{"data":null,"warnings":["w"]}"#).envelope().unwrap().unwrap();
    assert_eq!(warned.warnings, ["w"]);
    let full =
        response(200, r#"{"lease_id":null,"data":{"n":12345678901234567890123},"auth":null}"#);
    let full = full.envelope().unwrap().unwrap();
    assert_eq!(full.data["n"].to_string(), "12345678901234567890123");
}

#[test]
fn a_refusal_reads_as_vaults_client_words_it() {
    let response = |body: &str| {
        let status = StatusCode::FORBIDDEN;
        Response::new("http://a/v1/x".into(), status, HeaderMap::new(), body.to_owned().into())
    };
    let error =
        ApiError::new(&GET, &response(r#"{"errors":["permission denied"]}"#), Some("ns/"), true);
    assert_eq!(
        error.to_string(),
        "Error making API request.\n\nNamespace: ns/\nURL: GET http://a/v1/x\n\
         Code: 403. Errors:\n\n* permission denied"
    );
    let error = ApiError::new(&GET, &response("<html>"), None, true);
    assert_eq!(
        error.to_string(),
        "Error making API request.\n\nURL: GET http://a/v1/x\nCode: 403. Raw Message:\n\n<html>"
    );
}
