use super::*;

#[test]
fn a_connection_that_fails_says_what_to_change() {
    for (reason, url, part) in [
        ("invalid peer certificate: UnknownIssuer", "https://a/v1/x", "-ca-cert"),
        ("certificate not valid for name \"a\"", "https://a/v1/x", "-tls-server-name"),
        ("received corrupt message of type InvalidContentType", "https://a/v1/x", "http://"),
        ("Connection refused", "http://a/v1/x", "-address"),
    ] {
        let hints = connection_hints(reason, url);
        assert!(
            matches!(hints.as_slice(), [Hint::Text(text)] if text.contains(part)),
            "{reason}: {hints:?}"
        );
    }
}

#[test]
fn the_path_of_a_url_is_as_a_policy_names_it() {
    assert_eq!(path_of("http://a:1/v1/secret/data/x?version=1"), "secret/data/x");
}
