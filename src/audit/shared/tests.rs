use std::os::unix::fs::symlink;

use super::*;
use crate::rng::SystemRng;

fn device(kind: &str, path: &str) -> StoredDevice {
    let mut device = StoredDevice::new("x/".into(), kind.into(), &SystemRng);
    let option = if kind == "file" { "file_path" } else { "address" };
    device.options.insert(option.into(), path.into());
    device
}

#[test]
fn one_file_is_known_under_all_its_names() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| format!("{}/{name}", folder.path().display());
    fs::create_dir(at("below")).unwrap();
    fs::write(at("log"), "").unwrap();
    fs::hard_link(at("log"), at("hard")).unwrap();
    symlink(at("log"), at("soft")).unwrap();
    symlink(at("below"), at("folder")).unwrap();
    fs::write(at("other"), "").unwrap();
    for (one, other, expected) in [
        (at("log"), at("log"), true),
        (at("log"), at("below/..//log"), true),
        (at("log"), at("hard"), true),
        (at("soft"), at("log"), true),
        (at("log"), at("other"), false),
        (at("log"), at("new"), false),
        (at("new"), at("./new"), true),
        (at("below/new"), at("folder/new"), true),
        (at("nosuch/new"), at("nosuch/new"), true),
        (at("new"), at("newer"), false),
        ("/dev/null".into(), "/dev/null".into(), false),
        ("stdout".into(), "stdout".into(), false),
    ] {
        let (a, b) = (device("file", &one), device("file", &other));
        assert_eq!(share_file(&a, &b), expected, "{one} {other}");
        assert_eq!(share_file(&b, &a), expected, "{other} {one}");
    }
    assert!(!share_file(&device("file", &at("log")), &device("socket", &at("log"))));
}
