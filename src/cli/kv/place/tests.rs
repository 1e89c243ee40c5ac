use super::*;

#[test]
fn an_api_goes_between_the_mount_and_the_secret() {
    for (mount, path, wanted) in [
        ("secret/", "secret/a/b", "secret/data/a/b"),
        ("secret/", "secret", "secret/data"),
        ("team/kv/", "team/kv/a", "team/kv/data/a"),
        ("secret/", "secret/secret/a", "secret/data/secret/a"),
    ] {
        let place = Place { mount: mount.into(), path: path.into(), engine: Engine::Versioned };
        assert_eq!(place.of_data(), wanted);
        let place = Place { engine: Engine::Plain, ..place };
        assert_eq!(place.of_data(), path);
    }
}
