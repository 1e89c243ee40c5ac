use serde_json::{Value, json};

use super::{DEPTH_MAX, parse, print};

fn value(text: &str) -> Value {
    let body = parse(&format!("x = {text}")).unwrap_or_else(|error| panic!("{text}: {error}"));
    body.items[0].node.to_json()
}

#[test]
fn values_are_read_as_in_hcl_1() {
    for (text, expected) in [
        (r#""a""#, json!("a")),
        (r#""a\"b\\c\n\t\x41\u00e9\101""#, json!("a\"b\\c\n\tAéA")),
        ("12", json!(12)),
        ("-3", json!(-3)),
        ("0x1f", json!(31)),
        ("010", json!(8)),
        (".5", json!(0.5)),
        ("true", json!(true)),
        ("[1, \"a\", [true],]", json!([1, "a", [true]])),
        ("[]", json!([])),
        ("[ # why\n 1 // one\n, /* two */ 2 ]", json!([1, 2])),
        ("{ a = 1, b = 2 }", json!({"a": 1, "b": 2})),
        ("{ \"a.b\" = 1 c-d = 2 }", json!({"a.b": 1, "c-d": 2})),
        ("<<EOF\n one\n two\nEOF\n", json!(" one\n two\n")),
        ("<<EOF\r\none\r\nEOF\r\n", json!("one\r\n")),
        ("<<-EOF\n   one\n  two\n  EOF\n", json!(" one\ntwo\n")),
        ("<<-EOF\none\n  two\n  EOF", json!("one\n  two\n")),
        ("<<EOF\nEOF\n", json!("")),
        // Nothing is evaluated, and quotes between the braces do not end the string.
        (r#""a/${b}/c""#, json!("a/${b}/c")),
        (r#""${f("x")}""#, json!("${f(\"x\")}")),
        (r#""%{if}""#, json!("%{if}")),
        (r#""\x24{""#, json!("${")),
        (r#""$a{""#, json!("$a{")),
    ] {
        assert_eq!(value(text), expected, "{text}");
    }
}

#[test]
fn a_key_has_what_it_was_given_last() {
    let body = parse("a = 1\nb { c = 2 }\na = 3\na \"x\" {}").unwrap();
    assert_eq!(body.get("a").map(|node| node.to_json()), Some(json!(3)));
    assert_eq!(body.get("b").map(|node| node.to_json()), Some(json!({"c": 2})));
    assert!(body.get("c").is_none());
}

#[test]
fn json_may_lack_commas_or_end_in_one_as_in_hcl_1() {
    let body = parse("{\"a\": [1,], \"b\": 2 \"c\": {},}").unwrap();
    let items: Vec<_> = body.items.iter().map(|item| item.node.to_json()).collect();
    assert_eq!(items, [json!([1]), json!(2), json!({})]);
}

#[test]
fn json_is_read_with_its_own_escapes() {
    let text = r#" {"a": "\u00e9\ud83d\ude00\/${", "b": [1.50, null, {"c": {}}], "a": 2}"#;
    let body = parse(text).unwrap();
    let items: Vec<_> =
        body.items.iter().map(|item| (item.keys[0].text.as_str(), item.node.to_json())).collect();
    let number: Value = serde_json::from_str("1.50").unwrap();
    // Repeated keys are kept apart: two `path` objects are two lots of rules.
    assert_eq!(
        items,
        [("a", json!("é😀/${")), ("b", json!([number, null, {"c": {}}])), ("a", json!(2))]
    );
}

#[test]
fn errors_name_the_line_and_what_was_expected() {
    for (text, message) in [
        ("a", "line 1: expected `=`, `{` or a name, found the end of the text"),
        ("\n\na = ", "line 3: expected a value, found the end of the text"),
        ("a = b", "line 1: expected a value (strings need quotes), found `b`"),
        ("a = \"b", "line 1: a string lacks its closing `\"`"),
        ("a = \"b\n\"", "line 1: a string lacks its closing `\"`"),
        ("a = \"b${c\"\n", "line 1: a string lacks its closing `\"`"),
        ("a = \"\\q\"", "line 1: unknown escape `\\q` in a string"),
        ("a = [1 2]", "line 1: expected `,` or `]`, found `2`"),
        ("a = [1, ,]", "line 1: expected a value, found `,`"),
        ("a \"b\" = {}", "line 1: expected `{`, found `=`"),
        ("\na {\n\n b = 1", "line 2: `{` is never closed"),
        ("{\"a\": 1", "line 1: `{` is never closed"),
        ("a = 1\n}", "line 2: expected a key, found `}`"),
        ("a { ] }", "line 1: expected a key or `}`, found `]`"),
        ("a = .", "line 1: `.` is not a number (strings need quotes)"),
        ("{\"a\": 1x}", "line 1: `1x` is not a number"),
        ("a = 1x", "line 1: `1x` is not a number (strings need quotes)"),
        ("a = 08", "line 1: `08` is not a number (strings need quotes)"),
        ("a = <<\n", "line 1: expected a word and a line end after `<<`"),
        ("a = <<EOF\nb\n", "line 1: a heredoc lacks its `EOF`"),
        ("/* a\n\n", "line 1: a comment lacks its `*/`"),
        ("a = 'b'", "line 1: unexpected character '\\''"),
        ("{\"a\" = 1}", "line 1: unexpected character '='"),
        ("{\"a\": 1} b", "line 1: expected nothing after the closing `}`, found `b`"),
        ("{\"a\" {}}", "line 1: expected `:`, found `{`"),
        ("{\"a\": \"\\ud83d\"}", "line 1: unknown escape `\\u` in a string"),
    ] {
        let error = parse(text).expect_err(text);
        assert_eq!(error.to_string(), message, "{text}");
    }
}

#[test]
fn nesting_is_bounded() {
    for (open, close) in [("[", "]"), ("{ a = ", " }")] {
        let nested =
            |levels: usize| parse(&format!("a = {}1{}", open.repeat(levels), close.repeat(levels)));
        assert!(nested(DEPTH_MAX).is_ok(), "{open}");
        let error = nested(DEPTH_MAX + 1).expect_err(open).to_string();
        assert_eq!(error, "line 1: more than 32 levels of nesting", "{open}");
        assert!(parse(&format!("a = {}", open.repeat(100_000))).is_err(), "{open}");
    }
}

#[test]
fn printing_is_canonical_and_keeps_comments() {
    let text = "# head\n\n\npath \"a\" {capabilities=[\"read\",\"list\",] // tail\n \
        min_wrapping_ttl=5\n\n\n  comment = \"x\"\n  # own\n  allowed_parameters={ \
        \"x\"=[\"a\",\"b\"]\n  longer=[] } }\n/* blk\n  two */\npath \"b\" { policy = \"read\" }\n\
        path \"c\" {\ncapabilities = [\n\"read\",\n  # why\n\"list\"\n]\n\
        comment = <<EOF\n hi\nEOF\n}\npath \"empty\" {}\n# last";
    let expected = r#"# head

path "a" {
  capabilities     = ["read", "list"] // tail
  min_wrapping_ttl = 5

  comment = "x"

  # own
  allowed_parameters = {
    "x"    = ["a", "b"]
    longer = []
  }
}

/* blk
  two */
path "b" {
  policy = "read"
}

path "c" {
  capabilities = [
    "read",

    # why
    "list",
  ]

  comment = <<EOF
 hi
EOF
}

path "empty" {}

# last
"#;
    let printed = print(&parse(text).unwrap()).unwrap();
    assert_eq!(printed, expected);
    assert_eq!(
        print(&parse(&printed).unwrap()).unwrap(),
        expected,
        "a second time changes nothing"
    );
}

#[test]
fn nothing_is_printed_on_the_line_that_ends_a_heredoc() {
    let text = "path \"a\" {\n  comment = <<EOF\na\nEOF\n, /* b */ policy = \"read\"\n}\n";
    let expected = "path \"a\" {\n  comment = <<EOF\na\nEOF\n\n  /* b */\n  policy = \"read\"\n}\n";
    assert_eq!(print(&parse(text).unwrap()).unwrap(), expected);
    assert_eq!(print(&parse(expected).unwrap()).unwrap(), expected);
}

#[test]
fn strings_from_json_are_quoted_for_hcl() {
    for text in ["a\"b\\c\n\u{1}", "${a}", "${\"", "$", "%{a}", "é😀"] {
        let body = parse(&json!({"x": [text], text: 1}).to_string()).unwrap();
        let printed = print(&body).unwrap();
        let back = parse(&printed).unwrap_or_else(|error| panic!("{printed}: {error}"));
        assert_eq!(back.items[0].node.to_json(), json!([text]), "{printed}");
        assert_eq!(back.items[1].keys[0].text, text, "{printed}");
    }
}

#[test]
fn null_has_no_print() {
    for (text, line) in [
        ("{\"a\": null}", 1),
        ("{\"a\": 1,\n\"b\": {\"c\":\n[1,\nnull]}}", 4),
        ("{\"a\": [{\n\"b\": null}]}", 2),
    ] {
        let error = print(&parse(text).unwrap()).expect_err(text).to_string();
        assert_eq!(error, format!("line {line}: HCL has no `null`: leave the key out"), "{text}");
    }
}
