use serde_json::{Value, json};
use strongroom::request::Operation;

use super::{ALL, create, make, read, token, write};
use crate::harness::{Server, data, line};
use crate::token::refusal;

fn server() -> Server {
    let server = Server::new();
    for path in ["a/", "a/b/", "c/"] {
        make(&server, path);
        write(&server, path, "sys/mounts/kv", &json!({"type": "kv"})).unwrap();
        write(&server, path, "kv/x", &json!({"v": path})).unwrap();
    }
    write(&server, "", "sys/mounts/kv", &json!({"type": "kv"})).unwrap();
    write(&server, "", "kv/x", &json!({"v": ""})).unwrap();
    server
}

fn id(server: &Server, path: &str) -> String {
    data(server.read(path).unwrap())["id"].as_str().unwrap().to_owned()
}

#[test]
fn a_token_is_good_in_its_namespace_and_below() {
    let server = server();
    let token = token(&server, "a/", ALL);
    assert!(token.ends_with(&format!(".{}", id(&server, "sys/namespaces/a"))), "{token}");
    for (namespace, path, allowed) in [
        ("a/", "kv/x", true),
        ("", "a/kv/x", true),
        ("a/b/", "kv/x", true),
        ("a/", "b/kv/x", true),
        ("", "kv/x", false),
        ("c/", "kv/x", false),
        ("", "c/kv/x", false),
        ("", "sys/mounts", false),
        ("", "sys/namespaces/a", false),
    ] {
        let said = line(read(&server, namespace, path, &token));
        assert_eq!(said.starts_with("200"), allowed, "{namespace} {path}: {said}");
        assert!(allowed || said == "403", "{namespace} {path}: {said}");
    }
    let own = data(read(&server, "a/b/", "auth/token/lookup-self", &token).unwrap());
    assert_eq!((&own["namespace_path"], &own["path"]), (&json!("a/"), &json!("auth/token/create")));
}

#[test]
fn policies_name_paths_below_their_own_namespace() {
    let server = server();
    let policy = r#"path "kv/*" { capabilities = ["read"] } path "b/kv/x" { capabilities = ["read"] }
                    path "b/auth/token/create" { capabilities = ["update", "sudo"] }"#;
    let of_a = token(&server, "a/", policy);
    assert!(read(&server, "a/", "kv/x", &of_a).is_ok());
    assert!(read(&server, "a/b/", "kv/x", &of_a).is_ok());
    assert_eq!(line(read(&server, "a/b/", "kv/y", &of_a)), "403");
    let capabilities = |namespace: &str, path: &str| {
        let params = json!({"paths": [path]});
        let asked = "sys/capabilities-self";
        let reply = server.send_in(namespace, Operation::Update, asked, &params, &of_a);
        data(reply.unwrap())[path].clone()
    };
    assert_eq!(capabilities("a/", "kv/x"), json!(["read"]));
    assert_eq!(capabilities("a/", "b/kv/x"), json!(["read"]));
    // What a token of the root namespace may ask of it there.
    let asked = |namespace: &str, path: &str| {
        let params = json!({"paths": [path], "token": of_a});
        data(write(&server, namespace, "sys/capabilities", &params).unwrap())[path].clone()
    };
    for (namespace, path, expected) in [
        ("", "kv/x", "deny"),
        ("", "a/kv/x", "read"),
        ("a/", "kv/x", "read"),
        ("a/b/", "kv/x", "read"),
        ("a/b/", "kv/y", "deny"),
        ("c/", "kv/x", "deny"),
    ] {
        assert_eq!(asked(namespace, path), json!([expected]), "{namespace} {path}");
    }
    // The same name is another policy elsewhere.
    let made = create(&server, "a/b/", &json!({"policies": ["p"]}), &of_a).unwrap();
    assert_eq!(made.policies, ["default", "p"]);
    assert_eq!(line(read(&server, "a/b/", "kv/x", &made.client_token)), "403");
}

#[test]
fn a_token_made_below_ends_with_the_one_above_it() {
    let server = server();
    for how in ["revoke", "expire", "disable-by-revoke-prefix"] {
        let ttl = json!({"policies": ["p"], "ttl": "1h"});
        token(&server, "a/", ALL);
        let above = create(&server, "a/", &ttl, &server.root).unwrap();
        let params = json!({"policies": ["p"], "ttl": "24h"});
        token(&server, "a/b/", ALL);
        let below = create(&server, "a/b/", &params, &above.client_token).unwrap();
        let batch = json!({"policies": ["p"], "ttl": "20h", "type": "batch"});
        let batch = create(&server, "a/b/", &batch, &above.client_token).unwrap();
        let deeper = create(&server, "a/b/", &json!({}), &below.client_token).unwrap();
        let all = [&below.client_token, &batch.client_token, &deeper.client_token];
        for token in all {
            assert!(read(&server, "a/b/", "kv/x", token).is_ok(), "{how}");
        }
        match how {
            "revoke" => {
                let params = json!({"token": above.client_token});
                write(&server, "a/", "auth/token/revoke", &params).unwrap();
            }
            "expire" => server.set_time(3700),
            _ => {
                let path = "sys/leases/revoke-prefix/auth/token/create";
                write(&server, "a/", path, &json!({})).unwrap();
            }
        }
        for token in all {
            assert_eq!(line(read(&server, "a/b/", "kv/x", token)), "403", "{how}");
        }
        super::work(&server);
        let path = "auth/token/accessors/";
        let left = server.send_in("a/b/", Operation::List, path, &Value::Null, &server.root);
        let left = data(left.unwrap())["keys"].as_array().unwrap().clone();
        assert!(!left.contains(&json!(below.accessor)), "{how}");
        assert!(!left.contains(&json!(deeper.accessor)), "{how}");
    }
}

#[test]
fn a_disabled_entity_takes_what_its_tokens_made_below_along() {
    let server = server();
    write(&server, "a/", "sys/auth/userpass", &json!({"type": "userpass"})).unwrap();
    write(&server, "a/", "auth/userpass/users/u", &json!({"password": "x", "token_policies": "p"}))
        .unwrap();
    token(&server, "a/", ALL);
    token(&server, "a/b/", ALL);
    let login = json!({"password": "x"});
    let path = "auth/userpass/login/u";
    let login = server.send_in("a/", Operation::Update, path, &login, "").unwrap().auth.unwrap();
    assert!(!login.entity_id.is_empty());
    let below = create(&server, "a/b/", &json!({"policies": ["p"]}), &login.client_token).unwrap();
    assert_eq!(below.entity_id, "");
    assert!(read(&server, "a/b/", "kv/x", &below.client_token).is_ok());
    let path = format!("identity/entity/id/{}", login.entity_id);
    write(&server, "a/", &path, &json!({"disabled": true})).unwrap();
    assert_eq!(line(read(&server, "a/", "kv/x", &login.client_token)), "403");
    assert_eq!(line(read(&server, "a/b/", "kv/x", &below.client_token)), "403");
}

#[test]
fn what_a_token_ends_with_cannot_be_exchanged() {
    let server = server();
    let (of_a, of_c) = (token(&server, "a/", ALL), token(&server, "c/", ALL));
    let batch = json!({"policies": ["p"], "ttl": "1h", "type": "batch"});
    let batch = create(&server, "a/", &batch, &server.root).unwrap().client_token;
    assert!(read(&server, "a/", "kv/x", &batch).is_ok());
    let suffix = |token: &str| token.rsplit_once('.').unwrap().1.to_owned();
    let bare = |token: &str| token.rsplit_once('.').unwrap().0.to_owned();
    for token in [
        bare(&of_a),
        format!("{}.{}", bare(&of_a), suffix(&of_c)),
        format!("{}.{}", server.root, suffix(&of_a)),
        format!("{}.zzzzzz", bare(&of_a)),
        bare(&batch),
        format!("{}.{}", bare(&batch), suffix(&of_c)),
        format!("{batch}.{}", suffix(&of_c)),
        format!("{}.x.{}", bare(&of_a), suffix(&of_a)),
    ] {
        for namespace in ["", "a/", "a/b/", "c/"] {
            assert_eq!(line(read(&server, namespace, "kv/x", &token)), "403", "{token}");
        }
    }
}

#[test]
fn tokens_of_a_namespace_are_neither_root_nor_chosen() {
    let server = server();
    let text = refusal(create(&server, "a/", &json!({"policies": ["root"]}), &server.root));
    assert_eq!(text, "root tokens may not be created from a parent namespace");
    let text = refusal(create(&server, "a/", &json!({"id": "mine"}), &server.root));
    assert_eq!(text, "token IDs can only be manually specified in the root namespace");
    let made = create(&server, "a/", &json!({}), &server.root).unwrap();
    assert_eq!((made.policies, made.orphan), (vec!["default".to_owned()], false));
    assert!(made.accessor.ends_with(&format!(".{}", id(&server, "sys/namespaces/a"))));
    let of_a = token(&server, "a/", ALL);
    let text = refusal(create(&server, "a/", &json!({"policies": ["root"]}), &of_a));
    assert!(text.contains("without parent token being root"), "{text}");
}

#[test]
fn accessors_are_their_namespaces() {
    let server = server();
    let made = create(&server, "a/", &json!({}), &server.root).unwrap();
    let params = json!({"accessor": made.accessor});
    for (namespace, found) in [("a/", true), ("", false), ("a/b/", false), ("c/", false)] {
        for path in ["lookup-accessor", "renew-accessor"] {
            let path = format!("auth/token/{path}");
            let outcome = write(&server, namespace, &path, &params);
            assert_eq!(outcome.is_ok(), found, "{namespace} {path}");
        }
        if !found {
            write(&server, namespace, "auth/token/revoke-accessor", &params).unwrap();
        }
    }
    assert!(read(&server, "a/", "auth/token/lookup-self", &made.client_token).is_ok());
}

#[test]
fn a_cubbyhole_is_one_of_a_token_in_a_namespace() {
    let server = server();
    let made = create(&server, "", &json!({"policies": ["root"]}), &server.root).unwrap();
    let token = made.client_token;
    let path = "cubbyhole/x";
    for namespace in ["", "a/", "a/b/"] {
        let params = json!({"v": namespace});
        server.send_in(namespace, Operation::Update, path, &params, &token).unwrap();
    }
    for namespace in ["", "a/", "a/b/"] {
        let read = data(read(&server, namespace, path, &token).unwrap());
        assert_eq!(read["v"], namespace);
        let other = super::read(&server, namespace, path, &server.root);
        assert!(other.is_err(), "{namespace}");
    }
    assert!(read(&server, "c/", path, &token).is_err());
    server.write("auth/token/revoke", &json!({"token": token})).unwrap();
    let left = |directory: &str| crate::lease::core(&server, |core| core.list(directory).unwrap());
    assert!(left("cubbyhole").is_empty() && left("cubbyhole-below").is_empty());
}

#[test]
fn wrapped_answers_are_unwrapped_where_the_token_is_good() {
    let server = server();
    let wrap = |namespace: &str| {
        let request = strongroom::request::Request {
            namespace: namespace.into(),
            path: "kv/x".into(),
            token: Some(std::sync::Arc::new(strongroom::secret::Secret::new(server.root.clone()))),
            wrap_ttl: Some(std::time::Duration::from_secs(60)),
            ..Default::default()
        };
        let reply = server.block_on(server.pipeline.handle(&request)).unwrap();
        reply.wrap_info.unwrap().token
    };
    let of_a = wrap("a/");
    // Whoever has it may look; as in OpenBao, from anywhere.
    for namespace in ["", "a/", "a/b/"] {
        let params = json!({"token": of_a});
        let known = data(write(&server, namespace, "sys/wrapping/lookup", &params).unwrap());
        assert_eq!(known["creation_path"], "kv/x");
    }
    let unwrap = |namespace: &str, token: &str| {
        let path = "sys/wrapping/unwrap";
        server.send_in(namespace, Operation::Update, path, &json!({}), token)
    };
    assert!(unwrap("c/", &of_a).is_err());
    assert!(unwrap("", &of_a).is_err());
    assert!(unwrap("a/", &of_a).is_ok());
    assert!(unwrap("a/", &of_a).is_err());
    let params = json!({"token": wrap("a/b/")});
    assert!(write(&server, "a/", "sys/wrapping/unwrap", &params).is_ok());
    assert!(write(&server, "a/", "sys/wrapping/unwrap", &params).is_err());
}
