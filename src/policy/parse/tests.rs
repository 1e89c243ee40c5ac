use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;
use serde_json::json;

use super::super::{Capability, DEFAULT, TEXTS};
use super::{PATHS_MAX, PathRules, Policy, TEXT_BYTES_MAX, format};
use crate::clock::Timestamp;

fn parse(text: &str) -> Policy {
    Policy::parse("test", text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// The only stanza of a policy that has these attributes.
fn stanza(attributes: &str) -> PathRules {
    let policy = parse(&format!("path \"a\" {{ {attributes} }}"));
    assert_eq!(policy.rules.len(), 1, "{attributes}");
    policy.rules.into_iter().next().unwrap()
}

/// Path and capabilities of each rule.
fn grants(text: &str) -> Vec<(String, String)> {
    let rules = parse(text).rules.into_iter();
    rules.map(|rule| (rule.path, rule.permissions.capabilities.names().join(","))).collect()
}

#[test]
fn stanzas_are_found_in_every_form() {
    let a = [("a/*", "read")].as_slice();
    let both = [("a/*", "read"), ("b", "list")].as_slice();
    for (text, expected) in [
        (r#"path "a/*" { capabilities = ["read"] }"#, a),
        (r#"path "a/*" { capabilities = ["read",], }, path "b" { capabilities = ["list"] }"#, both),
        (r#""path" "a/*" { "capabilities" = ["read"] }"#, a),
        ("name = \"x\"\n# no\n// no\n/* no */\npath \"a/*\" { capabilities = [\"read\"] }", a),
        ("path \"a/*\" {\n policy = \"\"\n comment = <<EOF\n}\nEOF\n capabilities=[\"read\"] }", a),
        (r#"path = { "a/*" = { capabilities = ["read"] } }"#, a),
        (r#"path { "a/*" { capabilities = ["read"] } }"#, a),
        (r#"{"path":{"a/*":{"capabilities":["read"]}}}"#, a),
        (r#"{"path":{"a/*":{"capabilities":["read"]},"b":{"capabilities":["list"]}}}"#, both),
        (r#"{"path":[{"a/*":{"capabilities":["read"]}},{"b":{"capabilities":["list"]}}]}"#, both),
        (r#"{"path":{"a/*":[{"capabilities":["read"]}],"b":[{"capabilities":["list"]}]}}"#, both),
        (
            r#"{"path":{"a/*":{"capabilities":["read"]}},"path":{"b":{"capabilities":["list"]}}}"#,
            both,
        ),
        ("path secret { capabilities = [\"read\"] }", &[("secret", "read")]),
        ("", &[]),
        ("# nothing", &[]),
        ("{}", &[]),
    ] {
        let expected: Vec<_> =
            expected.iter().map(|(path, names)| ((*path).into(), (*names).into())).collect();
        assert_eq!(grants(text), expected, "{text}");
        assert_eq!(grants(&STANDARD.encode(text)), expected, "base64 of {text}");
    }
}

#[test]
fn base64_may_be_broken_into_lines() {
    let text = "path \"a\" { capabilities = [\"read\"] }";
    let encoded = STANDARD.encode(text);
    let (one, other) = encoded.split_at(20);
    assert_eq!(parse(&format!("{one}\r\n{other}\n")).text, text);
}

#[test]
fn capabilities_are_those_of_vault() {
    for (attributes, expected) in [
        (
            r#"capabilities = ["create", "read", "update", "patch", "delete", "list", "sudo"]"#,
            "create,delete,list,patch,read,sudo,update",
        ),
        (r#"capabilities = ["recover", "subscribe", "scan"]"#, "recover,scan,subscribe"),
        ("capabilities = []", "deny"),
        ("", "deny"),
        (r#"capabilities = ["read", "deny", "nonsense"]"#, "deny"),
        (r#"policy = "read""#, "list,read"),
        (r#"policy = "write""#, "create,delete,list,read,update"),
        (r#"policy = "sudo""#, "create,delete,list,read,sudo,update"),
        (r#"policy = "deny" capabilities = ["read"]"#, "deny"),
        (r#"policy = "write" capabilities = ["sudo"]"#, "create,delete,list,read,sudo,update"),
        // Attributes that repeat add up, as HCL 1 has it.
        (r#"capabilities = ["read"] capabilities = ["list"]"#, "list,read"),
        (r#"capabilities = ["read"] capabilities = ["deny"]"#, "deny"),
        (r#"list_scan_response_keys_filter_path = "x" capabilities = ["read", "list"]"#, "read"),
    ] {
        assert_eq!(
            stanza(attributes).permissions.capabilities.names().join(","),
            expected,
            "{attributes}"
        );
    }
}

#[test]
fn deny_leaves_nothing_beside_it() {
    let rule =
        stanza(r#"capabilities = ["deny"] allowed_parameters = { a = [] } min_wrapping_ttl = 5"#);
    assert!(rule.permissions.allowed_parameters.is_empty());
    assert_eq!(rule.permissions.min_wrapping_ttl, Duration::ZERO);
}

#[test]
fn every_attribute_is_read() {
    let rule = stanza(
        r#"capabilities = ["read"]
        allowed_parameters = { "Foo" = ["a", 1, true, ["b"]], "*" = [] }
        denied_parameters { bar = [] }
        required_parameters = ["Foo", "baz", "foo"]
        min_wrapping_ttl = "1m30s"
        max_wrapping_ttl = 3600
        mfa_methods = ["totp"]
        control_group = { factor "x" { identity { group_names = ["y"] } } }
        subscribe_event_types = ["*"]
        pagination_limit = 10
        expiration = "2030-01-02T03:04:05Z"
        comment = "why""#,
    );
    let permissions = rule.permissions;
    assert_eq!(
        json!(permissions.allowed_parameters),
        json!({"foo": ["a", 1, true, ["b"]], "*": []})
    );
    assert_eq!(json!(permissions.denied_parameters), json!({"bar": []}));
    assert_eq!(permissions.required_parameters, ["foo", "baz"]);
    assert_eq!(permissions.min_wrapping_ttl, Duration::from_secs(90));
    assert_eq!(permissions.max_wrapping_ttl, Duration::from_secs(3600));
    assert_eq!(permissions.mfa_methods, ["totp"]);
    assert!(permissions.control_group);
    assert_eq!(permissions.pagination_limit, Some(10));
    assert_eq!(rule.expiration, Timestamp::parse_rfc3339("2030-01-02T03:04:05Z"));
    assert_eq!(rule.comment, "why");
}

#[test]
fn durations_are_those_of_go_and_plain_seconds() {
    for (text, seconds) in [
        ("5", Some(5.0)),
        ("\"5\"", Some(5.0)),
        ("\"\"", Some(0.0)),
        ("1.5", Some(1.5)),
        ("\"1h30m\"", Some(5400.0)),
        ("\"1.5h\"", Some(5400.0)),
        ("\"2d\"", Some(172_800.0)),
        ("\"250ms\"", Some(0.25)),
        ("-1", None),
        ("\"-1s\"", None),
        ("\"1x\"", None),
        ("\"h\"", None),
        ("\"1h5\"", None),
        ("\"99999999999999999999999h\"", None),
        ("1e300", None),
        ("true", None),
        ("[]", None),
    ] {
        let policy = Policy::parse("test", &format!("path \"a\" {{ max_wrapping_ttl = {text} }}"));
        let found = policy.ok().map(|policy| policy.rules[0].permissions.max_wrapping_ttl);
        assert_eq!(found.map(|ttl| ttl.as_secs_f64()), seconds, "{text}");
    }
}

#[test]
fn errors_name_path_key_and_line_and_what_was_expected() {
    for (text, message) in ERRORS {
        let error = Policy::parse("test", text).expect_err(text).to_string();
        assert_eq!(error, format!("failed to parse policy: {message}"), "{text}");
    }
}

const ERRORS: &[(&str, &str)] = &[
    ("foo = 1", "invalid key \"foo\" on line 1: expected `path \"…\" { … }`"),
    ("{\"foo\": 1}", "invalid key \"foo\" on line 1: expected `path \"…\" { … }`"),
    ("path \"a\" {", "line 1: `{` is never closed"),
    ("path \"a\" \"b\" {}", "unexpected \"b\" on line 1: a path is one string"),
    ("path = 1", "`path` on line 1: expected a path, as in `path \"a/b\"`"),
    (
        "path { capabilities = [\"read\"] }",
        "path \"capabilities\": expected an object, found a list on line 1",
    ),
    ("{\"path\": {\"a\": 1}}", "path \"a\": expected an object, found a number on line 1"),
    (
        "path \"x\" {\n capabilities = [\"y\"] }",
        "path \"x\": invalid capability \"y\" on line 2: expected one of create, delete, deny, \
             list, patch, read, recover, scan, subscribe, sudo, update",
    ),
    (
        "path \"x\" { policy = \"y\" }",
        "path \"x\": invalid policy \"y\" on line 1: expected read, write, sudo or deny",
    ),
    (
        "path \"x\" { foo = 1 }",
        "path \"x\": invalid key \"foo\" on line 1: expected one of allowed_parameters, \
             capabilities, comment, control_group, denied_parameters, expiration, \
             list_scan_response_keys_filter_path, max_wrapping_ttl, mfa_methods, \
             min_wrapping_ttl, pagination_limit, policy, required_parameters, \
             subscribe_event_types",
    ),
    (
        "path \"x\" { capabilities = \"read\" }",
        "path \"x\": \"capabilities\" on line 1: expected a list of strings, found \"read\"",
    ),
    (
        "path \"x\" { capabilities = [1] }",
        "path \"x\": \"capabilities\" on line 1: expected strings in the list, found 1",
    ),
    (
        "path \"x\" { allowed_parameters = { a = \"b\" } }",
        "path \"x\": \"allowed_parameters.a\" on line 1: expected a list of values, \
             found \"b\"",
    ),
    (
        "path \"x\" { allowed_parameters = [\"a\"] }",
        "path \"x\": \"allowed_parameters\" on line 1: expected an object, found a list",
    ),
    (
        "path \"x\" { min_wrapping_ttl = \"1m\"\n max_wrapping_ttl = \"1s\" }",
        "path \"x\": max_wrapping_ttl cannot be less than min_wrapping_ttl",
    ),
    (
        "path \"x\" { max_wrapping_ttl = \"soon\" }",
        "path \"x\": \"max_wrapping_ttl\" on line 1: expected seconds or a duration such as \
             \"1h30m\", found \"soon\"",
    ),
    (
        "path \"x\" { expiration = \"soon\" }",
        "path \"x\": \"expiration\" on line 1: expected a time such as \
             \"2030-01-02T03:04:05Z\", found \"soon\"",
    ),
    (
        "path \"x\" { pagination_limit = -1 }",
        "path \"x\": \"pagination_limit\" on line 1: expected a number, 0 or more, found -1",
    ),
    (
        "path \"x\" { capabilities \"y\" {} }",
        "path \"x\": \"capabilities\" on line 1: expected `=`",
    ),
    ("path \"a/+*\" {}", "path \"a/+*\": invalid use of wildcards ('+*' is forbidden)"),
    (
        "path \"a{{b\" {}",
        "path \"a{{b\": `{{` and `}}` are not in pairs on line 1: expected {{identity.…}}",
    ),
    (
        "path \"a}}\" {}",
        "path \"a}}\": `{{` and `}}` are not in pairs on line 1: expected {{identity.…}}",
    ),
];

#[test]
fn what_is_accepted_but_doubtful_is_warned_of() {
    for (attributes, warning) in [
        (r#"comment = "a" comment = "b""#, "\"comment\" on line 1 was given before"),
        (
            "control_group = {}",
            "\"control_group\" cannot be satisfied here: the rule refuses every request",
        ),
        (
            r#"list_scan_response_keys_filter_path = "x""#,
            "\"list_scan_response_keys_filter_path\" is not supported: the rule grants no listing",
        ),
    ] {
        let policy = parse(&format!("path \"a\" {{ {attributes} }}"));
        assert_eq!(policy.warnings, [format!("path \"a\": {warning}")], "{attributes}");
    }
    let policy = parse("path \"{{foo}}\" {}");
    assert_eq!(
        policy.warnings,
        ["path \"{{foo}}\": nothing is known as \"foo\": the rule will never apply"]
    );
    let many = parse(&"path \"a\" { control_group {} }\n".repeat(100));
    assert_eq!(many.warnings.len(), 16);
    assert!(parse(r#"path "a" { capabilities = ["read"] }"#).warnings.is_empty());
}

#[test]
fn size_and_number_of_paths_are_bounded() {
    let path = "path \"a\" {}\n";
    assert_eq!(parse(&path.repeat(PATHS_MAX)).rules.len(), PATHS_MAX);
    let error = Policy::parse("test", &path.repeat(PATHS_MAX + 1)).unwrap_err().to_string();
    assert_eq!(error, "failed to parse policy: more than 16384 paths");

    let padded = |bytes: usize| format!("{path}#{}", "x".repeat(bytes - path.len() - 1));
    assert!(Policy::parse("test", &padded(TEXT_BYTES_MAX)).is_ok());
    let error = Policy::parse("test", &padded(TEXT_BYTES_MAX + 1)).unwrap_err().to_string();
    assert_eq!(error, "failed to parse policy: more than 1048576 bytes");

    let long = format!("path \"{}\" {{}}", "a".repeat(4097));
    assert!(
        Policy::parse("test", &long).unwrap_err().to_string().ends_with("more than 4096 bytes")
    );
}

#[test]
fn templates_are_noticed() {
    assert!(parse("path \"a/{{identity.entity.id}}\" {}").templated);
    assert!(!parse("path \"a/${identity.entity.id}\" {}").templated);
    assert!(parse(TEXTS[0].1).templated, "{DEFAULT}");
}

#[test]
fn formatting_makes_hcl_of_json_with_the_same_rules() {
    for text in [
        r#"{"name": "x", "path": {"a/*": {"capabilities": ["read"], "comment": "${\""}}}"#,
        r#"{"path": [{"a": {"capabilities": ["read"]}}, {"b": [{"policy": "read"}]}]}"#,
        r#"path = { "a" = { capabilities = ["read"] } }"#,
        TEXTS[0].1,
    ] {
        let formatted = format(text).unwrap();
        let rules = |text: &str| {
            let rules = parse(text).rules.into_iter();
            rules.map(|rule| (rule.path, rule.permissions, rule.comment)).collect::<Vec<_>>()
        };
        assert_eq!(rules(&formatted), rules(text), "{text}");
        assert_eq!(format(&formatted).unwrap(), formatted, "{text}");
    }
    assert_eq!(
        format(r#"{"path":{"a":{"capabilities":["read"],"min_wrapping_ttl":5}}}"#).unwrap(),
        "path \"a\" {\n  capabilities     = [\"read\"]\n  min_wrapping_ttl = 5\n}\n"
    );
    assert!(format("foo = 1").is_err());
    let null =
        r#"{"path": {"a": {"capabilities": ["read"], "allowed_parameters": {"b": [null]}}}}"#;
    let error = format(null).expect_err("HCL cannot say it").to_string();
    assert_eq!(error, "failed to parse policy: line 1: HCL has no `null`: leave the key out");
}

#[test]
fn built_in_policies_are_policies_in_canonical_form() {
    for (name, text) in TEXTS {
        let policy = Policy::parse(name, text).unwrap();
        assert!(policy.warnings.is_empty(), "{name}");
        assert_eq!(format(text).unwrap(), text, "{name}");
        let sudo = |rule: &PathRules| rule.permissions.capabilities.contains(Capability::Sudo);
        assert!(!policy.rules.iter().any(sudo), "{name}");
    }
}

/// Text that is often enough a policy, and often enough not.
fn soup() -> impl Strategy<Value = String> {
    let part = prop::sample::select(vec![
        "path \"a\" {",
        "path \"${b\" {",
        "path = {",
        "\"{{identity.entity.id}}\" = {",
        "path",
        "\"b/*\"",
        "{",
        "}",
        "}\n",
        "}\n\n",
        "capabilities = [\"read\", \"list\"]",
        "capabilities = [\n\"read\" # c\n, // d\n\"list\",\n]",
        "capabilities = [",
        "\"sudo\",",
        "]",
        "allowed_parameters = { x = [1], \"Y\" = [[\"a\", {b = 1}], 0x1f] }",
        "denied_parameters {}",
        "min_wrapping_ttl = 5",
        "policy=\"read\"",
        "comment = <<EOF\n a\nEOF\n",
        "comment = <<-EOF\n   a\n  EOF\n",
        "required_parameters = [<<X\na\nX\n, \"b\"]",
        "comment = \"a\\n${\"}\"",
        ",",
        "# one\n",
        "\n# two\n\n",
        "// three\n",
        "/* four */",
        "/* five\n */\n",
        "\n",
        "\r\n",
        " ",
        "é",
    ]);
    (prop::collection::vec(part, 0..14), any::<bool>()).prop_map(|(parts, inside)| {
        let text = parts.join(" ").replace("\n ", "\n");
        if inside { std::format!("path \"a\" {{\n{text}\n}}") } else { text }
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Caught when put in: a comment printed on the line that ends a heredoc, comments left out.
    #[test]
    fn formatting_changes_no_rule_and_is_stable(text in soup()) {
        if let Ok(policy) = Policy::parse("p", &text) {
            let formatted = format(&text).unwrap();
            let again = Policy::parse("p", &formatted);
            let again = again.unwrap_or_else(|error| panic!("{formatted}: {error}"));
            let rules = |policy: Policy| {
                let rules = policy.rules.into_iter();
                rules.map(|rule| (rule.path, rule.permissions, rule.comment)).collect::<Vec<_>>()
            };
            prop_assert_eq!(rules(again), rules(policy), "{}", &formatted);
            prop_assert_eq!(format(&formatted).unwrap(), formatted);
            for comment in ["one", "two", "three", "four", "five"] {
                let count = |text: &str| text.matches(comment).count();
                prop_assert_eq!(count(&format(&text).unwrap()), count(&text), "{}", comment);
            }
        }
    }

    #[test]
    fn no_text_makes_the_parser_panic(text in any::<String>(), soup in soup(), cut in 0_usize..200) {
        drop(Policy::parse("p", &text));
        let cut: String = soup.chars().take(cut).collect();
        drop(Policy::parse("p", &cut));
        drop(Policy::parse("p", &std::format!("{{\"path\": {text}")));
    }
}
