use super::*;

fn keys(of: &Map<String, Value>) -> String {
    of.keys().map(String::as_str).collect::<Vec<_>>().join(" ")
}

#[test]
fn fields_are_those_of_vault() {
    let server = Server::new();
    let first = lookup_self(&server, &server.root).unwrap();
    assert_eq!(
        keys(&first),
        "accessor creation_time creation_ttl display_name entity_id expire_time explicit_max_ttl \
         id meta num_uses orphan path policies ttl type"
    );
    assert_eq!((&first["expire_time"], &first["meta"]), (&Value::Null, &Value::Null));
    let token = create(&server, &json!({"policies": ["default"], "display_name": "foo bar!!"}));
    let seen = lookup(&server, &token);
    assert_eq!(
        keys(&seen),
        "accessor creation_time creation_ttl display_name entity_id expire_time explicit_max_ttl \
         id issue_time meta num_uses orphan path policies renewable ttl type"
    );
    for (name, value) in [
        ("creation_time", json!(1_700_000_000)),
        ("creation_ttl", json!(2_764_800)),
        ("display_name", json!("token-foo-bar-")),
        ("id", json!(token)),
        ("issue_time", json!("2023-11-14T22:13:20Z")),
        ("expire_time", json!("2023-12-16T22:13:20Z")),
        ("orphan", json!(false)),
        ("path", json!("auth/token/create")),
        ("type", json!("service")),
    ] {
        assert_eq!(seen[name], value, "{name}");
    }
    let token = create(
        &server,
        &json!({"policies": ["default"], "period": "2h", "meta": {"a": "b"}, "num_uses": 9}),
    );
    server.set_time(10);
    server.write("auth/token/renew", &json!({ "token": token })).unwrap();
    server.set_time(20);
    let seen = lookup(&server, &token);
    for (name, value) in [
        ("last_renewal", json!("2023-11-14T22:13:30Z")),
        ("last_renewal_time", json!(1_700_000_010)),
        ("meta", json!({"a": "b"})),
        ("num_uses", json!(9)),
        ("period", json!(7200)),
        ("ttl", json!(7190)),
    ] {
        assert_eq!(seen[name], value, "{name}");
    }
}

#[test]
fn accessor_shows_all_but_the_token() {
    let server = Server::new();
    let token = create(&server, &json!({"policies": ["default"]}));
    let mut seen = lookup(&server, &token);
    let params = json!({"accessor": seen["accessor"]});
    let by_accessor = data(server.write("auth/token/lookup-accessor", &params).unwrap());
    seen["id"] = json!("");
    assert_eq!(by_accessor, seen);
    let listed = data(server.list("auth/token/accessors/").unwrap());
    assert!(listed["keys"].as_array().unwrap().contains(&seen["accessor"]));
    let outcome = server.send(Operation::List, "auth/token/accessors/", &json!({}), &token);
    assert!(matches!(outcome, Err(Error::Denied)), "{outcome:?}");
}

#[test]
fn what_is_unknown_is_told_as_in_vault() {
    let server = Server::new();
    for (path, params, message) in [
        ("lookup", json!({"token": "no"}), "bad token"),
        ("lookup-accessor", json!({}), "1 error occurred:\n\t* missing accessor\n\n"),
        (
            "lookup-accessor",
            json!({"accessor": "no"}),
            "1 error occurred:\n\t* invalid accessor\n\n",
        ),
        (
            "lookup-accessor",
            json!({"accessor": "../id/x"}),
            "1 error occurred:\n\t* invalid accessor\n\n",
        ),
    ] {
        let outcome = server.write(&format!("auth/token/{path}"), &params);
        assert_eq!(refusal(outcome), message, "{path} {params}");
    }
    let own = data(server.write("auth/token/lookup", &json!({})).unwrap());
    assert_eq!(own["id"], json!(server.root), "without a token it is the caller's own");
}
