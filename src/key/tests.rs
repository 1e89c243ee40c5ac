use super::Key;

#[test]
fn key_splits_into_directory_and_name_and_a_marker_belongs_to_the_directory_above() {
    for (path, directory, name, marker) in [
        ("a", "", "a", None),
        ("a/b", "a/", "b", Some("a/")),
        ("a/b/", "a/", "b/", Some("a/")),
        ("a/", "", "a/", None),
        ("a/b/c", "a/b/", "c", Some("a/b/")),
    ] {
        let key = Key::new(path.into());
        assert_eq!((key.directory(), key.name()), (directory, name), "{path}");
        assert_eq!(key.marker().as_ref().map(Key::path), marker, "{path}");
    }
}
