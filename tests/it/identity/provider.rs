//! Logging in elsewhere through this server.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};
use std::sync::Arc;
use strongroom::request::{Operation, Reply, Request};
use strongroom::secret::Secret;

use super::oidc::claims;
use super::{log_in, policy, read, server};
use crate::harness::{Server, data, line};

const VERIFIER: &str = "a-verifier-of-forty-three-characters-or-more";
const REDIRECT: &str = "https://app.example/cb";

struct Set {
    server: Server,
    token: String,
    entity: String,
    client_id: String,
    secret: String,
}

fn set_up() -> Set {
    let server = server();
    policy(
        &server,
        "oidc",
        r#"path "identity/oidc/provider/+/authorize" { capabilities = ["read", "update"] }"#,
    );
    let key = json!({"algorithm": "ES256", "allowed_client_ids": "*"});
    server.write("identity/oidc/key/k", &key).unwrap();
    let scope = json!({"template": r#"{"who": {{identity.entity.name}}}"#});
    server.write("identity/oidc/scope/who", &scope).unwrap();
    let client = json!({"key": "k", "redirect_uris": [REDIRECT], "assignments": "allow_all"});
    server.write("identity/oidc/client/c", &client).unwrap();
    let provider = json!({"allowed_client_ids": "*", "scopes_supported": ["who"],
        "issuer": "https://op.example"});
    server.write("identity/oidc/provider/p", &provider).unwrap();
    let auth = log_in(&server, "ann", &json!({"policies": ["oidc"]}));
    let client = read(&server, "identity/oidc/client/c");
    let text = |name: &str| client[name].as_str().unwrap().to_owned();
    Set {
        token: auth.client_token,
        entity: auth.entity_id,
        client_id: text("client_id"),
        secret: text("client_secret"),
        server,
    }
}

impl Set {
    fn authorize(&self, change: &Value) -> (u16, Map<String, Value>) {
        let mut params = json!({"client_id": self.client_id, "redirect_uri": REDIRECT,
            "scope": "openid who", "response_type": "code", "state": "s", "nonce": "n"});
        for (name, value) in change.as_object().unwrap() {
            params[name] = value.clone();
        }
        let path = "identity/oidc/provider/p/authorize";
        let reply = self.server.send(Operation::Read, path, &params, &self.token).unwrap();
        (reply.status.unwrap_or(200), data(reply))
    }

    fn code(&self, change: &Value) -> String {
        let (status, body) = self.authorize(change);
        assert_eq!(status, 200, "{body:?}");
        body["code"].as_str().unwrap().to_owned()
    }

    fn exchange(&self, code: &str, change: &Value) -> (u16, Map<String, Value>) {
        let mut params = json!({"grant_type": "authorization_code", "code": code,
            "redirect_uri": REDIRECT, "client_id": self.client_id, "client_secret": self.secret});
        for (name, value) in change.as_object().unwrap() {
            params[name] = value.clone();
        }
        let path = "identity/oidc/provider/p/token";
        let reply = self.server.send(Operation::Update, path, &params, "").unwrap();
        (reply.status.unwrap_or(200), data(reply))
    }

    fn userinfo(&self, provider: &str, token: &str) -> Reply {
        let path = format!("identity/oidc/provider/{provider}/userinfo");
        self.server.send(Operation::Read, &path, &Value::Null, token).unwrap()
    }
}

#[test]
fn code_becomes_tokens_once_and_the_access_token_tells_who() {
    let set = set_up();
    let code = set.code(&json!({"max_age": 100}));
    let (status, body) = set.exchange(&code, &json!({}));
    assert_eq!((status, &body["token_type"]), (200, &json!("Bearer")), "{body:?}");
    let said = claims(body["id_token"].as_str().unwrap());
    assert_eq!(said["iss"], "https://op.example/v1/identity/oidc/provider/p");
    assert_eq!((&said["aud"], &said["sub"]), (&json!(set.client_id), &json!(set.entity)));
    assert_eq!((&said["nonce"], &said["auth_time"]), (&json!("n"), &said["iat"]));
    let access = body["access_token"].as_str().unwrap();
    let half = |text: &str| URL_SAFE_NO_PAD.encode(&Sha256::digest(text)[..16]);
    assert_eq!((&said["at_hash"], &said["c_hash"]), (&json!(half(access)), &json!(half(&code))));
    let name = read(&set.server, &format!("identity/entity/id/{}", set.entity))["name"].clone();
    assert_eq!(said["who"], name);
    let told = data(set.userinfo("p", access));
    assert_eq!(told, json!({"who": name, "sub": set.entity}).as_object().unwrap().clone());
    let (status, body) = set.exchange(&code, &json!({}));
    assert_eq!((status, &body["error"]), (400, &json!("invalid_grant")));
}

#[test]
fn access_token_is_good_for_its_own_provider_s_userinfo_alone() {
    let set = set_up();
    // What the entity may do, the access token may not.
    policy(&set.server, "all", r#"path "*" { capabilities = ["read", "update", "list"] }"#);
    let entity = format!("identity/entity/id/{}", set.entity);
    set.server.write(&entity, &json!({"policies": ["all"]})).unwrap();
    let (_, body) = set.exchange(&set.code(&json!({})), &json!({}));
    let access = body["access_token"].as_str().unwrap();
    for path in ["sys/mounts", "auth/token/lookup-self", "identity/oidc/key/k"] {
        let outcome = set.server.send(Operation::Read, path, &Value::Null, access);
        assert_eq!(line(outcome), "403", "{path}");
    }
    let capabilities = json!({"token": access, "paths": ["sys/mounts"]});
    let capabilities = data(set.server.write("sys/capabilities", &capabilities).unwrap());
    assert_eq!(capabilities["sys/mounts"], json!(["deny"]));
    for (provider, token) in
        [("default", access), ("nosuch", access), ("p", ""), ("p", "x"), ("p", &set.token)]
    {
        let reply = set.userinfo(provider, token);
        assert_eq!(reply.status, Some(401), "{provider} {token}");
        let header = &reply.headers["www-authenticate"];
        assert!(header.starts_with("Bearer error=\"invalid_token\""), "{header}");
    }
    set.server.write(&entity, &json!({"disabled": true})).unwrap();
    assert_eq!(set.userinfo("p", access).status, Some(401));
    set.server.write(&entity, &json!({"disabled": false})).unwrap();
    assert_eq!(set.userinfo("p", access).status, None);
    set.server.set_time(86_400);
    assert_eq!(set.userinfo("p", access).status, Some(401));
}

#[test]
fn authorization_is_refused_with_the_protocol_s_words_and_leaves_no_code() {
    let set = set_up();
    let assignment = json!({"entity_ids": ["someone"]});
    set.server.write("identity/oidc/assignment/few", &assignment).unwrap();
    let client = json!({"key": "k", "redirect_uris": [REDIRECT], "assignments": "few"});
    set.server.write("identity/oidc/client/few", &client).unwrap();
    let few = read(&set.server, "identity/oidc/client/few")["client_id"].clone();
    let public = json!({"key": "k", "client_type": "public", "assignments": "allow_all",
        "redirect_uris": ["http://127.0.0.1/cb"]});
    set.server.write("identity/oidc/client/public", &public).unwrap();
    let public = read(&set.server, "identity/oidc/client/public")["client_id"].clone();
    set.server.set_time(50);
    let entries = set.server.entries();
    for (change, error) in [
        (json!({"client_id": ""}), "invalid_client_id"),
        (json!({"client_id": "x"}), "invalid_client_id"),
        (json!({"client_id": "../client/c"}), "invalid_client_id"),
        (json!({"scope": "who"}), "invalid_request"),
        (json!({"scope": ""}), "invalid_request"),
        (json!({"response_type": ""}), "invalid_request"),
        (json!({"response_type": "token"}), "unsupported_response_type"),
        (json!({"redirect_uri": ""}), "invalid_request"),
        (json!({"redirect_uri": "https://app.example/cb/"}), "invalid_redirect_uri"),
        (json!({"redirect_uri": "https://app.example:1/cb"}), "invalid_redirect_uri"),
        (json!({"request": "x"}), "request_not_supported"),
        (json!({"request_uri": "x"}), "request_uri_not_supported"),
        (json!({"max_age": 10}), "max_age_violation"),
        (json!({"max_age": -1}), "invalid_request"),
        (json!({"code_challenge": "short"}), "invalid_request"),
        (json!({"code_challenge": VERIFIER, "code_challenge_method": "x"}), "invalid_request"),
        (json!({"state": "x".repeat(4097)}), "invalid_request"),
        (json!({"client_id": few}), "access_denied"),
        (json!({"client_id": public, "redirect_uri": "http://127.0.0.1:5/cb"}), "invalid_request"),
        (
            json!({"client_id": public, "redirect_uri": "http://127.0.0.1.x/cb"}),
            "invalid_redirect_uri",
        ),
    ] {
        let (status, body) = set.authorize(&change);
        assert_eq!((status, &body["error"]), (400, &json!(error)), "{change}: {body:?}");
    }
    let path = "identity/oidc/provider/p/authorize";
    let params = json!({"client_id": set.client_id, "redirect_uri": REDIRECT,
        "scope": "openid", "response_type": "code"});
    let as_root = set.server.write(path, &params).unwrap();
    assert_eq!(data(as_root)["error"], "access_denied");
    assert_eq!(set.server.entries(), entries);
}

#[test]
fn whoever_cannot_show_all_that_belongs_to_a_code_gets_nothing_and_the_code_is_gone() {
    let set = set_up();
    let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(VERIFIER));
    let hashed = json!({"code_challenge": challenge, "code_challenge_method": "S256"});
    let plain = json!({"code_challenge": VERIFIER});
    for (left, shown, error) in [
        (&hashed, json!({}), "invalid_request"),
        (&hashed, json!({"code_verifier": VERIFIER.to_uppercase()}), "invalid_grant"),
        (&hashed, json!({"code_verifier": challenge}), "invalid_grant"),
        (&plain, json!({"code_verifier": challenge}), "invalid_grant"),
        (&json!({}), json!({"code_verifier": VERIFIER}), "invalid_request"),
        (&json!({}), json!({"redirect_uri": "https://other"}), "invalid_grant"),
    ] {
        let code = set.code(left);
        let (status, body) = set.exchange(&code, &shown);
        assert_eq!((status, &body["error"]), (400, &json!(error)), "{shown}: {body:?}");
        let (status, body) = set.exchange(&code, &json!({"code_verifier": VERIFIER}));
        assert_eq!((status, &body["error"]), (400, &json!("invalid_grant")));
    }
    for left in [&hashed, &plain] {
        let (status, body) = set.exchange(&set.code(left), &json!({"code_verifier": VERIFIER}));
        assert_eq!(status, 200, "{body:?}");
    }
    // What is wrong before a code is looked at does not cost it.
    let code = set.code(&json!({}));
    for (shown, status, error) in [
        (json!({"client_secret": "x"}), 401, "invalid_client"),
        (json!({"client_secret": ""}), 401, "invalid_client"),
        (json!({"client_id": "x"}), 401, "invalid_client"),
        (json!({"client_id": ""}), 400, "invalid_request"),
        (json!({"grant_type": "password"}), 400, "unsupported_grant_type"),
        (json!({"redirect_uri": ""}), 400, "invalid_request"),
        (json!({"code": ""}), 400, "invalid_request"),
        (json!({"code": "../../x"}), 400, "invalid_grant"),
    ] {
        let (got, body) = set.exchange(&code, &shown);
        assert_eq!((got, &body["error"]), (status, &json!(error)), "{shown}: {body:?}");
    }
    assert_eq!(set.exchange(&code, &json!({})).0, 200);
    let late = set.code(&json!({}));
    set.server.set_time(301);
    assert_eq!(set.exchange(&late, &json!({})).1["error"], "invalid_grant");
}

#[test]
fn client_may_say_who_it_is_in_a_header() {
    let set = set_up();
    let code = set.code(&json!({}));
    let basic = STANDARD.encode(format!("{}:{}", set.client_id, set.secret));
    let request = Request {
        operation: Operation::Update,
        path: "identity/oidc/provider/p/token".into(),
        params: json!({"grant_type": "authorization_code", "code": code, "redirect_uri": REDIRECT})
            .as_object()
            .unwrap()
            .clone(),
        headers: std::collections::BTreeMap::from([(
            "authorization".into(),
            vec![format!("Basic {basic}")],
        )]),
        ..Request::default()
    };
    let reply = set.server.block_on(set.server.pipeline.handle(&request)).unwrap();
    assert_eq!(reply.headers["pragma"], "no-cache");
    assert!(data(reply).contains_key("id_token"));
}

#[test]
fn of_many_that_show_one_code_at_once_exactly_one_wins() {
    let set = set_up();
    let code = set.code(&json!({}));
    let params = json!({"grant_type": "authorization_code", "code": code,
        "redirect_uri": REDIRECT, "client_id": set.client_id, "client_secret": set.secret});
    let path = "identity/oidc/provider/p/token";
    let starts = (0..100).map(|_| set.server.start(Operation::Update, path, &params, ""));
    let replies = set.server.block_on(futures_util::future::join_all(starts));
    let won = replies.into_iter().filter(|reply| reply.as_ref().unwrap().status == Some(200));
    assert_eq!(won.count(), 1);
}

#[test]
fn codes_that_nobody_came_for_are_swept_away() {
    let set = set_up();
    for _ in 0..3 {
        set.code(&json!({}));
    }
    let left = |set: &Set| {
        let mut left = 0;
        set.server
            .change("root/core/", |scope| left = scope.list("identity/oidc/code").unwrap().len());
        left
    };
    assert_eq!(left(&set), 1, "one minute");
    set.server.set_time(500);
    let pipeline = set.server.pipeline.clone();
    set.server.block_on(async {
        let sweep = strongroom::engines::identity::oidc::sweep_codes;
        while pipeline.internal(sweep).await.unwrap() {}
    });
    assert_eq!(left(&set), 0);
}

#[test]
fn what_is_in_use_cannot_be_deleted_and_scopes_cannot_claim_the_same() {
    let set = set_up();
    let server = &set.server;
    let again = json!({"template": r#"{"who": "me"}"#});
    server.write("identity/oidc/scope/again", &again).unwrap();
    let both = json!({"scopes_supported": ["who", "again"]});
    let answer = line(server.write("identity/oidc/provider/p", &both));
    assert!(answer.starts_with("400 found scopes with conflicting top-level keys"), "{answer}");
    for path in ["scope/who", "key/k"] {
        let answer = line(server.delete(&format!("identity/oidc/{path}")));
        assert!(answer.starts_with("400 unable to delete"), "{path}: {answer}");
    }
    for (params, answer) in [
        (json!({"key": "nosuch"}), "400 key modification is not allowed"),
        (json!({"client_type": "public"}), "400 client_type modification is not allowed"),
        (json!({"client_type": "x"}), "400 invalid client_type \"x\""),
        (json!({"assignments": "nosuch"}), "400 assignment \"nosuch\" does not exist"),
        (json!({"access_token_ttl": 0}), "400 access_token_ttl must be greater than zero"),
    ] {
        assert_eq!(line(server.write("identity/oidc/client/c", &params)), answer, "{params}");
    }
    server.delete("identity/oidc/client/c").unwrap();
    let (status, body) = set.authorize(&json!({}));
    assert_eq!((status, &body["error"]), (400, &json!("invalid_client_id")));
    let request = Request {
        path: "identity/oidc/provider/p/.well-known/openid-configuration".into(),
        token: Some(Arc::new(Secret::new("anything".into()))),
        ..Request::default()
    };
    let reply = server.block_on(server.pipeline.handle(&request)).unwrap();
    assert_eq!(reply.headers["cache-control"], "max-age=3600");
    assert_eq!(data(reply)["issuer"], "https://op.example/v1/identity/oidc/provider/p");
}
