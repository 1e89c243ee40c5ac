use super::*;

#[test]
fn an_id_as_a_name_comes_back_as_it_was() {
    for id in ["db/creds/a/x", "a%2Fb/c", "100%/x", "%25/%", "ä/ö"] {
        let name = as_name(id);
        assert!(!name.contains('/'), "{id}");
        assert_eq!(of_name(&name), id);
        let filed = filing_id("db_1", id);
        let filed = filed.strip_prefix(EXPIRY_KIND).unwrap();
        assert_eq!(of_filing(filed), Some(("db_1".into(), id.into())));
    }
}

#[test]
fn token_s_names_are_told_from_those_of_leases() {
    let digits = "0123456789abcdef".repeat(4);
    for (name, is_token) in [
        (format!("h{digits}"), true),
        (format!("g{digits}"), false),
        (format!("h{}", digits.to_uppercase()), false),
        (format!("h{digits}0"), false),
        ("k3hJ9sK2mX0aQ7vB4nT8wZ1c".into(), false),
        (String::new(), false),
    ] {
        assert_eq!(is_token_name(&name), is_token, "{name}");
    }
}

#[test]
fn a_prefix_covers_whole_segments_and_what_was_issued_before() {
    let mark = PrefixMark { prefix: "db/creds/".into(), issued_until: Timestamp(10) };
    for (path, issued, covers) in [
        ("db/creds/a", 10, true),
        ("db/creds", 10, true),
        ("db/creds/a/b", 1, true),
        ("db/creds/a", 11, false),
        ("db/credsx", 1, false),
        ("db", 1, false),
    ] {
        assert_eq!(mark.covers(path, Timestamp(issued)), covers, "{path} {issued}");
    }
}
