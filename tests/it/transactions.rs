//! What the pipeline promises of every request, shown with an engine made for the test.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use strongroom::framework::{AnyParams, Call, Engine, Mount, NoParams, Route};
use strongroom::log::{BoxFuture, ReplicatedLog as _};
use strongroom::mount::ROOT_NAMESPACE;
use strongroom::pipeline::VALUE_BYTES_MAX;
use strongroom::record::{Applied, Contested};
use strongroom::request::{Error, Operation, Reply, Request};
use strongroom::secret::Secret;

use crate::harness::{START, Server, data};

#[test]
fn write_is_one_entry_and_read_is_none() {
    let server = Server::with_mounts(vec![("box/", storage_box())]);
    let before = server.entries();
    server.write("box/item/a/b", &json!({"value": 1})).unwrap();
    assert_eq!(data(server.read("box/item/a/b").unwrap())["value"], 1);
    assert_eq!(server.entries() - before, 1);
}

/// The log tells operators that a record is damaged, not what stands in it.
#[test]
fn what_a_damaged_record_holds_is_no_part_of_the_error() {
    let server = Server::new();
    server.change("test/", |scope| {
        scope.put("a", &"hvs.SECRET").unwrap();
        let Err(Error::Internal(source)) = scope.get::<u64>("a") else { panic!("no number") };
        let text = source.to_string();
        assert!(text.starts_with("a stored record cannot be read") && !text.contains("SECRET"));
    });
}

#[test]
fn read_then_write_runs_again_when_the_read_is_stale() {
    let server = Server::with_mounts(vec![("count/", counter())]);
    let rival = server.start(Operation::Update, "count/up", &Value::Null, &server.root);
    let rival = std::sync::Mutex::new(Some(Box::pin(rival)));
    server.log.before_next_proposal(move |_| {
        let rival = rival.lock().unwrap().take().unwrap();
        futures_util::FutureExt::now_or_never(rival).unwrap().unwrap();
    });
    server.audited();
    let reply = data(server.write("count/up", &json!({})).unwrap());
    assert_eq!((reply["count"].clone(), reply["run"].clone()), (json!(2), json!(3)));
    let lines = server.audited();
    let twice = ["update count/up: allowed", "update count/up: allowed", "replied", "replied"];
    assert_eq!(lines, twice, "each request is audited once on each side");
}

#[test]
fn of_two_who_take_the_same_record_one_finds_it_gone() {
    let meanwhile = Meanwhile::default();
    let route = Route::new("item", "Read a record and delete it.").write(take);
    let engine = Engine::new("take", "A test's.", [route]).unwrap();
    let mount: Arc<dyn Mount> = engine.mount(Arc::clone(&meanwhile)).into();
    let server = Server::with_mounts(vec![("take/", mount)]);
    server.change("root/logical/uuid-take/", |scope| scope.put("item", &1).unwrap());
    let rival = server.start(Operation::Update, "take/item", &Value::Null, &server.root);
    *meanwhile.lock().unwrap() = Some(Box::pin(rival));
    let outcome = server.write("take/item", &Value::Null);
    assert!(matches!(outcome, Err(Error::NotFound)), "both took it: {outcome:?}");
}

/// What is run between the look at a record and its end.
type Meanwhile = Arc<std::sync::Mutex<Option<BoxFuture<'static, Result<Reply, Error>>>>>;

async fn take(call: &mut Call<'_, Meanwhile>, _: NoParams) -> Result<Reply, Error> {
    call.storage.get::<u64>("item")?.ok_or(Error::NotFound)?;
    let meanwhile = call.state.lock().unwrap().take();
    if let Some(rival) = meanwhile {
        rival.await.unwrap();
    }
    call.storage.delete("item")?;
    Ok(Reply::default())
}

#[test]
fn what_a_node_tells_of_itself_is_nothing_to_wrap() {
    let server = Server::new();
    for (operation, wraps) in [(Operation::Read, false), (Operation::Update, true)] {
        let request = Request {
            operation,
            path: "sys/init".into(),
            wrap_ttl: Some(Duration::from_secs(60)),
            ..Request::default()
        };
        let target = server.pipeline.router.system("sys/init").unwrap();
        let outcome = server.block_on(server.pipeline.local(&request, &target));
        let refused = matches!(&outcome, Err(error)
            if error.to_string() == "the response of this path cannot be wrapped");
        assert_eq!(refused, wraps, "{operation:?}: {outcome:?}");
    }
}

#[test]
fn a_refused_request_and_a_mere_verdict_are_uses_of_a_limited_token() {
    let server = Server::new();
    let token = |policy: &str| {
        let body = json!({"policies": [policy], "num_uses": 2});
        server.write("auth/token/create", &body).unwrap().auth.unwrap().client_token
    };
    let policy = json!({"policy": "path \"sys/seal\" { capabilities = [\"update\", \"sudo\"] }"});
    server.write("sys/policies/acl/sealer", &policy).unwrap();
    for (token, allowed) in [(token("default"), false), (token("sealer"), true)] {
        let request = Request {
            id: "r".into(),
            operation: Operation::Update,
            path: "sys/seal".into(),
            token: Some(Arc::new(Secret::new(token.clone()))),
            ..Request::default()
        };
        for _ in 0..2 {
            let judged = server.block_on(server.pipeline.judge(&request));
            assert_eq!(judged.is_ok(), allowed, "{judged:?}");
        }
        let lookup = json!({"token": token});
        assert!(server.write("auth/token/lookup", &lookup).is_err(), "{allowed}: it is used up");
    }
}

#[test]
fn an_act_outside_is_not_tried_on_the_next_leader_because_of_its_token_s_use() {
    let server = Server::with_mounts(vec![("out/", outside())]);
    let policy = json!({"policy": "path \"out/*\" { capabilities = [\"update\"] }"});
    server.write("sys/policies/acl/out", &policy).unwrap();
    let body = json!({"policies": ["out"], "num_uses": 1});
    let token = server.write("auth/token/create", &body).unwrap().auth.unwrap().client_token;
    // The use is committed by an entry before the act; there is none after it.
    let before = server.entries();
    let run = || server.send(Operation::Update, "out/act", &json!({}), &token);
    assert!(run().is_ok());
    assert_eq!(server.entries() - before, 1);
    assert!(matches!(run(), Err(Error::Denied)));
}

fn outside() -> Arc<dyn Mount> {
    async fn act(_: &mut Call<'_>, _: NoParams) -> Result<Reply, Error> {
        Ok(Reply::default())
    }
    let route = Route::new("act", "Acts outside.").acts_outside().write(act);
    Engine::new("out", "", [route]).unwrap().mount(()).into()
}

#[test]
fn change_of_leader_fences_the_request() {
    let server = Server::with_mounts(vec![("box/", storage_box())]);
    server.log.before_next_proposal(|log| log.change_leadership());
    let outcome = server.write("box/item/a", &json!({"value": 1}));
    assert!(matches!(outcome, Err(Error::NotActive)), "{outcome:?}");
    assert!(matches!(server.read("box/item/a"), Err(Error::NotFound)));
}

#[test]
fn sixty_four_writers_of_one_record_see_no_error_and_lose_no_update() {
    let server = Server::with_mounts(vec![("count/", counter())]);
    let writers =
        (0..64).map(|_| server.start(Operation::Update, "count/slow", &Value::Null, &server.root));
    let outcomes = server.block_on(futures_util::future::join_all(writers));
    for outcome in &outcomes {
        assert!(outcome.is_ok(), "{outcome:?}");
    }
    assert_eq!(data(server.read("count/up").unwrap())["count"], 64);
}

#[test]
fn listing_shows_records_and_directories_and_both_go_with_the_last_record() {
    let server = Server::with_mounts(vec![("box/", storage_box())]);
    for path in ["a", "a/b", "c/d/e", "c/f"] {
        server.write(&format!("box/item/{path}"), &json!({"value": 1})).unwrap();
    }
    let list = |path: &str| match server.list(&format!("box/item/{path}")) {
        Ok(reply) => data(reply)["keys"].to_string(),
        Err(error) => error.to_string(),
    };
    assert_eq!(list(""), r#"["a","a/","c/"]"#);
    assert_eq!(list("c/"), r#"["d/","f"]"#);
    server.delete("box/item/c/d/e").unwrap();
    assert_eq!(list("c/"), r#"["f"]"#);
    server.delete("box/item/c/f").unwrap();
    server.delete("box/item/a").unwrap();
    assert_eq!(list(""), r#"["a/"]"#);
    server.delete("box/item/a/b").unwrap();
    assert_eq!(list(""), "[]");
}

#[test]
fn value_over_its_limit_is_refused_and_loses_nothing() {
    let server = Server::with_mounts(vec![("box/", storage_box())]);
    // As the box keeps it.
    let kept = |value: &str| json!({"path": "a", "value": value}).to_string().len();
    let value = |bytes: usize| json!({"value": "x".repeat(bytes - kept(""))});
    let largest = value(VALUE_BYTES_MAX);
    server.write("box/item/a", &largest).unwrap();
    let entries = server.entries();
    let outcome = server.write("box/item/a", &value(VALUE_BYTES_MAX + 1));
    let Err(Error::TooLarge(text)) = outcome else { panic!("{outcome:?}") };
    assert_eq!(
        text,
        "put failed due to value being too large; got 1048577 bytes, max: 1048576 bytes"
    );
    assert_eq!(server.entries(), entries, "something was written");
    assert_eq!(server.audited().pop().unwrap(), text);
    assert_eq!(data(server.read("box/item/a").unwrap())["value"], largest["value"]);

    // What the token has spent stays spent.
    let made = server.write("auth/token/create", &json!({"num_uses": 1})).unwrap();
    let token = made.auth.unwrap().client_token;
    let send = || server.send(Operation::Update, "box/item/a", &value(VALUE_BYTES_MAX + 1), &token);
    assert!(matches!(send(), Err(Error::TooLarge(_))));
    assert!(matches!(send(), Err(Error::Denied)));
    assert_eq!(data(server.read("box/item/a").unwrap())["value"], largest["value"]);
}

#[test]
fn path_cannot_leave_its_mount() {
    let server = Server::with_mounts(vec![("box/", storage_box())]);
    for path in ["box/item/..", "box/item/a/../../x", "box/item/./a", "box/item/a//b"] {
        let outcome = server.write(path, &json!({"value": 1}));
        assert!(matches!(outcome, Err(Error::BadRequest(_))), "{path}: {outcome:?}");
    }
}

#[test]
fn both_sides_of_every_outcome_are_audited() {
    let server = Server::with_mounts(vec![("box/", storage_box())]);
    server.write("box/item/a", &json!({"value": 1})).unwrap();
    server.read("box/item/none").unwrap_err();
    server.read("elsewhere/x").unwrap_err();
    server.send(Operation::Read, "box/item/a", &Value::Null, "wrong").unwrap_err();
    assert_eq!(
        server.audited(),
        [
            "update box/item/a: allowed",
            "replied",
            "read box/item/none: allowed",
            "not found",
            "read elsewhere/x: allowed",
            "no handler for route \"elsewhere/x\". route entry not found.",
            "read box/item/a: permission denied",
            "permission denied",
        ]
    );
}

#[test]
fn stranger_cannot_tell_a_missing_path_from_a_forbidden_one() {
    let server = Server::with_mounts(vec![("box/", storage_box())]);
    for path in ["box/item/a", "box/no/such/route", "elsewhere"] {
        for token in ["", "wrong"] {
            let outcome = server.send(Operation::Read, path, &Value::Null, token);
            assert!(matches!(outcome, Err(Error::Denied)), "{path}: {outcome:?}");
        }
    }
}

#[test]
fn nothing_runs_that_audit_did_not_take() {
    let server = Server::with_mounts(vec![("box/", storage_box())]);
    let before = server.entries();
    server.audit.break_after(0);
    let outcome = server.write("box/item/a", &json!({"value": 1}));
    assert!(matches!(outcome, Err(Error::Internal(_))), "{outcome:?}");
    assert_eq!(server.entries(), before);
}

/// As in Vault: the write stands, and the caller is told of a failure.
#[test]
fn nothing_is_answered_that_audit_did_not_take() {
    let server = Server::with_mounts(vec![("box/", storage_box())]);
    let before = server.entries();
    server.audit.break_after(1);
    let outcome = server.write("box/item/a", &json!({"value": 1}));
    assert!(matches!(outcome, Err(Error::Internal(_))), "{outcome:?}");
    assert_eq!(server.entries(), before + 1);
}

/// An engine that keeps what it is given.
fn storage_box() -> Arc<dyn Mount> {
    let route = Route::new("item/{path...}", "Keep something.")
        .read(read_item)
        .list(list_items)
        .write(write_item)
        .delete(delete_item);
    Engine::new("box", "", [route]).unwrap().mount(()).into()
}

fn item(call: &Call<'_>) -> String {
    call.request.path.strip_prefix("box/").unwrap().to_owned()
}

async fn read_item(call: &mut Call<'_>, _: AnyParams) -> Result<Reply, Error> {
    let path = item(call);
    call.storage.get(&path)?.map(Reply::data).ok_or(Error::NotFound)
}

async fn list_items(call: &mut Call<'_>, _: AnyParams) -> Result<Reply, Error> {
    let path = item(call);
    let keys = call.storage.list(&path)?;
    Ok(Reply::data(serde_json::Map::from_iter([("keys".to_owned(), keys.into())])))
}

async fn write_item(call: &mut Call<'_>, input: AnyParams) -> Result<Reply, Error> {
    let path = item(call);
    call.storage.put(&path, &input.0)?;
    Ok(Reply::default())
}

async fn delete_item(call: &mut Call<'_>, _: AnyParams) -> Result<Reply, Error> {
    let path = item(call);
    call.storage.delete(&path)?;
    Ok(Reply::default())
}

/// An engine whose state counts how often its handler ran.
fn counter() -> Arc<dyn Mount> {
    let routes = [
        Route::new("up", "Count.").write(count_up).read(read_count),
        Route::new("slow", "Count, letting others run meanwhile.").write(count_slowly),
    ];
    Engine::new("count", "", routes).unwrap().mount(AtomicU64::new(0)).into()
}

async fn count_up(call: &mut Call<'_, AtomicU64>, _: NoParams) -> Result<Reply, Error> {
    let run = call.state.fetch_add(1, Ordering::Relaxed) + 1;
    let count = call.storage.get::<u64>("count")?.unwrap_or_default() + 1;
    call.storage.put("count", &count)?;
    Reply::of(&json!({"count": count, "run": run}))
}

async fn count_slowly(call: &mut Call<'_, AtomicU64>, _: NoParams) -> Result<Reply, Error> {
    let count = call.storage.get::<u64>("count")?.unwrap_or_default() + 1;
    tokio::task::yield_now().await;
    call.storage.put("count", &count)?;
    Ok(Reply::default())
}

async fn read_count(call: &mut Call<'_, AtomicU64>, _: NoParams) -> Result<Reply, Error> {
    let count = call.storage.get::<u64>("count")?.unwrap_or_default();
    Reply::of(&json!({ "count": count }))
}

#[test]
fn record_that_is_read_twice_is_checked_as_it_was_seen_first() {
    let server = Server::new();
    let path = "logical/box/a";
    server.change(ROOT_NAMESPACE, |scope| scope.put(path, &1).unwrap());
    for shared in [false, true] {
        let barrier = &server.pipeline.barrier;
        let point = server.block_on(server.log.begin()).unwrap();
        let mut txn = barrier.begin(point, START).unwrap();
        let read = |txn: &mut strongroom::txn::Txn| {
            let mut scope = txn.scope(ROOT_NAMESPACE);
            if shared {
                *scope.get_shared::<u32>(path).unwrap().unwrap()
            } else {
                scope.get(path).unwrap().unwrap()
            }
        };
        let first: u32 = read(&mut txn);
        server.change(ROOT_NAMESPACE, |scope| scope.put(path, &(first + 1)).unwrap());
        assert_eq!(read(&mut txn), first + 1, "each read sees the newest");
        txn.scope(ROOT_NAMESPACE).put("logical/box/b", &first).unwrap();
        let batch = txn.into_batch().unwrap().unwrap();
        let entry = barrier.seal(batch, strongroom::barrier::Repeat::default()).unwrap();
        let applied = server.block_on(server.log.propose(entry)).unwrap();
        assert!(matches!(applied, Applied::Conflict(Contested::Record(_))), "{applied:?}");
    }
}
