use super::{Cors, CorsPolicy, Verdict};

/// The verdict in short, for a request to `vault.example:8200`.
fn judge(cors: &Cors, method: &str, headers: &[(&str, &str)]) -> String {
    let mut request = hyper::Request::builder().method(method).uri("/v1/a");
    request = request.header("host", "vault.example:8200");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    match cors.judge(&request.body(()).unwrap().into_parts().0) {
        Verdict::Own => "own".to_owned(),
        Verdict::Allowed(headers) => {
            assert_eq!(headers["vary"], "Origin");
            format!("allowed {}", headers["access-control-allow-origin"].to_str().unwrap())
        }
        Verdict::Preflight(headers) => {
            assert!(headers.contains_key("access-control-allow-methods"));
            format!("preflight {}", headers["access-control-allow-headers"].to_str().unwrap())
        }
        Verdict::Refused(refusal) => refusal.status.to_string(),
    }
}

#[test]
fn origins_are_judged_once_it_is_enabled() {
    let cors = Cors::default();
    let site = ("origin", "https://a.example");
    let asks = |method| ("access-control-request-method", method);
    assert_eq!(judge(&cors, "GET", &[site]), "own");
    assert_eq!(judge(&cors, "OPTIONS", &[site, asks("GET")]), "own");

    cors.set(CorsPolicy {
        enabled: true,
        allowed_origins: vec!["https://a.example".to_owned()],
        allowed_headers: vec!["X-Vault-Token".to_owned(), "X-Mine".to_owned()],
    });
    for (method, headers, verdict) in [
        ("GET", vec![], "own"),
        ("OPTIONS", vec![], "own"),
        ("POST", vec![("origin", "https://vault.example:8200")], "own"),
        ("POST", vec![("origin", "https://vault.example")], "403"),
        ("GET", vec![site], "allowed https://a.example"),
        ("LIST", vec![site], "allowed https://a.example"),
        ("GET", vec![("origin", "https://b.example")], "403"),
        ("GET", vec![("origin", "https://a.example.evil")], "403"),
        ("GET", vec![("origin", "null")], "403"),
        ("OPTIONS", vec![("origin", "https://b.example"), asks("GET")], "403"),
        ("OPTIONS", vec![site, asks("LIST")], "preflight X-Vault-Token,X-Mine"),
        ("OPTIONS", vec![site, asks("BREW")], "405"),
        ("OPTIONS", vec![site], "405"),
    ] {
        assert_eq!(judge(&cors, method, &headers), verdict, "{method} {headers:?}");
    }

    cors.set(CorsPolicy {
        enabled: true,
        allowed_origins: vec!["*".to_owned()],
        allowed_headers: Vec::new(),
    });
    assert_eq!(judge(&cors, "GET", &[("origin", "null")]), "allowed null");
}
