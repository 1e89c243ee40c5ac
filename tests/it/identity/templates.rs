use serde_json::{Value, json};

use super::{ACCESSOR, log_in, may_read, policy, server, write};

#[test]
fn templates_are_filled_in_with_the_caller_s_identity() {
    let server = server();
    policy(
        &server,
        "t",
        &format!(
            r#"
            path "a/{{{{identity.entity.id}}}}" {{ capabilities = ["read"] }}
            path "b/{{{{identity.entity.name}}}}" {{ capabilities = ["read"] }}
            path "c/{{{{identity.entity.metadata.team}}}}/*" {{ capabilities = ["read"] }}
            path "d/{{{{identity.entity.aliases.{ACCESSOR}.name}}}}" {{ capabilities = ["read"] }}
            path "e/{{{{identity.entity.aliases.{ACCESSOR}.metadata.unit}}}}" {{ capabilities = ["read"] }}
            path "f/{{{{identity.groups.names.G.id}}}}" {{ capabilities = ["read"] }}
            "#
        ),
    );
    let login = json!({"policies": ["t"], "metadata": {"unit": "u1"}});
    let ann = log_in(&server, "ann", &login);
    let bob = log_in(&server, "bob", &login);
    let id = &ann.entity_id;
    let entity = format!("identity/entity/id/{id}");
    server.write(&entity, &json!({"name": "ann-e", "metadata": {"team": "red"}})).unwrap();
    let group = write(&server, "identity/group", &json!({"name": "G", "member_entity_ids": [id]}));
    for path in [
        format!("a/{id}"),
        "b/ann-e".into(),
        "c/red/x".into(),
        "d/ann".into(),
        "e/u1".into(),
        format!("f/{group}"),
    ] {
        assert!(may_read(&server, &ann.client_token, &path), "{path}");
        assert_eq!(may_read(&server, &bob.client_token, &path), path == "e/u1", "{path}");
    }
    // What changes is seen at once.
    server.write(&entity, &json!({"metadata": {"team": "blue"}})).unwrap();
    assert!(!may_read(&server, &ann.client_token, "c/red/x"));
    assert!(may_read(&server, &ann.client_token, "c/blue/x"));
    // Whoever has no entity has none of it.
    let token = server.write("auth/token/create", &json!({"policies": ["t"]})).unwrap();
    let token = token.auth.unwrap().client_token;
    assert!(!may_read(&server, &token, &format!("a/{id}")));
}

#[test]
fn values_that_would_widen_a_rule_drop_it() {
    let server = server();
    policy(
        &server,
        "t",
        r#"path "a/{{identity.entity.metadata.team}}*" { capabilities = ["read"] }"#,
    );
    let ann = log_in(&server, "ann", &json!({"policies": ["t"]}));
    let entity = format!("identity/entity/id/{}", ann.entity_id);
    for (team, path, may) in [
        (json!("red"), "a/red-x", true),
        (json!("*"), "a/red-x", false),
        (json!("+"), "a/red-x", false),
        (json!("x/y"), "a/x/y", false),
        (json!(""), "a/red-x", false),
        (Value::Null, "a/red-x", false),
    ] {
        let metadata = if team.is_null() { json!({}) } else { json!({"team": team}) };
        server.write(&entity, &json!({"metadata": metadata})).unwrap();
        assert_eq!(may_read(&server, &ann.client_token, path), may, "{team}");
    }
}

#[test]
fn default_policy_lets_everyone_read_their_own_entity() {
    let server = server();
    let ann = log_in(&server, "ann", &json!({"policies": ["default"]}));
    let bob = log_in(&server, "bob", &json!({"policies": ["default"]}));
    let own = format!("identity/entity/id/{}", ann.entity_id);
    assert!(may_read(&server, &ann.client_token, &own));
    assert!(!may_read(&server, &bob.client_token, &own));
}
