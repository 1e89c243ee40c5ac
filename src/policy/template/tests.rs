use super::{Identity, IdentityAlias, IdentityGroup, TemplateLimits, resolve};

const DEFAULT: TemplateLimits = TemplateLimits { allow_wildcards: false, allow_slashes: false };
const WILD: TemplateLimits = TemplateLimits { allow_wildcards: true, allow_slashes: false };
const SLASHED: TemplateLimits = TemplateLimits { allow_wildcards: false, allow_slashes: true };

fn map<const N: usize>(pairs: [(&str, &str); N]) -> std::collections::BTreeMap<String, String> {
    pairs.into_iter().map(|(key, value)| (key.into(), value.into())).collect()
}

fn identity() -> Identity {
    let alias = IdentityAlias {
        id: "a1".into(),
        name: "bob@x".into(),
        metadata: map([("role", "dev")]),
        custom_metadata: map([("team", "blue")]),
    };
    let group = IdentityGroup { name: "admins".into(), metadata: map([("floor", "3")]) };
    Identity {
        id: "e1".into(),
        name: "bob".into(),
        metadata: map([
            ("team", "red"),
            ("a.b", "dotted"),
            ("empty", ""),
            ("star", "x*"),
            ("plus", "+"),
            ("slash", "a/b"),
        ]),
        aliases: [("userpass_1".to_owned(), alias)].into(),
        groups: [("g1".to_owned(), group)].into(),
    }
}

#[test]
fn references_are_resolved() {
    for (path, expected) in [
        ("a/b", Some("a/b")),
        ("a/{{identity.entity.id}}/*", Some("a/e1/*")),
        ("a/{{ identity.entity.name }}", Some("a/bob")),
        ("{{identity.entity.id}}-{{identity.entity.name}}", Some("e1-bob")),
        ("{{identity.entity.metadata.team}}", Some("red")),
        ("{{identity.entity.metadata.a.b}}", Some("dotted")),
        ("{{identity.entity.aliases.userpass_1.id}}", Some("a1")),
        ("{{identity.entity.aliases.userpass_1.name}}", Some("bob@x")),
        ("{{identity.entity.aliases.userpass_1.metadata.role}}", Some("dev")),
        ("{{identity.entity.aliases.userpass_1.custom_metadata.team}}", Some("blue")),
        ("{{identity.groups.ids.g1.name}}", Some("admins")),
        ("{{identity.groups.ids.g1.metadata.floor}}", Some("3")),
        ("{{identity.groups.names.admins.id}}", Some("g1")),
        ("{{identity.groups.names.admins.metadata.floor}}", Some("3")),
        ("{{identity.entity.metadata.none}}", None),
        ("{{identity.entity.metadata.}}", None),
        ("{{identity.entity.custom_metadata.team}}", None),
        ("{{identity.entity.aliases.other.name}}", None),
        ("{{identity.groups.ids.g2.name}}", None),
        ("{{identity.groups.ids.g1.id}}", None),
        ("{{identity.groups.names.others.id}}", None),
        ("{{identity.groups.names.admins.name}}", None),
        ("{{identity.entity}}", None),
        ("{{entity.id}}", None),
        ("{{}}", None),
        // What it resolves to would be wider than any value.
        ("a/{{identity.entity.metadata.empty}}*", None),
    ] {
        let found = resolve(path, Some(&identity()), DEFAULT);
        assert_eq!(found.as_deref(), expected, "{path}");
    }
}

#[test]
fn without_an_entity_only_plain_paths_stay() {
    assert_eq!(resolve("a/{{identity.entity.id}}", None, DEFAULT), None);
    assert_eq!(resolve("a/b", None, DEFAULT).as_deref(), Some("a/b"));
}

#[test]
fn values_widen_nothing_unless_the_policy_says_so() {
    for (key, limits, expected) in [
        ("star", DEFAULT, None),
        ("star", SLASHED, None),
        ("star", WILD, Some("a/x*")),
        ("plus", DEFAULT, None),
        ("plus", WILD, Some("a/+")),
        ("slash", DEFAULT, None),
        ("slash", WILD, None),
        ("slash", SLASHED, Some("a/a/b")),
    ] {
        let path = format!("a/{{{{identity.entity.metadata.{key}}}}}");
        let found = resolve(&path, Some(&identity()), limits);
        assert_eq!(found.as_deref(), expected, "{key} {limits:?}");
    }
}
