use std::collections::BTreeMap;

use super::Expectations;
use crate::clock::Timestamp;
use crate::policy::Policy;

const POLICY: &str = r#"path "secret/data/{{identity.entity.name}}" { capabilities = ["read"] }
path "secret/data/web" {
  capabilities = ["update"]
  denied_parameters = { x = [] }
}
path "secret/metadata" { capabilities = ["list"] }
path "secret/wrapped" { capabilities = ["read"] min_wrapping_ttl = "1m" }
path "sys/auth/x" { capabilities = ["update"] }"#;

fn check(table: &str) -> Result<Vec<String>, String> {
    let table = Expectations::parse(table).map_err(|error| error.to_string())?;
    let policies = BTreeMap::from_iter([("web".into(), Policy::parse("web", POLICY).unwrap())]);
    let checked = table.check(&policies, Timestamp::ZERO).map_err(|error| error.to_string())?;
    let told = checked.iter().filter(|checked| !checked.holds());
    Ok(told
        .map(|checked| {
            format!("{} {}: {}", checked.operation.name(), checked.path, checked.reason())
        })
        .collect())
}

#[test]
fn what_is_expected_holds() {
    let table = r#"
policy "web" { file = "web.hcl" }
test "own name" {
  policies = ["WEB"]
  path     = "secret/data/bob"
  allow    = ["read"]
  deny     = ["update", "delete", "list"]
  entity   = { name = "bob" }
}
test "parameters" { policies = ["web"] path = "secret/data/web" allow = ["update"] parameters = { y = 1 } }
test "denied parameters" { policies = ["web"] path = "secret/data/web" deny = ["update"] parameters { x = 1 } }
test "a list" { policies = ["web"] path = "secret/metadata" allow = ["list"] }
test "wrapping" { policies = ["web"] path = "secret/wrapped" allow = ["read"] wrap_ttl = "5m" }
test "no wrapping" { policies = ["web"] path = "secret/wrapped" deny = ["read"] }
test "sudo" { policies = ["web"] path = "/sys/auth/x" deny = ["update"] sudo = true }
test "nobody" { policies = [] path = "secret/metadata" deny = ["list"] }
"#;
    assert_eq!(check(table), Ok(Vec::new()));
    let json = r#"{"policy": {"web": {"file": "web.hcl"}}, "test": {"a": {"policies": ["web"],
        "path": "secret/metadata", "allow": ["list"], "deny": ["read"]}}}"#;
    assert_eq!(check(json), Ok(Vec::new()));
}

#[test]
fn what_does_not_hold_is_told_with_its_place() {
    let table = r#"test "a" { policies = ["web"] path = "secret/data/web" allow = ["read"] deny = ["update"] }"#;
    assert_eq!(
        check(table).unwrap(),
        [
            "read secret/data/web: the rule does not grant `read` (web line 2: path \"secret/data/web\")",
            "update secret/data/web: the rule grants it (web line 2: path \"secret/data/web\")",
        ]
    );
}

#[test]
fn what_is_no_table_is_refused() {
    for (table, expected) in [
        ("", "there is no `test` in it"),
        ("{", "line 1"),
        ("other \"a\" {}", "unknown \"other\""),
        ("policy \"a\" {}", "needs a `file`"),
        ("test = 5", "expected `test"),
        ("test \"a\" {}", "needs a `path`"),
        ("test \"a\" { path = \"b\" }", "needs `allow` or `deny`"),
        ("test \"a\" { path = 5 }", "\"path\" must be a string"),
        ("test \"a\" { path = \"b\" allow = [\"fly\"] }", "\"allow\" must be a list of create"),
        ("test \"a\" { path = \"b\" policies = \"x\" }", "must be a list of names"),
        ("test \"a\" { path = \"b\" wrap_ttl = \"x\" }", "must be a duration"),
        ("test \"a\" { path = \"b\" sudo = 1 }", "must be true or false"),
        ("test \"a\" { path = \"b\" entity = 1 }", "must be an object of `id`"),
        ("test \"a\" { path = \"b\" typo = 1 }", "unknown key \"typo\""),
        (
            "test \"a\" { path = \"b\" allow = [\"read\"] policies = [\"nosuch\"] }",
            "names the policy \"nosuch\"",
        ),
    ] {
        let refused = check(table).unwrap_err();
        assert!(refused.contains(expected), "{table}: {refused}");
    }
}
