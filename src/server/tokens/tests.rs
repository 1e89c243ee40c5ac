use super::*;

fn token() -> Token {
    let addresses = vec!["a.example:8201".to_owned(), "[::1]:9".to_owned()];
    Token { fingerprint: [7; 32], secret: Secret::new([9; 32]), addresses }
}

#[test]
fn a_token_says_whom_to_ask_and_how_to_know_them() {
    let text = token().encode();
    let padded = Secret::new(format!(" {}\n", text.expose()));
    for text in [text, padded] {
        let read = Token::decode(&text).unwrap();
        assert_eq!(read.fingerprint, [7; 32]);
        assert_eq!(read.secret.expose(), &[9; 32]);
        assert_eq!(read.addresses, ["a.example:8201", "[::1]:9"]);
    }
}

#[test]
fn what_is_no_token_is_refused() {
    let good = token().encode();
    let good = good.expose();
    let nobody = Token { addresses: Vec::new(), ..token() }.encode();
    let other_version = URL_SAFE_NO_PAD.encode([&[2][..], &[7; 64], b"a:1"].concat());
    for bad in [
        String::new(),
        "join.".into(),
        good[5..].to_owned(),
        good[..60].to_owned(),
        format!("{good}=="),
        nobody.expose().clone(),
        format!("join.{other_version}"),
        format!("join.{}", "A".repeat(TEXT_BYTES_MAX)),
    ] {
        assert!(Token::decode(&Secret::new(bad.clone())).is_none(), "{bad}");
    }
}

#[test]
fn a_token_is_kept_under_a_name_that_does_not_tell_it() {
    let name = name_of(&[9; 32]);
    assert_eq!(name.len(), 64);
    assert_ne!(name, name_of(&[8; 32]));
    assert!(!name.contains("0909"));
}
