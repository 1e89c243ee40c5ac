use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use strongroom::crypto::{PublicNumbers, SigningAlgorithm, SigningKey};
use strongroom::request::{Auth, Error};

use super::site::Site;
use super::{fields, login, login_from, server};
use crate::harness::{START, Server, data, line};
use crate::token::{lookup, refusal};

/// Whoever signs tokens.
pub(super) struct Issuer {
    key: SigningKey,
    pub(super) pem: String,
    kid: String,
}

impl Issuer {
    pub(super) fn new(kid: &str) -> Self {
        let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
        let key = SigningKey::from_pkcs8(SigningAlgorithm::Es256, &pair.serialize_der()).unwrap();
        Self { key, pem: pair.public_key_pem(), kid: kid.into() }
    }

    pub(super) fn sign(&self, claims: &Value) -> String {
        let header = json!({"alg": "ES256", "kid": self.kid});
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let message = format!("{}.{}", part(&header), part(claims));
        let signature = self.key.sign(message.as_bytes()).unwrap();
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    pub(super) fn jwk(&self) -> Value {
        let PublicNumbers::Ec { x, y } = self.key.public().unwrap() else { panic!("a curve") };
        let text = |number: &[u8]| URL_SAFE_NO_PAD.encode(number);
        json!({"kty": "EC", "crv": "P-256", "kid": self.kid, "use": "sig", "x": text(&x), "y": text(&y)})
    }
}

/// Seconds since 1970, as the server's clock starts.
pub(super) const NOW: u64 = START.0 / 1000;

/// Good claims, with others; `null` takes one away.
fn claims(more: &Value) -> Value {
    let mut claims =
        json!({"iss": "iss", "sub": "bob", "aud": "a", "iat": NOW, "exp": NOW + 86_400});
    let map = claims.as_object_mut().unwrap();
    for (name, value) in more.as_object().unwrap() {
        map.insert(name.clone(), value.clone());
    }
    map.retain(|_, value| !value.is_null());
    claims
}

fn with_keys(issuer: &Issuer) -> Server {
    let server = server("jwt");
    let config = json!({"jwt_validation_pubkeys": issuer.pem, "bound_issuer": "iss"});
    server.write("auth/jwt/config", &config).unwrap();
    server
}

fn role(server: &Server, name: &str, more: &Value) {
    let mut role = json!({"role_type": "jwt", "user_claim": "sub", "bound_audiences": "a,b"});
    role.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    server.write(&format!("auth/jwt/role/{name}"), &role).unwrap();
}

fn log_in(server: &Server, role: &str, jwt: &str) -> Result<Auth, Error> {
    login(server, "auth/jwt/login", &json!({"role": role, "jwt": jwt}))
}

#[test]
fn program_logs_in_by_a_token_that_another_system_signed() {
    let issuer = Issuer::new("k");
    let server = with_keys(&issuer);
    role(
        &server,
        "r",
        &json!({
            "token_policies": "p1", "token_ttl": "1h", "claim_mappings": {"/n/team": "team", "x": "no"},
            "groups_claim": "groups", "token_bound_cidrs": "192.0.2.0/24",
        }),
    );
    let more = json!({"aud": ["z", "b"], "n": {"team": "blue"}, "groups": ["dev", "ops"]});
    let jwt = issuer.sign(&claims(&more));
    let auth = log_in(&server, "r", &jwt).unwrap();
    assert_eq!(auth.token_policies, ["default", "p1"]);
    assert_eq!((auth.ttl.as_secs(), auth.renewable), (3600, true));
    let metadata = [("role", "r"), ("team", "blue")];
    assert_eq!(auth.metadata, metadata.map(|(name, value)| (name.into(), value.into())).into());
    let seen = lookup(&server, &auth.client_token);
    assert_eq!(json!(fields(&seen, "display_name path")), json!(["jwt-bob", "auth/jwt/login"]));
    let entity = data(server.read(&format!("identity/entity/id/{}", auth.entity_id)).unwrap());
    let alias = &entity["aliases"][0];
    assert_eq!((&alias["name"], &alias["metadata"]), (&json!("bob"), &json!({"team": "blue"})));
    let elsewhere =
        login_from(&server, "198.51.100.1", "auth/jwt/login", &json!({"role": "r", "jwt": jwt}));
    assert!(matches!(elsewhere, Err(Error::Denied)), "{elsewhere:?}");
    server.write("auth/jwt/role/r", &json!({"token_ttl": "2h"})).unwrap();
    let renew = json!({"token": auth.client_token});
    let renewed = server.write("auth/token/renew", &renew).unwrap().auth.unwrap();
    assert_eq!(renewed.ttl.as_secs(), 7200, "by the role as it is now");
    server.delete("auth/jwt/role/r").unwrap();
    let expected = "400 role \"r\" does not exist during renewal";
    assert_eq!(line(server.write("auth/token/renew", &renew)), expected);
}

#[test]
fn a_role_may_have_so_many_tokens() {
    let issuer = Issuer::new("k");
    let server = with_keys(&issuer);
    role(&server, "r", &json!({}));
    role(&server, "other", &json!({}));
    let quota = json!({"path": "auth/jwt", "role": "r", "max_leases": 1});
    server.write("sys/quotas/lease-count/q", &quota).unwrap();
    let jwt = issuer.sign(&claims(&json!({})));
    let first = log_in(&server, "r", &jwt).unwrap();
    let refused = log_in(&server, "r", &jwt);
    assert!(matches!(refused, Err(Error::TooMany(_))), "{refused:?}");
    log_in(&server, "other", &jwt).unwrap();
    let read = data(server.read("sys/quotas/lease-count/q").unwrap());
    assert_eq!((&read["role"], &read["counter"]), (&json!("r"), &json!(1)));
    server.write("auth/token/revoke", &json!({"token": first.client_token})).unwrap();
    log_in(&server, "r", &jwt).unwrap();
    let within = json!({"path": "auth/jwt/login", "role": "r", "max_leases": 1});
    let said = line(server.write("sys/quotas/lease-count/w", &within));
    assert_eq!(said, "400 a role's quota is for the whole mount: give \"auth/jwt/\" as `path`");
}

#[test]
fn groups_of_a_token_make_members_of_external_groups() {
    let issuer = Issuer::new("k");
    let server = with_keys(&issuer);
    role(&server, "r", &json!({"groups_claim": "/r/groups"}));
    let group = json!({"name": "devs", "type": "external", "policies": "dev"});
    let id = data(server.write("identity/group", &group).unwrap())["id"].clone();
    let accessor = data(server.read("sys/auth").unwrap())["jwt/"]["accessor"].clone();
    let alias = json!({"name": "dev", "mount_accessor": accessor, "canonical_id": id});
    server.write("identity/group-alias", &alias).unwrap();
    for (groups, expected) in
        [(json!(["dev", "none"]), vec!["dev"]), (json!("dev"), vec!["dev"]), (json!([]), vec![])]
    {
        let jwt = issuer.sign(&claims(&json!({"r": {"groups": groups}})));
        let auth = log_in(&server, "r", &jwt).unwrap();
        assert_eq!(auth.identity_policies, expected, "{groups}");
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "one table")]
fn tokens_that_are_not_as_the_role_demands_are_refused() {
    let issuer = Issuer::new("k");
    let server = with_keys(&issuer);
    role(&server, "r", &json!({}));
    role(&server, "subject", &json!({"bound_subject": "alice"}));
    role(&server, "claims", &json!({"bound_claims": {"x": "1", "/n/d": ["p", "q"]}}));
    role(&server, "flag", &json!({"bound_claims": {"x": true}}));
    role(&server, "number", &json!({"bound_claims": {"x": [1, 2]}}));
    let globs = json!({"bound_claims": {"x": ["a*", "b"], "y": "*z"}, "bound_claims_type": "glob"});
    role(&server, "globs", &globs);
    role(&server, "mapped", &json!({"claim_mappings": {"x": "mx"}}));
    role(&server, "groups", &json!({"groups_claim": "/r/g"}));
    role(&server, "pointer", &json!({"user_claim": "/n/u", "user_claim_json_pointer": true}));
    role(&server, "literal", &json!({"user_claim": "/n/u"}));
    role(&server, "subjects", &json!({"bound_subject": "bob", "bound_audiences": ""}));
    let oidc = json!({"user_claim": "sub", "allowed_redirect_uris": "http://localhost/x"});
    server.write("auth/jwt/role/oidc", &oidc).unwrap();
    let invalid = "error validating token: ";
    let unbound = "does not match any associated bound claim values";
    for (name, more, expected) in [
        ("r", json!({}), String::new()),
        ("r", json!({"iss": "x"}), format!("{invalid}invalid issuer (iss) claim")),
        ("r", json!({"iss": null}), format!("{invalid}invalid issuer (iss) claim")),
        ("r", json!({"iss": ["iss"]}), format!("{invalid}iss must be a string")),
        (
            "r",
            json!({"aud": "z"}),
            format!(
                "{invalid}invalid audience (aud) claim: audience claim does not match any \
                 expected audience"
            ),
        ),
        (
            "r",
            json!({"aud": null}),
            format!(
                "{invalid}invalid audience (aud) claim: audience claim does not match any \
                 expected audience"
            ),
        ),
        ("r", json!({"aud": 5}), format!("{invalid}aud must be a string or a list of strings")),
        ("r", json!({"sub": 5}), format!("{invalid}sub must be a string")),
        ("r", json!({"sub": null}), "claim \"sub\" not found in token".into()),
        ("r", json!({"sub": ""}), "claim \"sub\" is empty".into()),
        (
            "r",
            json!({"exp": NOW - 61, "iat": NOW - 600}),
            format!("{invalid}invalid expiration time (exp) claim: token is expired"),
        ),
        (
            "r",
            json!({"nbf": NOW + 61}),
            format!("{invalid}invalid not before (nbf) claim: token not yet valid"),
        ),
        (
            "r",
            json!({"exp": null, "iat": null}),
            format!(
                "{invalid}no issued at (iat), not before (nbf), or expiration time (exp) claims \
                 in token"
            ),
        ),
        ("subject", json!({}), format!("{invalid}invalid subject (sub) claim")),
        ("subjects", json!({"aud": null}), String::new()),
        (
            "subjects",
            json!({}),
            "audience claim found in JWT but no audiences bound to the role".into(),
        ),
        (
            "claims",
            json!({"n": {"d": "q"}}),
            "error validating claims: claim \"x\" is missing".into(),
        ),
        ("claims", json!({"x": "1"}), "error validating claims: claim \"/n/d\" is missing".into()),
        ("claims", json!({"x": "1", "n": {"d": ["z", "q"]}}), String::new()),
        (
            "claims",
            json!({"x": 1, "n": {"d": "q"}}),
            format!("error validating claims: claim \"x\" {unbound}"),
        ),
        ("flag", json!({"x": true}), String::new()),
        ("flag", json!({"x": "true"}), format!("error validating claims: claim \"x\" {unbound}")),
        ("number", json!({"x": 2.0}), String::new()),
        ("number", json!({"x": 3}), format!("error validating claims: claim \"x\" {unbound}")),
        ("globs", json!({"x": "abc", "y": "z"}), String::new()),
        ("globs", json!({"x": "b", "y": "xyz"}), String::new()),
        (
            "globs",
            json!({"x": "bc", "y": "z"}),
            format!("error validating claims: claim \"x\" {unbound}"),
        ),
        (
            "globs",
            json!({"x": 1, "y": "z"}),
            format!("error validating claims: claim \"x\" {unbound}"),
        ),
        ("mapped", json!({"x": 1.5}), String::new()),
        ("mapped", json!({"x": {"a": 1}}), "error converting claim 'x' to string".into()),
        ("groups", json!({}), "failed to fetch groups: \"/r/g\" claim not found in token".into()),
        (
            "groups",
            json!({"r": {"g": [1]}}),
            "value 1 in groups claim could not be parsed as string".into(),
        ),
        (
            "groups",
            json!({"r": {"g": {}}}),
            "\"/r/g\" claim could not be converted to string list".into(),
        ),
        ("pointer", json!({"n": {"u": "zed"}}), String::new()),
        ("pointer", json!({}), "claim \"/n/u\" not found in token".into()),
        ("literal", json!({"n": {"u": "zed"}}), "claim \"/n/u\" not found in token".into()),
        ("oidc", json!({}), "role with oidc role_type is not allowed".into()),
        ("none", json!({}), "role \"none\" could not be found".into()),
        ("", json!({}), "missing role".into()),
    ] {
        let outcome = log_in(&server, name, &issuer.sign(&claims(&more)));
        let text = outcome.err().map(|error| error.to_string()).unwrap_or_default();
        assert_eq!(text, expected, "{name} {more}");
    }
    let stranger = Issuer::new("k").sign(&claims(&json!({})));
    let signature = "error validating token: error verifying token signature: ";
    for (jwt, expected) in [
        (stranger.as_str(), "no known key successfully validated the token signature"),
        ("x", "compact JWS format must have three parts"),
        ("x.y.z", "illegal base64 data"),
    ] {
        let expected = format!("{signature}{expected}");
        assert_eq!(refusal(log_in(&server, "r", jwt)), expected, "{jwt}");
    }
    assert_eq!(refusal(log_in(&server, "r", "")), "missing token");
}

#[test]
#[expect(clippy::too_many_lines, reason = "one table")]
fn bad_configurations_and_roles_are_refused_and_leave_nothing() {
    let issuer = Issuer::new("k");
    let server = server("jwt");
    assert_eq!(line(server.read("auth/jwt/config")), "204", "404 by HTTP");
    let one_of = "exactly one of 'jwt_validation_pubkeys', 'jwks_url', 'jwks_pairs' or \
                  'oidc_discovery_url' must be set";
    let closed = "http://127.0.0.1:1";
    let pem = &issuer.pem;
    for (config, expected) in [
        (json!({}), one_of),
        (json!({"jwks_url": closed, "jwt_validation_pubkeys": pem}), one_of),
        (json!({"jwt_validation_pubkeys": "zz"}), "error parsing public key"),
        (
            json!({"jwt_validation_pubkeys": pem, "jwt_supported_algs": "HS256"}),
            "invalid jwt_supported_algs: unsupported signing algorithm \"HS256\"",
        ),
        (
            json!({"jwt_validation_pubkeys": pem, "jwt_supported_algs": "none"}),
            "invalid jwt_supported_algs",
        ),
        (
            json!({"jwt_validation_pubkeys": pem, "oidc_response_mode": "x"}),
            "invalid response_mode",
        ),
        (
            json!({"jwt_validation_pubkeys": pem, "oidc_response_types": "x"}),
            "invalid response_types [\"x\"]. 'code' and 'id_token' are allowed",
        ),
        (
            json!({"jwt_validation_pubkeys": pem, "oidc_client_id": "x"}),
            "both 'oidc_client_id' and 'oidc_client_secret' must be set for OIDC",
        ),
        (
            json!({"jwt_validation_pubkeys": pem, "oidc_client_id": "x", "oidc_client_secret": "y"}),
            "'oidc_discovery_url' must be set for OIDC",
        ),
        (
            json!({
                "oidc_discovery_url": closed, "oidc_client_id": "x", "oidc_client_secret": "y",
                "oidc_response_types": "id_token",
            }),
            "the code flow alone is supported",
        ),
        (
            json!({"jwt_validation_pubkeys": pem, "provider_config": {"provider": "azure"}}),
            "invalid provider_config",
        ),
        (json!({"jwks_url": closed, "jwks_ca_pem": "zz"}), "error checking jwks_ca_pem"),
        (json!({"jwks_pairs": "x"}), "invalid jwks_pairs"),
        (json!({"jwks_pairs": [{"jwks_ca_pem": ""}]}), "invalid jwks_pairs"),
        (json!({"jwks_pairs": [{"jwks_url": closed, "x": 1}]}), "invalid jwks_pairs"),
        (json!({"jwks_url": closed}), "error checking jwks URL: GET http://127.0.0.1:1/: "),
        (json!({"jwks_url": "file:///etc/passwd"}), "error checking jwks URL: "),
        (json!({"oidc_discovery_url": closed}), "error checking oidc discovery URL: "),
    ] {
        let text = line(server.write("auth/jwt/config", &config));
        assert!(text.starts_with(&format!("400 {expected}")), "{config}: {text}");
    }
    assert_eq!(line(server.read("auth/jwt/config")), "204", "nothing was stored");
    for (role, expected) in [
        (json!({}), "400 a user claim must be defined on the role"),
        (json!({"role_type": "x", "user_claim": "sub"}), "400 invalid 'role_type': x"),
        (
            json!({"user_claim": "sub"}),
            "400 'allowed_redirect_uris' must be set if 'role_type' is 'oidc' or unspecified.",
        ),
        (
            json!({"role_type": "jwt", "user_claim": "sub"}),
            "400 must have at least one bound constraint when creating/updating a role",
        ),
        (
            json!({"role_type": "jwt", "user_claim": "sub", "bound_claims_type": "re"}),
            "400 invalid 'bound_claims_type': re",
        ),
        (
            json!({
                "role_type": "jwt", "user_claim": "sub", "bound_claims": {"a": [1]},
                "bound_claims_type": "glob",
            }),
            "400 claim is not a string: 1",
        ),
        (
            json!({
                "role_type": "jwt", "user_claim": "sub", "bound_subject": "x",
                "claim_mappings": {"a": "x", "b": "x"},
            }),
            "400 multiple keys are mapped to metadata key \"x\"",
        ),
        (
            json!({
                "role_type": "jwt", "user_claim": "sub", "bound_subject": "x",
                "claim_mappings": {"a": "role"},
            }),
            "400 metadata key \"role\" is reserved and may not be a mapping destination",
        ),
        (
            json!({"role_type": "jwt", "user_claim": "sub", "bound_subject": "x", "max_age": -5}),
            "400 error converting input for field \"max_age\": cannot provide negative value '-5'",
        ),
    ] {
        assert_eq!(line(server.write("auth/jwt/role/r", &role)), expected, "{role}");
    }
    assert_eq!(line(server.list("auth/jwt/role")), "204", "nothing was stored");
    let unconfigured = log_in(&server, "r", "x").unwrap_err().to_string();
    assert_eq!(unconfigured, "could not load configuration");
}

#[test]
fn published_keys_are_kept_and_asked_for_again_when_they_have_changed() {
    let site = Site::plain();
    let (first, second) = (Issuer::new("1"), Issuer::new("2"));
    site.answer("/keys", &json!({"keys": [first.jwk()]}));
    let server = server("jwt");
    server.write("auth/jwt/config", &json!({"jwks_url": site.url("/keys")})).unwrap();
    role(&server, "r", &json!({}));
    let (old, new) = (first.sign(&claims(&json!({}))), second.sign(&claims(&json!({}))));
    assert_eq!(site.asked().len(), 1, "by the configuration");
    log_in(&server, "r", &old).unwrap();
    log_in(&server, "r", &old).unwrap();
    assert_eq!(site.asked().len(), 1, "kept");
    site.answer("/keys", &json!({"keys": [second.jwk()]}));
    log_in(&server, "r", &new).unwrap();
    assert_eq!(site.asked().len(), 1, "a key that is not known is asked for at once");
    for _ in 0..3 {
        assert!(log_in(&server, "r", &old).is_err(), "it is not published any more");
    }
    assert_eq!(site.asked().len(), 0, "nobody makes it ask over and over");
    server.set_time(11);
    assert!(log_in(&server, "r", &old).is_err());
    log_in(&server, "r", &new).unwrap();
    assert_eq!(site.asked().len(), 1, "after a while once more");
    server.set_time(700);
    site.answer_by("/keys", |_| (500, String::new()));
    log_in(&server, "r", &new).unwrap();
    assert_eq!(site.asked().len(), 1, "old keys are used where there are no new ones");
    server.set_time(3700);
    let refused = refusal(log_in(&server, "r", &new));
    assert!(
        refused.contains("fetching keys") && refused.contains("its status is 500"),
        "{refused}"
    );
}

#[test]
fn keys_are_found_by_discovery_over_tls_and_through_redirects_that_stay_there() {
    let site = Site::with_tls();
    let issuer = Issuer::new("1");
    let document = |issuer: &str, keys: &str| json!({"issuer": issuer, "jwks_uri": keys});
    let discovery = "/.well-known/openid-configuration";
    site.answer(discovery, &document(&site.url(""), &site.url("/moved")));
    let keys = site.url("/keys");
    site.answer_by("/moved", move |_| (302, keys.clone()));
    site.answer("/keys", &json!({"keys": [issuer.jwk()]}));
    let server = server("oidc");
    let config =
        |ca: &str| json!({"oidc_discovery_url": site.url(""), "oidc_discovery_ca_pem": ca});
    let write = |config: &Value| line(server.write("auth/oidc/config", config));
    assert!(write(&config("")).contains("certificate"), "an authority that nobody trusts");
    assert_eq!(write(&config(&site.ca_pem)), "204");
    let role = json!({"role_type": "jwt", "user_claim": "sub", "bound_audiences": "a"});
    server.write("auth/oidc/role/r", &role).unwrap();
    let params = json!({"role": "r", "jwt": issuer.sign(&claims(&json!({})))});
    login(&server, "auth/oidc/login", &params).unwrap();
    for (answer, expected) in [
        (document("https://other", "https://other/keys"), "the issuer did not match"),
        (document(&site.url(""), "http://other/keys"), "not served over https"),
        (json!("text"), "no OpenID configuration"),
    ] {
        site.answer(discovery, &answer);
        let text = write(&config(&site.ca_pem));
        assert!(text.contains(expected), "{answer}: {text}");
    }
    let there = site.url(discovery);
    site.answer_by(discovery, move |_| (302, there.clone()));
    assert!(write(&config(&site.ca_pem)).contains("redirected too often"));
    site.answer_by(discovery, move |_| (302, "http://127.0.0.1:1/".into()));
    assert!(write(&config(&site.ca_pem)).contains("redirected from https"));
}
