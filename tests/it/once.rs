//! A request takes effect once, however often it is sent, and whoever sends it gets its answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};
use strongroom::clock::Timestamp;
use strongroom::framework::{Call, Engine, Mount, NoParams, Route};
use strongroom::log::MemoryLog;
use strongroom::record::{OriginId, RequestId};
use strongroom::request::{Error, Operation, Reply, Request};
use strongroom::secret::Secret;

use crate::harness::{START, Server, data, line};

fn numbered(number: u64) -> RequestId {
    RequestId::Numbered { origin: OriginId([7; 16]), number }
}

fn request(
    id: RequestId,
    operation: Operation,
    path: &str,
    params: &Value,
    token: &str,
) -> Request {
    Request {
        id: "id".into(),
        known_as: Some(id),
        operation,
        path: path.into(),
        params: params.as_object().cloned().unwrap_or_default(),
        token: (!token.is_empty()).then(|| Arc::new(Secret::new(token.to_owned()))),
        ..Request::default()
    }
}

fn write(server: &Server, number: u64, path: &str, params: &Value) -> Request {
    request(numbered(number), Operation::Update, path, params, &server.root)
}

fn send(server: &Server, request: &Request) -> Result<Reply, Error> {
    server.block_on(server.pipeline.handle(request))
}

fn with_kv() -> Server {
    let server = Server::new();
    server.mount("kv/", "kv", &[("version", "2")]);
    server
}

#[test]
fn repeated_write_gets_the_answer_of_the_first() {
    let server = with_kv();
    let put = write(&server, 1, "kv/data/a", &json!({"data": {"v": 1}}));
    let first = line(send(&server, &put));
    let entries = server.entries();
    server.set_time(5);
    assert_eq!(line(send(&server, &put)), first);
    assert_eq!(server.entries(), entries, "nothing was written");
    let next = write(&server, 2, "kv/data/a", &json!({"data": {"v": 1}}));
    assert_eq!(data(send(&server, &next).unwrap())["version"], 2);
    // A proxy's as well.
    let id = RequestId::Proxied { made: Timestamp(START.0 + 4000), id: [1; 16] };
    let put = request(id, Operation::Update, "kv/data/a", &json!({"data": {}}), &server.root);
    for _ in 0..3 {
        assert_eq!(data(send(&server, &put).unwrap())["version"], 3);
    }
}

#[test]
fn what_was_repeated_is_marked_in_audit() {
    let server = with_kv();
    let put = write(&server, 1, "kv/data/a", &json!({"data": {"v": 1}}));
    let before = server.audited().len();
    send(&server, &put).unwrap();
    send(&server, &put).unwrap();
    assert_eq!(
        server.audited()[before..],
        [
            "create kv/data/a: allowed",
            "replied",
            "update kv/data/a: allowed again",
            "replied again",
        ]
    );
}

#[test]
fn answer_that_was_lost_after_the_commit_is_there_for_the_next_leader() {
    let server = with_kv();
    let put = write(&server, 1, "kv/data/a", &json!({"data": {"v": 1}}));
    server.log.lose_next_answer();
    assert!(matches!(send(&server, &put), Err(Error::LeadershipLost)));
    server.pipeline.forget();
    server.log.change_leadership();
    assert_eq!(data(send(&server, &put).unwrap())["version"], 1);
    let next = write(&server, 2, "kv/data/a", &json!({"data": {"v": 2}}));
    assert_eq!(data(send(&server, &next).unwrap())["version"], 2);
}

#[test]
fn fresh_secrets_come_back_the_same() {
    let server = Server::new();
    let create = write(&server, 1, "auth/token/create", &json!({"policies": ["default"]}));
    server.log.lose_next_answer();
    assert!(matches!(send(&server, &create), Err(Error::LeadershipLost)));
    let [first, second] = [(), ()].map(|()| send(&server, &create).unwrap().auth.unwrap());
    assert!(first.client_token.starts_with("hvs."));
    assert_eq!(first.client_token, second.client_token);
    assert_eq!(first.accessor, second.accessor);
    let looked =
        server.send(Operation::Read, "auth/token/lookup-self", &json!({}), &first.client_token);
    assert_eq!(data(looked.unwrap())["accessor"], first.accessor);
}

#[test]
fn nobody_else_gets_the_answer_and_for_nothing_else() {
    let server = with_kv();
    let create = write(&server, 1, "auth/token/create", &json!({"policies": ["root"]}));
    let other = send(&server, &create).unwrap().auth.unwrap().client_token;
    let params = json!({"data": {"v": 1}});
    let put = |path: &str, params: &Value, token: &str| {
        request(numbered(2), Operation::Update, path, params, token)
    };
    send(&server, &put("kv/data/a", &params, &server.root)).unwrap();
    let entries = server.entries();
    let delete =
        Request { operation: Operation::Delete, ..put("kv/data/a", &params, &server.root) };
    let certificates = vec![vec![1]];
    let certified =
        Request { client_certificates: certificates, ..put("kv/data/a", &params, &server.root) };
    for (what, request) in [
        ("another token", put("kv/data/a", &params, &other)),
        ("no token", put("kv/data/a", &params, "")),
        ("another path", put("kv/data/b", &params, &server.root)),
        ("another body", put("kv/data/a", &json!({"data": {"v": 2}}), &server.root)),
        ("another method", delete),
        ("another certificate", certified),
    ] {
        let refused = line(send(&server, &request));
        let text = "400 this request id was used for another request, or with another token";
        assert_eq!(refused, text, "{what}");
    }
    assert_eq!(server.entries(), entries);
}

#[test]
fn repeated_use_of_a_limited_token_counts_once() {
    let server = with_kv();
    server.write("kv/data/a", &json!({"data": {"v": 1}})).unwrap();
    let created = server.write("auth/token/create", &json!({"num_uses": 3, "policies": ["root"]}));
    let token = created.unwrap().auth.unwrap().client_token;
    let read = |number| request(numbered(number), Operation::Read, "kv/data/a", &json!({}), &token);
    for number in [1, 1, 2, 1, 2, 3, 3] {
        let reply = data(send(&server, &read(number)).unwrap());
        assert_eq!(reply["data"]["v"], 1, "the token has three uses: {number}");
    }
    assert!(matches!(send(&server, &read(4)), Err(Error::Denied)), "they are used up");
}

#[test]
fn use_of_a_limited_token_whose_answer_was_lost_counts_once_on_the_next_leader() {
    let server = with_kv();
    server.write("kv/data/a", &json!({"data": {"v": 1}})).unwrap();
    let created = server.write("auth/token/create", &json!({"num_uses": 2, "policies": ["root"]}));
    let token = created.unwrap().auth.unwrap().client_token;
    // The second is the last, which ends the token.
    for number in [1, 2] {
        let read = request(numbered(number), Operation::Read, "kv/data/a", &json!({}), &token);
        server.log.lose_next_answer();
        assert!(matches!(send(&server, &read), Err(Error::LeadershipLost)));
        server.pipeline.forget();
        server.log.change_leadership();
        let entries = server.entries();
        for _ in 0..2 {
            assert_eq!(data(send(&server, &read).unwrap())["data"]["v"], 1, "use {number}");
        }
        assert_eq!(server.entries(), entries, "it is not counted again: use {number}");
    }
    let read = request(numbered(3), Operation::Read, "kv/data/a", &json!({}), &token);
    assert!(matches!(send(&server, &read), Err(Error::Denied)));
}

#[test]
fn every_answer_of_a_limited_token_is_kept() {
    let server = with_kv();
    let created = server.write("auth/token/create", &json!({"num_uses": 9, "policies": ["root"]}));
    let token = created.unwrap().auth.unwrap().client_token;
    let asks = [
        ("a list of nothing", Operation::List, "kv/metadata"),
        ("a read of nothing", Operation::Read, "kv/data/none"),
        ("no route", Operation::Read, "none/a"),
        ("a delete of nothing", Operation::Delete, "kv/data/none"),
        ("bad input", Operation::Update, "sys/capabilities-self"),
    ];
    for (number, (what, operation, path)) in (1..).zip(asks) {
        let before = server.entries();
        let request = request(numbered(number), operation, path, &json!({}), &token);
        let first = line(send(&server, &request));
        assert_eq!(server.entries(), before + 1, "{what} is a use: {first}");
        assert_eq!(line(send(&server, &request)), first, "{what}");
        assert_eq!(server.entries(), before + 1, "{what}");
    }
    // The verdict that another node has asked for as well.
    let seal = request(numbered(6), Operation::Update, "sys/seal", &json!({}), &token);
    for _ in 0..2 {
        server.block_on(server.pipeline.judge(&seal)).unwrap();
    }
    let look = request(numbered(7), Operation::Read, "auth/token/lookup-self", &json!({}), &token);
    assert_eq!(data(send(&server, &look).unwrap())["num_uses"], 2);
}

#[test]
fn refusal_that_was_a_use_is_repeated_as_it_was() {
    let server = with_kv();
    let created = server.write("auth/token/create", &json!({"num_uses": 2, "policies": ["none"]}));
    let token = created.unwrap().auth.unwrap().client_token;
    let put = request(numbered(1), Operation::Update, "kv/data/a", &json!({"data": {}}), &token);
    for _ in 0..3 {
        assert!(matches!(send(&server, &put), Err(Error::Denied)));
    }
    let look = request(numbered(2), Operation::Read, "auth/token/lookup-self", &json!({}), &token);
    send(&server, &look).unwrap();
}

#[test]
fn token_that_revoked_itself_learns_of_it_again() {
    let server = Server::new();
    let created = server.write("auth/token/create", &json!({"policies": ["default"]})).unwrap();
    let token = created.auth.unwrap().client_token;
    let revoke =
        request(numbered(1), Operation::Update, "auth/token/revoke-self", &json!({}), &token);
    for _ in 0..2 {
        send(&server, &revoke).unwrap();
    }
    assert!(server.send(Operation::Read, "auth/token/lookup-self", &json!({}), &token).is_err());
}

#[test]
fn request_that_comes_twice_at_once_runs_once() {
    let server = with_kv();
    let put = write(&server, 1, "kv/data/a", &json!({"data": {"v": 1}}));
    let pipeline = &server.pipeline;
    let (first, second) =
        server.block_on(async { tokio::join!(pipeline.handle(&put), pipeline.handle(&put)) });
    assert_eq!(data(first.unwrap())["version"], 1);
    assert_eq!(data(second.unwrap())["version"], 1);
    // Where its entry comes twice, the log tells.
    let put = write(&server, 2, "kv/data/a", &json!({"data": {"v": 2}}));
    server.log.repeat_next_proposal();
    assert_eq!(data(send(&server, &put).unwrap())["version"], 2);
    let third = write(&server, 3, "kv/data/a", &json!({"data": {}}));
    assert_eq!(data(send(&server, &third).unwrap())["version"], 3);
}

#[test]
fn request_does_not_go_on_under_another_leadership() {
    let server = with_kv();
    let put = write(&server, 1, "kv/data/a", &json!({"data": {"v": 1}}));
    server.log.before_next_proposal(MemoryLog::change_leadership);
    assert!(matches!(send(&server, &put), Err(Error::NotActive)));
    let before = server.block_on(server.pipeline.handle_in(&put, 1));
    assert!(matches!(before, Err(Error::NotActive)), "it was sent to the leader of term 1");
    assert_eq!(data(server.block_on(server.pipeline.handle_in(&put, 2)).unwrap())["version"], 1);
}

#[test]
fn answered_requests_are_forgotten_and_come_too_late() {
    let server = with_kv();
    let put = write(&server, 1, "kv/data/a", &json!({"data": {"v": 1}}));
    send(&server, &put).unwrap();
    server.pipeline.note_finished(OriginId([7; 16]), &[(1, 1)]);
    send(&server, &write(&server, 2, "kv/data/b", &json!({"data": {}}))).unwrap();
    let entries = server.entries();
    assert!(matches!(send(&server, &put), Err(Error::Unresolved)));
    let old = RequestId::Proxied { made: Timestamp(START.0 - 31_000), id: [1; 16] };
    let old = request(old, Operation::Update, "kv/data/a", &json!({"data": {}}), &server.root);
    assert!(matches!(send(&server, &old), Err(Error::Unresolved)), "it may have been done");
    let early = RequestId::Proxied { made: Timestamp(START.0 + 31_000), id: [2; 16] };
    let early = request(early, Operation::Update, "kv/data/a", &json!({"data": {}}), &server.root);
    let refused = send(&server, &early);
    let tells_why = |text: &String| text.ends_with("is wrong; nothing was done");
    assert!(matches!(&refused, Err(Error::Unavailable(text)) if tells_why(text)), "{refused:?}");
    assert_eq!(server.entries(), entries);
}

#[test]
fn writes_wait_where_too_many_answers_may_not_have_arrived() {
    let server = with_kv();
    for number in 1..=4096 {
        send(&server, &write(&server, number, "kv/data/a", &json!({"data": {}}))).unwrap();
    }
    let entries = server.entries();
    let put = write(&server, 4097, "kv/data/b", &json!({"data": {}}));
    let pipeline = &server.pipeline;
    server.block_on(async {
        let mut waiting = Box::pin(pipeline.handle(&put));
        let soon = tokio::time::Duration::from_millis(100);
        assert!(tokio::time::timeout(soon, &mut waiting).await.is_err(), "it waits");
        assert_eq!(server.entries(), entries);
        pipeline.note_finished(OriginId([7; 16]), &[(1, 9)]);
        waiting.await.unwrap();
    });
    // A read is held up by nothing.
    let read = request(numbered(5000), Operation::Read, "kv/data/b", &json!({}), &server.root);
    send(&server, &read).unwrap();
}

#[test]
fn what_acts_outside_is_not_run_again() {
    let runs = Arc::new(AtomicU64::new(0));
    let server = Server::with_mounts(vec![("outside/", outside(runs.clone()))]);
    let act = write(&server, 1, "outside/act", &json!({}));
    send(&server, &act).unwrap();
    send(&server, &act).unwrap();
    assert_eq!(runs.load(Ordering::SeqCst), 1, "its answer is kept");
    // Only that it was begun is known.
    let act = write(&server, 2, "outside/act", &json!({}));
    server.log.lose_next_answer();
    assert!(matches!(send(&server, &act), Err(Error::LeadershipLost)));
    assert_eq!(runs.load(Ordering::SeqCst), 1);
    assert!(matches!(send(&server, &act), Err(Error::Unresolved)));
    assert_eq!(runs.load(Ordering::SeqCst), 1);
}

#[test]
fn answer_of_what_acts_outside_is_kept_also_where_it_writes_nothing() {
    let runs = Arc::new(AtomicU64::new(0));
    let server = Server::with_mounts(vec![("outside/", outside(runs.clone()))]);
    for (number, path, answer) in
        [(1, "outside/tell", "200 {\"run\":1}"), (2, "outside/fail", "400 run 2 failed")]
    {
        let act = write(&server, number, path, &json!({}));
        assert_eq!(line(send(&server, &act)), answer);
        server.pipeline.forget();
        server.log.change_leadership();
        assert_eq!(line(send(&server, &act)), answer, "as the next leader tells");
        assert_eq!(runs.load(Ordering::SeqCst), number, "{path} ran once");
    }
}

#[test]
fn who_hands_over_by_what_acts_outside_is_answered_all_the_same() {
    let runs = Arc::new(AtomicU64::new(0));
    let server = Server::with_mounts(vec![("outside/", outside(runs.clone()))]);
    let act = write(&server, 1, "outside/tell", &json!({}));
    server.log.before_next_proposal(|log| {
        log.before_next_proposal(MemoryLog::change_leadership);
    });
    assert_eq!(line(send(&server, &act)), "200 {\"run\":1}");
    assert_eq!(runs.load(Ordering::SeqCst), 1);
}

#[test]
fn what_acts_outside_waits_for_room_before_it_acts() {
    let runs = Arc::new(AtomicU64::new(0));
    let server = Server::with_mounts(vec![("outside/", outside(runs.clone()))]);
    server.mount("kv/", "kv", &[("version", "2")]);
    for number in 1..=4096 {
        send(&server, &write(&server, number, "kv/data/a", &json!({"data": {}}))).unwrap();
    }
    let act = write(&server, 4097, "outside/act", &json!({}));
    let pipeline = &server.pipeline;
    server.block_on(async {
        let mut waiting = Box::pin(pipeline.handle(&act));
        let soon = tokio::time::Duration::from_millis(100);
        assert!(tokio::time::timeout(soon, &mut waiting).await.is_err(), "it waits");
        assert_eq!(runs.load(Ordering::SeqCst), 0);
        pipeline.note_finished(OriginId([7; 16]), &[(1, 9)]);
        waiting.await.unwrap();
    });
    assert_eq!(runs.load(Ordering::SeqCst), 1);
}

#[test]
fn what_an_origin_has_told_outlives_an_entry_that_was_not_taken() {
    let server = with_kv();
    let put = write(&server, 1, "kv/data/a", &json!({"data": {"v": 1}}));
    send(&server, &put).unwrap();
    server.pipeline.note_finished(OriginId([7; 16]), &[(1, 1)]);
    server.log.refuse_next_proposal();
    let refused = send(&server, &write(&server, 2, "kv/data/b", &json!({"data": {}})));
    assert!(matches!(refused, Err(Error::NotActive)), "{refused:?}");
    assert_eq!(data(send(&server, &put).unwrap())["version"], 1, "no entry has told of it");
    send(&server, &write(&server, 3, "kv/data/b", &json!({"data": {}}))).unwrap();
    assert!(matches!(send(&server, &put), Err(Error::Unresolved)));
}

#[test]
fn what_is_refused_before_it_acts_outside_is_no_entry() {
    let runs = Arc::new(AtomicU64::new(0));
    let server = Server::with_mounts(vec![("outside/", outside(runs.clone()))]);
    let entries = server.entries();
    let careful =
        |number, good: bool| write(&server, number, "outside/careful", &json!({ "good": good }));
    assert_eq!(line(send(&server, &careful(1, false))), "400 no good");
    // A stranger's, who has opened no challenge.
    for params in [json!({}), json!({"raft_id": "7", "answer": "AAAA"})] {
        let path = "sys/storage/raft/bootstrap/answer";
        let answer = request(numbered(2), Operation::Update, path, &params, "");
        let refused = line(send(&server, &answer));
        assert_eq!(refused, "400 the answer does not fit the challenge");
    }
    assert_eq!((server.entries(), runs.load(Ordering::SeqCst)), (entries, 0));
    send(&server, &careful(3, true)).unwrap();
    assert_eq!((server.entries(), runs.load(Ordering::SeqCst)), (entries + 2, 1));
}

#[test]
fn what_found_no_leader_to_act_with_is_never_said_to_be_undone() {
    let runs = Arc::new(AtomicU64::new(0));
    let server = Server::with_mounts(vec![("outside/", outside(runs.clone()))]);
    let act = write(&server, 1, "outside/lose", &json!({}));
    assert!(matches!(send(&server, &act), Err(Error::LeadershipLost)));
    assert!(matches!(send(&server, &act), Err(Error::Unresolved)), "there is no more to learn");
    assert_eq!(runs.load(Ordering::SeqCst), 1);
}

#[test]
fn a_handler_that_panics_is_an_error_and_the_node_goes_on() {
    let runs = Arc::new(AtomicU64::new(0));
    let server = Server::with_mounts(vec![("outside/", outside(runs.clone()))]);
    server.audited();
    for (number, path) in [(1, "outside/panic"), (2, "outside/panic-outside")] {
        let entries = server.entries();
        let act = write(&server, number, path, &json!({}));
        let outcome = send(&server, &act);
        assert!(matches!(outcome, Err(Error::Internal(_))), "{path}: {outcome:?}");
        let audited = server.audited();
        assert_eq!(audited.len(), 2, "{path}: {audited:?}");
        assert!(audited[1].ends_with("internal error"), "{path}: {audited:?}");
        // Of what acts outside: that it was begun, and its answer.
        assert_eq!(server.entries() - entries, 2 * (number - 1), "{path}");
    }
    send(&server, &write(&server, 3, "outside/act", &json!({}))).unwrap();
    assert_eq!(runs.load(Ordering::SeqCst), 3);
}

/// Counts how often it was run, and writes down what it was given.
fn outside(runs: Arc<AtomicU64>) -> Arc<dyn Mount> {
    let routes = [
        Route::new("act", "Acts outside.").acts_outside().write(act),
        Route::new("tell", "And writes nothing.").acts_outside().write(tell),
        Route::new("fail", "And fails.").acts_outside().write(fail),
        Route::new("careful", "Asked beforehand.").acts_outside_after(check).write(careful),
        Route::new("lose", "Does not lead any more.").acts_outside().write(lose),
        Route::new("panic", "Has a fault.").write(panic),
        Route::new("panic-outside", "Has a fault.").acts_outside().write(panic),
    ];
    Engine::new("out", "", routes).unwrap().mount(runs).into()
}

async fn tell(call: &mut Call<'_, Arc<AtomicU64>>, _: NoParams) -> Result<Reply, Error> {
    let run = call.state.fetch_add(1, Ordering::SeqCst) + 1;
    Reply::of(&json!({ "run": run }))
}

async fn fail(call: &mut Call<'_, Arc<AtomicU64>>, _: NoParams) -> Result<Reply, Error> {
    let run = call.state.fetch_add(1, Ordering::SeqCst) + 1;
    Err(Error::BadRequest(format!("run {run} failed")))
}

async fn act(call: &mut Call<'_, Arc<AtomicU64>>, _: NoParams) -> Result<Reply, Error> {
    let run = call.state.fetch_add(1, Ordering::SeqCst) + 1;
    call.storage.put("last", &run)?;
    Reply::of(&json!({ "run": run }))
}

#[derive(Deserialize, JsonSchema)]
struct Careful {
    good: bool,
}

async fn check(_: &mut Call<'_, Arc<AtomicU64>>, input: Careful) -> Result<(), Error> {
    if input.good { Ok(()) } else { Err(Error::bad_request("no good")) }
}

async fn careful(call: &mut Call<'_, Arc<AtomicU64>>, _: Careful) -> Result<Reply, Error> {
    call.state.fetch_add(1, Ordering::SeqCst);
    Ok(Reply::default())
}

async fn lose(call: &mut Call<'_, Arc<AtomicU64>>, _: NoParams) -> Result<Reply, Error> {
    call.state.fetch_add(1, Ordering::SeqCst);
    Err(Error::NotActive)
}

async fn panic(call: &mut Call<'_, Arc<AtomicU64>>, _: NoParams) -> Result<Reply, Error> {
    let run = call.state.fetch_add(1, Ordering::SeqCst) + 1;
    call.storage.put("last", &run)?;
    panic!("as a handler with a fault does");
}
