use std::sync::Arc;

use strongroom::request::Request;
use strongroom::secret::Secret;

use super::*;

fn role(server: &Server, name: &str, params: &Value) -> Result<Reply, Error> {
    server.write(&format!("auth/token/roles/{name}"), params)
}

fn create_by(server: &Server, name: &str, params: &Value) -> Result<Reply, Error> {
    server.write(&format!("auth/token/create/{name}"), params)
}

#[test]
fn role_is_read_back_as_in_vault() {
    let server = Server::new();
    assert!(matches!(server.read("auth/token/roles/a"), Err(Error::NotFound)));
    role(&server, "a", &json!({})).unwrap();
    assert_eq!(
        Value::Object(data(server.read("auth/token/roles/a").unwrap())),
        json!({
            "allowed_entity_aliases": null,
            "allowed_policies": [],
            "allowed_policies_glob": [],
            "disallowed_policies": [],
            "disallowed_policies_glob": [],
            "explicit_max_ttl": 0,
            "name": "a",
            "orphan": false,
            "path_suffix": "",
            "period": 0,
            "renewable": true,
            "token_explicit_max_ttl": 0,
            "token_no_default_policy": false,
            "token_period": 0,
            "token_type": "default-service",
        })
    );
    let old = json!({"period": "1h", "explicit_max_ttl": "5h", "bound_cidrs": "127.0.0.1/8"});
    role(&server, "b", &old).unwrap();
    let seen = data(server.read("auth/token/roles/b").unwrap());
    for (name, value) in [
        ("period", json!(3600)),
        ("token_period", json!(3600)),
        ("explicit_max_ttl", json!(18_000)),
        ("token_explicit_max_ttl", json!(18_000)),
        ("bound_cidrs", json!(["127.0.0.1/8"])),
        ("token_bound_cidrs", json!(["127.0.0.1/8"])),
    ] {
        assert_eq!(seen[name], value, "{name}");
    }
    role(&server, "b", &json!({"token_period": "2h", "orphan": true})).unwrap();
    let seen = data(server.read("auth/token/roles/b").unwrap());
    assert_eq!((&seen["period"], &seen["token_period"]), (&json!(0), &json!(7200)));
    assert_eq!(seen["token_explicit_max_ttl"], 18_000, "what is not given stays");
    assert_eq!(data(server.list("auth/token/roles/").unwrap())["keys"], json!(["a", "b"]));
    server.delete("auth/token/roles/a").unwrap();
    server.delete("auth/token/roles/b").unwrap();
    assert!(server.list("auth/token/roles/").unwrap().is_empty());
}

#[test]
fn what_is_no_role_is_refused_with_its_reason() {
    let server = Server::new();
    let batch = |more: Value| {
        let mut params = json!({"token_type": "batch", "orphan": true, "renewable": false});
        params.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        params
    };
    for (params, message) in [
        (
            batch(json!({"orphan": false})),
            "'token_type' cannot be 'batch' when role is set to generate non-orphan tokens",
        ),
        (
            batch(json!({"renewable": true})),
            "'token_type' cannot be 'batch' when role is set to generate renewable tokens",
        ),
        (
            batch(json!({"token_period": 1})),
            "'token_type' cannot be 'batch' when role is set to generate periodic tokens",
        ),
        (
            batch(json!({"token_explicit_max_ttl": 1})),
            "'token_type' cannot be 'batch' when role is set to generate tokens with an explicit \
             max TTL",
        ),
        (json!({"token_type": "wat"}), "invalid 'token_type' value \"wat\""),
        (
            json!({"path_suffix": "a/../b"}),
            "given role path suffix contains invalid characters; must match \\w[\\w-.]+\\w",
        ),
        (
            json!({"token_num_uses": -1}),
            "error parsing role fields: 'token_num_uses' cannot be negative",
        ),
        (
            json!({"token_period": -1}),
            "error converting input for field \"token_period\": cannot provide negative value \
             '-1'",
        ),
        (
            json!({"token_bound_cidrs": "nonsense"}),
            "\"nonsense\" is no IP address and no block of them, such as 10.0.0.0/8",
        ),
    ] {
        assert_eq!(refusal(role(&server, "a", &params)), message, "{params}");
    }
}

#[test]
fn lists_of_a_role_decide_which_policies_there_are() {
    let server = Server::new();
    let admin = admin(&server);
    for (name, params) in [
        ("two", json!({"allowed_policies": ["dev", "ops"], "disallowed_policies": ["ops"]})),
        ("dev", json!({"allowed_policies": "dev"})),
        ("bare", json!({"allowed_policies": "a", "token_no_default_policy": true})),
        ("glob", json!({"allowed_policies_glob": "team-*", "disallowed_policies_glob": "team-x*"})),
        ("not", json!({"disallowed_policies": "zz"})),
        ("nodefault", json!({"disallowed_policies": "default"})),
    ] {
        role(&server, name, &params).unwrap();
    }
    for (name, asked, outcome) in [
        ("two", vec![], Err("token policy \"ops\" is disallowed by this role")),
        ("two", vec!["dev"], Ok(vec!["default", "dev"])),
        (
            "two",
            vec!["x"],
            Err("token policies ([\"default\" \"x\"]) must be subset of the role's allowed \
                 policies ([\"default\" \"dev\" \"ops\"]) or glob policies ([])"),
        ),
        ("dev", vec![], Ok(vec!["default", "dev"])),
        ("bare", vec![], Ok(vec!["a"])),
        (
            "bare",
            vec!["a", "default"],
            Err("token policies ([\"a\" \"default\"]) must be subset of the role's allowed \
                 policies ([\"a\"]) or glob policies ([])"),
        ),
        ("glob", vec!["team-a"], Ok(vec!["default", "team-a"])),
        ("glob", vec![], Ok(vec!["default"])),
        ("glob", vec!["team-xa"], Err("token policy \"team-xa\" is disallowed by this role")),
        ("not", vec![], Ok(vec!["adm", "default"])),
        ("not", vec!["anything"], Ok(vec!["anything", "default"])),
        (
            "not",
            vec!["root"],
            Err("root tokens may not be created without parent token being root"),
        ),
        ("nodefault", vec!["x"], Ok(vec!["x"])),
        ("nodefault", vec!["default"], Err("token policy \"default\" is disallowed by this role")),
    ] {
        let path = format!("auth/token/create/{name}");
        let params = json!({ "policies": asked });
        let created = server.send(Operation::Update, &path, &params, &admin);
        match outcome {
            Ok(policies) => assert_eq!(auth(created.unwrap()).policies, policies, "{name}"),
            Err(message) => assert_eq!(refusal(created), message, "{name} {params}"),
        }
    }
}

#[test]
fn role_gives_what_else_would_need_sudo() {
    let server = Server::new();
    let params = json!({
        "allowed_policies": "a", "orphan": true, "path_suffix": "sfx", "token_period": "1h",
        "token_explicit_max_ttl": "5h", "token_num_uses": 4, "renewable": false,
    });
    role(&server, "r", &params).unwrap();
    let admin = admin(&server);
    let path = "auth/token/create/r";
    let created = auth(server.send(Operation::Update, path, &json!({}), &admin).unwrap());
    assert_eq!((created.ttl.as_secs(), created.num_uses), (3600, 4));
    assert_eq!((created.orphan, created.renewable), (true, false));
    let seen = lookup(&server, &created.client_token);
    assert_eq!((&seen["role"], &seen["path"]), (&json!("r"), &json!("auth/token/create/r/sfx")));
    let params = json!({"num_uses": 10, "explicit_max_ttl": "10h", "period": "3h"});
    let reply = create_by(&server, "r", &params).unwrap();
    assert_eq!(
        reply.warnings,
        [
            "Explicit max TTL specified both during creation call and in role; using the lesser \
             value of 18000 seconds",
            "Period specified both during creation call and in role; using the lesser value of \
             3600 seconds",
            "Policy \"a\" does not exist",
        ]
    );
    assert_eq!(auth(reply).num_uses, 4);
}

#[test]
fn role_decides_the_type_or_suggests_one() {
    let server = Server::new();
    for (of_role, asked, prefix) in [
        ("service", "", "hvs."),
        ("service", "batch", "hvs."),
        ("batch", "", "hvb."),
        ("batch", "service", "hvb."),
        ("default-service", "", "hvs."),
        ("default-service", "batch", "hvb."),
        ("default-batch", "", "hvb."),
        ("default-batch", "service", "hvs."),
    ] {
        let params = json!({"token_type": of_role, "orphan": true, "renewable": false});
        role(&server, "r", &params).unwrap();
        let params = json!({"policies": ["a"], "type": asked});
        let token = auth(create_by(&server, "r", &params).unwrap()).client_token;
        assert!(token.starts_with(prefix), "{of_role}, {asked}: {token}");
    }
}

#[test]
fn alias_that_the_role_does_not_allow_is_refused() {
    let server = Server::new();
    role(&server, "r", &json!({"allowed_entity_aliases": ["App-*"]})).unwrap();
    let params = json!({"policies": ["a"], "entity_alias": "other"});
    assert_eq!(refusal(create_by(&server, "r", &params)), "invalid 'entity_alias' value");
}

#[test]
fn bound_token_works_from_where_it_is_bound_to() {
    let server = Server::new();
    role(&server, "r", &json!({"token_bound_cidrs": ["10.0.0.0/8", "::1"]})).unwrap();
    admin(&server);
    let params = json!({"policies": ["adm"], "num_uses": 5});
    let limited = auth(create_by(&server, "r", &params).unwrap()).client_token;
    let params = json!({"policies": ["adm"]});
    let bound = auth(create_by(&server, "r", &params).unwrap()).client_token;
    let from = |token: &str, path: &str, remote: Option<&str>| {
        let request = Request {
            id: "1".into(),
            operation: if path.ends_with("lookup-self") {
                Operation::Read
            } else {
                Operation::Update
            },
            path: path.into(),
            token: Some(Arc::new(Secret::new(token.to_owned()))),
            remote: remote.map(|remote| remote.parse().unwrap()),
            ..Request::default()
        };
        server.block_on(server.pipeline.handle(&request))
    };
    let path = "auth/token/create";
    let child = auth(from(&bound, path, Some("10.1.2.3:99")).unwrap()).client_token;
    for (remote, allowed) in [
        (Some("10.1.2.3:99"), true),
        (Some("[::ffff:10.1.2.3]:99"), true),
        (Some("[::1]:99"), true),
        (Some("11.1.2.3:99"), false),
        (None, false),
    ] {
        for token in [&bound, &child] {
            let outcome = from(token, "auth/token/lookup-self", remote);
            match outcome {
                Ok(_) => assert!(allowed, "{remote:?}"),
                Err(error) => {
                    assert!(!allowed && matches!(error, Error::Denied), "{remote:?}: {error:?}");
                }
            }
        }
    }
    from(&limited, "auth/token/lookup-self", None).unwrap_err();
    assert_eq!(lookup(&server, &limited)["num_uses"], 5, "what is refused is no use");
    let seen = lookup(&server, &child);
    assert_eq!(seen["bound_cidrs"], json!(["10.0.0.0/8", "::1"]), "a child is bound likewise");
}

#[test]
fn role_is_the_paths_to_name_and_never_the_bodys() {
    let server = Server::new();
    policy(&server, "strong", r#"path "secret/*" { capabilities = ["read"] }"#);
    role(&server, "strong", &json!({"allowed_policies": ["strong"], "orphan": true})).unwrap();
    policy(
        &server,
        "weak",
        r#"path "auth/token/create" { capabilities = ["update"] }
           path "auth/token/create-orphan" { capabilities = ["update", "sudo"] }"#,
    );
    let weak = create(&server, &json!({"policies": ["weak"]}));
    let params = json!({"role_name": "strong"});
    let refused = server.send(Operation::Update, "auth/token/create/strong", &params, &weak);
    assert!(matches!(refused, Err(Error::Denied)), "{refused:?}");
    for path in ["auth/token/create", "auth/token/create-orphan"] {
        let made = auth(server.send(Operation::Update, path, &params, &weak).unwrap());
        assert!(!made.policies.contains(&"strong".to_owned()), "{path}: {:?}", made.policies);
    }
}
