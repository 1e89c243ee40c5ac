use super::{QuotaConfig, Quotas, RateLimit};

fn limit(path: &str, mount_path: &str, role: &str) -> RateLimit {
    RateLimit {
        name: format!("{path}|{role}"),
        path: path.into(),
        mount_path: mount_path.into(),
        role: role.into(),
        ..RateLimit::default()
    }
}

#[test]
fn the_most_specific_quota_counts() {
    let mut quotas = Quotas::default();
    assert!(quotas.is_empty());
    for (path, mount, role) in [
        ("", "", ""),
        ("kv/", "kv/", ""),
        ("kv/data/a*", "kv/", ""),
        ("kv/data/ab*", "kv/", ""),
        ("kv/data/abc", "kv/", ""),
        ("auth/jwt/", "auth/jwt/", "web"),
        ("auth/jwt/", "auth/jwt/", ""),
    ] {
        quotas.add(limit(path, mount, role));
    }
    quotas.globs.sort_by_key(|(prefix, _)| std::cmp::Reverse(prefix.len()));
    for (path, mount, role, expected) in [
        ("sys/mounts", "sys/", None, "|"),
        ("kv/data/x", "kv/", None, "kv/|"),
        ("kv/data/ax", "kv/", None, "kv/data/a*|"),
        ("kv/data/abx", "kv/", None, "kv/data/ab*|"),
        ("kv/data/abc", "kv/", None, "kv/data/abc|"),
        ("kv/data/abc/", "kv/", None, "kv/data/abc|"),
        ("auth/jwt/login", "auth/jwt/", Some("web"), "auth/jwt/|web"),
        ("auth/jwt/login", "auth/jwt/", Some("other"), "auth/jwt/|"),
        ("auth/jwt/login", "auth/jwt/", None, "auth/jwt/|"),
    ] {
        let found = quotas.of(path, mount, "", role).map(|limit| limit.name.as_str());
        assert_eq!(found, Some(expected), "{path} {role:?}");
    }
}

#[test]
fn exempt_paths_are_exact_or_prefixes() {
    let config = QuotaConfig {
        rate_limit_exempt_paths: ["/a", "b/", "c*"].map(str::to_owned).to_vec(),
        ..QuotaConfig::default()
    };
    for (path, expected) in [
        ("a", true),
        ("a/", true),
        ("a/b", false),
        ("ab", false),
        ("b/", true),
        ("b/c", true),
        ("bc", false),
        ("c", true),
        ("cd/e", true),
    ] {
        assert_eq!(config.exempts(path), expected, "{path}");
    }
    assert!(QuotaConfig::default().exempts("sys/health"));
}

#[test]
fn a_quota_of_a_namespace_holds_below_it_where_it_is_inherited() {
    let mut quotas = Quotas::default();
    for (path, inheritable) in [("", true), ("a/", false), ("b/", true), ("b/c/d/", false)] {
        let namespace = path.to_owned();
        quotas.add(RateLimit { namespace, inheritable, ..limit(path, "", "") });
    }
    for (namespace, expected) in [
        ("", "|"),
        ("a/", "a/|"),
        ("a/x/", "|"),
        ("b/", "b/|"),
        ("b/c/", "b/|"),
        ("b/c/d/", "b/c/d/|"),
        ("b/c/d/e/", "b/|"),
    ] {
        let found = quotas.of(&format!("{namespace}kv/x"), "", namespace, None);
        assert_eq!(found.map(|limit| limit.name.as_str()), Some(expected), "{namespace}");
    }
}
