use std::sync::Arc;

use serde_json::{Value, json};
use strongroom::auth::kubernetes;
use strongroom::framework::Mount;
use strongroom::request::{Auth, Error};

use super::jwt::{Issuer, NOW};
use super::site::Site;
use super::{fields, login, login_from, server};
use crate::harness::{Server, data, line};
use crate::token::lookup;

const REVIEWS: &str = "/apis/authentication.k8s.io/v1/tokenreviews";

/// As made since Kubernetes 1.21, with others; `null` takes one away.
fn claims(more: &Value) -> Value {
    let mut claims = json!({
        "iss": "https://kubernetes.default.svc", "aud": ["vault"], "iat": NOW, "exp": NOW + 600,
        "sub": "system:serviceaccount:default:app",
        "kubernetes.io": {
            "namespace": "default", "pod": {"name": "p", "uid": "pu"},
            "serviceaccount": {"name": "app", "uid": "u1"},
        },
    });
    let map = claims.as_object_mut().unwrap();
    map.extend(more.as_object().unwrap().clone());
    map.retain(|_, value| !value.is_null());
    claims
}

fn account(namespace: &str, name: &str, uid: &str) -> Value {
    json!({"kubernetes.io": {"namespace": namespace, "serviceaccount": {"name": name, "uid": uid}}})
}

fn good() -> Value {
    let user = json!({"username": "system:serviceaccount:default:app", "uid": "u1"});
    json!({"authenticated": true, "user": user, "audiences": ["vault"]})
}

fn reviews(site: &Site, status: &Value) {
    let body = json!({"kind": "TokenReview", "status": status}).to_string();
    site.answer_by(REVIEWS, move |_| (201, body.clone()));
}

fn configured(site: &Site, more: &Value) -> Server {
    let server = server("kubernetes");
    let mut config = json!({
        "kubernetes_host": site.url("/"), "kubernetes_ca_cert": site.ca_pem,
        "token_reviewer_jwt": "reviewer", "disable_local_ca_jwt": true,
    });
    config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    server.write("auth/kubernetes/config", &config).unwrap();
    server
}

fn role(server: &Server, name: &str, more: &Value) {
    let mut role = json!({
        "bound_service_account_names": "app", "bound_service_account_namespaces": "default",
    });
    role.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    server.write(&format!("auth/kubernetes/role/{name}"), &role).unwrap();
}

fn log_in(server: &Server, role: &str, jwt: &str) -> Result<Auth, Error> {
    login(server, "auth/kubernetes/login", &json!({"role": role, "jwt": jwt}))
}

#[test]
fn program_logs_in_by_its_service_account_which_kubernetes_vouches_for() {
    let site = Site::with_tls();
    let issuer = Issuer::new("k");
    let server = configured(&site, &json!({"pem_keys": issuer.pem}));
    reviews(&site, &good());
    let more = json!({"audience": "vault", "token_policies": "p1", "token_ttl": "1h"});
    role(&server, "r", &more);
    let jwt = issuer.sign(&claims(&json!({})));
    let auth = log_in(&server, "r", &jwt).unwrap();
    let asked = site.asked();
    assert_eq!(asked.len(), 1, "{asked:?}");
    assert_eq!(asked[0].authorization, "Bearer reviewer");
    let review: Value = serde_json::from_str(&asked[0].body).unwrap();
    let expected = json!({
        "apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview",
        "spec": {"token": jwt, "audiences": ["vault"]},
    });
    assert_eq!(review, expected);
    assert_eq!(
        (auth.token_policies.as_slice(), auth.ttl.as_secs()),
        (&["default".into(), "p1".into()][..], 3600)
    );
    let metadata = [
        ("role", "r"),
        ("service_account_name", "app"),
        ("service_account_namespace", "default"),
        ("service_account_secret_name", ""),
        ("service_account_uid", "u1"),
    ];
    assert_eq!(auth.metadata, metadata.map(|(name, value)| (name.into(), value.into())).into());
    let seen = lookup(&server, &auth.client_token);
    let expected = json!(["kubernetes-default-app", "auth/kubernetes/login"]);
    assert_eq!(json!(fields(&seen, "display_name path")), expected);
    let entity = data(server.read(&format!("identity/entity/id/{}", auth.entity_id)).unwrap());
    assert_eq!(entity["aliases"][0]["name"], "u1");
    role(
        &server,
        "named",
        &json!({"alias_name_source": "serviceaccount_name", "token_bound_cidrs": "192.0.2.0/24"}),
    );
    let named = log_in(&server, "named", &jwt).unwrap();
    let entity = data(server.read(&format!("identity/entity/id/{}", named.entity_id)).unwrap());
    assert_eq!(entity["aliases"][0]["name"], "default/app");
    let params = json!({"role": "named", "jwt": jwt});
    let elsewhere = login_from(&server, "198.51.100.1", "auth/kubernetes/login", &params);
    assert!(matches!(elsewhere, Err(Error::Denied)), "{elsewhere:?}");
    let renew = json!({"token": auth.client_token});
    server.write("auth/token/renew", &renew).unwrap();
    server.delete("auth/kubernetes/role/r").unwrap();
    let expected = "400 role \"r\" does not exist during renewal";
    assert_eq!(line(server.write("auth/token/renew", &renew)), expected);
}

/// Made before Kubernetes 1.21: it never ends, and is kept in a secret.
#[test]
fn token_of_old_logs_in_and_asks_for_itself_where_there_is_no_reviewer() {
    let site = Site::with_tls();
    let issuer = Issuer::new("k");
    let server = configured(&site, &json!({"token_reviewer_jwt": ""}));
    reviews(&site, &good());
    role(&server, "r", &json!({}));
    let part = |name: &str| format!("kubernetes.io/serviceaccount/{name}");
    let jwt = issuer.sign(&json!({
        "iss": "kubernetes/serviceaccount", "sub": "system:serviceaccount:default:app",
        part("namespace"): "default", part("secret.name"): "app-token",
        part("service-account.name"): "app", part("service-account.uid"): "u1",
    }));
    let auth = log_in(&server, "r", &jwt).unwrap();
    assert_eq!(auth.metadata["service_account_secret_name"], "app-token");
    assert_eq!(site.asked()[0].authorization, format!("Bearer {jwt}"));
}

#[test]
#[expect(clippy::too_many_lines, reason = "two tables")]
fn what_kubernetes_or_the_role_does_not_allow_is_denied() {
    let site = Site::with_tls();
    let issuer = Issuer::new("k");
    let server = configured(&site, &json!({"pem_keys": issuer.pem}));
    role(&server, "r", &json!({"audience": "vault"}));
    let globs = json!({
        "bound_service_account_names": "a*,web", "bound_service_account_namespaces": "de*,t-*-x",
    });
    role(&server, "globs", &globs);
    role(
        &server,
        "any",
        &json!({"bound_service_account_names": "*", "bound_service_account_namespaces": "*"}),
    );
    let denied = "permission denied";
    reviews(&site, &good());
    let stranger = Issuer::new("k");
    for (role, jwt, expected) in [
        ("r", issuer.sign(&claims(&json!({}))), ""),
        ("globs", issuer.sign(&claims(&json!({}))), ""),
        ("any", issuer.sign(&claims(&json!({}))), ""),
        ("r", stranger.sign(&claims(&json!({}))), denied),
        ("r", "x".into(), denied),
        (
            "r",
            issuer.sign(&json!({})),
            "invalid audience (aud) claim: audience claim does not match any expected audience",
        ),
        (
            "r",
            issuer.sign(&claims(&json!({"aud": "else"}))),
            "invalid audience (aud) claim: audience claim does not match any expected audience",
        ),
        (
            "r",
            issuer.sign(&claims(&json!({"exp": NOW - 61}))),
            "invalid expiration time (exp) claim: token is expired",
        ),
        (
            "r",
            issuer.sign(&claims(&json!({"nbf": NOW + 61}))),
            "invalid not before (nbf) claim: token not yet valid",
        ),
        (
            "r",
            issuer.sign(&claims(&account("default", "web", "u1"))),
            "service account name not authorized",
        ),
        ("r", issuer.sign(&claims(&account("other", "app", "u1"))), "namespace not authorized"),
        ("globs", issuer.sign(&claims(&account("t-x", "app", "u1"))), "namespace not authorized"),
        ("r", issuer.sign(&claims(&account("default", "app", "u2"))), denied),
        ("r", issuer.sign(&claims(&account("default", "app", ""))), denied),
        ("any", issuer.sign(&claims(&account("../secrets", "app", "u1"))), denied),
        ("any", issuer.sign(&claims(&account("default", "app/../x", "u1"))), denied),
        ("any", issuer.sign(&claims(&account("default", "a?b", "u1"))), denied),
        ("none", issuer.sign(&claims(&json!({}))), "invalid role name \"none\""),
        ("", "x".into(), "missing role"),
        ("r", String::new(), "missing jwt"),
    ] {
        let outcome = log_in(&server, role, &jwt);
        let text = outcome.err().map(|error| error.to_string()).unwrap_or_default();
        assert_eq!(text, expected, "{role} {jwt}");
    }
    let jwt = issuer.sign(&claims(&json!({})));
    let user = |username: &str, uid: &str| {
        json!({
            "authenticated": true, "audiences": ["vault"],
            "user": {"username": username, "uid": uid},
        })
    };
    let with = |name: &str, value: Value| {
        let mut status = good();
        status[name] = value;
        status
    };
    for status in [
        json!({}),
        json!("good"),
        with("authenticated", json!(false)),
        with("authenticated", json!("true")),
        with("error", json!("expired")),
        with("audiences", json!(["else"])),
        with("audiences", json!(null)),
        user("app", "u1"),
        user("system:serviceaccount:default:web", "u1"),
        user("system:serviceaccount:default:app:x", "u1"),
        user("system:node:default:app", "u1"),
        user("system:serviceaccount:default:app", "u2"),
    ] {
        reviews(&site, &status);
        let outcome = log_in(&server, "r", &jwt);
        assert!(matches!(outcome, Err(Error::Denied)), "{status}: {outcome:?}");
    }
    for (status, body) in [(403, good()), (500, good()), (302, json!("/x")), (200, json!("x"))] {
        let text = body.to_string();
        site.answer_by(REVIEWS, move |_| (status, text.clone()));
        let outcome = log_in(&server, "r", &jwt);
        assert!(matches!(outcome, Err(Error::Denied)), "{status}: {outcome:?}");
    }
    drop(site);
    assert!(matches!(log_in(&server, "r", &jwt), Err(Error::Denied)), "it is down");
}

#[test]
fn namespaces_are_chosen_by_their_labels_and_annotations_are_kept() {
    let site = Site::with_tls();
    let issuer = Issuer::new("k");
    let server = configured(&site, &json!({"use_annotations_as_alias_metadata": true}));
    reviews(&site, &good());
    let more = json!({
        "bound_service_account_namespaces": "",
        "bound_service_account_namespace_selector": r#"{"matchLabels":{"team":"blue"}}"#,
    });
    role(&server, "r", &more);
    let annotations = json!({
        "vault.hashicorp.com/alias-metadata-env": "prod", "other": "x",
        "vault.hashicorp.com/alias-metadata-service_account_name": "root",
    });
    let path = "/api/v1/namespaces/default/serviceaccounts/app";
    site.answer(path, &json!({"metadata": {"annotations": annotations}}));
    let jwt = issuer.sign(&claims(&json!({})));
    let namespace = "/api/v1/namespaces/default";
    for (labels, expected) in [
        (json!({"team": "red"}), "namespace not authorized"),
        (json!(null), "namespace not authorized"),
        (json!({"team": "blue"}), ""),
    ] {
        site.answer(namespace, &json!({"metadata": {"labels": labels}}));
        let outcome = log_in(&server, "r", &jwt);
        let text = outcome.as_ref().err().map(ToString::to_string).unwrap_or_default();
        assert_eq!(text, expected, "{labels}");
        if let Ok(auth) = outcome {
            let path = format!("identity/entity/id/{}", auth.entity_id);
            let alias = data(server.read(&path).unwrap())["aliases"][0]["metadata"].clone();
            assert_eq!(
                (&alias["env"], &alias["service_account_name"]),
                (&json!("prod"), &json!("app"))
            );
            assert_eq!(auth.metadata.get("env"), None);
        }
    }
    let asked = site.asked();
    assert!(asked.iter().all(|asked| asked.authorization == "Bearer reviewer"), "{asked:?}");
    assert_eq!(asked.last().map(|asked| asked.path.as_str()), Some(path));
}

#[test]
fn certificate_and_token_of_the_pod_are_read_anew_when_they_change() {
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = (Site::with_tls(), Site::with_tls());
    let state = kubernetes::State::in_pod(folder.path().into());
    let mount: Arc<dyn Mount> = kubernetes::engine().unwrap().mount(state).into();
    let server = Server::with_mounts(vec![("auth/kubernetes/", mount)]);
    let config = json!({"kubernetes_host": first.url("")});
    let text = line(server.write("auth/kubernetes/config", &config));
    assert!(text.starts_with("400 open ") && text.contains("ca.crt"), "{text}");
    let put = |ca: &str, token: &str| {
        std::fs::write(folder.path().join("ca.crt"), ca).unwrap();
        std::fs::write(folder.path().join("token"), token).unwrap();
    };
    put(&first.ca_pem, "one\n");
    server.write("auth/kubernetes/config", &config).unwrap();
    role(&server, "r", &json!({}));
    let jwt = Issuer::new("k").sign(&claims(&json!({})));
    reviews(&first, &good());
    log_in(&server, "r", &jwt).unwrap();
    put(&second.ca_pem, "two");
    assert!(log_in(&server, "r", &jwt).is_err(), "another authority");
    put(&first.ca_pem, "two");
    log_in(&server, "r", &jwt).unwrap();
    let bearers: Vec<String> = first.asked().into_iter().map(|asked| asked.authorization).collect();
    assert_eq!(bearers, ["Bearer one", "Bearer two"]);
}

#[test]
fn bad_configurations_and_roles_are_refused_and_leave_nothing() {
    let server = server("kubernetes");
    let host = "https://127.0.0.1:1";
    for (config, expected) in [
        (json!({}), "no host provided"),
        (json!({"kubernetes_host": "k8s"}), "kubernetes_host must be a URL"),
        (
            json!({"kubernetes_host": host, "disable_local_ca_jwt": true}),
            "kubernetes_ca_cert must be given when disable_local_ca_jwt is true",
        ),
        (json!({"kubernetes_host": host}), "open /var/run/secrets/"),
        (
            json!({"kubernetes_host": host, "kubernetes_ca_cert": "zz"}),
            "kubernetes_ca_cert holds no certificates in PEM",
        ),
        (
            json!({"kubernetes_host": host, "pem_keys": "zz", "kubernetes_ca_cert": "zz"}),
            "kubernetes_ca_cert holds",
        ),
    ] {
        let text = line(server.write("auth/kubernetes/config", &config));
        assert!(text.starts_with(&format!("400 {expected}")), "{config}: {text}");
    }
    assert_eq!(line(server.read("auth/kubernetes/config")), "204", "nothing was stored");
    let selector = "bound_service_account_namespace_selector";
    for (role, expected) in [
        (json!({}), "\"bound_service_account_names\" can not be empty"),
        (
            json!({"bound_service_account_names": "a"}),
            "\"bound_service_account_namespaces\" can not be empty if",
        ),
        (
            json!({"bound_service_account_names": "a,*", "bound_service_account_namespaces": "b"}),
            "can not mix \"*\" with values",
        ),
        (
            json!({"bound_service_account_names": "a", "bound_service_account_namespaces": "*,b"}),
            "can not mix \"*\" with values",
        ),
        (
            json!({"bound_service_account_names": "a", selector: "zz"}),
            "invalid \"bound_service_account_namespace_selector\" configured",
        ),
        (
            json!({
                "bound_service_account_names": "a", "bound_service_account_namespaces": "b",
                "alias_name_source": "zz",
            }),
            "invalid alias_name_source",
        ),
    ] {
        let text = line(server.write("auth/kubernetes/role/r", &role));
        assert!(text.starts_with(&format!("400 {expected}")), "{role}: {text}");
    }
    assert_eq!(line(server.list("auth/kubernetes/role")), "204", "nothing was stored");
    role(&server, "r", &json!({}));
    let unconfigured = log_in(&server, "r", "x").unwrap_err().to_string();
    assert_eq!(unconfigured, "could not load backend configuration");
}

#[test]
fn configuration_is_shown_without_the_reviewers_token() {
    let site = Site::with_tls();
    let server = configured(&site, &json!({"issuer": "i", "disable_iss_validation": false}));
    let shown = data(server.read("auth/kubernetes/config").unwrap());
    assert!(!json!(shown).to_string().contains("\"reviewer\""), "{shown:?}");
    let names = "token_reviewer_jwt_set kubernetes_host issuer disable_iss_validation";
    let expected = json!([true, site.url(""), "i", false]);
    assert_eq!(json!(fields(&shown, names)), expected);
    let issuer = Issuer::new("k");
    role(&server, "r", &json!({}));
    reviews(&site, &good());
    for (iss, expected) in [("i", ""), ("j", "invalid issuer (iss) claim")] {
        let outcome = log_in(&server, "r", &issuer.sign(&claims(&json!({"iss": iss}))));
        let text = outcome.err().map(|error| error.to_string()).unwrap_or_default();
        assert_eq!(text, expected, "{iss}");
    }
}
