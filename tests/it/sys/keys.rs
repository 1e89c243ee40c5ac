//! Rotation, rekey and root tokens, over a log in memory.

mod root_tokens;
mod rotation;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use serde_json::{Map, Value, json};
use strongroom::barrier::Repeat;
use strongroom::clock::Timestamp;
use strongroom::mount::ROOT_NAMESPACE;
use strongroom::record::SystemKey;
use strongroom::request::{Error, Operation};
use strongroom::rng::SystemRng;
use strongroom::seal::{KeyringRecord, SealConfiguration, initialise};
use strongroom::txn::Txn;

use crate::harness::{START, Server, data, line};

/// A server whose keyring lies in its log, as `sys/init` leaves it, and the shares.
fn initialised(shares: i64, threshold: i64) -> (Server, Vec<String>) {
    let server = Server::new();
    let configuration = SealConfiguration::new(shares, threshold).unwrap();
    let made = initialise(&SystemRng, START, &configuration);
    server.reseal(made.keyring, made.records);
    let shares = made.shares.iter().map(|share| share.hex().expose().clone()).collect();
    (server, shares)
}

fn ask(
    server: &Server,
    operation: Operation,
    path: &str,
    body: &Value,
) -> Result<Map<String, Value>, Error> {
    let reply = server.send(operation, path, body, "")?;
    Ok(if reply.is_empty() { Map::new() } else { data(reply) })
}

fn put(server: &Server, path: &str, body: &Value) -> Map<String, Value> {
    ask(server, Operation::Update, path, body).unwrap()
}

fn refusal(server: &Server, operation: Operation, path: &str, body: &Value) -> String {
    line(server.send(operation, path, body, ""))
}

fn record(server: &Server) -> KeyringRecord {
    let view = server.log.view();
    KeyringRecord::decode(&view.system(SystemKey::Keyring).unwrap().unwrap().1).unwrap()
}

/// The new shares of a rekey that the given ones authorise.
fn rekeyed(server: &Server, shares: &[String], begin: &Value) -> Map<String, Value> {
    let nonce = put(server, "sys/rekey/init", begin)["nonce"].clone();
    let mut answer = Map::new();
    for share in shares {
        answer = put(server, "sys/rekey/update", &json!({ "key": share, "nonce": nonce }));
    }
    answer
}

fn texts(answer: &Map<String, Value>, name: &str) -> Vec<String> {
    answer[name].as_array().unwrap().iter().map(|text| text.as_str().unwrap().into()).collect()
}

/// Which of these shares a sealed node opens with: the generation, or why not.
fn opens(server: &Server, shares: &[String]) -> Result<Option<u64>, String> {
    let view = server.log.view();
    let stored = view.system(SystemKey::SealConfiguration).unwrap().unwrap().1;
    let configuration = SealConfiguration::decode(&stored).unwrap();
    let mut unseal = strongroom::seal::Unseal::default();
    let mut opened = None;
    for share in shares {
        let share = strongroom::seal::Share::parse(share).unwrap();
        opened = unseal
            .add(&SystemRng, &configuration, &record(server), share)
            .map_err(|error| error.to_string())?;
    }
    Ok(opened.map(|(_, generation)| generation))
}

fn tend<T>(
    server: &Server,
    mut work: impl FnMut(&mut strongroom::txn::Scope<'_>) -> Result<T, Error>,
) -> T {
    let work = |txn: &mut Txn| work(&mut txn.scope("root/sys/").within(ROOT_NAMESPACE));
    server.block_on(server.pipeline.internal(work)).unwrap()
}

#[test]
fn after_a_rekey_the_new_shares_open_and_soon_the_old_ones_do_not() {
    let (server, old) = initialised(5, 3);
    let begun =
        put(&server, "sys/rekey/init", &json!({ "secret_shares": 3, "secret_threshold": 2 }));
    assert_eq!((&begun["started"], &begun["required"]), (&json!(true), &json!(3)));
    let nonce = &begun["nonce"];
    let mut answer = Map::new();
    for (index, share) in old[..3].iter().enumerate() {
        answer = put(&server, "sys/rekey/update", &json!({ "key": share, "nonce": nonce }));
        if index < 2 {
            assert_eq!(answer["progress"], index + 1);
        }
    }
    assert_eq!((&answer["complete"], &answer["nonce"]), (&json!(true), nonce));
    let new = texts(&answer, "keys");
    assert_eq!((new.len(), new[0].len()), (3, 66));
    assert_eq!(
        ask(&server, Operation::Read, "sys/rekey/init", &json!({})).unwrap()["started"],
        false
    );

    // Nobody is known to have the new ones yet: either opens.
    assert_eq!(opens(&server, &new[1..]), Ok(Some(2)));
    assert_eq!(opens(&server, &old[..3]), Ok(Some(1)));
    let end = |seconds: u64| {
        let now = Timestamp(START.0 + seconds * 1000);
        let ended = tend(&server, |scope| server.keys.end_previous(scope, now));
        server.keys.ended(now);
        ended
    };
    assert!(!end(2));
    assert!(end(3));
    assert!(!end(4));
    assert!(opens(&server, &old[..3]).is_err());
    assert_eq!(opens(&server, &new[..2]), Ok(Some(2)));
    server.read("sys/mounts").unwrap();
    server.write("sys/rotate", &json!({})).unwrap();
    assert_eq!(opens(&server, &new[..2]), Ok(Some(2)));
}

#[test]
fn when_the_new_shares_were_lost_with_their_node_the_old_ones_begin_again() {
    let (server, old) = initialised(3, 2);
    let lost = rekeyed(&server, &old[..2], &json!({ "secret_shares": 1, "secret_threshold": 1 }));
    assert_eq!(lost["complete"], true);
    server.log.change_leadership();
    server.keys.forget();
    let far = Timestamp(START.0 + 1_000_000);
    assert!(!tend(&server, |scope| server.keys.end_previous(scope, far)));
    let new = rekeyed(&server, &old[1..], &json!({ "secret_shares": 2, "secret_threshold": 2 }));
    let new = texts(&new, "keys");
    assert_eq!(opens(&server, &new), Ok(Some(3)));
    assert_eq!(opens(&server, &texts(&lost, "keys")).ok().flatten(), None);
    // Whoever unseals with the new ones has them.
    server.keys.note_used(3);
    server.keys.forget();
    assert!(tend(&server, |scope| server.keys.end_previous(scope, START)));
    assert!(opens(&server, &old[..2]).is_err());
}

#[test]
fn with_verification_the_old_shares_hold_until_the_new_ones_are_given_back() {
    let (server, old) = initialised(1, 1);
    let begin = json!({ "secret_shares": 3, "secret_threshold": 2, "require_verification": true });
    let answer = rekeyed(&server, &old, &begin);
    let new = texts(&answer, "keys");
    assert_eq!(
        (&answer["complete"], &answer["verification_required"]),
        (&json!(true), &json!(true))
    );
    assert_eq!(opens(&server, &old), Ok(Some(1)));
    let again = json!({ "key": old[0], "nonce": answer["nonce"] });
    let told = refusal(&server, Operation::Update, "sys/rekey/update", &again);
    assert!(told.contains("already finished; verification must be performed"), "{told}");
    assert!(!told.contains(answer["verification_nonce"].as_str().unwrap()), "{told}");

    let first = answer["verification_nonce"].clone();
    let give = |index: usize, nonce: &Value| {
        ask(
            &server,
            Operation::Update,
            "sys/rekey/verify",
            &json!({ "key": new[index], "nonce": nonce }),
        )
    };
    assert_eq!(give(0, &first).unwrap()["progress"], 1);
    assert_eq!(
        give(0, &first).unwrap_err().to_string(),
        "given key has already been provided during this verify operation"
    );
    let told = refusal(&server, Operation::Delete, "sys/rekey/verify", &json!({}));
    assert!(told.contains("give its nonce"), "{told}");
    let named = json!({ "nonce": first });
    let restarted = ask(&server, Operation::Delete, "sys/rekey/verify", &named).unwrap();
    assert_eq!((&restarted["progress"], &restarted["started"]), (&json!(0), &json!(true)));
    let second = restarted["nonce"].clone();
    assert_ne!(first, second);
    assert!(give(1, &first).unwrap_err().to_string().starts_with("incorrect nonce supplied"));
    give(1, &second).unwrap();
    assert_eq!(opens(&server, &old), Ok(Some(1)));
    let done = give(2, &second).unwrap();
    assert_eq!((&done["complete"], &done["nonce"]), (&json!(true), &second));
    assert_eq!(opens(&server, &new[..2]), Ok(Some(2)));
    assert!(opens(&server, &old).is_err(), "the new ones are known to be kept");
    assert_eq!(
        refusal(&server, Operation::Read, "sys/rekey/verify", &json!({})),
        "400 no rekey configuration found"
    );
}

#[test]
fn of_two_who_give_the_last_share_at_once_one_gets_the_new_ones() {
    let (server, old) = initialised(3, 2);
    let nonce = put(
        &server,
        "sys/rekey/init",
        &json!({ "secret_shares": 1, "secret_threshold": 1 }),
    )["nonce"]
        .clone();
    put(&server, "sys/rekey/update", &json!({ "key": old[0], "nonce": nonce }));
    let last = json!({ "key": old[1], "nonce": nonce });
    let outcomes = server.block_on(async {
        let both = [0, 1].map(|_| server.start(Operation::Update, "sys/rekey/update", &last, ""));
        futures_util::future::join_all(both).await
    });
    let won: Vec<_> = outcomes.into_iter().filter_map(Result::ok).map(data).collect();
    assert_eq!(won.len(), 1);
    assert_eq!(opens(&server, &texts(&won[0], "keys")), Ok(Some(2)));
}

/// What another request, which read the keyring, is then refused for.
fn rotate_before_next_proposal(server: &Server) {
    let rotated = record(server);
    let barrier = server.pipeline.barrier.clone();
    server.log.before_next_proposal(move |log| {
        let keyring = barrier.keyring().unwrap();
        let (_, next) = strongroom::seal::rotate(&SystemRng, START, &keyring, &rotated).unwrap();
        let point =
            futures_util::FutureExt::now_or_never(strongroom::log::ReplicatedLog::begin(log))
                .unwrap()
                .unwrap();
        let mut txn = barrier.begin(point, START).unwrap();
        txn.put_system(SystemKey::Keyring, next.encode());
        let batch = txn.into_batch().unwrap().unwrap();
        log.append(barrier.seal(batch, Repeat::default()).unwrap()).unwrap();
    });
}

#[test]
fn a_rekey_that_lost_to_another_entry_runs_again_with_the_same_shares() {
    let (server, old) = initialised(1, 1);
    let nonce = put(
        &server,
        "sys/rekey/init",
        &json!({ "secret_shares": 1, "secret_threshold": 1 }),
    )["nonce"]
        .clone();
    rotate_before_next_proposal(&server);
    let answer = put(&server, "sys/rekey/update", &json!({ "key": old[0], "nonce": nonce }));
    assert_eq!(opens(&server, &texts(&answer, "keys")), Ok(Some(2)));
    assert_eq!(data(server.read("sys/key-status").unwrap())["term"], 2, "nor is the rotation lost");
}

#[test]
fn what_another_leader_began_is_over_and_says_so() {
    let (server, old) = initialised(3, 2);
    let nonce = put(
        &server,
        "sys/rekey/init",
        &json!({ "secret_shares": 1, "secret_threshold": 1 }),
    )["nonce"]
        .clone();
    let root = put(&server, "sys/generate-root/attempt", &json!({}))["nonce"].clone();
    put(&server, "sys/rekey/update", &json!({ "key": old[0], "nonce": nonce }));
    server.log.change_leadership();
    for (path, nonce) in [("sys/rekey/update", nonce), ("sys/generate-root/update", root)] {
        let told =
            refusal(&server, Operation::Update, path, &json!({ "key": old[1], "nonce": nonce }));
        assert!(told.contains("another node has become active since"), "{told}");
    }
    assert_eq!(opens(&server, &old[..2]), Ok(Some(1)));
}

#[test]
fn bad_input_to_a_rekey_is_refused_and_changes_nothing() {
    let (server, _) = initialised(3, 2);
    let entries = server.entries();
    let bad = |path: &str, body: Value| refusal(&server, Operation::Update, path, &body);
    for (body, expected) in [
        (json!({}), "invalid rekey seal configuration: shares must be at least one"),
        (
            json!({ "secret_shares": 2, "secret_threshold": 1 }),
            "invalid rekey seal configuration: threshold must be greater than one for multiple shares",
        ),
        (
            json!({ "secret_shares": 256, "secret_threshold": 3 }),
            "invalid rekey seal configuration: shares must be less than 256",
        ),
        (
            json!({ "secret_shares": 1, "secret_threshold": 1, "backup": true }),
            "cannot request a backup of the new keys without providing PGP keys for encryption",
        ),
        (
            json!({ "secret_shares": 1, "secret_threshold": 1, "pgp_keys": ["a", "b"] }),
            "incorrect number of PGP keys for rekey",
        ),
        (
            json!({ "secret_shares": 1, "secret_threshold": 1, "pgp_keys": ["a"] }),
            "invalid rekey seal configuration: pgp_keys[0]: error decoding given PGP key: it is not base64",
        ),
        (
            json!({ "secret_shares": 1, "secret_threshold": 1, "pgp_keys": ["YWJj"] }),
            "invalid rekey seal configuration: pgp_keys[0]: error parsing given PGP key: it is no OpenPGP public key",
        ),
        (
            json!({ "secret_shares": 1, "secret_threshold": 1, "pgp_keys": ["keybase:x"] }),
            "invalid rekey seal configuration: pgp_keys[0]: `keybase:` names are not looked up",
        ),
        (json!({ "secret_shares": "x" }), "Field validation failed"),
    ] {
        let told = bad("sys/rekey/init", body.clone());
        assert!(told.starts_with(&format!("400 {expected}")), "{body}: {told}");
    }
    assert_eq!(server.entries(), entries);
}

#[test]
fn bad_shares_for_a_rekey_are_refused_and_change_nothing() {
    let (server, old) = initialised(3, 2);
    let entries = server.entries();
    let bad = |path: &str, body: Value| refusal(&server, Operation::Update, path, &body);
    assert!(
        bad("sys/rekey/update", json!({ "key": old[0], "nonce": "x" }))
            .contains("no rekey in progress")
    );
    let begin = json!({ "secret_shares": 1, "secret_threshold": 1 });
    let nonce = put(&server, "sys/rekey/init", &begin)["nonce"].clone();
    assert_eq!(bad("sys/rekey/init", begin), "400 rekey already in progress");
    for (body, expected) in [
        (json!({ "nonce": nonce }), "'key' must be specified in request body as JSON"),
        (json!({ "key": "", "nonce": nonce }), "'key' must be specified in request body as JSON"),
        (json!({ "key": "zz!", "nonce": nonce }), "'key' must be a valid hex or base64 string"),
        (
            json!({ "key": "abcd", "nonce": nonce }),
            "invalid key: key is shorter than minimum 33 bytes",
        ),
        (json!({ "key": old[0], "nonce": "x" }), "incorrect nonce supplied"),
        (json!({ "key": old[0] }), "incorrect nonce supplied"),
    ] {
        let told = bad("sys/rekey/update", body.clone());
        assert!(told.starts_with(&format!("400 {expected}")), "{body}: {told}");
    }
    put(&server, "sys/rekey/update", &json!({ "key": old[0], "nonce": nonce }));
    let mut wrong = old[1].clone();
    wrong.replace_range(..2, if wrong.starts_with("00") { "01" } else { "00" });
    let told = bad("sys/rekey/update", json!({ "key": wrong, "nonce": nonce }));
    assert!(told.starts_with("400 invalid key: the shares do not open"), "{told}");
    assert_eq!(ask(&server, Operation::Read, "sys/rekey/init", &json!({})).unwrap()["progress"], 0);
    let told = refusal(&server, Operation::Delete, "sys/rekey/init", &json!({ "nonce": "x" }));
    assert!(told.starts_with("400 incorrect nonce"), "{told}");
    assert_eq!(
        refusal(&server, Operation::Delete, "sys/rekey/init", &json!({ "nonce": nonce })),
        "204"
    );
    assert_eq!(refusal(&server, Operation::Delete, "sys/rekey/init", &json!({})), "204");
    assert_eq!(server.entries(), entries);
    assert!(
        bad("sys/rekey-recovery-key/init", json!({ "secret_shares": 1, "secret_threshold": 1 }))
            .contains("recovery rekeying not supported")
    );
    assert!(
        line(server.write("sys/rotate/root", &json!({})))
            .starts_with("400 the root key is wrapped by")
    );
}

#[test]
fn names_of_openbao_need_a_token_and_answer_in_an_envelope() {
    let (server, shares) = initialised(1, 1);
    for path in ["sys/rotate/root/init", "sys/generate-root-token/attempt"] {
        assert_eq!(line(server.send(Operation::Read, path, &json!({}), "")), "403", "{path}");
        assert_eq!(data(server.read(path).unwrap())["started"], false);
    }
    let begin = json!({ "secret_shares": 1, "secret_threshold": 1 });
    let begun = data(server.write("sys/rotate/root/init", &begin).unwrap());
    let give = json!({ "key": shares[0], "nonce": begun["nonce"] });
    let done = data(server.write("sys/rotate/root/update", &give).unwrap());
    assert_eq!(opens(&server, &texts(&done, "keys")), Ok(Some(2)));
    assert_eq!(line(server.read("sys/rotate/root/backup")), "400 no backed-up keys found");
}

const ONE: [(&str, &str); 2] = [("sys/rekey/init", "rekey"), ("sys/generate-root/attempt", "root")];

fn one() -> Value {
    json!({ "secret_shares": 1, "secret_threshold": 1 })
}

fn is_begun(server: &Server, path: &str) -> bool {
    ask(server, Operation::Read, path, &json!({})).unwrap()["started"] == true
}

/// The answer to what `send` sends cannot be audited.
fn unheard(server: &Server, send: impl FnOnce()) {
    server.audit.break_after(1);
    send();
    server.audit.break_after(usize::MAX);
}

#[test]
fn what_is_begun_or_cancelled_where_the_answer_cannot_be_audited_is_not() {
    for (path, _) in ONE {
        let (server, _) = initialised(3, 2);
        let send = |operation| drop(server.send(operation, path, &one(), "").unwrap_err());
        unheard(&server, || send(Operation::Update));
        assert!(!is_begun(&server, path), "{path}");
        let nonce = put(&server, path, &one())["nonce"].clone();
        unheard(&server, || send(Operation::Delete));
        let read = ask(&server, Operation::Read, path, &json!({})).unwrap();
        assert_eq!((&read["started"], &read["nonce"]), (&json!(true), &nonce), "{path}");
        assert_eq!(refusal(&server, Operation::Delete, path, &json!({})), "204");
        assert!(!is_begun(&server, path), "{path}");
    }
}

#[test]
fn what_is_begun_by_a_request_that_lost_to_another_begins_with_its_second_try() {
    for path in ["sys/rotate/root/init", "sys/generate-root-token/attempt"] {
        let (server, _) = initialised(1, 1);
        let made = json!({ "num_uses": 5, "policies": ["root"] });
        let made = server.write("auth/token/create", &made).unwrap();
        let token = made.auth.unwrap().client_token.to_string();
        rotate_before_next_proposal(&server);
        let begun = data(server.send(Operation::Update, path, &one(), &token).unwrap());
        assert_eq!(begun["started"], true, "{path}");
    }
}

#[test]
fn without_a_token_what_keys_were_given_for_is_cancelled_by_its_nonce_alone() {
    for (path, of) in ONE {
        let (server, shares) = initialised(3, 2);
        put(&server, path, &one());
        assert_eq!(refusal(&server, Operation::Delete, path, &json!({})), "204", "nothing given");
        let nonce = put(&server, path, &one())["nonce"].clone();
        let update = path.rsplit_once('/').unwrap().0.to_owned() + "/update";
        put(&server, &update, &json!({ "key": shares[0], "nonce": nonce }));
        let told = refusal(&server, Operation::Delete, path, &json!({}));
        assert!(told.starts_with("400 keys were given for"), "{of}: {told}");
        for (operation, path) in [(Operation::Delete, path), (Operation::Update, update.as_str())] {
            let wrong = json!({ "key": shares[1], "nonce": "x" });
            let told = refusal(&server, operation, path, &wrong);
            assert!(told.starts_with("400 incorrect nonce supplied"), "{of}: {told}");
            assert!(!told.contains(nonce.as_str().unwrap()), "{of}: {told}");
        }
        assert!(is_begun(&server, path), "{of}");
        let named = json!({ "nonce": nonce });
        assert_eq!(refusal(&server, Operation::Delete, path, &named), "204", "{of}");
        assert!(!is_begun(&server, path), "{of}");
    }
    let (server, shares) = initialised(3, 2);
    let nonce = data(server.write("sys/rotate/root/init", &one()).unwrap())["nonce"].clone();
    let give = json!({ "key": shares[0], "nonce": nonce });
    server.write("sys/rotate/root/update", &give).unwrap();
    assert_eq!(line(server.delete("sys/rotate/root/init")), "204", "a token may");
}

#[test]
fn the_old_shares_end_three_seconds_after_the_new_ones_were_answered() {
    let (server, old) = initialised(1, 1);
    let nonce = put(&server, "sys/rekey/init", &one())["nonce"].clone();
    let set_time = server.timer();
    server.log.before_next_proposal(move |_| set_time(60));
    put(&server, "sys/rekey/update", &json!({ "key": old[0], "nonce": nonce }));
    let ends = |seconds: u64| {
        let now = Timestamp(START.0 + seconds * 1000);
        tend(&server, |scope| server.keys.end_previous(scope, now))
    };
    assert!(!ends(62), "the commit took a minute");
    assert!(ends(63));
}

#[test]
fn while_the_new_shares_were_not_answered_the_old_ones_hold() {
    let (server, old) = initialised(1, 1);
    let nonce = put(&server, "sys/rekey/init", &one())["nonce"].clone();
    let give = json!({ "key": old[0], "nonce": nonce });
    unheard(&server, || {
        drop(server.send(Operation::Update, "sys/rekey/update", &give, "").unwrap_err());
    });
    let far = Timestamp(START.0 + 1_000_000);
    assert!(!server.keys.awaits_end());
    assert!(!tend(&server, |scope| server.keys.end_previous(scope, far)));
    assert_eq!(opens(&server, &old), Ok(Some(1)));
}

#[test]
fn new_shares_that_make_a_root_token_end_the_old_ones() {
    let (server, old) = initialised(1, 1);
    let new = texts(&rekeyed(&server, &old, &one()), "keys");
    server.log.change_leadership();
    server.keys.forget();
    let ends = || tend(&server, |scope| server.keys.end_previous(scope, START));
    for (shares, expected) in [(&old, false), (&new, true)] {
        let nonce = put(&server, "sys/generate-root/attempt", &json!({}))["nonce"].clone();
        let give = json!({ "key": shares[0], "nonce": nonce });
        assert_eq!(put(&server, "sys/generate-root/update", &give)["complete"], true);
        assert_eq!(ends(), expected);
    }
    assert!(opens(&server, &old).is_err());
    assert_eq!(opens(&server, &new), Ok(Some(2)));
}

#[test]
fn keys_for_pgp_are_not_read_while_something_is_under_way() {
    let (server, _) = initialised(1, 1);
    for ((path, _), field) in ONE.into_iter().zip(["pgp_keys", "pgp_key"]) {
        put(&server, path, &one());
        let mut body = one();
        body[field] = if field == "pgp_key" { json!("YWJj") } else { json!(["YWJj"]) };
        let told = refusal(&server, Operation::Update, path, &body);
        assert!(told.ends_with("already in progress"), "{path}: {told}");
    }
}
