//! Acts outside that nothing came of: intent first, then the act, then the lease.

use futures_util::FutureExt as _;
use serde_json::{Value, json};
use strongroom::request::{Error, Operation};

use super::backend::engine;
use super::*;
use crate::harness::Server;
use crate::token::refusal;

fn server() -> (Server, Arc<Backend>) {
    let backend = Arc::new(Backend::default());
    (Server::with_mounts(vec![("db/", engine(&backend))]), backend)
}

fn intents(server: &Server) -> usize {
    core(server, |core| core.list("lease/intent/test_db").unwrap().len())
}

/// Lets the log be changed before the entry that has the lease.
fn before_the_lease(
    server: &Server,
    event: impl FnOnce(&strongroom::log::MemoryLog) + Send + 'static,
) {
    let log = server.log.clone();
    server.log.before_next_proposal(move |_| log.before_next_proposal(event));
}

#[test]
fn an_act_is_written_down_before_and_taken_away_with_its_lease() {
    let (server, backend) = server();
    let before = server.entries();
    let seen = backend.clone();
    before_the_lease(&server, move |_| assert_eq!(seen.acts(), ["create app-1"]));
    let seen = backend.clone();
    server.log.before_next_proposal(move |log| {
        assert_eq!(seen.acts(), Vec::<String>::new(), "not before it is written down");
        let seen = seen.clone();
        log.before_next_proposal(move |_| assert_eq!(seen.acts(), ["create app-1"]));
    });
    issue(&server, "db/creds/app");
    assert_eq!((server.entries() - before, intents(&server)), (2, 0));
    work(&server);
    assert_eq!(backend.users(), ["app-1"]);
}

#[test]
fn an_act_that_failed_in_part_is_undone_at_once() {
    for mode in [Mode::Fails, Mode::FailsAfterwards, Mode::Panics] {
        let (server, backend) = server();
        backend.set(mode);
        let outcome = server.read("db/creds/app");
        assert!(matches!(outcome, Err(Error::Failed(_) | Error::Internal(_))), "{outcome:?}");
        assert_eq!((states(&server, "test_db"), intents(&server)), ([0; 4], 1));
        backend.set(Mode::Works);
        work(&server);
        assert_eq!((backend.users(), leftovers(&server)), (vec![], vec![]), "{mode:?}");
        assert_eq!(backend.acts(), ["create app-1", "undo app-1"]);
    }
}

#[test]
fn a_crash_between_act_and_lease_leaves_nothing_behind() {
    let (server, backend) = server();
    // As if the process had ended: the entry is fenced, and nothing of its memory is left.
    before_the_lease(&server, |log| log.change_leadership());
    let outcome = server.read("db/creds/app");
    assert!(matches!(outcome, Err(Error::LeadershipLost)), "something was done: {outcome:?}");
    server.pipeline.forget();
    assert_eq!((backend.users(), intents(&server)), (vec!["app-1".to_owned()], 1));
    work(&server);
    assert_eq!(backend.users(), ["app-1"], "whoever began may still be at it");
    server.set_time(61);
    work(&server);
    assert_eq!((backend.users(), leftovers(&server)), (vec![], vec![]));
}

#[test]
fn an_act_that_hangs_is_undone_when_its_time_is_over() {
    let (server, backend) = server();
    backend.set(Mode::Hangs);
    // The client waits no longer than its request; here the process stops with it.
    let request = server.start(Operation::Read, "db/creds/app", &Value::Null, &server.root);
    server.block_on(async {
        tokio::select! {
            biased;
            outcome = request => panic!("{outcome:?}"),
            () = tokio::task::yield_now() => {}
        }
    });
    assert_eq!((backend.acts(), intents(&server)), (vec!["create app-1".to_owned()], 1));
    backend.set(Mode::Works);
    work(&server);
    assert_eq!(intents(&server), 1);
    server.set_time(60);
    work(&server);
    assert_eq!((backend.acts(), leftovers(&server)), (vec!["undo app-1".to_owned()], vec![]));
}

#[test]
fn an_undo_that_fails_is_tried_later_each_time_and_never_given_up() {
    let (server, backend) = server();
    backend.set(Mode::FailsAfterwards);
    server.read("db/creds/app").unwrap_err();
    backend.set(Mode::Fails);
    backend.acts();
    let mut tries = Vec::new();
    for second in 0..700 {
        server.set_time(second);
        work(&server);
        if !backend.acts().is_empty() {
            tries.push(second);
        }
    }
    assert_eq!(tries, [0, 10, 30, 70, 150, 310, 630]);
    backend.set(Mode::Works);
    server.set_time(10_000);
    work(&server);
    assert_eq!((backend.users(), leftovers(&server)), (vec![], vec![]));
}

#[test]
fn what_is_refused_beforehand_does_nothing() {
    let (server, backend) = server();
    let before = server.entries();
    assert_eq!(refusal(server.read("db/creds/nobody")), "unknown role");
    assert_eq!((server.entries() - before, intents(&server)), (0, 0));
    assert_eq!(backend.acts(), Vec::<String>::new());
}

#[test]
fn a_mount_that_goes_while_it_acts_leaves_nothing() {
    let (server, backend) = server();
    let root = server.root.clone();
    let unmount = server.start(Operation::Delete, "sys/mounts/db", &Value::Null, &root);
    let unmount = std::sync::Mutex::new(Some(Box::pin(unmount)));
    before_the_lease(&server, move |_| {
        let unmount = unmount.lock().unwrap().take().unwrap();
        unmount.now_or_never().unwrap().unwrap();
    });
    let outcome = server.read("db/creds/app");
    assert!(matches!(outcome, Err(Error::Unavailable(_))), "{outcome:?}");
    work(&server);
    work(&server);
    assert_eq!((backend.users(), leftovers(&server)), (vec![], vec![]));
    let jobs = server.block_on(server.pipeline.internal(strongroom::sys::jobs::jobs)).unwrap();
    assert_eq!(jobs, Vec::<String>::new());
}

#[test]
fn an_act_that_is_settled_while_it_is_under_way_is_not_said_to_stand() {
    let (server, backend) = server();
    backend.set(Mode::Hangs);
    let request = server.start(Operation::Read, "db/creds/app", &Value::Null, &server.root);
    let mut request = Box::pin(request);
    server.block_on(async {
        tokio::select! {
            biased;
            outcome = &mut request => panic!("{outcome:?}"),
            () = tokio::task::yield_now() => {}
        }
    });
    // As where clocks differ, or the process was stopped for a while.
    backend.set(Mode::Works);
    server.set_time(61);
    work(&server);
    assert_eq!((backend.acts(), intents(&server)), (vec_of(&["create app-1", "undo app-1"]), 0));
    backend.go_on.notify_one();
    let outcome = server.block_on(request);
    assert!(matches!(outcome, Err(Error::Unavailable(_))), "{outcome:?}");
    assert_eq!(backend.users(), ["app-1"], "it came after it was undone");
    work(&server);
    assert_eq!((backend.users(), leftovers(&server)), (vec![], vec![]));
}

#[test]
fn an_act_that_is_being_settled_is_not_said_to_stand() {
    let (server, backend) = server();
    let (timer, pipeline) = (server.timer(), server.pipeline.clone());
    let undo = backend.clone();
    before_the_lease(&server, move |_| {
        // Given up, and no further.
        timer(61);
        undo.set(Mode::Hangs);
        assert!(pipeline.settle_intents("test_db").now_or_never().is_none());
        undo.set(Mode::Works);
    });
    let outcome = server.read("db/creds/app");
    assert!(matches!(outcome, Err(Error::Unavailable(_))), "{outcome:?}");
    work(&server);
    assert_eq!((backend.users(), leftovers(&server)), (vec![], vec![]));
}

#[test]
fn what_was_held_up_before_it_acts_does_not_act_in_the_time_of_whoever_settles_it() {
    let (server, backend) = server();
    let timer = server.timer();
    server.log.before_next_proposal(move |_| timer(40));
    let outcome = server.read("db/creds/app");
    assert!(matches!(outcome, Err(Error::Unavailable(_))), "{outcome:?}");
    assert_eq!(backend.acts(), Vec::<String>::new());
    work(&server);
    assert_eq!((backend.users(), leftovers(&server)), (vec![], vec![]));
}

#[test]
fn an_act_whose_outcome_is_kept_already_stands() {
    let (server, backend) = server();
    let read = numbered(&server, 1, Operation::Read, "db/creds/app", &json!({}));
    before_the_lease(&server, strongroom::log::MemoryLog::repeat_next_proposal);
    let told = lease(server.block_on(server.pipeline.handle(&read)).unwrap());
    assert!(exists(&server, &told.id));
    work(&server);
    assert_eq!((backend.users(), intents(&server)), (vec_of(&["app-1"]), 0));
}

#[test]
fn an_act_whose_request_was_forgotten_meanwhile_is_undone() {
    let (server, backend) = server();
    let read = numbered(&server, 1, Operation::Read, "db/creds/app", &json!({}));
    let other = numbered(&server, 2, Operation::Update, "db/roles/app", &json!({}));
    let pipeline = server.pipeline.clone();
    before_the_lease(&server, move |_| {
        pipeline.note_finished(ORIGIN, &[(1, 1)]);
        pipeline.handle(&other).now_or_never().unwrap().unwrap();
    });
    let outcome = server.block_on(server.pipeline.handle(&read));
    assert!(matches!(outcome, Err(Error::Unresolved)), "{outcome:?}");
    work(&server);
    assert_eq!((backend.users(), leftovers(&server)), (vec![], vec![]), "at once");
}

fn vec_of(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}
