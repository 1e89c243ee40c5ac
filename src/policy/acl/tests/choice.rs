//! Which rule decides.

use proptest::prelude::*;

use super::{Access, Acl, Operation, Params, Timestamp, acl, policy};

fn chosen<'a>(acl: &'a Acl, operation: Operation, path: &str) -> Option<&'a str> {
    acl.check(operation, path, &Params::new(), None, Access::Ordinary).pattern
}

/// Every row was also put to OpenBao 2.7.2, which agreed.
#[test]
fn the_most_specific_rule_decides_alone() {
    for (patterns, path, expected) in [
        // Exact before all others.
        (&["a/b", "a/*", "a/+", "*"][..], "a/b", Some("a/b")),
        (&["a"], "a/b", None),
        (&["a/"], "a", None),
        (&["/a"], "a", Some("a")),
        (&["a"], "/a", Some("a")),
        // `*` is a wildcard at the end only, `+` as a whole segment only.
        (&["a/*/b"], "a/x/b", None),
        (&["a/*/b"], "a/*/b", Some("a/*/b")),
        (&["a/x+"], "a/xy", None),
        (&["a/x+"], "a/x+", Some("a/x+")),
        (&["a/+x"], "a/yx", None),
        (&["a*"], "a", Some("a*")),
        (&["a*"], "abc/d", Some("a*")),
        (&["*"], "abc/d", Some("*")),
        (&["a**"], "a*b", Some("a**")),
        (&["a**"], "ab", None),
        (&["+"], "a", Some("+")),
        (&["+"], "a/b", None),
        (&["a/+"], "a/b", Some("a/+")),
        (&["a/+"], "a/", Some("a/+")),
        (&["a/+"], "a", None),
        (&["a/+"], "a/b/c", None),
        (&["a/+/c"], "a/b/c", Some("a/+/c")),
        (&["a/+/*"], "a/b", None),
        (&["a/+/*"], "a/b/", Some("a/+/*")),
        (&["a/+/c*"], "a/b/cd/e", Some("a/+/c*")),
        (&["+/+/c"], "a/b/c", Some("+/+/c")),
        // A `+` that begins a segment is no wildcard, and yet counts as one here.
        (&["+b/+", "+b*"], "+b/a", Some("+b*")),
        // (a) The wildcard that comes later.
        (&["a/b*", "a/*"], "a/bc", Some("a/b*")),
        (&["a/b/*", "a/+/c"], "a/b/c", Some("a/b/*")),
        (&["a/+/c", "+/b/c"], "a/b/c", Some("a/+/c")),
        // (b) No `*` at the end.
        (&["a/*", "a/+/c"], "a/b/c", Some("a/+/c")),
        (&["a/+/c*", "a/+/c"], "a/b/c", Some("a/+/c")),
        // (c) Fewer `+`.
        (&["a/*", "a/+/*"], "a/b/c", Some("a/*")),
        (&["+/+/c", "+/b/+"], "a/b/c", Some("+/b/+")),
        (&["+/+/c", "+/b/c"], "a/b/c", Some("+/b/c")),
        // (d) The longer, (e) the greater.
        (&["+/b*", "+/bc*"], "a/bcd", Some("+/bc*")),
        (&["+/+/c/d*", "+/b/+/*"], "a/b/c/d", Some("+/+/c/d*")),
        (&["+/+/c", "+/b/+"], "a/b/c", Some("+/b/+")),
    ] {
        for reverse in [false, true] {
            let mut texts: Vec<String> = patterns
                .iter()
                .map(|pattern| format!("path \"{pattern}\" {{ capabilities = [\"read\"] }}\n"))
                .collect();
            if reverse {
                texts.reverse();
            }
            let acl = acl(&[&texts.concat()]);
            assert_eq!(chosen(&acl, Operation::Read, path), expected, "{patterns:?} {path}");
        }
    }
}

#[test]
fn only_lists_fall_back_to_the_path_without_its_slash() {
    for (pattern, matches_list) in
        [("a/b", true), ("a/b/", true), ("a/+", true), ("a/b*", true), ("+/b", true), ("a", false)]
    {
        let acl = acl(&[&format!("path \"{pattern}\" {{ capabilities = [\"list\", \"read\"] }}")]);
        let found = chosen(&acl, Operation::List, "a/b/");
        assert_eq!(found, matches_list.then_some(pattern), "{pattern}");
    }
    let acl = acl(&[r#"path "a/b" { capabilities = ["list", "read"] }"#]);
    assert_eq!(chosen(&acl, Operation::Read, "a/b/"), None);
    // An exact rule without the slash comes before a glob that has it.
    let acl = super::acl(&[r#"path "a" { capabilities = ["list"] } path "a/*" {}"#]);
    assert_eq!(chosen(&acl, Operation::List, "a/"), Some("a"));
}

#[test]
fn rules_with_different_patterns_do_not_add_up() {
    let acl = acl(&[
        r#"path "a/*" { capabilities = ["read", "list", "sudo"] }"#,
        r#"path "a/b" { capabilities = ["update"] }"#,
    ]);
    assert_eq!(acl.capabilities("a/b"), ["update"]);
}

#[test]
fn paths_of_any_characters_are_safe() {
    let acl = acl(&["path \"é*\" {} path \"+/é*\" {} path \"aé\" {} path \"e\u{301}*\" {}"]);
    for path in ["è", "éa", "a/è", "a/éa", "aè", "ê/é", "\u{10ffff}", "", "/", "//", "+/+", "e"]
    {
        acl.capabilities(path);
        acl.preflight(path);
    }
    assert_eq!(chosen(&acl, Operation::Read, "a/éa"), Some("+/é*"));
    assert_eq!(chosen(&acl, Operation::Read, "éa/é"), Some("é*"));
}

/// 10,000 rules, 10,000 look-ups: a scan of them all would take minutes here.
#[test]
fn many_rules_are_not_looked_at_one_by_one() {
    use std::fmt::Write as _;
    let mut text = String::new();
    for n in 0..2500 {
        for pattern in ["team{n}/a", "team{n}/b*", "+/team{n}/c", "+/team{n}/+/d*"] {
            let pattern = pattern.replace("{n}", &n.to_string());
            writeln!(text, "path \"{pattern}\" {{ capabilities = [\"read\"] }}").unwrap();
        }
    }
    let acl = acl(&[&text]);
    for n in 0..2500 {
        for (path, pattern) in [
            (format!("team{n}/a"), format!("team{n}/a")),
            (format!("team{n}/bc/d/e"), format!("team{n}/b*")),
            (format!("x/team{n}/c"), format!("+/team{n}/c")),
            (format!("x/team{n}/y/de/f"), format!("+/team{n}/+/d*")),
        ] {
            assert_eq!(chosen(&acl, Operation::Read, &path), Some(pattern.as_str()));
        }
    }
}

/// The rules as they are told, one after the other.
pub(super) mod naive {
    pub(in super::super) fn choose<'a>(
        patterns: &'a [String],
        path: &str,
        list: bool,
    ) -> Option<&'a str> {
        let bare = path.strip_suffix('/').filter(|_| list);
        for candidate in [Some(path), bare].into_iter().flatten() {
            let exact = patterns.iter().find(|pattern| *pattern == candidate);
            if let Some(exact) = exact.filter(|text| !text.ends_with('*') && !has_segments(text)) {
                return Some(exact);
            }
        }
        for candidate in [Some(path), bare].into_iter().flatten() {
            let mut matching: Vec<&String> =
                patterns.iter().filter(|pattern| is_wild(pattern, candidate)).collect();
            matching.sort_by(|one, other| compare(one, other));
            if let Some(last) = matching.last() {
                return Some(last);
            }
        }
        None
    }

    fn is_wild(pattern: &str, path: &str) -> bool {
        let glob = pattern.ends_with('*');
        let parts: Vec<&str> = pattern.strip_suffix('*').unwrap_or(pattern).split('/').collect();
        let segments: Vec<&str> = path.split('/').collect();
        if !glob && !has_segments(pattern) {
            return false;
        }
        if segments.len() < parts.len() || (!glob && segments.len() != parts.len()) {
            return false;
        }
        parts.iter().zip(&segments).enumerate().all(|(at, (part, segment))| {
            let open = glob && at + 1 == parts.len();
            *part == "+" || part == segment || (open && segment.starts_with(part))
        })
    }

    fn has_segments(pattern: &str) -> bool {
        pattern == "+" || pattern.starts_with("+/") || pattern.contains("/+")
    }

    fn compare(one: &str, other: &str) -> std::cmp::Ordering {
        let first = |pattern: &str| match pattern.find('+') {
            Some(at) if has_segments(pattern) => at,
            _ => pattern.strip_suffix('*').unwrap_or(pattern).len(),
        };
        let glob = |pattern: &str| pattern.ends_with('*');
        let plus = |pattern: &str| pattern.split('/').filter(|part| *part == "+").count();
        let text = |pattern: &str| pattern.strip_suffix('*').unwrap_or(pattern).to_owned();
        first(one)
            .cmp(&first(other))
            .then(glob(other).cmp(&glob(one)))
            .then(plus(other).cmp(&plus(one)))
            .then(text(one).len().cmp(&text(other).len()))
            .then(text(one).cmp(&text(other)))
    }
}

pub(super) fn pattern() -> impl Strategy<Value = String> {
    let part = prop::sample::select(vec!["a", "b", "ab", "abc", "+", "+b", "a+", "é", ""]);
    (prop::collection::vec(part, 1..5), any::<bool>()).prop_map(|(parts, glob)| {
        let text = parts.join("/");
        if glob && !text.ends_with('+') { text + "*" } else { text }
    })
}

pub(super) fn path() -> impl Strategy<Value = String> {
    let part =
        prop::sample::select(vec!["a", "b", "ab", "abc", "abcd", "+", "+b", "a+", "é", "éa", ""]);
    prop::collection::vec(part, 1..6).prop_map(|parts| {
        let text = parts.join("/");
        text.trim_start_matches('/').to_owned()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: super::cases(), failure_persistence: None, ..ProptestConfig::default() })]

    /// Caught when put in: the number of `+` left out of the rank, a prefix cut at the wrong byte,
    /// stems with `+` left out.
    #[test]
    fn the_index_agrees_with_a_scan(
        patterns in prop::collection::vec(pattern(), 0..12),
        paths in prop::collection::vec(path(), 1..12),
    ) {
        // The slash is stripped again, so that a pattern may itself start with one.
        let text: String =
            patterns.iter().map(|pattern| format!("path \"/{pattern}\" {{}}\n")).collect();
        let acl = Acl::compile([&policy("p", &text)], None, Timestamp::ZERO);
        for path in &paths {
            for (operation, list) in [(Operation::Read, false), (Operation::List, true)] {
                let expected = naive::choose(&patterns, path, list);
                prop_assert_eq!(chosen(&acl, operation, path), expected, "{}", path);
            }
        }
    }
}
