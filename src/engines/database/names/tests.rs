use super::*;

#[test]
fn a_star_stands_for_any_characters() {
    let table = [
        ("*", "any", true),
        ("a*", "abc", true),
        ("a*", "b", false),
        ("*c", "abc", true),
        ("a*c", "ac", true),
        ("a*c", "acd", false),
        ("a*b*c", "a1b2c", true),
        ("a*b*c", "a1c2b", false),
        ("ab*b", "ab", false),
        ("abc", "abc", true),
        ("", "", true),
        ("abc", "abcd", false),
    ];
    for (pattern, name, expected) in table {
        assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
    }
}

#[test]
fn names_are_words() {
    for good in ["a", "a-b.c_d", "_1", "9"] {
        check(good).unwrap();
    }
    for bad in ["", "-a", "a-", ".", "..", "a/b", "a b", "é", "a\0", &"x".repeat(257)] {
        check(bad).unwrap_err();
    }
}
