use super::*;

#[test]
fn a_token_of_another_namespace_ends_with_its_id() {
    for (token, id) in [
        ("hvs.CAESIJ", None),
        ("hvs.abcdefghijklmnopqrstuvwx", None),
        ("hvs.abcdefghijklmnopqrstuvwx.aB3xYz", Some("aB3xYz")),
        ("hvb.abc.aB3xYz", Some("aB3xYz")),
        ("hvs.abc.aB3xY", None),
        ("hvs.abc.aB3xYz1", None),
        ("hvs.abc.aB3x/z", None),
        ("root.aB3xYz", None),
        ("root", None),
        ("", None),
        (".", None),
        ("..aB3xYz", Some("aB3xYz")),
    ] {
        assert_eq!(id_in_token(token), id, "{token:?}");
    }
}

#[test]
fn names_that_would_lead_elsewhere_are_refused() {
    for name in ["a", "A", "a.b", "api-lock", "ünï", "a%2Fb", "@", "x~"] {
        assert!(check_name(name).is_ok(), "{name:?}");
    }
    let long = "x".repeat(256);
    let bad = [
        "",
        "a/b",
        "/",
        ".",
        "..",
        "a b",
        "a\t",
        "+",
        "a*",
        "root",
        "sys",
        "audit",
        "auth",
        "cubbyhole",
        "identity",
        "a\0",
        &long,
    ];
    for name in bad {
        assert!(matches!(check_name(name), Err(Error::BadRequest(_))), "{name:?}");
    }
}

#[test]
fn what_is_the_clusters_is_refused_in_a_namespace() {
    let child = Namespace { uuid: "u".into(), path: "a/".into(), ..Namespace::default() };
    for path in ["sys/mounts", "sys/auth/x", "sys/policies/acl/p", "kv/x", "sys/renew", "systems"] {
        assert!(refusal(&child, path).is_none(), "{path}");
    }
    for path in [
        "sys/seal",
        "sys/unseal",
        "sys/audit",
        "sys/audit/x",
        "sys/raw/core/x",
        "sys/config/cors",
        "sys/storage/raft/snapshot",
        "sys/quotas/rate-limit/x",
        "sys/rotate",
        "sys/loggers",
        "sys/generate-root/attempt",
        "sys/monitor",
        "sys/policiesx",
        "sys/",
        "sys/nosuch",
        "sys/internal/inspect/router/root",
        "sys/internal/counters/activity",
    ] {
        assert!(refusal(&child, path).is_some(), "{path}");
        assert!(refusal(&Namespace::root(), path).is_none(), "{path}");
    }
}
