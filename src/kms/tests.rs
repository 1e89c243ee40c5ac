use super::*;

fn key(id: &str, text: &str) -> StaticKey {
    StaticKey::new(id, text, &|_| None).unwrap()
}

fn seal(
    name: &str,
    priority: u32,
    disabled: bool,
    current: StaticKey,
    previous: Option<StaticKey>,
) -> Seal {
    let kms = Box::new(StaticSeal::new(current, previous));
    Seal { name: name.into(), priority, disabled, kms }
}

fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(future)
}

const A: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
const B: &str = "ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8=";

#[test]
fn any_one_of_the_seals_opens() {
    let secret = LockedKey::generate(&crate::rng::SystemRng);
    let both = Seals::new(vec![
        seal("b", 2, false, key("b-1", B), None),
        seal("a", 1, false, key("a-1", A), None),
    ]);
    let wrapped = block_on(both.wrap(&secret)).unwrap();
    let names: Vec<&str> = wrapped.iter().map(|key| key.name.as_str()).collect();
    assert_eq!(names, ["a", "b"], "by priority");
    for (name, id, text) in [("a", "a-1", A), ("b", "b-1", B), ("renamed", "b-1", B)] {
        let one = Seals::new(vec![seal(name, 1, false, key(id, text), None)]);
        assert_eq!(block_on(one.unwrap(&wrapped)).unwrap().expose(), secret.expose(), "{name}");
        assert!(one.differ_from(&wrapped));
    }
    assert!(!both.differ_from(&wrapped));
    let none = block_on(Seals::default().unwrap(&wrapped)).err().unwrap();
    assert!(matches!(none[..], [SealFailure { error: KmsError::NotConfigured, .. }]));
}

#[test]
fn a_key_that_was_followed_by_another_unwraps_and_is_replaced() {
    let secret = LockedKey::generate(&crate::rng::SystemRng);
    let old = Seals::new(vec![seal("s", 1, false, key("1", A), None)]);
    let wrapped = block_on(old.wrap(&secret)).unwrap();
    let new = Seals::new(vec![seal("s", 1, false, key("2", B), Some(key("1", A)))]);
    assert!(new.differ_from(&wrapped));
    assert_eq!(block_on(new.unwrap(&wrapped)).unwrap().expose(), secret.expose());
    let rewrapped = block_on(new.wrap(&secret)).unwrap();
    assert!(!new.differ_from(&rewrapped));
    assert!(block_on(old.unwrap(&rewrapped)).is_err());
    for (id, expected) in [("3", "UnknownKey"), ("1", "WrongKey")] {
        let other = Seals::new(vec![seal("s", 1, false, key(id, B), None)]);
        let failures = block_on(other.unwrap(&wrapped)).err().unwrap();
        assert!(format!("{failures:?}").contains(expected), "{failures:?}");
    }
}

#[test]
fn a_disabled_seal_unwraps_and_does_not_wrap() {
    let secret = LockedKey::generate(&crate::rng::SystemRng);
    let on = Seals::new(vec![seal("s", 1, false, key("1", A), None)]);
    let wrapped = block_on(on.wrap(&secret)).unwrap();
    let off = Seals::new(vec![seal("s", 1, true, key("1", A), None)]);
    assert_eq!(off.kind(), None);
    assert!(block_on(off.wrap(&secret)).unwrap().is_empty());
    assert_eq!(block_on(off.unwrap(&wrapped)).unwrap().expose(), secret.expose());
}

#[test]
fn keys_are_read_from_where_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        format!("file://{}", path.display())
    };
    let env = |name: &str| (name == "KEY").then(|| A.to_owned());
    let good = [
        A.to_owned(),
        A.to_uppercase(),
        B.to_owned(),
        file("raw", &[7; 32]),
        file("hex", format!("{A}\n").as_bytes()),
        file("base64", B.as_bytes()),
        "env://KEY".to_owned(),
    ];
    for text in good {
        assert!(StaticKey::new("id", &text, &env).is_ok(), "{text}");
    }
    for (text, expected) in [
        ("", "it must be 32 bytes"),
        ("abcd", "it must be 32 bytes"),
        (&A[..32], "it must be 32 bytes"),
        (&file("half", &A.as_bytes()[..32]), "it must be 32 bytes"),
        ("a phrase of thirty-two characters", "it must be 32 bytes"),
        ("env://NONE", "the variable NONE is not set"),
        ("file:///nonexistent/key", "/nonexistent/key: No such file"),
    ] {
        let error = StaticKey::new("id", text, &env).err().unwrap();
        assert!(error.starts_with(expected), "{text}: {error}");
    }
}
