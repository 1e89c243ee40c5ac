use super::{Printable, Route, decode, pairs, route};

#[test]
fn paths_are_cleaned_or_refused_before_anyone_matches_them() {
    let api = |path: &str| Route::Api(path.to_owned());
    let redirect = |path: &str| Route::Redirect(path.to_owned());
    let relative = Route::Refused("relative paths not supported");
    for (raw, expected) in [
        ("/v1/secret/a", api("secret/a")),
        ("/v1/secret/a/", api("secret/a/")),
        ("/v1/", api("")),
        ("/v1/secret%2Fa", api("secret/a")),
        ("/v1/a+b%20c", api("a+b c")),
        ("/v1/%C3%A4", api("ä")),
        ("/v1/a..b/...", api("a..b/...")),
        ("/v1", Route::Unknown),
        ("/", Route::Unknown),
        ("/ui", Route::Unknown),
        ("/v2/x", Route::Unknown),
        ("*", Route::Unknown),
        ("/robots.txt", Route::Robots),
        ("/v1/secret//a", redirect("/v1/secret/a")),
        ("//v1/secret/a", redirect("/v1/secret/a")),
        ("/v1/secret/../x", redirect("/v1/x")),
        ("/v1/secret/./x/", redirect("/v1/secret/x/")),
        ("/v1/secret/..", redirect("/v1/")),
        ("/../../..", redirect("/")),
        ("/v1/a%2F%2Fb%20c", redirect("/v1/a/b%20c")),
    ] {
        assert_eq!(route(raw, Printable::Only), expected, "{raw}");
    }
    for raw in ["/v1/a/%2e%2e/b", "/v1/a%2f..%2fb", "/v1/%2e/b", "/v1/a/.%2E", "/v1/sys/.%2e"] {
        assert_eq!(route(raw, Printable::Only), relative, "{raw}");
    }
    for raw in ["/v1/%ff", "/v1/%c3", "/v1/%", "/v1/%2", "/v1/%zz", "/v1/%+1"] {
        assert_eq!(route(raw, Printable::Any), Route::Refused("path is not UTF-8"), "{raw}");
    }
}

#[test]
fn characters_that_cannot_be_seen_are_refused_unless_allowed() {
    for raw in ["/v1/a%00", "/v1/a%0Ab", "/v1/%7f", "/v1/%C2%A0", "/v1/%E2%80%AE", "/v1/%EF%BB%BF"]
    {
        assert!(matches!(route(raw, Printable::Only), Route::Refused(_)), "{raw}");
        assert!(matches!(route(raw, Printable::Any), Route::Api(_)), "{raw}");
    }
}

#[test]
fn queries_decode_in_order() {
    let expected = [("a", "1"), ("b", "x y"), ("a", "="), ("c", "")];
    let expected: Vec<_> = expected.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    assert_eq!(pairs("a=1&b=x+y&&a=%3d&c"), Some(expected));
    assert_eq!(pairs("a=%f"), None);
    assert_eq!(decode("%2B+"), Some("++".to_owned()));
}

proptest::proptest! {
    /// Letting either check of segments pass (before or after decoding) makes this fail.
    #[test]
    fn no_path_reaches_the_handler_with_segments_that_mean_something_else(
        raw in "(/|\\.|\\.\\.|%2e|%2E%2e|%2f|a|%61|v1|/v1/){0,12}",
    ) {
        let raw = format!("/{raw}");
        match route(&raw, Printable::Only) {
            Route::Api(path) => {
                let whole = format!("/v1/{path}");
                let empty = whole.contains("//");
                assert!(!empty && !whole.split('/').any(|segment| segment == "." || segment == ".."), "{raw}");
            }
            Route::Redirect(location) => {
                assert!(location.starts_with('/') && !location.starts_with("//"), "{raw}");
                assert!(!matches!(route(&location, Printable::Only), Route::Redirect(_)) || location.contains('%'), "{raw}");
            }
            Route::Refused(_) | Route::Robots | Route::Unknown => {}
        }
    }
}
