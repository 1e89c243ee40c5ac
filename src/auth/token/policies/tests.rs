use super::*;

#[test]
fn glob_matches_as_a_whole() {
    for (glob, name, matches) in [
        ("team-*", "team-a", true),
        ("team-*", "team-", true),
        ("team-*", "a-team-a", false),
        ("*-ro", "db-ro", true),
        ("*-ro", "db-rw", false),
        ("a*b*c", "axxbyyc", true),
        ("a*b*c", "axxcyyb", false),
        ("a*a", "a", false),
        ("*", "", true),
        ("exact", "exact", true),
        ("exact", "exactly", false),
    ] {
        assert_eq!(matches_glob(glob, name), matches, "{glob} on {name}");
    }
}
