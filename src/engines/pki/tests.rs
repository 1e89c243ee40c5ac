use super::names::{glob, is_allowed, to_ascii};
use super::role::Role;
use super::{certificate, der, sans};

#[test]
fn names_are_allowed_by_vaults_rules() {
    let domains = |list: &[&str]| list.iter().map(|domain| (*domain).to_owned()).collect();
    let role = |change: fn(&mut Role)| {
        let mut role = Role { allowed_domains: domains(&["example.com"]), ..Role::default() };
        change(&mut role);
        role
    };
    let sub: fn(&mut Role) = |role| role.allow_subdomains = true;
    let bare: fn(&mut Role) = |role| role.allow_bare_domains = true;
    let any: fn(&mut Role) = |role| role.allow_any_name = true;
    let globbed: fn(&mut Role) = |role| {
        role.allow_glob_domains = true;
        role.allowed_domains = vec!["ftp*.example.com".into()];
    };
    let tame: fn(&mut Role) = |role| {
        role.allow_subdomains = true;
        role.allow_wildcard_certificates = false;
    };
    for (change, name, allowed) in [
        (sub, "a.example.com", true),
        (sub, "A.EXAMPLE.com", true),
        (sub, "a.b.example.com", true),
        (sub, "*.example.com", true),
        (sub, "*.a.example.com", true),
        (sub, "w*.example.com", true),
        (sub, "**.example.com", false),
        (sub, "a.*.example.com", false),
        (sub, "*", false),
        (sub, "example.com", false),
        (sub, "notexample.com", false),
        (sub, "a.example.com.evil.org", false),
        (sub, "user@a.example.com", true),
        (sub, "user@*.example.com", false),
        (sub, "a@b@a.example.com", false),
        (sub, "-a.example.com", false),
        (sub, "a_b.example.com", false),
        (sub, "localhost", true),
        (sub, "x.localhost", true),
        (sub, "", false),
        (bare, "example.com", true),
        (bare, "EXAMPLE.COM", true),
        (bare, "user@example.com", true),
        (bare, "a.example.com", false),
        (any, "anything.org", true),
        (any, "bad name", false),
        (globbed, "ftp1.example.com", true),
        (globbed, "ftp.a.b.example.com", true),
        (globbed, "www.example.com", false),
        (tame, "*.example.com", false),
        (tame, "a.example.com", true),
    ] {
        assert_eq!(is_allowed(&role(change), name, ""), allowed, "{name}");
    }
}

#[test]
fn hosts_names_become_what_certificates_hold() {
    for (name, ascii) in [
        ("example.com", Some("example.com")),
        ("bücher.example", Some("xn--bcher-kva.example")),
        ("*.bücher.example", Some("*.xn--bcher-kva.example")),
        ("a..b", None),
        ("a b", None),
        ("", None),
    ] {
        assert_eq!(to_ascii(name).as_deref(), ascii, "{name}");
    }
}

#[test]
fn a_star_stands_for_any_text() {
    for (pattern, text, matches) in [
        ("*", "", true),
        ("a*c", "abc", true),
        ("a*c", "ac", true),
        ("a*c", "abd", false),
        ("*b*", "abc", true),
        ("ab", "ab", true),
        ("ab", "abc", false),
        ("a*a", "a", false),
    ] {
        assert_eq!(glob(pattern, text), matches, "{pattern} {text}");
    }
}

#[test]
fn object_identifiers_serial_numbers_and_other_names_are_read_or_refused() {
    for good in ["1.2.3", "2.999.1", "0.9.2342"] {
        assert!(der::parse_oid(good).is_some(), "{good}");
    }
    for bad in ["", "1", "3.1", "1.40", "1..2", "a.b", "1.2.-3"] {
        assert!(der::parse_oid(bad).is_none(), "{bad}");
    }
    assert_eq!(certificate::parse_serial("0a:ff"), Some(vec![10, 255]));
    assert_eq!(certificate::parse_serial("0a-ff"), Some(vec![10, 255]));
    for bad in ["", "a", "0a:f", "0a:+f", "zz", "../0a"] {
        assert_eq!(certificate::parse_serial(bad), None, "{bad}");
    }
    assert_eq!(sans::other("1.2.3;UTF8:x:y"), Ok((vec![1, 2, 3], "x:y".to_owned())));
    for bad in ["x", "1.2.3;x", "1.2.3;ia5:x", "q;utf8:x"] {
        assert!(sans::other(bad).is_err(), "{bad}");
    }
}
