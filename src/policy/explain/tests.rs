use std::time::Duration;

use serde_json::json;

use super::{Explanation, Question, explain};
use crate::clock::Timestamp;
use crate::policy::{Access, Policy, Refusal};
use crate::request::{Operation, Params};

fn policies(texts: &[&str]) -> Vec<Policy> {
    let parse = |(at, text): (usize, &&str)| Policy::parse(&format!("p{at}"), text).unwrap();
    texts.iter().enumerate().map(parse).collect()
}

fn ask(texts: &[&str], operation: Operation, path: &str, params: &Params) -> Explanation {
    let question = Question { operation, path, params, wrap_ttl: None, access: Access::Ordinary };
    explain(&policies(texts), None, Timestamp::ZERO, &question)
}

#[test]
fn the_deciding_stanza_is_told_with_its_line_and_text() {
    let text = "# first\npath \"a/*\" { capabilities = [\"read\"] }\n\n# second\npath \"a/b\" {\n  \
                capabilities = [\"list\"]\n}\n# end\n";
    let told = ask(&[text], Operation::Read, "a/b", &Params::new());
    assert_eq!(told.refusal.as_ref().unwrap().to_string(), "the rule does not grant `read`");
    assert_eq!(told.pattern.as_deref(), Some("a/b"));
    let [source] = told.sources.as_slice() else { panic!("{told:?}") };
    assert_eq!((source.policy.as_str(), source.line), ("p0", 5));
    assert_eq!(source.text, "path \"a/b\" {\n  capabilities = [\"list\"]\n}");
    assert_eq!(source.capabilities, ["list"]);
    let [outranked] = told.outranked.as_slice() else { panic!("{told:?}") };
    assert_eq!((outranked.path.as_str(), outranked.line), ("a/*", 2));
    assert_eq!(outranked.text, "path \"a/*\" { capabilities = [\"read\"] }");
}

#[test]
fn stanzas_of_one_pattern_are_all_told() {
    let told = ask(
        &[r#"path "a/+" { capabilities = ["read"] }"#, r#"path "a/+" { capabilities = ["deny"] }"#],
        Operation::Read,
        "a/b",
        &Params::new(),
    );
    assert_eq!(told.refusal, Some(Refusal::Deny(vec!["p1".into()])));
    let names: Vec<&str> = told.sources.iter().map(|source| source.policy.as_str()).collect();
    assert_eq!(names, ["p0", "p1"]);
}

#[test]
fn what_does_not_count_is_told_apart() {
    let told = ask(
        &[r#"path "a/{{identity.entity.name}}" { capabilities = ["read"] }
path "a/b" { capabilities = ["read"] expiration = "1970-01-01T00:00:00Z" }"#],
        Operation::Read,
        "a/b",
        &Params::new(),
    );
    assert_eq!((told.refusal, told.sources.len()), (Some(Refusal::NoRule), 0));
    assert_eq!(told.dropped.len(), 2);
}

#[test]
fn parameters_and_wrapping_are_told() {
    let text = r#"path "a" { capabilities = ["update"] denied_parameters = { x = [] } }
path "b" { capabilities = ["read"] min_wrapping_ttl = "5s" }"#;
    let params = json!({"x": 1}).as_object().cloned().unwrap();
    let told = ask(&[text], Operation::Update, "a", &params);
    assert_eq!(told.refusal, Some(Refusal::ParameterDenied("x".into())));
    let told = ask(&[text], Operation::Read, "b", &Params::new());
    assert_eq!(told.refusal, Some(Refusal::WrappingTtl));
    let question = Question {
        operation: Operation::Read,
        path: "b",
        params: &Params::new(),
        wrap_ttl: Some(Duration::from_secs(6)),
        access: Access::Ordinary,
    };
    assert_eq!(explain(&policies(&[text]), None, Timestamp::ZERO, &question).refusal, None);
}

/// The index that decides requests and the plain matcher agree on what matches.
#[test]
fn plain_matching_agrees_with_the_index() {
    use crate::policy::pattern::Pattern;
    for (pattern, path, expected) in [
        ("a", "a", true),
        ("a", "a/", false),
        ("a*", "abc/d", true),
        ("a/*", "a", false),
        ("+", "a", true),
        ("+", "a/b", false),
        ("a/+/c", "a/b/c", true),
        ("a/+/c", "a/b/c/d", false),
        ("a/+/c*", "a/b/cd/e", true),
        ("a/+/*", "a/b", false),
        ("a/+/*", "a/b/", true),
        ("+/+", "a/", true),
        ("a/x+", "a/xy", false),
    ] {
        assert_eq!(Pattern::parse(pattern).unwrap().matches(path), expected, "{pattern} {path}");
        let text = format!("path \"{pattern}\" {{ capabilities = [\"read\"] }}");
        let told = ask(&[&text], Operation::Read, path, &Params::new());
        assert_eq!(told.refusal.is_none(), expected, "{pattern} {path}");
    }
}
