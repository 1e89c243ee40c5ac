//! What somebody tries who has something in one namespace and wants something of another.

use serde_json::{Value, json};
use strongroom::request::{Error, Operation};

use super::{ALL, create, make, read, token, work, write};
use crate::harness::{Server, data, line};
use crate::token::refusal;

fn server() -> Server {
    let server = Server::new();
    for path in ["a/", "a/b/", "c/"] {
        make(&server, path);
        write(&server, path, "sys/mounts/kv", &json!({"type": "kv"})).unwrap();
        write(&server, path, "kv/x", &json!({"v": path})).unwrap();
        write(&server, path, "sys/auth/userpass", &json!({"type": "userpass"})).unwrap();
        let user = json!({"password": "pw", "token_policies": "p"});
        write(&server, path, "auth/userpass/users/u", &user).unwrap();
        token(&server, path, ALL);
    }
    server
}

/// A token and its entity.
fn log_in(server: &Server, namespace: &str) -> (String, String) {
    let path = "auth/userpass/login/u";
    let reply = server.send_in(namespace, Operation::Update, path, &json!({"password": "pw"}), "");
    let auth = reply.unwrap().auth.unwrap();
    (auth.client_token, auth.entity_id)
}

#[test]
fn who_may_make_tokens_below_without_sudo_makes_none() {
    let server = server();
    write(&server, "a/b/", "auth/token/roles/r", &json!({"allowed_policies": "p"})).unwrap();
    let text = "root or sudo privileges required to directly generate a token in a child namespace";
    for (capabilities, allowed) in [(r#""update""#, false), (r#""update", "sudo""#, true)] {
        let policy = format!(r#"path "b/auth/token/*" {{ capabilities = [{capabilities}] }}"#);
        let of_a = token(&server, "a/", &policy);
        for (path, params) in [
            ("create", json!({})),
            ("create", json!({"policies": ["p"]})),
            ("create", json!({"policies": ["p"], "type": "batch", "ttl": "1h"})),
            ("create", json!({"policies": ["p"], "no_parent": true})),
            ("create/r", json!({})),
        ] {
            let path = format!("auth/token/{path}");
            let made = server.send_in("a/b/", Operation::Update, &path, &params, &of_a);
            match allowed {
                true => assert!(made.is_ok(), "{path} {params}: {made:?}"),
                false => assert_eq!(refusal(made.map(crate::token::auth)), text, "{path} {params}"),
            }
        }
    }
}

#[test]
fn sudo_below_makes_no_orphans_above() {
    let server = server();
    let policy = r#"path "*" { capabilities = ["create", "read", "update", "sudo"] }"#;
    let of_a = token(&server, "a/", policy);
    let child = create(&server, "a/", &json!({"policies": ["p"]}), &of_a).unwrap().client_token;
    let orphaned = server.send_in(
        "a/b/",
        Operation::Update,
        "auth/token/revoke-orphan",
        &json!({"token": of_a}),
        &of_a,
    );
    assert_eq!(refusal(orphaned.map(crate::token::auth)), "token to revoke not found");
    for token in [&of_a, &child] {
        assert!(read(&server, "a/", "auth/token/lookup-self", token).is_ok());
    }
}

#[test]
fn what_a_token_may_do_to_itself_it_may_do_from_below() {
    let server = server();
    token(&server, "a/", r#"path "kv/*" { capabilities = ["read"] }"#);
    let made = |params: &Value| create(&server, "a/", params, &server.root).unwrap().client_token;
    let of_a = made(&json!({"policies": ["default"], "ttl": "1h"}));
    let at = |namespace: &str, operation, path: &str, token: &str| {
        let path = format!("auth/token/{path}");
        line(server.send_in(namespace, operation, &path, &json!({}), token))
    };
    let own = data(read(&server, "a/b/", "auth/token/lookup-self", &of_a).unwrap());
    assert_eq!(own["namespace_path"], "a/");
    let path = "auth/token/renew-self";
    let renewed = server.send_in("a/b/", Operation::Update, path, &json!({}), &of_a);
    assert_eq!(renewed.map(|reply| reply.auth.unwrap().client_token).unwrap(), of_a);
    // Nothing else that `default` grants in its own namespace, and none that it does not.
    assert_eq!(line(read(&server, "a/b/", "cubbyhole/x", &of_a)), "403");
    assert_eq!(at("a/b/", Operation::Update, "lookup", &of_a), "403");
    let bare = made(&json!({"policies": ["p"], "no_default_policy": true}));
    assert_eq!(at("a/b/", Operation::Read, "lookup-self", &bare), "403");
    for namespace in ["", "c/"] {
        for (operation, path) in
            [(Operation::Read, "lookup-self"), (Operation::Update, "revoke-self")]
        {
            assert_eq!(at(namespace, operation, path, &of_a), "403", "{namespace}");
        }
    }
    let denied = r#"path "b/auth/token/lookup-self" { capabilities = ["deny"] }"#;
    token(&server, "a/", denied);
    let denied = made(&json!({"policies": ["p"]}));
    assert_eq!(at("a/b/", Operation::Read, "lookup-self", &denied), "403");
    assert_eq!(at("a/b/", Operation::Update, "revoke-self", &of_a), "204");
    assert_eq!(at("a/", Operation::Read, "lookup-self", &of_a), "403");
}

#[test]
fn a_token_with_an_entity_is_renewed_from_below() {
    let server = server();
    let (of_a, entity) = log_in(&server, "a/");
    let path = format!("identity/entity/id/{entity}");
    write(&server, "a/", &path, &json!({"policies": ["q"]})).unwrap();
    let child = create(&server, "a/", &json!({"policies": ["p"]}), &of_a).unwrap();
    assert_eq!(child.entity_id, entity);
    for token in [&of_a, &child.client_token] {
        let path = "auth/token/renew-self";
        let reply = server.send_in("a/b/", Operation::Update, path, &json!({}), token).unwrap();
        let auth = reply.auth.unwrap();
        assert_eq!((auth.entity_id, auth.identity_policies), (entity.clone(), vec!["q".into()]));
    }
    let looked = data(read(&server, "a/b/", "auth/token/lookup-self", &of_a).unwrap());
    assert_eq!(looked["identity_policies"], json!(["q"]));
}

#[test]
fn identities_are_their_namespaces() {
    let server = server();
    let (of_a, entity) = log_in(&server, "a/");
    let (of_c, other) = log_in(&server, "c/");
    assert_ne!(entity, other);
    let group = json!({"name": "g", "policies": ["p"], "member_entity_ids": [entity]});
    let group = data(write(&server, "a/", "identity/group", &group).unwrap())["id"].clone();
    let group = group.as_str().unwrap();
    // Ids of another namespace are no ids.
    for namespace in ["", "c/", "a/b/"] {
        for path in [
            format!("identity/entity/id/{entity}"),
            format!("identity/group/id/{group}"),
            "identity/group/name/g".into(),
        ] {
            let said = line(read(&server, namespace, &path, &server.root));
            assert!(!said.starts_with("200"), "{namespace} {path}: {said}");
        }
        let found = json!({"id": entity});
        let found = write(&server, namespace, "identity/lookup/entity", &found);
        assert!(found.is_err() || found.unwrap().is_empty(), "{namespace}");
        let member = json!({"name": "h", "policies": ["p"], "member_entity_ids": [entity]});
        let said = line(write(&server, namespace, "identity/group", &member));
        assert!(said.starts_with("400"), "{namespace}: {said}");
        let inner = json!({"name": "h", "policies": ["p"], "member_group_ids": [group]});
        let said = line(write(&server, namespace, "identity/group", &inner));
        assert!(said.starts_with("400"), "{namespace}: {said}");
        let merge = json!({"from_entity_ids": [entity], "to_entity_id": other, "force": true});
        let said = line(write(&server, namespace, "identity/entity/merge", &merge));
        assert!(said.starts_with("400"), "{namespace}: {said}");
        // What is given away of a mount of another namespace.
        let path = "sys/auth/userpass";
        let mount = data(read(&server, "a/", path, &server.root).unwrap())["accessor"].clone();
        let alias = json!({"name": "u", "mount_accessor": mount, "canonical_id": other});
        let said = line(write(&server, namespace, "identity/entity-alias", &alias));
        assert!(said.starts_with("400"), "{namespace}: {said}");
        assert!(
            write(
                &server,
                namespace,
                "identity/entity/batch-delete",
                &json!({"entity_ids": [entity]})
            )
            .is_ok()
        );
    }
    work(&server);
    assert!(read(&server, "a/", "kv/x", &of_a).is_ok());
    assert_eq!(line(read(&server, "a/", "kv/x", &of_c)), "403");
    // A template of the same name tells each of itself.
    let templated = r#"path "kv/{{identity.entity.id}}" { capabilities = ["create", "update"] }"#;
    token(&server, "a/", templated);
    token(&server, "c/", templated);
    let puts = |namespace: &str, id: &str, token: &str| {
        let path = format!("kv/{id}");
        let value = json!({"v": 1});
        server.send_in(namespace, Operation::Update, &path, &value, token).is_ok()
    };
    assert!(puts("a/", &entity, &of_a) && puts("c/", &other, &of_c));
    assert!(!puts("a/", &other, &of_a) && !puts("c/", &entity, &of_c));
}

#[test]
fn signed_tokens_are_of_one_namespace() {
    let server = server();
    let (of_a, entity) = log_in(&server, "a/");
    for namespace in ["", "a/", "a/b/"] {
        let key = json!({"allowed_client_ids": "*"});
        write(&server, namespace, "identity/oidc/key/k", &key).unwrap();
        write(&server, namespace, "identity/oidc/role/r", &json!({"key": "k"})).unwrap();
    }
    let signed = data(read(&server, "a/", "identity/oidc/token/r", &of_a).unwrap());
    let signed = signed["token"].as_str().unwrap();
    let claims = signed.split('.').nth(1).unwrap();
    let claims = base64::Engine::decode(&base64::prelude::BASE64_URL_SAFE_NO_PAD, claims).unwrap();
    let claims: Value = serde_json::from_slice(&claims).unwrap();
    assert_eq!(claims["sub"], json!(entity));
    assert!(claims["iss"].as_str().unwrap().ends_with("/v1/a/identity/oidc"), "{claims}");
    for (namespace, good) in [("a/", true), ("", false), ("a/b/", false)] {
        let reply =
            write(&server, namespace, "identity/oidc/introspect", &json!({"token": signed}));
        let said = format!("{:?}", reply.unwrap().body);
        assert_eq!(said.contains("\"active\": Bool(true)"), good, "{namespace}: {said}");
    }
    // Whoever is of a namespace above is none of this one's entities.
    let said = line(read(&server, "a/b/", "identity/oidc/token/r", &of_a));
    assert!(!said.contains(&entity) || said.starts_with("200"), "{said}");
    let keys = |namespace: &str| {
        let path = "identity/oidc/.well-known/keys";
        let reply = server.send_in(namespace, Operation::Read, path, &Value::Null, "").unwrap();
        format!("{:?}", reply.body)
    };
    assert_ne!(keys("a/"), keys(""));
}

#[test]
fn nobody_is_told_of_mounts_and_policies_elsewhere() {
    let server = server();
    let (of_c, _) = log_in(&server, "c/");
    write(&server, "a/", "sys/mounts/hidden", &json!({"type": "kv"})).unwrap();
    for namespace in ["a/", "a/b/"] {
        for path in [
            "sys/internal/ui/mounts",
            "sys/internal/ui/mounts/hidden",
            "sys/internal/ui/resultant-acl",
            "sys/internal/ui/namespaces",
            "sys/mounts",
            "sys/auth",
            "sys/policies/acl/p",
            "sys/leases/count",
            "sys/internal/specs/openapi",
        ] {
            assert_eq!(line(read(&server, namespace, path, &of_c)), "403", "{namespace}{path}");
            let by_path = read(&server, "", &format!("{namespace}{path}"), &of_c);
            assert_eq!(line(by_path), "403", "{namespace}{path}");
        }
        for path in ["sys/capabilities-self", "sys/policies/explain", "sys/remount"] {
            let params = json!({"paths": ["kv/x"], "path": "kv/x", "from": "kv", "to": "kv2"});
            let said = server.send_in(namespace, Operation::Update, path, &params, &of_c);
            assert_eq!(line(said), "403", "{namespace}{path}");
        }
    }
    // Asked in their own namespace of what is elsewhere, tokens say nothing of it.
    let (of_a, _) = log_in(&server, "a/");
    for path in ["kv/x", "../a/kv/x", "/a/kv/x", "a/kv/x", "v1/a/kv/x"] {
        let params = json!({"paths": [path], "token": of_a});
        let told = server.send_in("c/", Operation::Update, "sys/capabilities", &params, &of_c);
        assert_eq!(data(told.unwrap())["capabilities"], json!(["deny"]), "{path}");
    }
    let params = json!({"path": "kv/x", "token": of_a});
    for (namespace, caller) in [("c/", &of_c), ("", &server.root), ("a/b/", &server.root)] {
        let path = "sys/policies/explain";
        let told = server.send_in(namespace, Operation::Update, path, &params, caller);
        assert_eq!(line(told), "400 the token is of another namespace: ask there", "{namespace}");
    }
    let told = server.send_in("a/b/", Operation::Update, "sys/policies/explain", &params, &of_a);
    assert_eq!(data(told.unwrap())["pattern"], "*");
    let visible = data(read(&server, "a/", "sys/internal/ui/mounts", "").unwrap());
    assert_eq!(json!(visible), json!({"auth": {}, "secret": {}}));
}

#[test]
fn mounts_are_not_moved_between_namespaces() {
    let server = server();
    for (namespace, from, to) in [
        ("", "a/kv", "kv2"),
        ("", "a/kv", "c/kv2"),
        ("a/", "kv", "b/kv2"),
        ("a/b/", "kv", "../kv2"),
        ("a/", "b/kv", "kv2"),
    ] {
        let params = json!({"from": from, "to": to});
        let before = server.entries();
        let said = line(write(&server, namespace, "sys/remount", &params));
        assert!(said.starts_with("400"), "{namespace} {from} {to}: {said}");
        assert_eq!(server.entries(), before, "{namespace} {from} {to}");
    }
    for path in ["a/", "a/b/", "c/"] {
        assert_eq!(data(read(&server, path, "kv/x", &server.root).unwrap())["v"], path);
    }
}

#[test]
fn what_is_under_way_when_its_namespace_goes_leaves_nothing() {
    for path in ["kv/y", "auth/token/create"] {
        let server = server();
        let rival = server.start(Operation::Delete, "sys/namespaces/c", &Value::Null, &server.root);
        let rival = std::sync::Mutex::new(Some(Box::pin(rival)));
        server.log.before_next_proposal(move |_| {
            let rival = rival.lock().unwrap().take().unwrap();
            futures_util::FutureExt::now_or_never(rival).unwrap().unwrap();
        });
        let params = json!({"v": 1, "policies": ["default"]});
        let late = server.send_in("c/", Operation::Update, path, &params, &server.root);
        assert!(
            matches!(&late, Err(Error::Missing(text)) if text == "namespace not found"),
            "{path}"
        );
        work(&server);
        assert!(matches!(server.read("sys/namespaces/c"), Err(Error::NotFound)));
        let left =
            server.block_on(server.pipeline.clone().internal(|txn| txn.scope("ns/").list("")));
        assert_eq!(left.unwrap().len(), 2, "{path}: of a and b");
    }
}
