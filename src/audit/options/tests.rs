use super::*;

fn read(kind: &str, options: &[(&str, &str)]) -> Result<(Options, Vec<String>), Error> {
    let options = options.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
    Options::read(kind, &options, false)
}

#[test]
fn every_wrong_option_is_told() {
    for (kind, options, expected) in WRONG {
        let error = read(kind, options).err().unwrap_or_else(|| panic!("{kind} {options:?}"));
        assert!(matches!(error, Error::BadRequest(_)));
        assert_eq!(error.to_string(), *expected, "{kind} {options:?}");
    }
    let error = read("file", &[PATH, ("prefix", "x")]).unwrap_err().to_string();
    assert!(error.contains("allow_audit_log_prefixing"), "{error}");
    let prefixed = |prefix: &str| {
        let options = BTreeMap::from([
            ("prefix".to_owned(), prefix.to_owned()),
            ("path".into(), "/a".into()),
        ]);
        Options::read("file", &options, true)
    };
    assert!(prefixed("audit: ").is_ok());
    for wrong in ["a{", "a\n", "<", &"x".repeat(300)] {
        assert!(prefixed(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn options_mean_what_they_say() {
    let (options, unknown) = read(
        "file",
        &[
            ("file_path", "/a"),
            ("mode", "0640"),
            ("rotate_bytes", "2MiB"),
            ("rotate_duration", "24h"),
            ("rotate_max_files", "3"),
            ("sync", "batch"),
            ("nonsense", "1"),
        ],
    )
    .unwrap();
    assert_eq!(unknown, ["nonsense"]);
    let Target::File(file) = options.target else { panic!("a file") };
    assert_eq!((file.mode, file.rotate_bytes, file.rotate_max_files), (Some(0o640), 2 << 20, 3));
    assert_eq!(file.rotate_duration, Duration::from_secs(86400));
    assert!(file.sync && options.shape.hmac_accessor && !options.shape.log_raw);

    let (options, _) =
        read("file", &[("path", "stdout"), ("mode", "0000"), ("hmac_accessor", "f")]).unwrap();
    assert!(matches!(options.target, Target::Stdout));
    assert!(!options.shape.hmac_accessor);

    let (options, _) = read("syslog", &[("facility", "local3")]).unwrap();
    let Target::Syslog(syslog) = options.target else { panic!("syslog") };
    assert_eq!((syslog.facility, syslog.tag.as_str()), (19, "vault"));
}

/// A type, options, and what is said of them.
type Wrong = (&'static str, &'static [(&'static str, &'static str)], &'static str);

const PATH: (&str, &str) = ("file_path", "/a");

const WRONG: &[Wrong] = &[
    ("", &[], "unknown backend type: \"\""),
    ("http", &[], "unknown backend type: \"http\""),
    ("file", &[], "file_path is required"),
    ("file", &[("file_path", " ")], "file_path is required"),
    ("file", &[PATH, ("format", "yaml")], "unknown format type \"yaml\""),
    (
        "file",
        &[PATH, ("hmac_accessor", "maybe")],
        "`hmac_accessor` must be true or false, not \"maybe\"",
    ),
    ("file", &[PATH, ("log_raw", "2")], "`log_raw` must be true or false, not \"2\""),
    (
        "file",
        &[PATH, ("elide_list_responses", "x")],
        "`elide_list_responses` must be true or false, not \"x\"",
    ),
    ("file", &[PATH, ("mode", "zz")], "mode \"zz\" is no file mode: octal digits such as 0640"),
    (
        "file",
        &[PATH, ("mode", "10644")],
        "mode \"10644\" is no file mode: octal digits such as 0640",
    ),
    ("file", &[PATH, ("mode", "+640")], "mode \"+640\" is no file mode: octal digits such as 0640"),
    (
        "file",
        &[PATH, ("mode", "0200")],
        "mode \"0200\" would keep this server from its own log: the owner must read and write it",
    ),
    (
        "file",
        &[PATH, ("mode", "0440")],
        "mode \"0440\" would keep this server from its own log: the owner must read and write it",
    ),
    (
        "file",
        &[PATH, ("mode", "0755")],
        "mode \"0755\" would make the log a program: leave the bits for execution out",
    ),
    ("file", &[PATH, ("sync", "always")], "sync \"always\" must be \"none\" or \"batch\""),
    (
        "file",
        &[PATH, ("rotate_bytes", "10X")],
        "`rotate_bytes` must be a size such as 104857600 or 100MiB, not \"10X\"",
    ),
    (
        "file",
        &[PATH, ("rotate_duration", "soon")],
        "`rotate_duration` must be a duration such as 2s or 24h, not \"soon\"",
    ),
    (
        "file",
        &[PATH, ("rotate_max_files", "-1")],
        "`rotate_max_files` must be a whole number, not \"-1\"",
    ),
    (
        "file",
        &[PATH, ("filter", "x")],
        "filter: \"x\" is none of mount_point, mount_type, namespace, operation and path",
    ),
    (
        "file",
        &[PATH, ("fallback", "true"), ("filter", "path == a")],
        "a fallback device takes what others leave: no filter",
    ),
    ("socket", &[], "address is required"),
    (
        "socket",
        &[("address", "a:1"), ("socket_type", "x")],
        "socket_type \"x\" must be \"tcp\", \"udp\" or \"unix\"",
    ),
    (
        "socket",
        &[("address", "a:1"), ("write_timeout", "0s")],
        "`write_timeout` must be more than 0",
    ),
    ("syslog", &[("facility", "XX")], "invalid syslog facility: XX"),
    ("syslog", &[("tag", "a b")], "`tag` must be one word of at most 64 bytes"),
];
