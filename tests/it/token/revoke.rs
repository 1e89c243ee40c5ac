use strongroom::secret::Secret;

use super::*;

#[test]
fn token_goes_with_its_children_and_what_they_stored() {
    let server = Server::new();
    let top = admin(&server);
    let child = create_as(&server, &top, &json!({})).unwrap().client_token;
    let grandchild = create_as(&server, &child, &json!({})).unwrap().client_token;
    let orphan = auth(
        server.send(Operation::Update, "auth/token/create-orphan", &json!({}), &child).unwrap(),
    );
    assert!(orphan.orphan);
    let sibling = create(&server, &json!({"policies": ["adm"]}));
    server.write("auth/token/revoke", &json!({ "token": child })).unwrap();
    for (token, alive) in [
        (&top, true),
        (&child, false),
        (&grandchild, false),
        (&orphan.client_token, true),
        (&sibling, true),
    ] {
        assert_eq!(lives(&server, token), alive);
    }
    assert_eq!(work_off(&server), 0, "so few are revoked at once");
}

#[test]
fn children_outlive_a_token_that_is_revoked_alone() {
    let server = Server::new();
    let top = admin(&server);
    let child = create_as(&server, &top, &json!({})).unwrap().client_token;
    let params = json!({ "token": top });
    let outcome = server.send(Operation::Update, "auth/token/revoke-orphan", &params, &child);
    assert_eq!(refusal(outcome), "root or sudo privileges required to revoke and orphan");
    server.write("auth/token/revoke-orphan", &params).unwrap();
    assert!(!lives(&server, &top));
    assert_eq!(lookup_self(&server, &child).unwrap()["orphan"], true);
}

#[test]
fn what_is_not_there_is_as_good_as_revoked() {
    let server = Server::new();
    let write = |path: &str, params: Value| server.write(&format!("auth/token/{path}"), &params);
    assert!(write("revoke", json!({"token": "no"})).unwrap().is_empty());
    let reply = write("revoke-accessor", json!({"accessor": "no"})).unwrap();
    assert_eq!(reply.warnings, ["No token found with this accessor"]);
    for (path, params, message) in [
        ("revoke", json!({}), "missing token ID"),
        ("revoke-accessor", json!({}), "1 error occurred:\n\t* missing accessor\n\n"),
        ("revoke-orphan", json!({}), "missing token ID"),
        ("revoke-orphan", json!({"token": "no"}), "token to revoke not found"),
    ] {
        assert_eq!(refusal(write(path, params)), message, "{path}");
    }
}

#[test]
fn own_token_and_that_of_an_accessor_are_revoked() {
    let server = Server::new();
    let token = create(&server, &json!({"policies": ["default"]}));
    server.send(Operation::Update, "auth/token/revoke-self", &json!({}), &token).unwrap();
    assert!(!lives(&server, &token));
    let token = create(&server, &json!({"policies": ["default"]}));
    let params = json!({"accessor": lookup(&server, &token)["accessor"]});
    server.write("auth/token/revoke-accessor", &params).unwrap();
    assert!(!lives(&server, &token));
}

#[test]
fn tree_that_exceeds_a_transaction_ends_at_once_and_goes_by_and_by() {
    let server = Server::new();
    let top = admin(&server);
    let params = json!({"id": "chosen", "policies": ["adm"]});
    create(&server, &params);
    let tokens: Vec<String> = (0..600)
        .map(|number| {
            let parent = if number % 3 == 0 { "chosen" } else { &top };
            create_as(&server, parent, &json!({})).unwrap().client_token
        })
        .collect();
    let accessors = |server: &Server| {
        data(server.list("auth/token/accessors/").unwrap())["keys"].as_array().unwrap().len()
    };
    assert_eq!(accessors(&server), 603);
    let before = server.entries();
    for token in [&top, "chosen"] {
        server.write("auth/token/revoke", &json!({ "token": token })).unwrap();
    }
    assert_eq!(server.entries() - before, 2);
    assert!(!lives(&server, &top));
    for token in &tokens {
        assert!(!lives(&server, token));
    }
    let outcome = server.write("auth/token/create", &params);
    assert_eq!(
        refusal(outcome),
        "cannot create a token with a duplicate ID",
        "its children would be good again"
    );
    // Another leader goes on with it.
    server.log.change_leadership();
    server.pipeline.forget();
    let steps = work_off(&server);
    assert!((2..10).contains(&steps), "{steps} steps");
    assert_eq!(accessors(&server), 1, "only root is left");
    create(&server, &params);
    assert!(tokens.iter().all(|token| !lives(&server, token)));
}

#[test]
fn many_children_become_orphans_by_and_by_and_live_meanwhile() {
    let server = Server::new();
    let top = admin(&server);
    let tokens: Vec<String> =
        (0..400).map(|_| create_as(&server, &top, &json!({})).unwrap().client_token).collect();
    server.write("auth/token/revoke-orphan", &json!({ "token": top })).unwrap();
    for _ in 0..2 {
        assert!(!lives(&server, &top));
        assert!(tokens.iter().all(|token| lives(&server, token)));
        work_off(&server);
    }
    assert!(tokens.iter().all(|token| lookup(&server, token)["orphan"] == true));
}

#[test]
fn request_that_was_allowed_before_a_revocation_does_not_commit_after_it() {
    let server = Server::new();
    policy(&server, "w", r#"path "sys/policies/acl/x" { capabilities = ["update"] }"#);
    let parent = admin(&server);
    let parent = create_as(&server, &server.root, &json!({"policies": ["w", "adm"]}))
        .map(|auth| auth.client_token)
        .unwrap_or(parent);
    let child = create_as(&server, &parent, &json!({"policies": ["w"]})).unwrap().client_token;
    let revoke = server.start(
        Operation::Update,
        "auth/token/revoke",
        &json!({ "token": parent }),
        &server.root,
    );
    let revoke = std::sync::Mutex::new(Some(Box::pin(revoke)));
    server.log.before_next_proposal(move |_| {
        let revoke = revoke.lock().unwrap().take().unwrap();
        futures_util::FutureExt::now_or_never(revoke).unwrap().unwrap();
    });
    let outcome = server.send(
        Operation::Update,
        "sys/policies/acl/x",
        &json!({"policy": "path \"a\" {}"}),
        &child,
    );
    assert!(matches!(outcome, Err(Error::Denied)), "{outcome:?}");
    assert!(matches!(server.read("sys/policies/acl/x"), Err(Error::NotFound)));
}

#[test]
fn tidy_finds_nothing_to_do() {
    let server = Server::new();
    let token = create(&server, &json!({"policies": ["default"]}));
    let reply = server.write("auth/token/tidy", &json!({})).unwrap();
    assert_eq!((reply.status, reply.warnings.len()), (Some(202), 1));
    assert_eq!(work_off(&server), 1);
    assert!(lives(&server, &token));
}

#[test]
fn tidy_looks_at_every_accessor_however_many_there_are() {
    let server = Server::new();
    server.change("root/core/", |core| {
        (0..2500).for_each(|n| core.put(&format!("token/accessor/of-none-{n}"), &"h00").unwrap());
    });
    server.write("auth/token/tidy", &json!({})).unwrap();
    assert_eq!(work_off(&server), 3);
    let left = data(server.list("auth/token/accessors").unwrap());
    assert_eq!(left["keys"].as_array().map(Vec::len), Some(1), "{left:?}");
}

#[test]
fn cubbyhole_goes_with_its_token_however_much_is_in_it() {
    let server = Server::new();
    let records = |server: &Server| {
        let list = |txn: &mut strongroom::txn::Txn| txn.scope("root/core/").list("cubbyhole");
        server.block_on(server.pipeline.internal(list)).unwrap().len()
    };
    for (count, steps) in [(3, 0..1), (1500, 1..5)] {
        let token = create(&server, &json!({"policies": ["default"]}));
        let name = strongroom::auth::token::storage_name(&Secret::new(token.clone()));
        let fill = |txn: &mut strongroom::txn::Txn| {
            let mut core = txn.scope("root/core/");
            (0..count).try_for_each(|n| core.put(&format!("cubbyhole/{name}/d{}/{n}", n % 7), &n))
        };
        server.block_on(server.pipeline.internal(fill)).unwrap();
        assert_eq!(records(&server), 1);
        server.write("auth/token/revoke", &json!({ "token": token })).unwrap();
        assert!(!lives(&server, &token));
        let worked = work_off(&server);
        assert!(steps.contains(&worked), "{count} records, {worked} steps");
        assert_eq!(records(&server), 0);
    }
}
