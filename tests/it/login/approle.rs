use std::sync::Arc;

use futures_util::future::join_all;
use serde_json::{Map, Value, json};
use strongroom::request::{Error, Operation};

use super::{fields, login, login_from, server};
use crate::harness::{Server, data, line};
use crate::token::{lookup, refusal, work_off};

const REFUSED: &str = "invalid role or secret ID";
const ROLE: &str = "auth/approle/role/dev";

fn with_role(params: &Value) -> Server {
    let server = server("approle");
    server.write(ROLE, params).unwrap();
    server.write(&format!("{ROLE}/role-id"), &json!({"role_id": "rid"})).unwrap();
    server
}

fn draw(server: &Server, params: &Value) -> Map<String, Value> {
    data(server.write(&format!("{ROLE}/secret-id"), params).unwrap())
}

fn try_login(server: &Server, secret_id: &Value) -> Result<strongroom::request::Auth, Error> {
    login(server, "auth/approle/login", &json!({"role_id": "rid", "secret_id": secret_id}))
}

fn at(server: &Server, path: &str, params: &Value) -> String {
    line(server.write(&format!("{ROLE}/{path}"), params))
}

#[test]
fn program_logs_in_by_role_and_secret_id() {
    let server = with_role(&json!({"token_policies": "p1", "token_ttl": "1h"}));
    let drawn = draw(&server, &json!({"metadata": "{\"team\": \"a\"}"}));
    assert_eq!(json!(fields(&drawn, "secret_id_num_uses secret_id_ttl")), json!([0, 0]));
    let auth = try_login(&server, &drawn["secret_id"]).unwrap();
    assert_eq!(auth.token_policies, ["default", "p1"]);
    let metadata = [("role_name".to_owned(), "dev".to_owned()), ("team".into(), "a".into())];
    assert_eq!((auth.metadata, auth.ttl.as_secs()), (metadata.into(), 3600));
    let seen = lookup(&server, &auth.client_token);
    assert_eq!(
        json!(fields(&seen, "display_name path orphan")),
        json!(["approle", "auth/approle/login", true])
    );
    for (params, expected) in [
        (json!({}), "missing role_id"),
        (json!({"role_id": "rid"}), "missing secret_id"),
        (json!({"role_id": "x", "secret_id": "y"}), REFUSED),
        (json!({"role_id": "x"}), REFUSED),
        (json!({"role_id": "rid", "secret_id": "y"}), REFUSED),
    ] {
        let outcome = login(&server, "auth/approle/login", &params);
        assert_eq!(refusal(outcome), expected, "{params}");
    }
    // Not even the records hold it.
    let secret = drawn["secret_id"].as_str().unwrap().to_owned();
    let uuid = data(server.read("sys/auth/approle").unwrap())["uuid"].as_str().unwrap().to_owned();
    server.change("root/", |scope| {
        let mut open = vec![format!("logical/{uuid}")];
        let mut seen = 0;
        while let Some(directory) = open.pop() {
            for name in scope.list(&directory).unwrap() {
                let path = format!("{directory}/{name}");
                match path.strip_suffix('/') {
                    Some(below) => open.push(below.to_owned()),
                    None => {
                        let bytes = scope.get_bytes(&path).unwrap().unwrap();
                        let text = String::from_utf8_lossy(bytes.expose()).into_owned();
                        assert!(!path.contains(&secret) && !text.contains(&secret), "{path}");
                        seen += 1;
                    }
                }
            }
        }
        assert_eq!(seen, 4, "role, its id, secret id, accessor");
    });
}

#[test]
fn secret_id_has_as_many_uses_and_as_long_as_it_was_given() {
    let server = with_role(&json!({"secret_id_num_uses": 3, "secret_id_ttl": "10m"}));
    for (params, expected) in [
        (
            json!({"num_uses": 4}),
            "400 num_uses cannot be higher than the role's secret_id_num_uses",
        ),
        (
            json!({"num_uses": 0}),
            "400 num_uses cannot be higher than the role's secret_id_num_uses",
        ),
        (json!({"num_uses": -1}), "400 num_uses cannot be negative"),
        (json!({"ttl": "11m"}), "400 ttl cannot be longer than the role's secret_id_ttl"),
        (json!({"ttl": 0}), "400 ttl cannot be longer than the role's secret_id_ttl"),
    ] {
        assert_eq!(at(&server, "secret-id", &params), expected, "{params}");
    }
    let drawn = draw(&server, &json!({"num_uses": 2}));
    let secret = json!({"secret_id": drawn["secret_id"]});
    let left = || {
        let found = server.write(&format!("{ROLE}/secret-id/lookup"), &secret).unwrap();
        data(found)["secret_id_num_uses"].clone()
    };
    assert_eq!(left(), 2);
    assert!(try_login(&server, &drawn["secret_id"]).is_ok());
    assert_eq!(left(), 1);
    assert!(try_login(&server, &drawn["secret_id"]).is_ok());
    assert_eq!(refusal(try_login(&server, &drawn["secret_id"])), REFUSED);
    assert_eq!(at(&server, "secret-id/lookup", &secret), "204");
    let drawn = draw(&server, &json!({}));
    assert_eq!(json!(fields(&drawn, "secret_id_num_uses secret_id_ttl")), json!([3, 600]));
    server.set_time(599);
    assert!(try_login(&server, &drawn["secret_id"]).is_ok());
    server.set_time(600);
    assert_eq!(refusal(try_login(&server, &drawn["secret_id"])), REFUSED);
}

#[test]
fn of_two_hundred_clients_one_uses_a_secret_id_for_one_use() {
    let server = with_role(&json!({"secret_id_num_uses": 1}));
    let drawn = draw(&server, &json!({}));
    let params = json!({"role_id": "rid", "secret_id": drawn["secret_id"]});
    let rivals =
        (0..200).map(|_| server.start(Operation::Update, "auth/approle/login", &params, ""));
    let outcomes = server.block_on(join_all(rivals));
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
    assert!(outcomes.into_iter().all(|outcome| match outcome {
        Ok(reply) => reply.auth.is_some(),
        // Whoever fails too often is locked out, the method too.
        Err(Error::BadRequest(text)) => text == REFUSED,
        Err(error) => matches!(error, Error::Denied),
    }));
    let left = data(server.list("auth/token/accessors/").unwrap())["keys"].clone();
    assert_eq!(left.as_array().unwrap().len(), 2, "root's and the winner's");
}

#[test]
fn addresses_bind_role_secret_id_and_token() {
    let server = with_role(&json!({
        "secret_id_bound_cidrs": "192.0.2.0/24", "token_bound_cidrs": "192.0.0.0/16",
    }));
    for (params, expected) in [
        (
            json!({"cidr_list": "10.0.0.0/8"}),
            "400 cidr_list is not within the CIDR blocks of the role",
        ),
        (
            json!({"cidr_list": "192.0.0.0/16"}),
            "400 cidr_list is not within the CIDR blocks of the role",
        ),
        (
            json!({"token_bound_cidrs": "10.0.0.1"}),
            "400 token_bound_cidrs is not within the CIDR blocks of the role",
        ),
        (
            json!({"cidr_list": "x"}),
            "400 \"x\" is no IP address and no block of them, such as 10.0.0.0/8",
        ),
    ] {
        assert_eq!(at(&server, "secret-id", &params), expected, "{params}");
    }
    let wide = draw(&server, &json!({}));
    let narrow =
        draw(&server, &json!({"cidr_list": "192.0.2.7", "token_bound_cidrs": "192.0.2.0/28"}));
    for (secret, address, expected) in [
        (&wide, "192.0.2.200", "ok"),
        (
            &wide,
            "192.0.3.1",
            "source address \"192.0.3.1\" unauthorized by CIDR restrictions on the role",
        ),
        (&narrow, "192.0.2.7", "ok"),
        (
            &narrow,
            "192.0.2.8",
            "source address \"192.0.2.8\" unauthorized through CIDR restrictions on the secret ID",
        ),
    ] {
        let params = json!({"role_id": "rid", "secret_id": secret["secret_id"]});
        match login_from(&server, address, "auth/approle/login", &params) {
            Ok(_) => assert_eq!("ok", expected, "{address}"),
            Err(error) => assert_eq!(error.to_string(), expected, "{address}"),
        }
    }
    let params = json!({"role_id": "rid", "secret_id": narrow["secret_id"]});
    let auth = login_from(&server, "192.0.2.7", "auth/approle/login", &params).unwrap();
    assert_eq!(lookup(&server, &auth.client_token)["bound_cidrs"], json!(["192.0.2.0/28"]));
    // The role is narrowed later: what was drawn before is no wider.
    server.write(ROLE, &json!({"secret_id_bound_cidrs": "192.0.2.128/25"})).unwrap();
    let outcome = login_from(&server, "192.0.2.7", "auth/approle/login", &params);
    assert!(refusal(outcome).contains("not within those of the role any more"));
}

#[test]
fn role_without_secret_ids_is_bound_by_addresses() {
    let server = with_role(&json!({"bind_secret_id": false, "secret_id_bound_cidrs": "192.0.2.1"}));
    let params = json!({"role_id": "rid"});
    assert!(login(&server, "auth/approle/login", &params).is_ok());
    assert!(login_from(&server, "192.0.2.2", "auth/approle/login", &params).is_err());
    assert_eq!(at(&server, "secret-id", &json!({})), "400 bind_secret_id is not set on the role");
    let unbound = json!({"bind_secret_id": false});
    let outcome = line(server.write("auth/approle/role/two", &unbound));
    assert_eq!(outcome, "400 at least one constraint should be enabled on the role");
    let outcome = line(server.delete(&format!("{ROLE}/secret-id-bound-cidrs")));
    assert_eq!(outcome, "400 at least one constraint should be enabled on the role");
}

#[test]
fn roles_are_written_read_and_deleted_with_all_they_have() {
    let server = with_role(&json!({"policies": "p1", "period": "1h", "local_secret_ids": true}));
    let shown = data(server.read("auth/approle/role/DEV").unwrap());
    let names = "bind_secret_id local_secret_ids secret_id_bound_cidrs secret_id_num_uses \
                 secret_id_ttl policies token_policies period token_period token_type";
    let expected = json!([true, true, null, 0, 0, ["p1"], ["p1"], 3600, 3600, "default"]);
    assert_eq!(json!(fields(&shown, names)), expected);
    assert_eq!(data(server.read(&format!("{ROLE}/role-id")).unwrap())["role_id"], "rid");
    for (path, params, expected) in [
        ("two", json!({"role_id": "rid"}), "400 role_id already in use"),
        (
            "dev",
            json!({"local_secret_ids": false}),
            "400 local_secret_ids can only be modified during role creation",
        ),
        ("dev", json!({"secret_id_num_uses": -1}), "400 secret_id_num_uses cannot be negative"),
        ("dev/role-id", json!({}), "400 missing role_id"),
        (
            "two",
            json!({"role_id": "rid2", "token_max_ttl": "9999h"}),
            "200 ! token_max_ttl is greater than the backend mount's maximum TTL value; issued tokens' max TTL value will be truncated",
        ),
        ("two/role-id", json!({"role_id": "rid"}), "400 role_id already in use"),
        ("none/role-id", json!({"role_id": "x"}), "error unsupported path"),
    ] {
        let outcome = line(server.write(&format!("auth/approle/role/{path}"), &params));
        assert_eq!(outcome, expected, "{path} {params}");
    }
    assert_eq!(data(server.list("auth/approle/role/").unwrap())["keys"], json!(["dev", "two"]));
    let drawn = draw(&server, &json!({}));
    for _ in 0..2 {
        assert_eq!(line(server.delete(ROLE)), "204");
    }
    assert_eq!(line(server.read(ROLE)), "404");
    // Made again, it has none of what it had.
    server.write(ROLE, &json!({"role_id": "rid"})).unwrap();
    assert_eq!(refusal(try_login(&server, &drawn["secret_id"])), REFUSED);
    assert_eq!(line(server.list(&format!("{ROLE}/secret-id/"))), "204");
    work_off(&server);
    let uuid = data(server.read("sys/auth/approle").unwrap())["uuid"].as_str().unwrap().to_owned();
    server.change("root/", |scope| {
        assert!(scope.list(&format!("logical/{uuid}/secrets")).unwrap().is_empty());
    });
}

#[test]
fn each_field_has_a_path_of_its_own() {
    let server = with_role(&json!({"secret_id_num_uses": 2}));
    for (path, name, first, written, params) in [
        ("policies", "token_policies", json!([]), json!(["a", "b"]), json!({"policies": "b,A"})),
        ("policies", "token_policies", json!([]), json!(["c"]), json!({"token_policies": "c"})),
        ("period", "token_period", json!(0), json!(3600), json!({"period": "1h"})),
        ("token-ttl", "token_ttl", json!(0), json!(90), json!({"token_ttl": "90"})),
        ("token-max-ttl", "token_max_ttl", json!(0), json!(95), json!({"token_max_ttl": 95})),
        ("token-num-uses", "token_num_uses", json!(0), json!(5), json!({"token_num_uses": 5})),
        ("secret-id-ttl", "secret_id_ttl", json!(0), json!(60), json!({"secret_id_ttl": "1m"})),
        (
            "token-bound-cidrs",
            "token_bound_cidrs",
            json!(null),
            json!(["10.0.0.0/8"]),
            json!({"token_bound_cidrs": "10.0.0.0/8"}),
        ),
        (
            "secret-id-bound-cidrs",
            "secret_id_bound_cidrs",
            json!(null),
            json!(["10.0.0.0/8"]),
            json!({"secret_id_bound_cidrs": ["10.0.0.0/8"]}),
        ),
        (
            "bound-cidr-list",
            "bound_cidr_list",
            json!(null),
            json!(["10.0.0.1"]),
            json!({"bound_cidr_list": ["10.0.0.1"]}),
        ),
        (
            "bind-secret-id",
            "bind_secret_id",
            json!(true),
            json!(true),
            json!({"bind_secret_id": true}),
        ),
    ] {
        let read = || data(server.read(&format!("{ROLE}/{path}")).unwrap())[name].clone();
        assert_eq!(read(), first, "{path}");
        assert_eq!(at(&server, path, &params), "204", "{path}");
        assert_eq!(read(), written, "{path}");
        let missing = json!({"role_id": "other"});
        assert!(at(&server, path, &missing).starts_with(&format!("400 missing {name}")), "{path}");
        assert_eq!(line(server.delete(&format!("{ROLE}/{path}"))), "204", "{path}");
        assert_eq!(read(), first, "{path}");
    }
    assert_eq!(
        data(server.read(&format!("{ROLE}/secret-id-num-uses")).unwrap()),
        json!({"secret_id_num_uses": 2}).as_object().unwrap().clone()
    );
    assert_eq!(
        data(server.read(&format!("{ROLE}/local-secret-ids")).unwrap()),
        json!({"local_secret_ids": false}).as_object().unwrap().clone()
    );
    assert_eq!(at(&server, "local-secret-ids", &json!({"local_secret_ids": true})), "405");
    assert_eq!(line(server.read("auth/approle/role/none/policies")), "404");
    assert_eq!(line(server.delete("auth/approle/role/none/policies")), "204");
    assert_eq!(line(server.read(&format!("{ROLE}/nosuch"))), "error unsupported path");
}

#[test]
fn secret_ids_are_found_and_ended_by_themselves_and_by_accessor() {
    let server = with_role(&json!({"secret_id_ttl": "10m"}));
    let custom = json!({"secret_id": "cust", "metadata": {"a": "b"}, "cidr_list": "192.0.2.1/32"});
    let made = data(server.write(&format!("{ROLE}/custom-secret-id"), &custom).unwrap());
    assert_eq!(made["secret_id"], "cust");
    let again = at(&server, "custom-secret-id", &custom);
    assert_eq!(again, "400 failed to store secret_id: SecretID is already registered");
    let accessor = json!({"secret_id_accessor": made["secret_id_accessor"]});
    let by_id = data(
        server.write(&format!("{ROLE}/secret-id/lookup"), &json!({"secret_id": "cust"})).unwrap(),
    );
    let by_accessor =
        data(server.write(&format!("{ROLE}/secret-id-accessor/lookup"), &accessor).unwrap());
    assert_eq!(by_id, by_accessor);
    let expected = json!({
        "cidr_list": ["192.0.2.1/32"],
        "creation_time": "2023-11-14T22:13:20Z",
        "expiration_time": "2023-11-14T22:23:20Z",
        "last_updated_time": "2023-11-14T22:13:20Z",
        "metadata": {"a": "b"},
        "secret_id_accessor": made["secret_id_accessor"],
        "secret_id_num_uses": 0,
        "secret_id_ttl": 600,
        "token_bound_cidrs": [],
    });
    assert_eq!(Value::Object(by_id), expected);
    let listed = data(server.list(&format!("{ROLE}/secret-id/")).unwrap());
    assert_eq!(listed["keys"], json!([made["secret_id_accessor"]]));
    for (path, params, expected) in [
        ("secret-id/lookup", json!({"secret_id": "x"}), "204"),
        ("secret-id/lookup", json!({}), "400 missing secret_id"),
        ("secret-id/destroy", json!({"secret_id": "x"}), "204"),
        ("secret-id/destroy", json!({}), "400 missing secret_id"),
        ("custom-secret-id", json!({}), "400 missing secret_id"),
        ("secret-id-accessor/lookup", json!({}), "400 missing secret_id_accessor"),
        (
            "secret-id-accessor/lookup",
            json!({"secret_id_accessor": "x"}),
            "404 {\"error\":\"failed to find accessor entry for secret_id_accessor: \\\"x\\\"\"}",
        ),
        (
            "secret-id-accessor/destroy",
            json!({"secret_id_accessor": "../x"}),
            "400 failed to find accessor entry for secret_id_accessor: \"../x\"",
        ),
    ] {
        assert_eq!(at(&server, path, &params), expected, "{path} {params}");
    }
    assert_eq!(at(&server, "secret-id-accessor/destroy", &accessor), "204");
    assert_eq!(refusal(try_login(&server, &json!("cust"))), REFUSED);
    assert_eq!(
        line(server.write("auth/approle/role/none/secret-id", &json!({}))),
        "error role \"none\" does not exist"
    );
}

#[test]
fn expired_secret_ids_go_by_themselves_and_by_tidy() {
    let server = with_role(&json!({}));
    let accessors = |expected: usize| {
        let listed = server.list(&format!("{ROLE}/secret-id/")).unwrap();
        let count =
            if listed.is_empty() { 0 } else { data(listed)["keys"].as_array().unwrap().len() };
        assert_eq!(count, expected);
    };
    let end_due = || {
        let pipeline = Arc::clone(&server.pipeline);
        server.block_on(strongroom::server::end_what_is_due(&pipeline)).unwrap();
    };
    draw(&server, &json!({"ttl": 60}));
    draw(&server, &json!({"ttl": 6000}));
    draw(&server, &json!({}));
    server.set_time(59);
    end_due();
    accessors(3);
    server.set_time(200);
    end_due();
    accessors(2);
    // Made again under the same name, it ends at its own time.
    let custom = |ttl: u64| at(&server, "custom-secret-id", &json!({"secret_id": "c", "ttl": ttl}));
    assert!(custom(60).starts_with("200"));
    assert_eq!(at(&server, "secret-id/destroy", &json!({"secret_id": "c"})), "204");
    assert!(custom(6000).starts_with("200"));
    server.set_time(400);
    end_due();
    accessors(3);
    server.set_time(6300);
    let reply = server.write("auth/approle/tidy/secret-id", &json!({})).unwrap();
    assert_eq!((reply.status, reply.warnings.len()), (Some(202), 1));
    assert!(work_off(&server) >= 1);
    accessors(1);
    end_due();
    accessors(1);
}

#[test]
fn tidy_looks_at_all_roles_whatever_they_are_called() {
    let server = server("approle");
    // As texts, what is below the second comes before what is below the first.
    let names = ["a", "a-b", "a.b", "b"];
    for name in names {
        let role = format!("auth/approle/role/{name}");
        server.write(&role, &json!({})).unwrap();
        for number in 0..40 {
            let ttl = if number == 0 { 6000 } else { 60 };
            server.write(&format!("{role}/secret-id"), &json!({ "ttl": ttl })).unwrap();
        }
    }
    for number in 0..70 {
        server.write(&format!("auth/approle/role/none{number}"), &json!({})).unwrap();
    }
    server.set_time(100);
    server.write("auth/approle/tidy/secret-id", &json!({})).unwrap();
    assert!(work_off(&server) > 2, "in steps");
    for name in names {
        let listed = data(server.list(&format!("auth/approle/role/{name}/secret-id")).unwrap());
        assert_eq!(listed["keys"].as_array().unwrap().len(), 1, "{name}");
    }
}
