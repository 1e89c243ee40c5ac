use serde_json::{Map, Value, json};

use crate::harness::{Server, data, line};

const TEXT: &str = "# what the team may do\npath \"kv/data/*\" {\n  capabilities = [\"read\"]\n}\n\
                    path \"kv/data/web\" {\n  capabilities = [\"update\"]\n  \
                    denied_parameters = { \"x\" = [] }\n}\n\
                    path \"sys/auth/*\" { capabilities = [\"update\"] }\n";

fn server() -> Server {
    let server = Server::new();
    server.mount("kv/", "kv", &[("version", "2")]);
    server.write("sys/policies/acl/web", &json!({"policy": TEXT})).unwrap();
    server
}

fn ask(server: &Server, params: Value) -> Map<String, Value> {
    let mut params = params;
    params.as_object_mut().unwrap().entry("policies").or_insert(json!(["web"]));
    data(server.write("sys/policies/explain", &params).unwrap())
}

#[test]
fn a_refusal_tells_the_rule_and_what_it_lacks() {
    let server = server();
    let told = ask(&server, json!({"path": "kv/data/web", "operation": "read"}));
    assert_eq!(told["allowed"], false);
    assert_eq!(told["pattern"], "kv/data/web");
    assert_eq!(told["missing_capability"], "read");
    assert_eq!(told["reason"], "the rule does not grant `read`");
    assert_eq!(told["mount"], "kv/");
    let rule = &told["rules"][0];
    assert_eq!((&rule["policy"], &rule["line"]), (&json!("web"), &json!(5)));
    assert!(rule["text"].as_str().unwrap().starts_with("path \"kv/data/web\" {"), "{rule}");
    assert_eq!(told["outranked_rules"][0]["path"], "kv/data/*");

    let told = ask(&server, json!({"path": "nosuch/x", "capability": "list"}));
    assert_eq!(told["reason"], "no rule matches the path");
    assert_eq!((&told["mount"], &told["path"]), (&json!(null), &json!("nosuch/x/")));
    assert_eq!(told["missing_capability"], "list");

    let told = ask(
        &server,
        json!({"path": "/v1/kv/data/web", "operation": "write", "parameters": {"x": 1}}),
    );
    assert_eq!((&told["allowed"], &told["parameter"]), (&json!(false), &json!("x")));

    let told = ask(&server, json!({"path": "sys/auth/x", "operation": "update"}));
    assert_eq!((&told["sudo_required"], &told["allowed"]), (&json!(true), &json!(false)));
    assert_eq!(told["missing_capability"], "sudo");
}

#[test]
fn what_is_allowed_is_explained_too() {
    let server = server();
    let told = ask(&server, json!({"path": "kv/data/other"}));
    assert_eq!((&told["allowed"], &told["pattern"]), (&json!(true), &json!("kv/data/*")));
    let told = ask(&server, json!({"path": "sys/health"}));
    assert_eq!((&told["allowed"], &told["needs_no_policy"]), (&json!(true), &json!(true)));
    let told = ask(&server, json!({"path": "kv/data/other", "policies": ["nosuch", "WEB"]}));
    assert_eq!((&told["allowed"], &told["absent_policies"]), (&json!(true), &json!(["nosuch"])));
    let root = data(server.write("sys/policies/explain", &json!({"path": "kv/data/x"})).unwrap());
    assert_eq!(root["reason"], "the policy `root` allows everything");
}

#[test]
fn tokens_are_asked_about_by_id_and_by_accessor() {
    let server = server();
    let made = server.write("auth/token/create", &json!({"policies": ["web"]})).unwrap();
    let made = made.auth.unwrap();
    for of in [json!({"token": made.client_token}), json!({"accessor": made.accessor})] {
        let mut params = of;
        params["path"] = "kv/data/other".into();
        let told = data(server.write("sys/policies/explain", &params).unwrap());
        assert_eq!(told["policies"], json!(["default", "web"]));
        assert_eq!(told["allowed"], true);
    }
    // Whoever has no policy for it is told nothing.
    let refused = server.send(
        strongroom::request::Operation::Update,
        "sys/policies/explain",
        &json!({"path": "kv/data/other"}),
        &made.client_token,
    );
    assert_eq!(line(refused), "403");
}

#[test]
fn what_an_entity_and_its_groups_bring_is_explained_and_what_a_disabled_one_loses() {
    use strongroom::request::Operation;
    let server = crate::identity::server();
    for (name, path, capability) in [
        ("own", "kv/own", "read"),
        ("templated", "kv/{{identity.entity.name}}", "read"),
        ("team", "kv/team", "read"),
        ("asks", "sys/policies/explain", "update"),
    ] {
        let text = format!("path \"{path}\" {{ capabilities = [\"{capability}\"] }}");
        server.write(&format!("sys/policies/acl/{name}"), &json!({"policy": text})).unwrap();
    }
    let ann = crate::identity::log_in(&server, "ann", &json!({"policies": ["own", "asks"]}));
    let entity = format!("identity/entity/id/{}", ann.entity_id);
    server.write(&entity, &json!({"name": "ann", "policies": ["templated"]})).unwrap();
    let group = json!({"name": "g", "policies": ["team"], "member_entity_ids": [ann.entity_id]});
    server.write("identity/group", &group).unwrap();
    let ask = |path: &str| -> Vec<Map<String, Value>> {
        let ways = [
            json!({"path": path, "token": ann.client_token}),
            json!({"path": path, "accessor": ann.accessor}),
        ];
        ways.iter().map(|way| data(server.write("sys/policies/explain", way).unwrap())).collect()
    };
    for (path, allowed) in
        [("kv/own", true), ("kv/ann", true), ("kv/team", true), ("kv/bob", false)]
    {
        let own = server.send(
            Operation::Update,
            "sys/policies/explain",
            &json!({"path": path}),
            &ann.client_token,
        );
        for told in ask(path).into_iter().chain([data(own.unwrap())]) {
            assert_eq!(told["allowed"], allowed, "{path} {told:?}");
            assert_eq!(told["policies"], json!(["asks", "default", "own", "team", "templated"]));
            assert_eq!(told["dropped_rules"], json!([]));
        }
        assert_eq!(crate::identity::may_read(&server, &ann.client_token, path), allowed);
    }
    server.write(&entity, &json!({"disabled": true})).unwrap();
    for path in ["kv/own", "kv/ann", "auth/token/lookup-self"] {
        assert!(!crate::identity::may_read(&server, &ann.client_token, path));
        for told in ask(path) {
            let reason = "the entity behind the token is disabled or gone: the token is refused";
            assert_eq!((&told["allowed"], &told["reason"]), (&json!(false), &json!(reason)));
        }
    }
    for told in ask("sys/health") {
        assert_eq!(told["allowed"], true);
    }
}

/// For each row of a matrix, what is explained is what the pipeline does.
#[test]
fn explanations_agree_with_what_happens() {
    use strongroom::request::{Error, Operation};
    let server = server();
    let made = server.write("auth/token/create", &json!({"policies": ["web"]})).unwrap();
    let token = made.auth.unwrap().client_token;
    for path in ["kv/data/web", "kv/data/x", "kv/metadata/x", "sys/auth/y", "sys/mounts", "none/x"]
    {
        for (operation, params) in [
            (Operation::Read, json!({})),
            (Operation::List, json!({})),
            (Operation::Update, json!({"data": {"a": "b"}, "type": "userpass"})),
            (Operation::Update, json!({"x": "y"})),
            (Operation::Delete, json!({})),
        ] {
            let asked = if operation == Operation::List { format!("{path}/") } else { path.into() };
            let outcome = server.send(operation, &asked, &params, &token);
            let denied = matches!(outcome, Err(Error::Denied));
            // Both may be needed of a write.
            let told = ["create", "update"].map(|write| {
                let name = match operation {
                    Operation::Update => write,
                    other => other.name(),
                };
                let question = json!({"path": asked, "operation": name, "parameters": params});
                ask(&server, question)["allowed"] == false
            });
            assert!(told.contains(&denied), "{operation:?} {path} {params}: {outcome:?}");
        }
    }
}

#[test]
fn questions_that_make_no_sense_are_refused() {
    let server = server();
    for (params, expected) in [
        (json!({}), "`path` must be supplied"),
        (json!({"path": "a", "operation": "fly"}), "unknown operation \"fly\""),
        (json!({"path": "a", "operation": "read", "capability": "list"}), "not both"),
        (json!({"path": "a", "token": "x", "policies": ["y"]}), "set one of"),
        (json!({"path": "a", "token": "nosuch"}), "invalid token"),
        (json!({"path": "a", "accessor": "nosuch"}), "invalid accessor"),
        (json!({"path": "a".repeat(5000)}), "more than 4096 bytes"),
        (json!({"path": "a", "policies": vec!["p"; 300]}), "more than 256 policies"),
    ] {
        let refused = line(server.write("sys/policies/explain", &params));
        assert!(refused.starts_with("400 ") && refused.contains(expected), "{refused}");
    }
}
