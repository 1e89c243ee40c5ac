use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};
use strongroom::engines::identity::oidc;
use strongroom::request::{Error, Operation};

use super::{ACCESSOR, log_in, policy, read, server};
use crate::harness::{Server, data, line};

/// The claims of a token, unverified.
pub(super) fn claims(token: &str) -> Map<String, Value> {
    part(token, 1)
}

pub(super) fn header(token: &str) -> Map<String, Value> {
    part(token, 0)
}

fn part(token: &str, number: usize) -> Map<String, Value> {
    let part = token.split('.').nth(number).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

fn allow_tokens(server: &Server) {
    policy(server, "oidc", r#"path "identity/oidc/token/*" { capabilities = ["read"] }"#);
}

fn token(server: &Server, role: &str, login: &str) -> Result<Map<String, Value>, Error> {
    let path = format!("identity/oidc/token/{role}");
    server.send(Operation::Read, &path, &Value::Null, login).map(data)
}

fn introspect(server: &Server, params: &Value) -> Map<String, Value> {
    data(server.write("identity/oidc/introspect", params).unwrap())
}

fn key_ids(server: &Server) -> Vec<String> {
    let reply = server.send(Operation::Read, "identity/oidc/.well-known/keys", &Value::Null, "");
    let keys = data(reply.unwrap())["keys"].as_array().unwrap().clone();
    keys.iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
}

fn upkeep(server: &Server) {
    let pipeline = server.pipeline.clone();
    server.block_on(async {
        let rng = pipeline.rng.as_ref();
        for name in pipeline.internal(oidc::due_keys).await.unwrap() {
            pipeline.internal(|txn| oidc::rotate_due(txn, rng, &name)).await.unwrap();
        }
        while pipeline.internal(oidc::sweep_codes).await.unwrap() {}
    });
}

#[test]
fn token_says_who_the_caller_is_and_is_verified_by_the_published_keys() {
    let server = server();
    allow_tokens(&server);
    server.write("identity/oidc/config", &json!({"issuer": "https://a.example:8200"})).unwrap();
    for algorithm in ["ES256", "EdDSA"] {
        let key = format!("identity/oidc/key/{algorithm}");
        server.write(&key, &json!({"algorithm": algorithm, "allowed_client_ids": "*"})).unwrap();
        let template = format!(
            r#"{{"n": {{{{identity.entity.name}}}}, "g": {{{{identity.entity.groups.names}}}},
                "m": {{{{identity.entity.metadata.team}}}}, "none": {{{{identity.entity.metadata.no}}}},
                "a": {{{{identity.entity.aliases.{ACCESSOR}.name}}}}, "t": {{{{time.now.plus.1h}}}}}}"#
        );
        let role = json!({"key": algorithm, "template": template, "ttl": "10m"});
        server.write(&format!("identity/oidc/role/{algorithm}"), &role).unwrap();
        let auth = log_in(&server, "ann", &json!({"policies": ["oidc"]}));
        let entity = format!("identity/entity/id/{}", auth.entity_id);
        let odd = json!({"name": "a\"nn", "metadata": {"team": "{{identity.entity.id}}"}});
        server.write(&entity, &odd).unwrap();
        let group = json!({"name": "g", "member_entity_ids": [auth.entity_id]});
        server.write("identity/group", &group).unwrap();
        let issued = token(&server, algorithm, &auth.client_token).unwrap();
        let text = issued["token"].as_str().unwrap();
        assert_eq!(issued["ttl"], 600);
        assert_eq!(header(text)["alg"], algorithm);
        let said = claims(text);
        assert_eq!(said["iss"], "https://a.example:8200/v1/identity/oidc");
        assert_eq!(said["sub"], auth.entity_id);
        assert_eq!(said["aud"], issued["client_id"]);
        assert_eq!(said["exp"].as_u64().unwrap() - said["iat"].as_u64().unwrap(), 600);
        assert_eq!(said["n"], "a\"nn");
        assert_eq!(said["m"], "{{identity.entity.id}}", "a value is no template");
        assert_eq!(
            (&said["g"], &said["none"], &said["a"]),
            (&json!(["g"]), &json!(""), &json!("ann"))
        );
        assert_eq!(said["t"].as_u64().unwrap() - said["iat"].as_u64().unwrap(), 3600);
        assert!(key_ids(&server).contains(&header(text)["kid"].as_str().unwrap().to_owned()));
        assert_eq!(
            Value::Object(introspect(&server, &json!({"token": text}))),
            json!({"active": true})
        );
        let client = json!({"token": text, "client_id": issued["client_id"]});
        assert_eq!(introspect(&server, &client)["active"], true);
    }
}

#[test]
fn token_that_is_not_as_it_was_issued_is_not_active() {
    let server = server();
    allow_tokens(&server);
    let key = json!({"algorithm": "ES256", "allowed_client_ids": "*"});
    server.write("identity/oidc/key/k", &key).unwrap();
    server.write("identity/oidc/role/r", &json!({"key": "k", "ttl": "1h"})).unwrap();
    let auth = log_in(&server, "ann", &json!({"policies": ["oidc"]}));
    let issued = token(&server, "r", &auth.client_token).unwrap();
    let text = issued["token"].as_str().unwrap().to_owned();
    let mut forged = claims(&text);
    forged.insert("sub".into(), "someone".into());
    let forged = URL_SAFE_NO_PAD.encode(serde_json::to_vec(&forged).unwrap());
    let parts: Vec<&str> = text.split('.').collect();
    let none =
        URL_SAFE_NO_PAD.encode(json!({"alg": "none", "kid": header(&text)["kid"]}).to_string());
    for bad in [
        String::new(),
        "x".into(),
        format!("{}.{forged}.{}", parts[0], parts[2]),
        format!("{none}.{}.", parts[1]),
        format!("{none}.{}.{}", parts[1], parts[2]),
        format!("{text}.x"),
    ] {
        let answer = introspect(&server, &json!({"token": bad}));
        assert_eq!(answer["active"], false, "{bad}");
    }
    let other = introspect(&server, &json!({"token": text, "client_id": "other"}));
    assert_eq!(other["active"], false);
    let entity = format!("identity/entity/id/{}", auth.entity_id);
    server.write(&entity, &json!({"disabled": true})).unwrap();
    assert_eq!(introspect(&server, &json!({"token": text}))["active"], false);
    server.write(&entity, &json!({"disabled": false})).unwrap();
    assert_eq!(introspect(&server, &json!({"token": text}))["active"], true);
    server.set_time(3600);
    assert_eq!(introspect(&server, &json!({"token": text}))["active"], false);
}

#[test]
fn keys_rotate_by_time_and_old_ones_verify_until_theirs_is_over() {
    let server = server();
    allow_tokens(&server);
    let key = json!({"algorithm": "EdDSA", "allowed_client_ids": "*", "rotation_period": "1h",
        "verification_ttl": "2h"});
    server.write("identity/oidc/key/k", &key).unwrap();
    server.write("identity/oidc/role/r", &json!({"key": "k", "ttl": "2h"})).unwrap();
    let auth = log_in(&server, "ann", &json!({"policies": ["oidc"]}));
    let issue = || {
        let issued = token(&server, "r", &auth.client_token).unwrap();
        issued["token"].as_str().unwrap().to_owned()
    };
    let first = issue();
    let published = key_ids(&server);
    assert_eq!(published.len(), 2, "the one that signs, and the next");
    upkeep(&server);
    assert_eq!(key_ids(&server), published, "it is not time yet");
    server.set_time(3600);
    upkeep(&server);
    let second = issue();
    let signer = header(&second)["kid"].as_str().unwrap().to_owned();
    assert!(published.contains(&signer), "others knew the key before it signed");
    assert_ne!(header(&first)["kid"], header(&second)["kid"]);
    assert_eq!(introspect(&server, &json!({"token": first}))["active"], true);
    assert_eq!(key_ids(&server).len(), 3);
    server.write("identity/oidc/key/k/rotate", &json!({"verification_ttl": 0})).unwrap();
    assert_eq!(introspect(&server, &json!({"token": second}))["active"], false);
    server.set_time(3600 * 3);
    upkeep(&server);
    assert!(!key_ids(&server).contains(&header(&first)["kid"].as_str().unwrap().to_owned()));
    // Where nothing is due nothing is written.
    let entries = server.entries();
    upkeep(&server);
    assert_eq!(server.entries(), entries);
}

/// Whoever has no token cannot make the server read all roles and clients again and again.
#[test]
fn key_sets_are_made_once_for_each_change() {
    let server = server();
    let key = json!({"algorithm": "ES256", "allowed_client_ids": "*"});
    server.write("identity/oidc/key/k", &key).unwrap();
    server.write("identity/oidc/role/r", &json!({"key": "k", "ttl": "1h"})).unwrap();
    server.write("identity/oidc/client/c", &json!({"key": "k", "id_token_ttl": "1h"})).unwrap();
    let of_provider = "identity/oidc/provider/default/.well-known/keys";
    let keys = |path: &str| {
        let reply = server.send(Operation::Read, path, &Value::Null, "").unwrap();
        data(reply)["keys"].as_array().unwrap().len()
    };
    let both = || (key_ids(&server).len(), keys(of_provider));
    assert_eq!(both(), (2, 2));
    // Whoever reads these fails.
    let damage = |name: &str| {
        server.change("root/core/", |core| {
            core.put(&format!("identity/oidc/role/{name}"), &"damaged").unwrap();
            core.put(&format!("identity/oidc/client/{name}"), &"damaged").unwrap();
        });
    };
    damage("z");
    assert_eq!(both(), (2, 2));
    server.delete("identity/oidc/role/z").unwrap();
    server.delete("identity/oidc/client/z").unwrap_err();
    server.change("root/core/", |core| core.delete("identity/oidc/client/z").unwrap());
    // Each change shows at once.
    server.write("identity/oidc/key/k/rotate", &json!({})).unwrap();
    assert_eq!(both(), (3, 3));
    let nobody = json!({"allowed_client_ids": ["nobody"]});
    server.write("identity/oidc/provider/default", &nobody).unwrap();
    assert_eq!(both(), (3, 0));
    server.delete("identity/oidc/role/r").unwrap();
    assert_eq!(both(), (0, 0));
}

/// It is tried again once one of them is over, not twice a second until then.
#[test]
fn key_with_too_many_that_still_verify_is_not_due() {
    let server = server();
    let public = json!({"kid": "k", "algorithm": "ES256", "numbers": {}});
    let due = |retired: Vec<Value>| {
        let key = json!({
            "algorithm": "ES256", "rotation_period": 60, "verification_ttl": 600,
            "allowed_client_ids": [], "current": {"public": public, "pkcs8": ""}, "next": null,
            "next_rotation": 0, "retired": retired,
        });
        server.change("root/core/", |core| core.put("identity/oidc/key/k", &key).unwrap());
        server.block_on(server.pipeline.internal(oidc::due_keys)).unwrap()
    };
    let retired = |until: u64| json!({"public": public, "until": until});
    assert_eq!(due(vec![retired(u64::MAX); 255]), ["k"]);
    assert!(due(vec![retired(u64::MAX); 256]).is_empty());
    assert_eq!(due(vec![retired(1); 256]), ["k"]);
}

#[test]
fn bad_input_is_refused_with_its_reason_and_changes_nothing() {
    let server = server();
    let key = json!({"algorithm": "ES256", "rotation_period": "1h", "verification_ttl": "2h"});
    server.write("identity/oidc/key/k", &key).unwrap();
    server.write("identity/oidc/role/r", &json!({"key": "k", "ttl": "1h"})).unwrap();
    let entries = server.entries();
    let issuer = "400 invalid issuer, which must include only a scheme, host, and optional port \
                  (e.g. https://example.com:8200)";
    let aud = "400 top level key \"aud\" not allowed. Restricted keys: iat, aud, exp, iss, sub, \
               namespace, nonce, auth_time, at_hash, c_hash";
    let no_value = "400 error parsing template: no value could be found for one of the template \
                    directives";
    let too_long = "400 a role's token ttl cannot be longer than the verification_ttl of the key \
                    it references";
    for (path, params, answer) in [
        ("config", json!({"issuer": "foo"}), issuer),
        ("config", json!({"issuer": "https://a/b"}), issuer),
        ("config", json!({"issuer": "https://u@a"}), issuer),
        ("key/n", json!({"algorithm": "none"}), "400 unknown signing algorithm \"none\""),
        (
            "key/n",
            json!({"rotation_period": 59}),
            "400 rotation_period must be at least one minute",
        ),
        (
            "key/n",
            json!({"rotation_period": "4000000000s"}),
            "400 rotation_period must be less than a hundred years",
        ),
        (
            "key/n",
            json!({"rotation_period": -1}),
            "400 error converting input for field \"rotation_period\": cannot provide negative \
             value '-1'",
        ),
        (
            "key/k",
            json!({"verification_ttl": "11h"}),
            "400 verification_ttl cannot be longer than 10x rotation_period",
        ),
        (
            "key/k",
            json!({"verification_ttl": "30m"}),
            "400 unable to update key \"k\" because it is currently referenced by one or more \
             roles with a token ttl greater than 1800 seconds: r",
        ),
        ("key/nosuch/rotate", json!({}), "400 no named key found at \"nosuch\""),
        ("role/n", json!({}), "400 the key parameter is required"),
        ("role/n", json!({"key": "nosuch"}), "400 cannot find key \"nosuch\""),
        ("role/r", json!({"ttl": "3h"}), too_long),
        ("role/r", json!({"template": r#"{"aud": "x"}"#}), aud),
        ("role/r", json!({"template": "{\"x\": {{identity.entity.nope}}}"}), no_value),
        ("role/r", json!({"template": "{\"x\": {{time.now.plus.soon}}}"}), no_value),
        (
            "role/r",
            json!({"template": "{\"x\": {{time.now}"}),
            "400 error parsing template: unbalanced templating characters",
        ),
        ("scope/openid", json!({}), "400 the \"openid\" scope name is reserved"),
    ] {
        let path = format!("identity/oidc/{path}");
        assert_eq!(line(server.write(&path, &params)), answer, "{path} {params}");
    }
    assert_eq!(server.entries(), entries);
}

#[test]
fn template_that_is_no_json_and_deletion_of_what_is_needed_are_refused() {
    let server = server();
    server.write("identity/oidc/key/k", &json!({"algorithm": "ES256"})).unwrap();
    server.write("identity/oidc/role/r", &json!({"key": "k", "ttl": "1h"})).unwrap();
    let entries = server.entries();
    for text in ["{", "[]", "{\"x\": x}"] {
        let answer = line(server.write("identity/oidc/role/r", &json!({"template": text})));
        assert!(answer.starts_with("400 error parsing template JSON"), "{text}: {answer}");
    }
    for (path, answer) in [
        ("key/default", "400 deletion of key \"default\" not allowed"),
        (
            "key/k",
            "400 unable to delete key \"k\" because it is currently referenced by these roles: r",
        ),
        ("provider/default", "400 deletion of OIDC provider \"default\" not allowed"),
        ("assignment/allow_all", "400 deletion of assignment \"allow_all\" not allowed"),
    ] {
        assert_eq!(line(server.delete(&format!("identity/oidc/{path}"))), answer);
    }
    let answer = line(server.read("identity/oidc/token/r"));
    assert!(answer.starts_with("400 the key \"k\" does not list the client ID"), "{answer}");
    assert_eq!(line(server.read("identity/oidc/token/no")), "400 role \"no\" not found");
    assert_eq!(server.entries(), entries);
}

#[test]
fn what_is_always_there_is_there_before_anything_is_stored() {
    let server = server();
    assert_eq!(read(&server, "identity/oidc/key/default")["algorithm"], "RS256");
    assert_eq!(read(&server, "identity/oidc/provider/default")["allowed_client_ids"], json!(["*"]));
    assert_eq!(read(&server, "identity/oidc/assignment/allow_all")["entity_ids"], json!(["*"]));
    for (path, name) in [("key", "default"), ("provider", "default"), ("assignment", "allow_all")] {
        let listed = data(server.list(&format!("identity/oidc/{path}/")).unwrap());
        assert_eq!(listed["keys"], json!([name]));
    }
    assert_eq!(key_ids(&server), Vec::<String>::new());
    assert_eq!(server.entries(), server.entries());
}
