use super::*;
use crate::rng::SystemRng;

fn rendered(template: &str) -> String {
    let about = About {
        display_name: "token-Alice Smith",
        role_name: "my-role",
        now: Timestamp(1_700_000_000_123),
        rng: &SystemRng,
    };
    let parsed = Template::parse(template).and_then(|parsed| parsed.render(about));
    parsed.unwrap_or_else(|error| format!("! {error}"))
}

#[test]
fn templates_make_names_as_vaults_do() {
    let table = [
        ("plain", "plain"),
        ("{{.RoleName}}-{{ .DisplayName }}", "my-role-token-Alice Smith"),
        ("{{.DisplayName | truncate 5 | uppercase}}", "TOKEN"),
        ("{{truncate 3 .RoleName}}", "my-"),
        (
            "{{ printf \"v-%s-%s_%d%%\" (.RoleName | truncate 2) (unix_time) 7 }}",
            "v-my-1700000000_7%",
        ),
        ("{{.DisplayName | lowercase | replace \" \" \"_\"}}", "token-alice_smith"),
        ("{{unix_time_millis}}", "1700000000123"),
        ("{{timestamp \"2006-01-02T15:04:05Z\"}}", "2023-11-14T22:13:20Z"),
        ("{{timestamp \"Jan _2 06 03PM Mon\"}}", "Nov 14 23 10PM Tue"),
        ("{{base64 \"ab\"}}", "YWI="),
        ("{{\"ab\" | sha256 | truncate 8}}", "fb8e20fc"),
        ("{{truncate_sha256 40 .DisplayName}}", "token-Alice Smith"),
        ("a {{- `b` -}} c", "abc"),
        ("{{\"a\\\"\\\\\"}}", "a\"\\"),
        ("{{truncate 1 \"é\"}}x", "x"),
    ];
    for (template, expected) in table {
        assert_eq!(rendered(template), expected, "{template}");
    }
    let rest = hex(&sha256(&[b"lice Smith"]));
    assert_eq!(rendered("{{truncate_sha256 15 .DisplayName}}"), format!("token-A{}", &rest[..8]));
    assert_eq!(rendered("{{random 20}}").len(), 20);
    assert_ne!(rendered("{{random 20}}"), rendered("{{random 20}}"));
    assert_eq!(rendered("{{uuid}}").len(), 36);
}

#[test]
fn a_template_that_is_wrong_is_refused_with_a_reason() {
    let table = [
        ("{{", "unclosed action"),
        ("{{.RoleName", "unclosed action"),
        ("{{}}", "missing value for command"),
        ("{{ | uppercase}}", "missing value for command"),
        ("{{nosuch}}", "function \"nosuch\" not defined"),
        ("{{.Nosuch}}", "there is no field \"Nosuch\": take .DisplayName or .RoleName"),
        ("{{random}}", "not enough arguments for random"),
        ("{{random 0}}", "random makes 1 to 1024 characters"),
        ("{{random 999999999}}", "random makes 1 to 1024 characters"),
        ("{{random \"a\"}}", "random needs a number, not a text"),
        ("{{truncate 0 .RoleName}}", "max length must be > 0 but was 0"),
        ("{{truncate -1 .RoleName}}", "max length must be > 0 but was -1"),
        ("{{truncate_sha256 8 .RoleName}}", "max length must be > 8 but was 8"),
        ("{{(uuid}}", "unclosed left paren"),
        ("{{\"a}}", "unterminated quoted string"),
        ("{{`a}}", "unterminated raw quoted string"),
        ("{{printf \"%x\" 1}}", "printf knows %s, %v, %d and %%, not %x"),
        ("{{uuid 1}}", "too many arguments for uuid"),
        ("{{\"a\" 1}}", "can't give argument to non-function"),
        ("{{99999999999999999999}}", "bad number syntax: \"99999999999999999999\""),
        ("{{;}}", "unexpected ';'"),
    ];
    for (template, expected) in table {
        assert_eq!(rendered(template), format!("! {expected}"), "{template}");
    }
    let deep = format!("{{{{{}uuid{}}}}}", "(".repeat(50), ")".repeat(50));
    assert!(rendered(&deep).starts_with("! more than 16 parentheses"));
}
