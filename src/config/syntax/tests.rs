use proptest::prelude::*;

use super::*;

/// The tree as short text: `key[label]@line=value`.
fn shown(entries: &[Entry]) -> String {
    let one = |entry: &Entry| {
        let labels: String = entry.labels.iter().map(|label| format!("[{label}]")).collect();
        let place = entry.node.place.to_string();
        let line = place.rsplit(':').next().unwrap();
        format!("{}{labels}@{line}={}", entry.key, value(&entry.node.value))
    };
    entries.iter().map(one).collect::<Vec<_>>().join(" ")
}

fn value(value: &Value) -> String {
    match value {
        Value::Object(entries) => format!("{{{}}}", shown(entries)),
        Value::List(nodes) => {
            let nodes: Vec<_> = nodes.iter().map(|node| self::value(&node.value)).collect();
            format!("({})", nodes.join(" "))
        }
        other => other.to_string(),
    }
}

#[test]
fn hcl_is_read_with_its_lines() {
    for (text, tree) in [
        ("", ""),
        ("a = 1", "a@1=1"),
        ("a = 1 b = \"x\"\nc = true", "a@1=1 b@1=\"x\" c@2=true"),
        ("# one\n// two\n/* three\n four */ a = -1.5 # five", "a@4=-1.5"),
        ("listener \"tcp\" {\n  address = \"x\"\n}", "listener[tcp]@1={address@2=\"x\"}"),
        ("listener tcp { a = 1, b = 2 }", "listener[tcp]@1={a@1=1 b@1=2}"),
        ("\"quoted-key\" = [1, \"two\", ]", "quoted-key@1=(1 \"two\")"),
        ("t = { \"x\" = 1 }\nt { x = 2 }", "t@1={x@1=1} t@2={x@2=2}"),
        ("mode = 0x1F", "mode@1=31"),
        ("mode = 0660 half = .5", "mode@1=0660 half@1=.5"),
        ("l = [\n { a = 1 },\n { a = 2 },\n]", "l@1=({a@2=1} {a@3=2})"),
        (r#"t = "{{ GetInterfaceIP \"eth0\" }}""#, r#"t@1="{{ GetInterfaceIP \"eth0\" }}""#),
        (r#"t = "\n\t\\\x41\u00e9${x}""#, r#"t@1="\n\t\\Aé${x}""#),
        ("t = <<EOF\n  one\ntwo\nEOF\na = 1", "t@1=\"  one\\ntwo\\n\" a@5=1"),
        ("t = <<-EOF\n    one\n      two\n    EOF\na = 1", "t@1=\"one\\n  two\\n\" a@5=1"),
        ("a = []\r\nb = {}\r\n", "a@1=() b@2={}"),
    ] {
        let read = parse(&"f".into(), text).map(|entries| shown(&entries));
        assert_eq!(read.as_deref(), Ok(tree), "{text}");
    }
}

#[test]
fn json_is_read_with_its_lines() {
    for (text, tree) in [
        ("{}", ""),
        (" \n{\"a\": 1,\n \"b\": [true, null, \"x\"]}", "a@2=1 b@3=(true null \"x\")"),
        ("{\"l\": {\"tcp\":\n{\"a\": -1e3}}}", "l@1={tcp@1={a@2=-1e+3}}"),
        ("{\"a\": 1, \"a\": 2}", "a@1=1 a@1=2"),
        ("{\"a\": 1\n\"b\": 2,}", "a@1=1 b@2=2"),
        (r#"{"a": "\u00e9\ud83d\ude00\/\""}"#, r#"a@1="é😀/\"""#),
    ] {
        let read = parse(&"f".into(), text).map(|entries| shown(&entries));
        assert_eq!(read.as_deref(), Ok(tree), "{text}");
    }
}

#[test]
fn what_cannot_be_read_says_where_and_why() {
    for (text, message) in [
        ("a", "f:1: expected `=`, `{` or a name, found the end of the text"),
        ("a = b", "f:1: expected a value (strings need quotes), found `b`"),
        ("\na = 8h", "f:2: `8h` is not a number (strings need quotes)"),
        ("a = \"x\nb = 1", "f:1: a string lacks its closing `\"`"),
        ("l {\n a = 1\n", "f:1: `{` is never closed"),
        ("}", "f:1: expected a key, found `}`"),
        ("/* a\n", "f:1: a comment lacks its `*/`"),
        ("a = [1 2]", "f:1: expected `,` or `]`, found `2`"),
        ("a = <<EOF\nx", "f:1: a heredoc lacks its `EOF`"),
        ("a = <<\nx", "f:1: expected a word and a line end after `<<`"),
        ("a = \"\\q\"", "f:1: unknown escape `\\q` in a string"),
        ("a = 0x1G", "f:1: `0x1G` is not a number (strings need quotes)"),
        ("{\"a\": 1,\na}", "f:2: expected a key or `}`, found `a`"),
        ("{\"a\" 1}", "f:1: expected `:`, found `1`"),
        ("{\"a\": 1} x", "f:1: expected nothing after the closing `}`, found `x`"),
        ("{\"a\": tru}", "f:1: expected a value (strings need quotes), found `tru`"),
        ("{\"a\": \"\\ud800\"}", "f:1: unknown escape `\\u` in a string"),
        ("{\"a\": 1-2}", "f:1: expected a key or `}`, found `-2`"),
        (&"a {".repeat(40), "f:1: more than 32 levels of nesting"),
        (&"{\"a\":".repeat(40), "f:1: more than 32 levels of nesting"),
        (&" ".repeat(FILE_BYTES_MAX + 1), "f: is longer than 1048576 bytes"),
    ] {
        let shown = parse(&"f".into(), text).map_err(|problem| problem.to_string());
        assert_eq!(shown.unwrap_err(), message, "{}", text.get(..20).unwrap_or(text));
    }
}

#[test]
fn a_file_of_the_largest_length_is_read() {
    let text = "a=1 ".repeat(FILE_BYTES_MAX / 4);
    assert_eq!(parse(&"f".into(), &text).unwrap().len(), FILE_BYTES_MAX / 4);
}

proptest! {
    #[test]
    fn no_text_panics(text in r#"(\PC|[{}\[\]="\\,:#/*<\n a1-]){0,60}"#) {
        drop(parse(&"f".into(), &text));
        drop(parse(&"f".into(), &format!("{{{text}")));
    }

    #[test]
    fn json_means_what_serde_json_means(
        texts in prop::collection::vec("\\PC{0,8}", 0..4),
        number in any::<i64>(),
    ) {
        let written = serde_json::json!({ "texts": texts, "number": number });
        let read = parse(&"f".into(), &serde_json::to_string_pretty(&written).unwrap()).unwrap();
        let Value::List(nodes) = &read[0].node.value else { panic!("{read:?}") };
        let back: Vec<_> = nodes.iter().map(|node| node.value.clone()).collect();
        prop_assert_eq!(back, texts.into_iter().map(Value::Text).collect::<Vec<_>>());
        prop_assert_eq!(&read[1].node.value, &Value::Number(number.to_string()));
    }
}
