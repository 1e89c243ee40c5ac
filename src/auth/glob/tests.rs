use super::glob;

#[test]
fn stars_stand_for_any_text_and_parts_do_not_overlap() {
    for (pattern, text, expected) in [
        ("", "", true),
        ("a", "a", true),
        ("a", "ab", false),
        ("*", "", true),
        ("*", "abc", true),
        ("a*", "a", true),
        ("a*", "ba", false),
        ("*a", "ba", true),
        ("*a", "ab", false),
        ("a*b", "ab", true),
        ("a*b", "a", false),
        ("a*a", "a", false),
        ("aba*aba", "aba", false),
        ("a*b*c", "axbxc", true),
        ("a*b*c", "axcxb", false),
        ("a**c", "abc", true),
        ("*é*", "caféx", true),
    ] {
        assert_eq!(glob(pattern, text), expected, "{pattern} {text}");
    }
}
