use serde_json::{Value, json};
use strongroom::request::{Error, Operation};

use super::{ACCESSOR, log_in, may_read, policy, read, server, try_log_in, write};
use crate::harness::{data, line};
use crate::token::work_off;

#[test]
fn first_login_makes_an_entity_and_later_ones_lead_to_it() {
    let server = server();
    let first =
        log_in(&server, "Ann", &json!({"metadata": {"team": "x"}, "policies": ["default"]}));
    let again = log_in(&server, "ann", &json!({"metadata": {"team": "y"}}));
    assert_eq!(first.entity_id, again.entity_id);
    let shown = read(&server, &format!("identity/entity/id/{}", first.entity_id));
    assert_eq!(shown["aliases"][0]["name"], "Ann");
    assert_eq!(shown["aliases"][0]["metadata"], json!({"team": "y"}));
    // Enough digits that no two of a billion are likely to be the same.
    let digits = shown["name"].as_str().unwrap().strip_prefix("entity_").unwrap();
    assert!(digits.len() == 16 && digits.bytes().all(|byte| byte.is_ascii_hexdigit()), "{digits}");
    let token = data(
        server
            .send(Operation::Read, "auth/token/lookup-self", &Value::Null, &first.client_token)
            .unwrap_or_else(|error| panic!("{error:?}")),
    );
    assert_eq!(token["entity_id"], first.entity_id);
}

#[test]
fn two_first_logins_of_one_name_make_one_entity() {
    let server = server();
    let rival = server.start(Operation::Update, "auth/fake/login/ann", &json!({}), "");
    let rival = std::sync::Mutex::new(Some(Box::pin(rival)));
    server.log.before_next_proposal(move |_| {
        let rival = rival.lock().unwrap().take().unwrap();
        futures_util::FutureExt::now_or_never(rival).unwrap().unwrap();
    });
    log_in(&server, "ann", &json!({}));
    let ids = data(server.list("identity/entity/id/").unwrap());
    assert_eq!(ids["keys"].as_array().unwrap().len(), 1);
    let aliases = data(server.list("identity/entity-alias/id/").unwrap());
    assert_eq!(aliases["keys"].as_array().unwrap().len(), 1);
}

#[test]
fn many_logins_of_many_names_at_once_make_one_entity_each() {
    let server = server();
    let starts: Vec<_> = (0..200)
        .map(|number| {
            let path = format!("auth/fake/login/n{}", number % 10);
            server.start(Operation::Update, &path, &json!({"groups": ["g"]}), "")
        })
        .collect();
    let replies = server.block_on(futures_util::future::join_all(starts));
    assert!(replies.iter().all(Result::is_ok));
    let ids = data(server.list("identity/entity/id/").unwrap());
    assert_eq!(ids["keys"].as_array().unwrap().len(), 10);
}

#[test]
fn policies_of_the_entity_hold_from_the_next_request_on() {
    let server = server();
    policy(&server, "p", r#"path "sys/mounts" { capabilities = ["read"] }"#);
    let auth = log_in(&server, "ann", &json!({}));
    let token = &auth.client_token;
    let entity = format!("identity/entity/id/{}", auth.entity_id);
    assert!(!may_read(&server, token, "sys/mounts"));
    server.write(&entity, &json!({"policies": ["p"]})).unwrap();
    assert!(may_read(&server, token, "sys/mounts"));
    let path = "sys/capabilities";
    let asked = json!({"token": token, "paths": ["sys/mounts"]});
    assert_eq!(data(server.write(path, &asked).unwrap())["sys/mounts"], json!(["read"]));
    server.write(&entity, &json!({"disabled": true})).unwrap();
    assert!(!may_read(&server, token, "sys/mounts"));
    assert_eq!(data(server.write(path, &asked).unwrap())["sys/mounts"], json!(["deny"]));
    assert!(matches!(try_log_in(&server, "ann", &json!({})), Err(Error::Denied)));
    server.write(&entity, &json!({"disabled": false})).unwrap();
    assert!(may_read(&server, token, "sys/mounts"));
    server.delete(&entity).unwrap();
    assert!(!may_read(&server, token, "sys/mounts"));
}

#[test]
fn children_and_renewed_tokens_have_their_entity_s_policies() {
    let server = server();
    policy(
        &server,
        "p",
        r#"path "auth/token/*" { capabilities = ["create", "read", "update", "sudo"] }"#,
    );
    let auth = log_in(&server, "ann", &json!({"policies": ["p"]}));
    let id = &auth.entity_id;
    server.write(&format!("identity/entity/id/{id}"), &json!({"policies": ["q"]})).unwrap();
    let renew = "auth/token/renew-self";
    let renewed = server.send(Operation::Update, renew, &json!({}), &auth.client_token).unwrap();
    let renewed = renewed.auth.unwrap();
    assert_eq!(renewed.policies, ["default", "p", "q"]);
    assert_eq!(renewed.identity_policies, ["q"]);
    let create = |params| {
        let reply =
            server.send(Operation::Update, "auth/token/create", &params, &auth.client_token);
        reply.unwrap().auth.unwrap()
    };
    let child = create(json!({}));
    // A child gets what the token has, not what its entity adds; the entity adds to it too.
    assert_eq!(child.token_policies, ["default", "p"]);
    assert_eq!(
        (child.entity_id.as_str(), child.policies),
        (id.as_str(), vec!["default".into(), "p".into(), "q".into()])
    );
    let orphan = create(json!({"no_parent": true}));
    assert_eq!(
        (orphan.entity_id.as_str(), orphan.policies),
        ("", vec!["default".to_owned(), "p".to_owned()])
    );
    let looked =
        data(server.write("auth/token/lookup", &json!({"token": child.client_token})).unwrap());
    assert_eq!(looked["identity_policies"], json!(["q"]));
    assert_eq!(looked["external_namespace_policies"], json!({}));
}

#[test]
fn token_role_lets_a_token_belong_to_an_entity_of_its_name() {
    let server = server();
    server.write("auth/token/roles/r", &json!({"allowed_entity_aliases": ["web-*"]})).unwrap();
    let create = |alias: &str| server.write("auth/token/create/r", &json!({"entity_alias": alias}));
    let first = create("web-1").unwrap().auth.unwrap();
    let again = create("Web-1").unwrap().auth.unwrap();
    assert!(!first.entity_id.is_empty());
    assert_eq!(first.entity_id, again.entity_id);
    assert_eq!(line(create("db-1")), "400 invalid 'entity_alias' value");
    let id = &first.entity_id;
    server.write(&format!("identity/entity/id/{id}"), &json!({"disabled": true})).unwrap();
    assert_eq!(line(create("web-1")), "403");
}

#[test]
fn unmounting_a_method_takes_its_aliases_and_leaves_entities() {
    let server = server();
    for number in 0..300 {
        log_in(&server, &format!("n{number}"), &json!({}));
    }
    let group = write(&server, "identity/group", &json!({"name": "x", "type": "external"}));
    let alias = json!({"name": "dev", "mount_accessor": ACCESSOR, "canonical_id": group});
    write(&server, "identity/group-alias", &alias);
    server.delete("sys/auth/fake").unwrap();
    work_off(&server);
    crate::lease::work(&server);
    work_off(&server);
    assert_eq!(line(server.list("identity/entity-alias/id/")), "204");
    assert_eq!(line(server.list("identity/group-alias/id/")), "204");
    let ids = data(server.list("identity/entity/id/").unwrap());
    assert_eq!(ids["keys"].as_array().unwrap().len(), 300);
    assert_eq!(read(&server, "identity/group/name/x")["alias"], json!({}));
}

#[test]
fn long_records_are_parted_from_their_mount_in_shorter_steps() {
    // As much as an entity may have.
    let long = (0..64).map(|number| (format!("{number:0128}"), json!("x".repeat(512))));
    let entries = [json!({}), Value::Object(long.collect())].map(|metadata| {
        let server = server();
        for number in 0..40 {
            let id = log_in(&server, &format!("n{number}"), &json!({})).entity_id;
            let params = json!({"metadata": metadata});
            server.write(&format!("identity/entity/id/{id}"), &params).unwrap();
        }
        server.delete("sys/auth/fake").unwrap();
        let before = server.entries();
        crate::lease::work(&server);
        assert_eq!(line(server.list("identity/entity-alias/id/")), "204");
        server.entries() - before
    });
    let [short, long] = entries;
    assert!(long > short, "{short} {long}");
}

#[test]
fn cluster_without_the_mount_is_given_it() {
    let server = server();
    server.change("root/", |scope| scope.delete("core/mounts/identity").unwrap());
    assert!(server.write("identity/entity", &json!({})).is_err());
    let pipeline = server.pipeline.clone();
    for _ in 0..2 {
        let entries = server.entries();
        server.block_on(async {
            let rng = pipeline.rng.as_ref();
            let ensure = |txn: &mut _| strongroom::sys::write_missing_records(txn, rng);
            pipeline.internal(ensure).await.unwrap();
        });
        assert!(server.entries() - entries <= 1);
        server.write("identity/entity", &json!({})).unwrap();
    }
}
