use super::Selector;

#[test]
fn all_that_is_demanded_must_hold() {
    let labels = [("team", "a"), ("env", "prod")];
    let labels = labels.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    for (selector, expected) in [
        (r#"{"matchLabels":{"team":"a"}}"#, true),
        (r#"{"matchLabels":{"team":"b"}}"#, false),
        (r#"{"matchLabels":{"team":"a","x":"y"}}"#, false),
        (r#"{"matchExpressions":[{"key":"env","operator":"In","values":["dev","prod"]}]}"#, true),
        (r#"{"matchExpressions":[{"key":"env","operator":"NotIn","values":["prod"]}]}"#, false),
        (r#"{"matchExpressions":[{"key":"x","operator":"NotIn","values":["prod"]}]}"#, true),
        (r#"{"matchExpressions":[{"key":"x","operator":"In","values":["prod"]}]}"#, false),
        (r#"{"matchExpressions":[{"key":"env","operator":"Exists"}]}"#, true),
        (r#"{"matchExpressions":[{"key":"env","operator":"DoesNotExist"}]}"#, false),
        (
            r#"{"matchLabels":{"team":"a"},"matchExpressions":[{"key":"x","operator":"Exists"}]}"#,
            false,
        ),
    ] {
        assert_eq!(Selector::parse(selector).unwrap().matches(&labels), expected, "{selector}");
    }
}

#[test]
fn selectors_that_say_nothing_or_nonsense_are_refused() {
    for selector in [
        "",
        "zz",
        "{}",
        r#"{"matchLabels":{}}"#,
        r#"{"matchLabels":{"a":1}}"#,
        r#"{"labels":{"a":"b"}}"#,
        r#"{"matchExpressions":[{"key":"a","operator":"Is"}]}"#,
        r#"{"matchExpressions":[{"key":"a","operator":"In"}]}"#,
        r#"{"matchExpressions":[{"key":"a","operator":"Exists","values":["b"]}]}"#,
    ] {
        assert!(Selector::parse(selector).is_err(), "{selector}");
    }
}
