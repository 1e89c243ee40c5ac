use super::*;
use crate::rng::SystemRng;

#[test]
fn what_was_hashed_is_verified_and_salted() {
    let hash = hash_password(&SystemRng, b"correct horse");
    assert!(!is_outdated(&hash) && is_password_hash(&hash), "{hash}");
    assert!(verify_password(b"correct horse", &hash));
    assert!(!verify_password(b"correct horsf", &hash));
    assert_ne!(hash, hash_password(&SystemRng, b"correct horse"));
}

#[test]
fn hashes_of_elsewhere_are_verified() {
    for (hash, password) in [
        // From the test vectors of crypt_blowfish.
        ("$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW", "U*U"),
        // Of the reference implementation's command line.
        (
            "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4",
            "password",
        ),
    ] {
        assert!(is_password_hash(hash) && is_outdated(hash), "{hash}");
        assert!(verify_password(password.as_bytes(), hash), "{hash}");
        assert!(!verify_password(b"other", hash), "{hash}");
    }
}

#[test]
fn nobody_has_a_password_that_costs_as_much_as_others() {
    assert!(is_password_hash(NOBODY) && !is_outdated(NOBODY));
    assert!(!verify_password(b"", NOBODY));
}

#[test]
fn what_is_no_hash_or_too_costly_is_refused() {
    for hash in [
        "",
        "plain",
        "$2a$10$short",
        "$2a$31$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW",
        "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ",
        "$argon2id$v=19$m=999999999,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4",
        "$argon2id$v=19$m=256,t=999,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4",
        "$scrypt$ln=1,r=8,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4",
    ] {
        assert!(!is_password_hash(hash), "{hash}");
    }
}
