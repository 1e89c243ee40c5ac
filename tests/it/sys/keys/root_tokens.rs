//! Root tokens that come from shares.

use super::*;

#[test]
fn a_root_token_comes_from_shares_and_is_read_with_the_password() {
    let (server, shares) = initialised(3, 2);
    let begun = put(&server, "sys/generate-root/attempt", &json!({}));
    let otp = begun["otp"].as_str().unwrap().to_owned();
    assert_eq!((otp.len(), &begun["otp_length"], &begun["required"]), (28, &json!(28), &json!(2)));
    let read = ask(&server, Operation::Read, "sys/generate-root/attempt", &json!({})).unwrap();
    assert_eq!(read["otp"], "", "told once");
    let again = refusal(&server, Operation::Update, "sys/generate-root/attempt", &json!({}));
    assert_eq!(again, "400 root generation already in progress");
    let give = |share: &str| {
        put(&server, "sys/generate-root/update", &json!({ "key": share, "nonce": begun["nonce"] }))
    };
    let status = give(&shares[2]);
    assert_eq!((&status["progress"], &status["complete"]), (&json!(1), &json!(false)));
    let done = give(&shares[0]);
    assert_eq!((&done["progress"], &done["complete"]), (&json!(2), &json!(true)));
    assert_eq!(done["encoded_token"], done["encoded_root_token"]);
    let encoded = STANDARD_NO_PAD.decode(done["encoded_token"].as_str().unwrap()).unwrap();
    let token: Vec<u8> = encoded.iter().zip(otp.bytes()).map(|(byte, pad)| byte ^ pad).collect();
    let token = String::from_utf8(token).unwrap();
    assert!(token.starts_with("hvs."), "{token}");
    let own =
        data(server.send(Operation::Read, "auth/token/lookup-self", &json!({}), &token).unwrap());
    assert_eq!(
        (&own["policies"], &own["display_name"], &own["ttl"]),
        (&json!(["root"]), &json!("root"), &json!(0))
    );
    let told = refusal(
        &server,
        Operation::Update,
        "sys/generate-root/update",
        &json!({ "key": shares[0], "nonce": begun["nonce"] }),
    );
    assert!(told.contains("no root generation in progress"), "{told}");
}

#[test]
fn of_two_who_give_the_last_share_at_once_one_gets_the_token() {
    let (server, shares) = initialised(1, 1);
    let nonce = put(&server, "sys/generate-root/attempt", &json!({}))["nonce"].clone();
    let last = json!({ "key": shares[0], "nonce": nonce });
    let outcomes = server.block_on(async {
        let all =
            [0; 8].map(|_| server.start(Operation::Update, "sys/generate-root/update", &last, ""));
        futures_util::future::join_all(all).await
    });
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
}

#[test]
fn bad_input_to_a_root_generation_is_refused_and_changes_nothing() {
    let (server, shares) = initialised(1, 1);
    let entries = server.entries();
    for (path, body, expected) in [
        ("attempt", json!({ "otp": "abc" }), "400 OTP string has incorrect length"),
        (
            "attempt",
            json!({ "pgp_key": "YWJj" }),
            "400 error parsing PGP key: error parsing given PGP key: it is no",
        ),
        ("attempt", json!({ "pgp_key": "keybase:a" }), "400 error parsing PGP key: `keybase:`"),
        ("update", json!({}), "400 'key' must be specified"),
        ("update", json!({ "key": "zz!" }), "400 'key' must be a valid hex"),
        ("update", json!({ "key": shares[0], "nonce": "x" }), "400 no root generation in progress"),
    ] {
        let told = refusal(&server, Operation::Update, &format!("sys/generate-root/{path}"), &body);
        assert!(told.starts_with(expected), "{path} {body}: {told}");
    }
    let otp = "abcdefghijklmnopqrstuvwxyz01";
    let begun = put(&server, "sys/generate-root/attempt", &json!({ "otp": otp }));
    assert_eq!(begun["otp"], "");
    for (body, expected) in [
        (json!({ "key": shares[0], "nonce": "x" }), "400 incorrect nonce supplied"),
        (
            json!({ "key": "ab".repeat(32), "nonce": begun["nonce"] }),
            "400 invalid key: the shares do not open",
        ),
        (json!({ "key": "abcd", "nonce": begun["nonce"] }), "400 invalid key: key is shorter"),
    ] {
        let told = refusal(&server, Operation::Update, "sys/generate-root/update", &body);
        assert!(told.starts_with(expected), "{body}: {told}");
    }
    let told =
        refusal(&server, Operation::Delete, "sys/generate-root/attempt", &json!({ "nonce": "x" }));
    assert!(told.starts_with("400 incorrect nonce"), "{told}");
    assert_eq!(refusal(&server, Operation::Delete, "sys/generate-root/attempt", &json!({})), "204");
    assert_eq!(server.entries(), entries);
}
