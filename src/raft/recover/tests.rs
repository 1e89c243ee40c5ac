use super::*;

#[test]
fn one_node_is_named_as_vault_names_it() {
    for (text, id, address) in [
        (r#"[{"id": "n1"}]"#, "n1", None),
        (r#"[{"id": "n1", "address": "", "non_voter": false}]"#, "n1", None),
        (r#"[{"id": "7", "address": "https://h:8201"}]"#, "7", Some("h:8201")),
        (r#"[{"id": "n1", "address": " h:1 ", "more": 1}]"#, "n1", Some("h:1")),
    ] {
        let address = address.map(str::to_owned);
        assert_eq!(Peer::read(text.as_bytes()), Ok(Peer { id: id.into(), address }), "{text}");
    }
    for (text, expected) in [
        ("[]", "it names no node"),
        ("{}", "it must be a list such as"),
        ("", "it must be a list such as"),
        (r#"[{"address": "h:1"}]"#, "it must be a list such as"),
        (r#"[{"id": "a"}, {"id": "b"}]"#, "only one node can be kept"),
        (r#"[{"id": "a", "non_voter": true}]"#, "the one node must vote"),
    ] {
        let told = Peer::read(text.as_bytes()).unwrap_err();
        assert!(told.starts_with(expected), "{text}: {told}");
    }
}
