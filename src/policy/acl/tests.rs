mod choice;
mod model;

use std::time::Duration;

use serde_json::{Value, json};

use super::super::{Capability, Identity, Policy, TemplateLimits};
use super::{Access, Acl, Refusal};
use crate::clock::Timestamp;
use crate::request::{Operation, Params};

/// Of each property: more by hand, as CONTRIBUTING.md says.
fn cases() -> u32 {
    std::env::var("STRONGROOM_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(2000)
}

fn policy(name: &str, text: &str) -> Policy {
    Policy::parse(name, text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn acl(texts: &[&str]) -> Acl {
    let names = ["p0", "p1", "p2"];
    let policies: Vec<_> = texts.iter().zip(names).map(|(text, name)| policy(name, text)).collect();
    Acl::compile(&policies, None, Timestamp::ZERO)
}

fn params(value: &Value) -> Params {
    value.as_object().unwrap().clone()
}

fn refusal(acl: &Acl, operation: Operation, path: &str) -> Option<Refusal> {
    acl.check(operation, path, &Params::new(), None, Access::Ordinary).refusal
}

#[test]
fn each_operation_needs_its_capability() {
    for (operation, capability) in [
        (Operation::Create, Capability::Create),
        (Operation::Delete, Capability::Delete),
        (Operation::Header, Capability::Read),
        (Operation::List, Capability::List),
        (Operation::Patch, Capability::Patch),
        (Operation::Read, Capability::Read),
        (Operation::Update, Capability::Update),
    ] {
        let others = Capability::ALL.into_iter();
        let others = others.filter(|other| ![capability, Capability::Deny].contains(other));
        let others: Vec<_> = others.map(Capability::name).collect();
        let only = acl(&[&format!("path \"a\" {{ capabilities = [\"{capability}\"] }}")]);
        let all_but = acl(&[&format!("path \"a\" {{ capabilities = {} }}", json!(others))]);
        assert_eq!(refusal(&only, operation, "a"), None, "{operation:?}");
        let missing = refusal(&all_but, operation, "a");
        assert_eq!(missing, Some(Refusal::Missing(capability)), "{operation:?}");
        assert_eq!(missing.and_then(|refusal| refusal.missing_capability()), Some(capability));
    }
    let nothing = acl(&[]);
    assert_eq!(refusal(&nothing, Operation::Help, "a"), None);
    assert_eq!(refusal(&nothing, Operation::Read, "a"), Some(Refusal::NoRule));
}

#[test]
fn sudo_is_needed_on_top_where_the_path_says_so() {
    let with = acl(&[r#"path "a" { capabilities = ["read", "sudo"] }"#]);
    let without = acl(&[r#"path "a" { capabilities = ["read"] }"#]);
    let only = acl(&[r#"path "a" { capabilities = ["sudo"] }"#]);
    for (acl, access, expected) in [
        (&with, Access::Sudo, None),
        (&with, Access::Ordinary, None),
        (&without, Access::Sudo, Some(Refusal::Missing(Capability::Sudo))),
        (&without, Access::Ordinary, None),
        (&only, Access::Sudo, Some(Refusal::Missing(Capability::Read))),
        (&Acl::root(), Access::Sudo, None),
    ] {
        let verdict = acl.check(Operation::Read, "a", &Params::new(), None, access);
        assert_eq!(verdict.refusal, expected, "{access:?}");
    }
}

#[test]
fn the_verdict_says_what_decided() {
    let acl = acl(&[
        r#"path "a/*" { capabilities = ["read"] mfa_methods = ["m1"] pagination_limit = 9 }
           path "b" { capabilities = ["read"] }"#,
        r#"path "a/*" { capabilities = ["read", "list"] mfa_methods = ["m2", "m1"] pagination_limit = 7 }"#,
        r#"path "b" { capabilities = ["deny"] }"#,
    ]);
    let verdict = acl.check(Operation::Read, "a/x", &Params::new(), None, Access::Ordinary);
    assert!(verdict.is_allowed());
    assert_eq!(verdict.pattern, Some("a/*"));
    assert_eq!(verdict.granting_policies, ["p0", "p1"]);
    assert_eq!(verdict.mfa_methods, ["m1", "m2"]);
    assert_eq!(verdict.pagination_limit, Some(7));

    let verdict = acl.check(Operation::List, "a/x/", &Params::new(), None, Access::Ordinary);
    assert_eq!(verdict.granting_policies, ["p1"]);

    let verdict = acl.check(Operation::Read, "b", &Params::new(), None, Access::Ordinary);
    assert_eq!(verdict.refusal, Some(Refusal::Deny(vec!["p2".into()])));
    assert_eq!(verdict.refusal.unwrap().to_string(), "the rule denies, as policy p2 says");
    assert_eq!((verdict.pattern, verdict.granting_policies), (Some("b"), vec![]));

    let verdict = acl.check(Operation::Read, "c", &Params::new(), None, Access::Ordinary);
    assert_eq!((verdict.pattern, verdict.refusal), (None, Some(Refusal::NoRule)));

    let root = Acl::root();
    let verdict = root.check(Operation::Delete, "c", &Params::new(), None, Access::Sudo);
    assert!(verdict.is_allowed());
    assert_eq!(verdict.granting_policies, ["root"]);
}

#[test]
fn a_name_alone_makes_nobody_root() {
    let root = policy("root", r#"path "a" { capabilities = ["read"] }"#);
    let acl = Acl::compile([&root], None, Timestamp::ZERO);
    assert!(!acl.is_root());
    assert_eq!(refusal(&acl, Operation::Read, "b"), Some(Refusal::NoRule));
}

/// Writes and reads with these limits, and these parameters. Every row that has some was also put
/// to OpenBao 2.7.2, which agreed but where marked.
fn judge(rows: &[(&str, Value, bool)]) {
    for (limits, body, allowed) in rows {
        let capabilities = r#"capabilities = ["create", "update", "patch", "read"]"#;
        let acl = acl(&[&format!("path \"a\" {{ {capabilities} {limits} }}")]);
        for operation in [Operation::Create, Operation::Update, Operation::Patch, Operation::Header]
        {
            let verdict = acl.check(operation, "a", &params(body), None, Access::Ordinary);
            assert_eq!(verdict.is_allowed(), *allowed, "{operation:?} {limits} {body}");
        }
    }
}

#[test]
fn only_allowed_parameters_pass() {
    judge(&[
        ("allowed_parameters = { x = [\"a\"] }", json!({}), true),
        ("allowed_parameters = { x = [\"a\"] }", json!({"x": "a"}), true),
        ("allowed_parameters = { x = [\"a\"] }", json!({"X": "a"}), true),
        ("allowed_parameters = { x = [\"a\"] }", json!({"x": "b"}), false),
        ("allowed_parameters = { x = [\"a\"] }", json!({"x": "a", "y": "a"}), false),
        ("allowed_parameters = { x = [] }", json!({"x": "b"}), true),
        ("allowed_parameters = { x = [] }", json!({"y": "b"}), false),
        ("allowed_parameters = {}", json!({"y": "b"}), true),
        ("allowed_parameters = { \"*\" = [] }", json!({"y": "b"}), true),
        ("allowed_parameters = { \"*\" = [\"a\"] }", json!({"x": "b"}), true),
        ("allowed_parameters = { \"*\" = [], y = [\"q\"] }", json!({"x": "b"}), true),
        ("allowed_parameters = { \"*\" = [], y = [\"q\"] }", json!({"y": "b"}), false),
        ("allowed_parameters = { x = [\"a*\"] }", json!({"x": "abc"}), true),
        ("allowed_parameters = { x = [\"*c\"] }", json!({"x": "abc"}), true),
        ("allowed_parameters = { x = [\"*b*\"] }", json!({"x": "abc"}), true),
        ("allowed_parameters = { x = [\"a*c\"] }", json!({"x": "abc"}), false),
        ("allowed_parameters = { x = [\"*\"] }", json!({"x": "y"}), false),
        ("allowed_parameters = { x = [\"*\"] }", json!({"x": "*"}), true),
        ("allowed_parameters = { x = [true] }", json!({"x": true}), true),
        ("allowed_parameters = { x = [5] }", json!({"x": "5"}), false),
        ("allowed_parameters = { x = [\"5\"] }", json!({"x": 5}), false),
        // OpenBao never finds numbers equal.
        ("allowed_parameters = { x = [5] }", json!({"x": 5}), true),
        ("allowed_parameters = { x = [5] }", json!({"x": 5.0}), true),
        ("allowed_parameters = { x = [5] }", json!({"x": 6}), false),
        ("allowed_parameters = { x = [[\"a\"]] }", json!({"x": ["a"]}), true),
    ]);
}

#[test]
fn denied_parameters_do_not_pass() {
    judge(&[
        ("denied_parameters = { x = [] }", json!({"x": "b"}), false),
        ("denied_parameters = { x = [] }", json!({"y": "b"}), true),
        ("denied_parameters = { x = [\"a\"] }", json!({"x": "b"}), true),
        ("denied_parameters = { x = [\"a*\"] }", json!({"X": "abc"}), false),
        ("denied_parameters = { \"*\" = [] }", json!({"x": "b"}), false),
        ("denied_parameters = { \"*\" = [\"a\"] }", json!({"x": "b"}), false),
        ("denied_parameters = { \"*\" = [] }", json!({}), true),
        ("denied_parameters = { x = [] } allowed_parameters = { x = [] }", json!({"x": 1}), false),
        // In OpenBao these forms slip through, although handlers take them for the same.
        ("denied_parameters = { x = [5] }", json!({"x": 5}), false),
        ("denied_parameters = { x = [5] }", json!({"x": "5"}), false),
        ("denied_parameters = { x = [\"true\"] }", json!({"x": true}), false),
        ("denied_parameters = { x = [\"a\"] }", json!({"x": ["b", "a"]}), false),
        ("denied_parameters = { x = [\"a\"] }", json!({"x": "b, a"}), false),
        ("denied_parameters = { x = [\"a\"] }", json!({"x": ["b", "c"]}), true),
    ]);
}

#[test]
fn required_parameters_must_be_there() {
    judge(&[
        ("required_parameters = [\"X\"]", json!({"x": "b"}), true),
        ("required_parameters = [\"X\"]", json!({"X": "b"}), false),
        ("required_parameters = [\"x\", \"y\"]", json!({"x": "b"}), false),
        ("required_parameters = [\"x\"]", json!({}), false),
    ]);
}

#[test]
fn parameters_do_not_matter_to_lists_and_deletes() {
    let acl = acl(&[
        r#"path "a" { capabilities = ["list", "delete"] required_parameters = ["x"] denied_parameters = { "*" = [] } }"#,
    ]);
    for operation in [Operation::List, Operation::Delete] {
        let params = params(&json!({"y": 1}));
        let verdict = acl.check(operation, "a", &params, None, Access::Ordinary);
        assert!(verdict.is_allowed(), "{operation:?}");
    }
}

#[test]
fn wrapping_limits_are_kept() {
    for (limits, ttl, allowed) in [
        ("", None, true),
        ("min_wrapping_ttl = 5", None, false),
        ("min_wrapping_ttl = 5", Some(4), false),
        ("min_wrapping_ttl = 5", Some(5), true),
        ("min_wrapping_ttl = 5", Some(500), true),
        ("max_wrapping_ttl = 5", None, false),
        ("max_wrapping_ttl = 5", Some(5), true),
        ("max_wrapping_ttl = 5", Some(6), false),
        ("min_wrapping_ttl = 2 max_wrapping_ttl = 5", Some(3), true),
    ] {
        let acl = acl(&[&format!("path \"a\" {{ capabilities = [\"read\"] {limits} }}")]);
        let ttl = ttl.map(Duration::from_secs);
        let verdict = acl.check(Operation::Read, "a", &Params::new(), ttl, Access::Ordinary);
        assert_eq!(verdict.is_allowed(), allowed, "{limits} {ttl:?}");
    }
}

#[test]
fn a_control_group_refuses_because_nobody_can_agree() {
    let acl = acl(&[r#"path "a" { capabilities = ["read"] control_group = {} }"#]);
    assert_eq!(refusal(&acl, Operation::Read, "a"), Some(Refusal::ControlGroup));
}

#[test]
fn the_same_pattern_in_two_policies_is_merged() {
    let one = |extra: &str| format!("path \"a\" {{ capabilities = [\"read\"] {extra} }}");
    for (left, right, expected) in [
        ("", "", json!({})),
        // What one leaves open, the other limits.
        ("", "allowed_parameters = { x = [] }", json!({"allowed_parameters": {"x": []}})),
        (
            "allowed_parameters = { x = [1] }",
            "allowed_parameters = { x = [2], y = [] }",
            json!({"allowed_parameters": {"x": [1, 2], "y": []}}),
        ),
        (
            "allowed_parameters = { x = [1] }",
            "allowed_parameters = { x = [] }",
            json!({"allowed_parameters": {"x": []}}),
        ),
        (
            "denied_parameters = { x = [1] }",
            "denied_parameters = { x = [] }",
            json!({"denied_parameters": {"x": []}}),
        ),
        (
            "required_parameters = [\"x\"]",
            "required_parameters = [\"x\", \"y\"]",
            json!({"required_parameters": ["x", "y"]}),
        ),
        ("", "min_wrapping_ttl = 5", json!({"min_wrapping_ttl": 5})),
        ("min_wrapping_ttl = 9", "min_wrapping_ttl = 5", json!({"min_wrapping_ttl": 5})),
        ("max_wrapping_ttl = 9", "max_wrapping_ttl = 5", json!({"max_wrapping_ttl": 5})),
    ] {
        let mut expected = expected;
        expected["capabilities"] = json!(["read"]);
        let merged = acl(&[&one(left), &one(right)]);
        assert_eq!(merged.resultant()["exact_paths"]["a"], expected, "{left} | {right}");
        // Two stanzas of one policy, too.
        let merged = acl(&[&(one(left) + &one(right))]);
        assert_eq!(merged.resultant()["exact_paths"]["a"], expected, "{left} | {right}");
    }
}

#[test]
fn deny_wins_in_whatever_order_and_clears_the_rest() {
    let grant = r#"path "a" { capabilities = ["read"] allowed_parameters = { x = [] } }"#;
    let deny = r#"path "a" { capabilities = ["deny"] }"#;
    for texts in [[grant, deny, grant], [deny, grant, grant], [grant, grant, deny]] {
        let acl = acl(&texts);
        assert!(matches!(refusal(&acl, Operation::Read, "a"), Some(Refusal::Deny(_))));
        assert_eq!(acl.capabilities("a"), ["deny"]);
        assert_eq!(acl.resultant()["exact_paths"]["a"], json!({"capabilities": ["deny"]}));
    }
}

#[test]
fn merging_may_leave_wrapping_limits_that_nothing_is_within() {
    let acl = acl(&[
        r#"path "a" { capabilities = ["read"] min_wrapping_ttl = 50 }"#,
        r#"path "a" { capabilities = ["read"] max_wrapping_ttl = 5 }"#,
    ]);
    for ttl in [1, 5, 10, 50, 100] {
        let ttl = Some(Duration::from_secs(ttl));
        let verdict = acl.check(Operation::Read, "a", &Params::new(), ttl, Access::Ordinary);
        assert_eq!(verdict.refusal, Some(Refusal::WrappingTtl), "{ttl:?}");
    }
}

#[test]
fn capabilities_are_sorted_names() {
    let acl = acl(&[r#"path "a/*" { capabilities = ["update", "read", "create", "sudo"] }
        path "list/" { capabilities = ["list"] }
        path "none" {}"#]);
    for (path, expected) in [
        ("a/b", &["create", "read", "sudo", "update"][..]),
        ("/a/b", &["create", "read", "sudo", "update"]),
        ("list/", &["list"]),
        ("list", &["deny"]),
        ("none", &["deny"]),
        ("other", &["deny"]),
    ] {
        assert_eq!(acl.capabilities(path), expected, "{path}");
    }
    assert_eq!(Acl::root().capabilities("a"), ["root"]);
}

/// OpenBao 2.7.2 agrees but for the row marked.
#[test]
fn preflight_sees_any_grant_at_or_below_the_mount() {
    for (text, expected) in [
        (r#"path "kvx/a/b" { capabilities = ["list"] }"#, true),
        (r#"path "kvx/*" { capabilities = ["list"] }"#, true),
        (r#"path "kvx/a*" { capabilities = ["list"] }"#, true),
        (r#"path "kv*" { capabilities = ["list"] }"#, true),
        (r#"path "*" { capabilities = ["list"] }"#, true),
        (r#"path "kvx" { capabilities = ["list"] }"#, true),
        (r#"path "kvx/" { capabilities = ["list"] }"#, true),
        (r#"path "+" { capabilities = ["list"] }"#, true),
        (r#"path "+/a/b" { capabilities = ["list"] }"#, true),
        (r#"path "+/+/x" { capabilities = ["list"] }"#, true),
        (r#"path "kvx/+/x*" { capabilities = ["list"] }"#, true),
        (r#"path "+/*" { capabilities = ["list"] }"#, true),
        (r#"path "kv*" { capabilities = ["list"] } path "kvx/" { capabilities = ["deny"] }"#, true),
        ("", false),
        (r#"path "kvx/x" {}"#, false),
        (r#"path "kvx/x" { capabilities = ["deny"] }"#, false),
        (r#"path "+/a" { capabilities = ["deny"] }"#, false),
        (r#"path "+/*" { capabilities = ["deny"] }"#, false),
        (r#"path "kvxy/a" { capabilities = ["list"] }"#, false),
        (r#"path "zz/+/a" { capabilities = ["list"] }"#, false),
        // There any glob that matches is a grant, even one that denies.
        (r#"path "kvx/*" { capabilities = ["deny"] } path "*" { capabilities = ["list"] }"#, false),
    ] {
        assert_eq!(acl(&[text]).preflight("kvx/"), expected, "{text}");
        assert_eq!(acl(&[text]).preflight("kvx"), expected, "{text}");
    }
    assert!(Acl::root().preflight("kvx/"));
}

#[test]
fn resultant_has_vaults_shape() {
    let acl = acl(&[r#"path "a/+/b*" { capabilities = ["read", "list"] }
        path "x" { capabilities = ["deny"] }
        path "y/*" { capabilities = ["update"] allowed_parameters = { X = ["a", 1] }
            denied_parameters = { Z = [] } required_parameters = ["Q"] min_wrapping_ttl = "5s" }"#]);
    assert_eq!(
        Value::Object(acl.resultant()),
        json!({
            "root": false,
            "exact_paths": {"x": {"capabilities": ["deny"]}},
            "glob_paths": {
                "a/+/b*": {"capabilities": ["list", "read"]},
                "y/": {
                    "capabilities": ["update"],
                    "allowed_parameters": {"x": ["a", 1]},
                    "denied_parameters": {"z": []},
                    "required_parameters": ["q"],
                    "min_wrapping_ttl": 5,
                },
            },
        })
    );
    assert_eq!(Value::Object(Acl::root().resultant()), json!({"root": true}));
}

#[test]
fn rules_with_templates_are_for_the_entity_or_dropped() {
    let text = r#"path "a/{{identity.entity.name}}/*" { capabilities = ["read"] }
        path "b" { capabilities = ["read"] }"#;
    let named = |name: &str| Identity { name: name.to_owned(), ..Identity::default() };
    let plain = policy("p", text);
    let limits = TemplateLimits { allow_wildcards: true, allow_slashes: true };
    let wild = Policy { template_limits: limits, ..plain.clone() };
    for (policy, identity, path, allowed) in [
        (&plain, Some(named("bob")), "a/bob/x", true),
        (&plain, Some(named("bob")), "a/eve/x", false),
        (&plain, Some(named("+")), "a/bob/x", false),
        (&plain, None, "a/bob/x", false),
        (&plain, None, "b", true),
        (&wild, Some(named("+")), "a/bob/x", true),
        // A name that makes the pattern meaningless.
        (&wild, Some(named("+*")), "a/bob/x", false),
        // Its leading slash is stripped, as it is of any path.
        (&wild, Some(named("x/y")), "a/x/y/z", true),
    ] {
        let acl = Acl::compile([policy], identity.as_ref(), Timestamp::ZERO);
        let refusal = refusal(&acl, Operation::Read, path);
        assert_eq!(refusal.is_none(), allowed, "{identity:?} {path}");
    }
}

#[test]
fn rules_expire() {
    let early = Timestamp::parse_rfc3339("2030-01-01T00:00:00Z").unwrap();
    let policy = policy(
        "p",
        r#"path "a" { capabilities = ["read"] expiration = "2030-01-01T00:00:00Z" }
           path "b" { capabilities = ["read"] expiration = "2031-01-01T00:00:00Z" }"#,
    );
    let before = Acl::compile([&policy], None, Timestamp(early.0 - 1));
    assert_eq!(before.valid_until(), Some(early));
    assert_eq!(refusal(&before, Operation::Read, "a"), None);
    let after = Acl::compile([&policy], None, early);
    assert_eq!(after.valid_until(), Timestamp::parse_rfc3339("2031-01-01T00:00:00Z"));
    assert_eq!(refusal(&after, Operation::Read, "a"), Some(Refusal::NoRule));
    assert_eq!(refusal(&after, Operation::Read, "b"), None);
    assert_eq!(acl(&[]).valid_until(), None);
}

#[test]
fn policies_of_a_namespace_reach_no_further() {
    let text = r#"path "a" { capabilities = ["read"] } path "*" { capabilities = ["list"] }"#;
    let policy = Policy { namespace: "ns1/".into(), ..policy("p", text) };
    let acl = Acl::compile([&policy], None, Timestamp::ZERO);
    assert_eq!(refusal(&acl, Operation::Read, "ns1/a"), None);
    assert_eq!(refusal(&acl, Operation::List, "ns1/b/"), None);
    assert_eq!(refusal(&acl, Operation::Read, "a"), Some(Refusal::NoRule));
    assert_eq!(refusal(&acl, Operation::List, "ns2/b/"), Some(Refusal::NoRule));
}
