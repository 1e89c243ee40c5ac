use std::collections::BTreeMap;

use super::{PasswordPolicy, below};
use crate::rng::{Rng, SystemRng};

fn parse(text: &str) -> Result<PasswordPolicy, String> {
    PasswordPolicy::parse(text).map_err(|error| error.to_string())
}

#[test]
fn a_password_keeps_every_rule() {
    for text in [
        "length = 20\nrule \"charset\" { charset = \"abcdefghij\" }",
        "length = 4\nrule \"charset\" { charset = \"abc\" min-chars = 2 }\nrule \"charset\" { charset = \"01\" min-chars = 2 }",
        // What trying at random would not find in any time.
        "length = 100\nrule \"charset\" { charset = \"abcdefghijklmnopqrstuvwxyz\" min-chars = 50 }\nrule \"charset\" { charset = \"0\" min-chars = 45 }",
        "{\"length\": 20, \"rule\": [{\"charset\": {\"charset\": \"abc\", \"min-chars\": 3}}, {\"charset\": {\"charset\": \"é\", \"min-chars\": 1}}]}",
        "bGVuZ3RoPTIwCnJ1bGUgImNoYXJzZXQiIHsgY2hhcnNldD0iYWJjZGVmIiB9",
    ] {
        let policy = parse(text).unwrap();
        for _ in 0..50 {
            let password = policy.generate(&SystemRng);
            let letters: Vec<char> = password.expose().chars().collect();
            assert_eq!(letters.len(), policy.length, "{text}");
            assert!(letters.iter().all(|letter| policy.charset.contains(letter)), "{text}");
            for rule in &policy.rules {
                let count = letters.iter().filter(|one| rule.charset.contains(one)).count();
                assert!(count >= rule.min_chars, "{text}: {count}");
            }
        }
    }
}

/// Those that OpenBao 2.7.2 refuses too are in its words.
#[test]
fn what_is_no_policy_is_refused_with_the_reason() {
    let set = "rule \"charset\" { charset = \"abc\" }";
    for (text, expected) in [
        ("length = 20".to_owned(), "no charset specified"),
        (set.to_owned(), "length must be > 0"),
        (format!("length = 0\n{set}"), "length must be > 0"),
        (format!("length = -5\n{set}"), "length must be > 0"),
        (format!("length = 3\n{set}"), "between 4 and 100"),
        (format!("length = 101\n{set}"), "between 4 and 100"),
        (format!("length = \"20\"\n{set}"), "whole number"),
        (format!("length = 20.5\n{set}"), "whole number"),
        (format!("length = 99999999999999999999\n{set}"), "whole number"),
        ("length = 20\nrule \"charset\" { charset = \"\" }".into(), "no charset specified"),
        ("length = 20\nrule \"charset\" {}".into(), "no charset specified"),
        ("length = 20\nrule \"charset\" { charset = 5 }".into(), "must be a string"),
        ("length = 20\nrule \"charset\" { charset = \"a\\tb\" }".into(), "non-printable"),
        ("length = 20\nrule \"foo\" { charset = \"abc\" }".into(), "unrecognized rule type foo"),
        ("length = 20\nrule = 5".into(), "a rule is a block"),
        (
            "length = 4\nrule \"charset\" { charset = \"abc\" min-chars = 5 }".into(),
            "require at least 5 characters but 4 is specified",
        ),
        ("not hcl {{".into(), "unable to decode"),
        (String::new(), "length must be > 0"),
        ("#".repeat(super::TEXT_BYTES_MAX + 1), "more than"),
        (format!("length = 20\n{}", format!("{set}\n").repeat(65)), "more than 64 rules"),
    ] {
        let refused = parse(&text).unwrap_err();
        assert!(refused.contains(expected), "{text:.100}: {refused}");
    }
}

#[test]
fn every_letter_is_as_likely() {
    let mut counts = BTreeMap::new();
    for _ in 0..30_000 {
        *counts.entry(below(&SystemRng, 3)).or_insert(0) += 1;
    }
    assert_eq!(counts.len(), 3);
    assert!(counts.values().all(|count| (9_000..11_000).contains(count)), "{counts:?}");
}

/// A generator that gives the same bytes for ever must not stop a request for ever.
#[test]
fn numbers_at_the_edge_are_drawn_again() {
    struct Falling(std::sync::atomic::AtomicU32);
    impl Rng for Falling {
        fn fill(&self, buffer: &mut [u8]) {
            let next = self.0.fetch_sub(1, std::sync::atomic::Ordering::Relaxed);
            buffer.copy_from_slice(&next.to_le_bytes());
        }
    }
    let rng = Falling(u32::MAX.into());
    assert_eq!(below(&rng, 10), 9);
}

#[test]
fn entropy_is_of_length_and_letters() {
    let policy = parse("length = 10\nrule \"charset\" { charset = \"0123456789abcdef\" }").unwrap();
    assert!((policy.entropy_bits() - 40.0).abs() < 1e-9);
}
