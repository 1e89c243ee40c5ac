use super::*;

fn filled(template: &str, name: &str) -> String {
    let outcome = fill(template, &[("name", Filler::Text(name))]);
    outcome.map_or_else(|error| format!("! {error}"), |filled| filled.expose().to_owned())
}

#[test]
fn a_value_cannot_leave_the_quotes_that_it_stands_in() {
    let table = [
        (r#"DROP ROLE "{{name}}""#, r#"a"b"#, r#"DROP ROLE "a""b""#),
        ("x '{{name}}'", "a'b", "x 'a''b'"),
        ("x '{{name}}'", r"a\'b", r"x 'a\''b'"),
        ("x E'{{name}}'", r"a\'b", r"x E'a\\''b'"),
        (r"x E'\'{{name}}'", "a'b", r"x E'\'a''b'"),
        ("x 'y''{{name}}'", "a'b", "x 'y''a''b'"),
        (r#"x '"' "{{name}}""#, r#"a"'b"#, r#"x '"' "a""'b""#),
        ("-- it's\nx '{{name}}'", "a'b", "-- it's\nx 'a''b'"),
        ("/* it's */ '{{name}}'", "a'b", "/* it's */ 'a''b'"),
        ("$$'$$ '{{name}}'", "a'b", "$$'$$ 'a''b'"),
        ("$a$ $$ ' $a$ '{{name}}'", "a'b", "$a$ $$ ' $a$ 'a''b'"),
        ("$1 '{{name}}'", "a'b", "$1 'a''b'"),
        ("x {{name}} {{other}}", "v-app-1", "x v-app-1 {{other}}"),
        ("DO $$ '{{name}}' $$", "a--b", "DO $$ 'a--b' $$"),
    ];
    for (template, name, expected) in table {
        assert_eq!(filled(template, name), expected, "{template}");
    }
}

#[test]
fn what_is_not_in_quotes_is_one_word_or_is_refused() {
    let table = [
        ("x {{name}}", "a b"),
        ("x {{name}}", "a;b"),
        ("x {{name}}", "a--b"),
        ("DO $$ {{name}} $$", "a$$b"),
        ("DO $$ '{{name}}' $$", "a'b"),
        ("-- {{name}}", "a*b"),
        ("x '{{name}}'", "a\nb"),
        ("x \"{{name}}\"", "a\0b"),
    ];
    for (template, name) in table {
        let error = filled(template, name);
        assert!(error.starts_with("! the value of {{name}} "), "{template} {name:?}: {error}");
        assert!(!error.contains(name), "{error}");
    }
}

#[test]
fn statements_come_as_text_lists_json_or_base64() {
    let one = |text: &str| expand(&[text.to_owned()]);
    assert_eq!(one("CREATE x; GRANT y;"), ["CREATE x; GRANT y;"]);
    assert_eq!(one(r#"["CREATE x", "GRANT y"]"#), ["CREATE x", "GRANT y"]);
    assert_eq!(one(&BASE64.encode("CREATE x; y")), ["CREATE x; y"]);
    assert_eq!(one(&BASE64.encode(r#"["CREATE x", "y"]"#)), ["CREATE x", "y"]);
    assert_eq!(one("COMMIT"), ["COMMIT"]);
    assert_eq!(one(" ; "), Vec::<String>::new());
    assert_eq!(read("f", Some("a, b".into())).unwrap(), Some(vec!["a, b".to_owned()]));
    assert_eq!(read("f", Some(Value::Null)).unwrap(), None);
    for bad in [Value::from(1), serde_json::json!({}), serde_json::json!([1])] {
        let error = read("f", Some(bad)).unwrap_err().to_string();
        assert!(error.contains("\"f\""), "{error}");
    }
}

#[test]
fn no_part_of_a_secret_is_told() {
    let told = redact("syntax error at or near \"QphW\" of abc", &["QphW-16bLQuS", ""]);
    assert_eq!(told, "syntax error at or near \"***\" of abc");
    assert_eq!(redact("a pw b", &["pw"]), "a *** b");
}
