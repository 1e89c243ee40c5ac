use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use strongroom::request::{Operation, Reply};

use super::jwt::{Issuer, NOW};
use super::site::Site;
use super::{send_from, server};
use crate::harness::{Server, data, line};

const REDIRECT: &str = "http://localhost:8250/oidc/callback";

/// An identity provider, and a server that is its client.
struct Scene {
    server: Server,
    site: Arc<Site>,
    /// What ID tokens claim besides, or otherwise.
    claims: Arc<Mutex<Value>>,
}

impl Scene {
    fn new(role: &Value) -> Self {
        let site = Arc::new(Site::plain());
        let me = site.url("");
        let issuer = Arc::new(Issuer::new("k"));
        let document = json!({
            "issuer": me, "jwks_uri": site.url("/keys"), "token_endpoint": site.url("/token"),
            "authorization_endpoint": site.url("/auth?x=y"), "userinfo_endpoint": site.url("/me"),
        });
        site.answer("/.well-known/openid-configuration", &document);
        site.answer("/keys", &json!({"keys": [issuer.jwk()]}));
        site.answer("/me", &json!({"sub": "bob", "mail": "bob@example.org", "iss": "another"}));
        let claims = Arc::new(Mutex::new(json!({})));
        let theirs = claims.clone();
        site.answer_by("/token", move |_| {
            let mut token = json!({
                "iss": me, "aud": "client", "sub": "bob", "iat": NOW, "exp": NOW + 60,
            });
            let more = theirs.lock().unwrap().clone();
            let map = token.as_object_mut().unwrap();
            map.extend(more.as_object().unwrap().clone());
            map.retain(|_, value| !value.is_null());
            (200, json!({"access_token": "access", "id_token": issuer.sign(&token)}).to_string())
        });
        let server = server("oidc");
        let config = json!({
            "oidc_discovery_url": site.url(""), "oidc_client_id": "client",
            "oidc_client_secret": "s&cret", "default_role": "r", "jwt_supported_algs": "ES256",
        });
        server.write("auth/oidc/config", &config).unwrap();
        let scene = Self { server, site, claims };
        scene.role(role);
        scene
    }

    fn role(&self, more: &Value) {
        let mut role = json!({"user_claim": "sub", "allowed_redirect_uris": REDIRECT});
        role.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.server.write("auth/oidc/role/r", &role).unwrap();
    }

    fn url(&self, params: &Value) -> String {
        let path = "auth/oidc/oidc/auth_url";
        let reply = send_from(&self.server, "192.0.2.1", Operation::Update, path, params, "");
        data(reply.unwrap())["auth_url"].as_str().unwrap().to_owned()
    }

    /// What the URL asks the provider, whose next ID token has its nonce.
    fn begin(&self, client_nonce: &str) -> impl Fn(&str) -> String + use<> {
        let url = self.url(&json!({"redirect_uri": REDIRECT, "client_nonce": client_nonce}));
        let query = move |name: &str| {
            let (_, query) = url.split_once('?').unwrap();
            let prefix = format!("{name}=");
            let pair = query.split('&').find_map(|pair| pair.strip_prefix(&prefix));
            pair.unwrap_or_default().to_owned()
        };
        self.claim("nonce", json!(query("nonce")));
        query
    }

    fn claim(&self, name: &str, value: Value) {
        self.claims.lock().unwrap()[name] = value;
    }

    fn callback(&self, params: &Value) -> Result<Reply, strongroom::request::Error> {
        let path = "auth/oidc/oidc/callback";
        send_from(&self.server, "192.0.2.1", Operation::Read, path, params, "")
    }

    fn outcome(&self, params: &Value) -> String {
        match self.callback(params) {
            Ok(Reply { auth: Some(auth), .. }) => {
                format!("{} {:?}", auth.display_name, auth.metadata)
            }
            other => line(other),
        }
    }
}

const GONE: &str = "400 Vault login failed. Expired or missing OAuth state.";

#[test]
fn person_logs_in_by_the_code_flow_with_pkce_once() {
    let scene = Scene::new(&json!({
        "claim_mappings": {"mail": "mail"}, "oidc_scopes": "profile", "token_policies": "p1",
    }));
    let query = scene.begin("mine");
    assert_eq!(query("x"), "y", "what the endpoint has already stays");
    assert_eq!(query("client_id"), "client");
    assert_eq!(query("redirect_uri"), "http%3A%2F%2Flocalhost%3A8250%2Foidc%2Fcallback");
    assert_eq!(
        (query("response_type"), query("scope")),
        ("code".into(), "openid%20profile".into())
    );
    assert_eq!(query("code_challenge_method"), "S256");
    let entries = scene.server.entries();
    let again = scene.begin("mine");
    assert_eq!(scene.server.entries(), entries, "who only asks for a URL writes nothing");
    assert_ne!((query("state"), query("nonce")), (again("state"), again("nonce")));
    // As on the next leader: nothing of it was in memory.
    scene.server.pipeline.forget();
    let good = json!({"state": again("state"), "code": "c/d", "client_nonce": "mine"});
    scene.site.asked();
    assert_eq!(
        scene.outcome(&json!({"state": again("state"), "code": "c/d"})),
        "400 invalid client_nonce"
    );
    let auth = scene.callback(&good).unwrap().auth.unwrap();
    assert_eq!(auth.token_policies, ["default", "p1"]);
    assert_eq!(
        (auth.display_name.as_str(), auth.metadata["mail"].as_str()),
        ("oidc-bob", "bob@example.org")
    );
    let asked = scene.site.asked();
    let token = asked.iter().find(|asked| asked.path == "/token").unwrap();
    assert_eq!(token.authorization, "Basic Y2xpZW50OnMlMjZjcmV0", "client:s%26cret");
    let fields: Vec<&str> = token.body.split('&').collect();
    assert_eq!(fields[..2], ["grant_type=authorization_code", "code=c%2Fd"]);
    let verifier = fields[2].strip_prefix("code_verifier=").unwrap();
    let challenge = strongroom::crypto::sha256(&[verifier.as_bytes()]);
    let challenge =
        base64::Engine::encode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, challenge);
    assert_eq!(challenge, again("code_challenge"));
    assert_eq!(asked.iter().filter(|asked| asked.path == "/token").count(), 1);
    assert_eq!(scene.outcome(&good), GONE, "a state is good once");
    assert!(scene.site.asked().is_empty(), "and nobody is asked again");
}

#[test]
fn states_that_are_old_or_another_mounts_or_changed_are_refused() {
    let scene = Scene::new(&json!({}));
    let query = scene.begin("");
    let state = query("state");
    let mut changed = state.clone();
    changed.replace_range(40..41, if &state[40..41] == "A" { "B" } else { "A" });
    scene.server.write("sys/auth/other", &json!({"type": "oidc"})).unwrap();
    let config = json!({
        "oidc_discovery_url": scene.site.url(""), "oidc_client_id": "client",
        "oidc_client_secret": "s", "default_role": "r",
    });
    scene.server.write("auth/other/config", &config).unwrap();
    let params = json!({"state": state, "code": "c"});
    let path = "auth/other/oidc/callback";
    let other = send_from(&scene.server, "192.0.2.1", Operation::Read, path, &params, "");
    assert_eq!(line(other), GONE);
    for state in [changed.as_str(), "", "x", "st_123"] {
        assert_eq!(scene.outcome(&json!({"state": state, "code": "c"})), GONE, "{state}");
    }
    let no_code = "400 Vault login failed. No code or id_token received.";
    assert_eq!(scene.outcome(&json!({"state": state})), no_code);
    let denied = json!({"state": state, "error": "access_denied"});
    assert_eq!(scene.outcome(&denied), "400 Vault login failed. access_denied");
    scene.server.set_time(601);
    assert_eq!(scene.outcome(&params), GONE);
}

#[test]
fn id_tokens_that_are_not_for_this_login_are_refused_and_cost_the_state() {
    let scene = Scene::new(&json!({"max_age": 100, "bound_audiences": "client,x"}));
    let rows = [
        (json!({"auth_time": NOW - 160}), None),
        (json!({"auth_time": null}), Some("missing auth_time")),
        (json!({"auth_time": NOW - 161}), Some("longer ago than max_age")),
        (json!({"auth_time": NOW, "nonce": "other"}), Some("invalid id_token nonce")),
        (json!({"nonce": null}), Some("invalid id_token nonce")),
        (json!({"iss": "https://else"}), Some("invalid issuer (iss) claim")),
        (json!({"aud": "other"}), Some("invalid audience (aud) claim")),
        (json!({"aud": ["client", "x"]}), Some("invalid authorized party")),
        (json!({"azp": "other"}), Some("invalid authorized party")),
        (json!({"exp": NOW - 61, "iat": NOW - 100}), Some("token is expired")),
        (json!({"exp": null}), Some("must have exp and iat")),
    ];
    for (more, expected) in rows {
        *scene.claims.lock().unwrap() = json!({"auth_time": NOW});
        let query = scene.begin("");
        for (name, value) in more.as_object().unwrap() {
            scene.claim(name, value.clone());
        }
        let params = json!({"state": query("state"), "code": "c"});
        let reply = scene.callback(&params).unwrap();
        match expected {
            None => assert!(reply.auth.is_some(), "{more}"),
            Some(expected) => {
                let text = format!("{:?}", reply.body);
                assert_eq!((reply.status, reply.auth.is_none()), (Some(400), true), "{more}");
                assert!(text.contains(expected), "{more}: {text}");
            }
        }
        assert_eq!(scene.outcome(&params), GONE, "{more}");
    }
    scene.site.answer_by("/token", |_| (400, json!({"error": "invalid_grant"}).to_string()));
    let query = scene.begin("");
    let reply = scene.callback(&json!({"state": query("state"), "code": "c"})).unwrap();
    let text = format!("{:?}", reply.body);
    assert!(reply.status == Some(400) && text.contains("400 invalid_grant"), "{text}");
}

#[test]
fn urls_are_given_for_registered_redirects_alone() {
    let scene = Scene::new(&json!({
        "allowed_redirect_uris": "http://localhost:8250/oidc/callback,https://app.example/cb",
    }));
    for (redirect, expected) in [
        ("https://app.example/cb", true),
        ("https://app.example:8443/cb", false),
        ("https://app.example/cb?x", false),
        ("https://evil.example/cb", false),
        ("http://localhost:1/oidc/callback", true),
        ("http://127.0.0.1:1/oidc/callback", false),
        ("https://localhost:1/oidc/callback", false),
        ("http://localhost:1/other", false),
        ("http://localhost.evil.example/oidc/callback", false),
        ("http://localhost:8250@evil.example/oidc/callback", false),
    ] {
        let url = scene.url(&json!({"redirect_uri": redirect}));
        assert_eq!(!url.is_empty(), expected, "{redirect}");
    }
    let path = "auth/oidc/oidc/auth_url";
    for (params, expected) in [
        (json!({}), "400 missing redirect_uri"),
        (json!({"redirect_uri": "x", "role": "none"}), "400 role \"none\" could not be found"),
        (
            json!({"redirect_uri": "x".repeat(513)}),
            "400 redirect_uri and client_nonce may have 512 bytes each",
        ),
    ] {
        let reply = send_from(&scene.server, "192.0.2.1", Operation::Update, path, &params, "");
        assert_eq!(line(reply), expected, "{params}");
    }
}
