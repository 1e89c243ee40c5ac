use super::{is_hidden, is_permanent, is_reserved, normalize_name, sanitize_names};

#[test]
fn lists_of_names_are_trimmed_lowered_sorted_and_unique() {
    assert_eq!(sanitize_names([" B ", "a", "A", "", "  ", "b"]), ["a", "b"]);
    assert!(sanitize_names(Vec::<String>::new()).is_empty());
}

#[test]
fn names_are_lowered_and_bounded() {
    assert_eq!(normalize_name(" Team/A.b ").as_deref(), Ok("team/a.b"));
    let (longest, longer) = ("x".repeat(512), "x".repeat(513));
    assert!(normalize_name(&longest).is_ok());
    for name in ["", " ", "a\nb", longer.as_str()] {
        assert!(normalize_name(name).is_err(), "{name:?}");
    }
}

#[test]
fn built_in_names_are_protected() {
    for (name, reserved, hidden, permanent) in [
        ("root", true, false, true),
        ("default", false, false, true),
        ("response-wrapping", true, true, true),
        ("control-group", true, true, true),
        ("other", false, false, false),
    ] {
        let found = (is_reserved(name), is_hidden(name), is_permanent(name));
        assert_eq!(found, (reserved, hidden, permanent), "{name}");
    }
}
