//! The worker that ends what is due, a step at a time.

use strongroom::auth::token::{NewToken, TokenEntry, TokenStore};
use strongroom::expiry::{Expiry, Filing};
use strongroom::mount::{MountConfig, MountEntry, ROOT_NAMESPACE, Table};
use strongroom::request::TokenType;
use strongroom::rng::{Rng, SystemRng};
use strongroom::server::end_what_is_due;
use strongroom::sys::expiry::{due, end};
use strongroom::txn::{Scope, Txn};

use super::*;
use crate::harness::START;

fn core<T>(server: &Server, mut work: impl FnMut(&mut Scope<'_>) -> T) -> T {
    let pipeline = server.pipeline.clone();
    let work = |txn: &mut Txn| Ok(work(&mut txn.scope("root/core/")));
    server.block_on(pipeline.internal(work)).unwrap()
}

/// Whether there was anything to do.
fn one_step(server: &Server, limit: usize) -> bool {
    let pipeline = server.pipeline.clone();
    let mut found = server.block_on(pipeline.internal(due)).unwrap();
    found.truncate(limit);
    server.block_on(pipeline.internal(|txn| end(txn, &found))).unwrap();
    !found.is_empty()
}

fn drain(server: &Server) {
    server.block_on(end_what_is_due(&server.pipeline)).unwrap();
}

fn watermark(server: &Server) -> u64 {
    core(server, |core| Expiry::new(core).watermark().unwrap())
}

/// Directories of minutes, and what is filed in them.
fn filed(server: &Server) -> Vec<(String, usize)> {
    core(server, |core| {
        let minutes = core.list("expiry").unwrap();
        minutes
            .into_iter()
            .map(|minute| {
                let filings = core.list(&format!("expiry/{minute}")).unwrap().len();
                (minute, filings)
            })
            .collect()
    })
}

fn stored(server: &Server) -> usize {
    core(server, |core| core.list("token/id").unwrap().len())
}

const START_MINUTE: u64 = START.0 / 60_000;

#[test]
fn token_that_has_expired_writes_nothing_and_loses_nothing() {
    let server = Server::new();
    server.mount("kv/", "kv", &[]);
    let token = create(&server, &json!({"policies": ["root"], "ttl": "90s"}));
    let write =
        |value: u64| server.send(Operation::Update, "kv/a", &json!({ "value": value }), &token);
    write(1).unwrap();
    server.set_time(90);
    let refused = || {
        let entries = server.entries();
        assert!(matches!(write(2), Err(Error::Denied)));
        assert_eq!(server.entries(), entries);
        assert_eq!(data(server.read("kv/a").unwrap())["value"], 1);
    };
    refused();
    server.set_time(200);
    drain(&server);
    refused();
}

#[test]
fn what_is_over_goes_and_the_watermark_follows() {
    let server = Server::new();
    let short: Vec<String> =
        (0..5).map(|_| create(&server, &json!({"policies": ["default"], "ttl": "90s"}))).collect();
    let long = create(&server, &json!({"policies": ["default"], "ttl": "1h"}));
    drain(&server);
    assert_eq!((stored(&server), watermark(&server)), (7, START_MINUTE));
    server.set_time(90);
    assert!(short.iter().all(|token| !lives(&server, token)), "whatever the worker does");
    drain(&server);
    server.set_time(150);
    assert!(one_step(&server, 3));
    assert_eq!(stored(&server), 4);
    assert!(one_step(&server, 3));
    assert_eq!(stored(&server), 2);
    assert!(!one_step(&server, 3));
    assert_eq!(watermark(&server), START_MINUTE + 2);
    assert!(lives(&server, &long));
    let before = server.entries();
    drain(&server);
    assert_eq!(server.entries(), before, "nothing to do is no entry");
}

#[test]
fn renewal_leaves_the_filing_and_the_worker_moves_it() {
    let server = Server::new();
    let token = create(&server, &json!({"policies": ["default"], "ttl": "10m"}));
    let first = filed(&server);
    server.set_time(300);
    let params = json!({ "token": token, "increment": "30m" });
    server.write("auth/token/renew", &params).unwrap();
    assert_eq!(filed(&server), first);
    server.set_time(700);
    drain(&server);
    assert!(lives(&server, &token));
    let second = filed(&server);
    assert_ne!(second, first);
    assert_eq!(second.len(), 1);
    let params = json!({ "token": token, "increment": "2m" });
    server.write("auth/token/renew", &params).unwrap();
    assert!(filed(&server) < second, "an earlier end is filed at once");
    server.set_time(900);
    drain(&server);
    assert!(!lives(&server, &token));
    assert_eq!((filed(&server), stored(&server)), (vec![], 1));
}

#[test]
fn what_was_renewed_or_revoked_since_it_was_listed_stays_so() {
    let server = Server::new();
    let params = json!({"id": "a", "policies": ["default"], "ttl": "10m"});
    for id in ["a", "b", "c"] {
        let mut params = params.clone();
        params["id"] = json!(id);
        create(&server, &params);
    }
    server.set_time(500);
    server.write("auth/token/renew", &json!({"token": "a", "increment": "1h"})).unwrap();
    server.set_time(700);
    let found = server.block_on(server.pipeline.internal(due)).unwrap();
    assert_eq!(found.len(), 3);
    server.block_on(server.pipeline.internal(|txn| end(txn, &found))).unwrap();
    // The name is free again, and another token has it.
    create(&server, &json!({"id": "b", "policies": ["default"]}));
    server.block_on(server.pipeline.internal(|txn| end(txn, &found))).unwrap();
    for (token, alive) in [("a", true), ("b", true), ("c", false)] {
        assert_eq!(lives(&server, token), alive, "{token}");
    }
    assert_eq!(filed(&server).iter().map(|(_, filings)| filings).sum::<usize>(), 2);
}

#[test]
fn revocation_takes_the_filing_along() {
    let server = Server::new();
    let token = create(&server, &json!({"policies": ["default"]}));
    server.write("auth/token/revoke", &json!({ "token": token })).unwrap();
    assert_eq!(filed(&server), vec![]);
}

#[test]
fn next_leader_goes_on_after_a_long_time_without_one() {
    let server = Server::new();
    for ttl in [60, 600, 6000, 60_000] {
        create(&server, &json!({"policies": ["default"], "ttl": ttl}));
    }
    drain(&server);
    server.log.change_leadership();
    server.pipeline.forget();
    server.set_time(30_000);
    drain(&server);
    assert_eq!(stored(&server), 2);
    assert_eq!(watermark(&server), (START.0 / 1000 + 30_000) / 60);
    assert_eq!(filed(&server).len(), 1);
}

#[test]
fn nothing_is_filed_at_or_below_the_watermark() {
    let server = Server::new();
    server.set_time(6000);
    drain(&server);
    let done = watermark(&server);
    // A clock that went back: the newest entry's time counts, and the watermark besides.
    server.set_time(0);
    let minute =
        core(&server, |core| Expiry::new(core).file("token.h0", START, Filing::default()).unwrap());
    assert_eq!(minute, done + 1);
}

#[test]
fn token_that_is_filed_while_the_watermark_moves_is_not_lost() {
    let server = Server::new();
    server.set_time(6000);
    let pipeline = server.pipeline.clone();
    server.log.before_next_proposal(move |_| {
        let ended = end_what_is_due(&pipeline);
        futures_util::FutureExt::now_or_never(ended).unwrap().unwrap();
    });
    let token = create(&server, &json!({"policies": ["default"], "ttl": 1}));
    server.set_time(6120);
    drain(&server);
    assert_eq!((filed(&server), stored(&server)), (vec![], 1));
    assert!(!lives(&server, &token));
}

#[test]
fn what_cannot_be_ended_is_tried_later_and_holds_up_nothing() {
    let server = Server::new();
    core(&server, |core| {
        Expiry::new(core).file("future.unknown", START, Filing::default()).unwrap()
    });
    create(&server, &json!({"policies": ["default"], "ttl": 1}));
    server.set_time(120);
    drain(&server);
    assert_eq!(stored(&server), 1);
    let mut tries = Vec::new();
    for minute in 2..200 {
        server.set_time(minute * 60);
        let before = filed(&server);
        drain(&server);
        let after = filed(&server);
        assert_eq!(after.len(), 1, "minute {minute}");
        assert_eq!(watermark(&server), (START.0 / 1000 + minute * 60) / 60);
        if before != after {
            tries.push(minute);
        }
    }
    let gaps: Vec<u64> = tries.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(gaps.is_sorted() && gaps.last() >= Some(&32), "{gaps:?}");
}

#[test]
fn tokens_of_an_auth_mount_end_with_it() {
    let server = Server::new();
    let entry = MountEntry {
        table: Table::Auth,
        path: "method/".into(),
        kind: "token".into(),
        description: String::new(),
        uuid: "method".into(),
        accessor: "auth_method_1".into(),
        local: false,
        seal_wrap: false,
        external_entropy_access: false,
        options: std::collections::BTreeMap::new(),
        config: MountConfig::default(),
        tainted: false,
    };
    let put = |txn: &mut Txn| txn.scope(ROOT_NAMESPACE).put(&entry.table.key(&entry.path), &entry);
    let pipeline = server.pipeline.clone();
    server.block_on(pipeline.internal(put)).unwrap();
    policy(&server, "adm", r#"path "auth/token/*" { capabilities = ["update"] }"#);
    let login = |token_type: TokenType| {
        core(&server, |core| {
            let entry = TokenEntry {
                policies: vec!["adm".into(), "default".into()],
                ttl: 3600,
                token_type,
                mount_accessor: "auth_method_1".into(),
                path: "auth/method/login".into(),
                ..TokenEntry::default()
            };
            let rng: &dyn Rng = &SystemRng;
            let new = NewToken { entry, id: None };
            let (token, _) = TokenStore::new(core).create(rng, START, new).unwrap();
            token.expose().clone()
        })
    };
    let mut tokens: Vec<String> = (0..500).map(|_| login(TokenType::Service)).collect();
    tokens.push(create_as(&server, &tokens[0], &json!({})).unwrap().client_token);
    tokens.push(login(TokenType::Batch));
    let other = create(&server, &json!({"policies": ["default"]}));
    assert!(tokens.iter().all(|token| lives(&server, token)));
    server.delete("sys/auth/method").unwrap();
    assert!(tokens.iter().all(|token| !lives(&server, token)), "all at once");
    assert!(stored(&server) > 500);
    let steps = work_off(&server);
    assert!((2..10).contains(&steps), "{steps} steps");
    assert_eq!(stored(&server), 2);
    assert!(tokens.iter().all(|token| !lives(&server, token)));
    assert!(lives(&server, &other));
}
