//! Trees of tokens with leases, revoked, renewed and ended by many at once.

use std::sync::Arc;

use futures_util::future::join_all;
use serde_json::{Value, json};
use strongroom::auth::token::{TokenStore, storage_name};
use strongroom::request::{Error, Operation, Reply};
use strongroom::secret::Secret;
use strongroom::server::end_leases_now;

use super::backend::engine;
use super::*;
use crate::harness::Server;
use crate::token::{create, create_as, policy};

/// Small and repeatable; its seed is in every failure's message.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % sides
    }
}

struct Tree {
    tokens: Vec<String>,
    leases: Vec<String>,
}

fn tree(server: &Server, dice: &mut Dice) -> Tree {
    policy(
        server,
        "all",
        r#"path "auth/token/*" { capabilities = ["update"] } path "db/*" { capabilities = ["read"] }"#,
    );
    let mut tokens = vec![create(server, &json!({"policies": ["all"]}))];
    let mut leases = Vec::new();
    for _ in 0..12 {
        let parent = &tokens[dice.roll(tokens.len())];
        let token = create_as(server, parent, &json!({"ttl": 3600})).unwrap().client_token;
        for _ in 0..dice.roll(4) {
            leases.push(issue_as(server, &token, "db/creds/app").unwrap().id);
        }
        tokens.push(token);
    }
    Tree { tokens, leases }
}

/// No token is good for anything whose parent is gone.
fn check_no_orphans(server: &Server, tree: &Tree, seed: u64) {
    core(server, |core| {
        for token in &tree.tokens {
            let name = storage_name(&Secret::new(token.clone()));
            let mut tokens = TokenStore::new(core);
            let Some(entry) = tokens.get(&name).unwrap() else { continue };
            let now = tokens.now();
            if tokens.is_live(&entry, now).unwrap() && !entry.parent.is_empty() {
                assert!(tokens.get(&entry.parent).unwrap().is_some(), "seed {seed}: {name}");
            }
        }
    });
}

#[test]
fn whatever_runs_at_once_nothing_is_left_and_nothing_is_ended_twice() {
    for seed in 0..16 {
        let backend = Arc::new(Backend::default());
        let server = Server::with_mounts(vec![("db/", engine(&backend))]);
        let mut dice = Dice(seed);
        let tree = tree(&server, &mut dice);
        let mut requests = Vec::new();
        for _ in 0..24 {
            let token = &tree.tokens[dice.roll(tree.tokens.len())];
            let lease = tree.leases.get(dice.roll(tree.leases.len().max(1)));
            let lease = json!({ "lease_id": lease, "sync": dice.roll(2) == 0 });
            let (operation, path, body) = match dice.roll(6) {
                0 => (Operation::Update, "auth/token/revoke", json!({ "token": token })),
                1 => (Operation::Update, "sys/leases/revoke", lease),
                2 => (Operation::Update, "sys/leases/renew", lease),
                3 => (Operation::Update, "sys/leases/revoke-prefix/db/creds/app", json!({})),
                _ => {
                    requests.push(server.start(
                        Operation::Read,
                        "db/creds/app",
                        &Value::Null,
                        token,
                    ));
                    continue;
                }
            };
            requests.push(server.start(operation, path, &body, &server.root));
        }
        let pipeline = server.pipeline.clone();
        let workers = async {
            for _ in 0..3 {
                end_leases_now(&pipeline).await.unwrap();
                tokio::task::yield_now().await;
            }
        };
        let outcomes: Vec<Result<Reply, Error>> =
            server.block_on(async { tokio::join!(join_all(requests), workers).0 });
        for outcome in outcomes {
            match outcome {
                Ok(_) | Err(Error::BadRequest(_) | Error::Denied | Error::Unavailable(_)) => {}
                Err(other) => panic!("seed {seed}: {other:?}"),
            }
        }
        check_no_orphans(&server, &tree, seed);
        let top = json!({ "token": tree.tokens[0] });
        server.write("auth/token/revoke", &top).unwrap();
        work(&server);
        work(&server);
        assert_eq!((backend.users(), leftovers(&server)), (vec![], vec![]), "seed {seed}");
        let twice: Vec<_> = backend.dropped().into_iter().filter(|(_, times)| *times > 1).collect();
        assert_eq!(twice, [], "seed {seed}");
    }
}

#[test]
fn two_revocations_at_once_are_one() {
    let backend = Arc::new(Backend::default());
    let server = Server::with_mounts(vec![("db/", engine(&backend))]);
    let id = issue(&server, "db/creds/app").id;
    let body = json!({ "lease_id": id });
    let requests: Vec<_> = (0..20)
        .map(|_| server.start(Operation::Update, "sys/leases/revoke", &body, &server.root))
        .collect();
    for outcome in server.block_on(join_all(requests)) {
        assert!(outcome.unwrap().is_empty());
    }
    assert_eq!(backend.acts(), ["create app-1", "drop app-1"]);
}

#[test]
fn a_renewal_that_a_revocation_overtakes_comes_to_nothing() {
    let backend = Arc::new(Backend::default());
    let server = Server::with_mounts(vec![("db/", engine(&backend))]);
    let id = issue(&server, "db/creds/app").id;
    backend.set(Mode::Hangs);
    backend.acts();
    let body = json!({ "lease_id": id });
    let send = |path: &str| server.start(Operation::Update, path, &body, &server.root);
    let (renewal, revocation) = (send("sys/leases/renew"), send("sys/leases/revoke"));
    let release = async {
        while backend.reached() < 2 {
            tokio::task::yield_now().await;
        }
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
        backend.set(Mode::Works);
        backend.go_on.notify_waiters();
    };
    let (renewal, revocation, ()) =
        server.block_on(async { tokio::join!(renewal, revocation, release) });
    assert!(matches!(renewal, Err(Error::BadRequest(_))), "{renewal:?}");
    revocation.unwrap();
    let acts = backend.acts();
    assert_eq!(acts, ["renew app-1", "drop app-1"], "one after the other");
    assert_eq!((backend.users(), leftovers(&server)), (vec![], vec![]));
}
