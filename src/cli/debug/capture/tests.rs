use super::{Captures, beginning};

#[test]
fn of_a_path_only_what_names_the_endpoint_is_kept() {
    for (path, expected) in [
        ("/v1/sys/health", "/v1/sys/health"),
        ("/v1/auth/token/lookup/hvs.CANARY", "/v1/auth/token/…"),
        ("/v1/secret/data/CANARY", "/v1/secret/data/…"),
        ("", ""),
    ] {
        assert_eq!(beginning(path), expected);
    }
}

#[test]
fn an_error_is_noted_once() {
    let captures = Captures::default();
    for target in ["host", "host", "log"] {
        captures.error(target, "permission\ndenied");
    }
    assert_eq!(captures.errors(), ["host: permission denied", "log: permission denied"]);
}
