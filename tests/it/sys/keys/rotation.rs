//! New terms of the keyring, by hand, by count and by age.

use super::*;

#[test]
fn a_rotation_encrypts_under_a_new_term_and_what_was_written_before_is_read() {
    let (server, shares) = initialised(3, 2);
    server.mount("kv/", "kv", &[]);
    server.write("kv/before", &json!({ "a": 1 })).unwrap();
    let before = data(server.read("sys/key-status").unwrap());
    assert_eq!(before["term"], 1);
    assert!(before["encryptions"].as_u64().unwrap() > 0);
    for (turn, path) in ["sys/rotate", "sys/rotate/keyring"].into_iter().enumerate() {
        server.set_time(60 * (turn as u64 + 1));
        assert_eq!(line(server.write(path, &json!({}))), "204");
        let after = data(server.read("sys/key-status").unwrap());
        assert_eq!(after["term"], turn as u64 + 2);
        assert_ne!(after["install_time"], before["install_time"]);
        assert!(after["encryptions"].as_u64().unwrap() < 3);
        assert_eq!(server.pipeline.barrier.keyring().unwrap().active_term(), turn as u32 + 2);
    }
    server.write("kv/after", &json!({ "a": 2 })).unwrap();
    for name in ["kv/before", "kv/after"] {
        server.read(name).unwrap();
    }
    assert_eq!(opens(&server, &shares[..2]), Ok(Some(1)));
    assert_eq!(line(server.send(Operation::Update, "sys/rotate", &json!({}), "")), "403");
}

#[test]
fn rotations_that_meet_all_take_effect() {
    let (server, _) = initialised(1, 1);
    let one = || server.start(Operation::Update, "sys/rotate", &json!({}), &server.root);
    server.block_on(async {
        let rotations: Vec<_> = (0..8).map(|_| one()).collect();
        for outcome in futures_util::future::join_all(rotations).await {
            outcome.unwrap();
        }
    });
    assert_eq!(data(server.read("sys/key-status").unwrap())["term"], 9);
}

#[test]
fn the_settings_of_rotation_are_read_back_and_bad_ones_refused() {
    let (server, _) = initialised(1, 1);
    let read = || line(server.read("sys/rotate/config"));
    assert_eq!(read(), r#"200 {"max_operations":3865470566,"interval":0,"enabled":true}"#);
    for (body, expected) in [
        (json!({ "interval": "1h" }), "400 interval must be greater or equal to 24h0m0s"),
        (json!({ "interval": -1 }), "400 interval must be greater or equal to 24h0m0s"),
        (
            json!({ "max_operations": 5 }),
            "400 max_operations must be in the range [1000000,3865470566]",
        ),
        (
            json!({ "max_operations": -5 }),
            "400 max_operations must be in the range [1000000,3865470566]",
        ),
        (
            json!({ "max_operations": 3_865_470_567_u64 }),
            "400 max_operations must be in the range [1000000,3865470566]",
        ),
        (json!({ "interval": "30h", "max_operations": "2000000", "enabled": false }), "204"),
    ] {
        assert_eq!(line(server.write("sys/rotate/config", &body)), expected, "{body}");
    }
    let set = r#"200 {"max_operations":2000000,"interval":"30h0m0s","enabled":false}"#;
    assert_eq!(read(), set);
    assert_eq!(line(server.read("sys/rotate/keyring/config")), set);
}

#[test]
fn a_key_that_has_served_its_time_is_replaced() {
    let (server, _) = initialised(1, 1);
    let is_due = |seconds: u64| {
        let now = Timestamp(START.0 + seconds * 1000);
        tend(&server, |scope| server.keys.rotate_if_due(scope, &SystemRng, now))
    };
    assert!(!is_due(10 * 365 * 86_400), "without an interval no age is too old");
    server.write("sys/rotate/config", &json!({ "interval": "24h" })).unwrap();
    assert!(!is_due(86_399));
    assert!(is_due(86_400));
    assert!(!is_due(2 * 86_400 - 1), "the new one is young");
    server.write("sys/rotate/config", &json!({ "enabled": false })).unwrap();
    assert!(!is_due(1_000_000));
}

#[test]
fn encryptions_are_written_down_once() {
    let (server, _) = initialised(1, 1);
    server.mount("kv/", "kv", &[]);
    let told = || data(server.read("sys/key-status").unwrap())["encryptions"].as_u64().unwrap();
    for round in 0..3 {
        server.write("kv/x", &json!({ "round": round })).unwrap();
        let before = told();
        let counted = tend(&server, |scope| server.keys.count(scope));
        server.keys.counted(counted);
        let entry = told() - before;
        assert!((1..=3).contains(&entry), "writing it down is counted, and no more: {entry}");
    }
}
