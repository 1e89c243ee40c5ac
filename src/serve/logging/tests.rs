use std::time::Duration;

use super::*;

#[test]
fn flags_go_before_the_environment_and_that_before_the_file() {
    let text = "storage \"inmem\" {}\nlistener \"tcp\" { tls_disable = true }\n\
                log_level = \"warn\"\nlog_format = \"json\"\nlog_file = \"/f\"\n\
                log_rotate_bytes = 7\nlog_rotate_duration = \"8s\"\nlog_rotate_max_files = 9";
    let config = |env: crate::config::env::Env<'_>| Config::parse("f", text, env, &[]).unwrap().0;
    let file = config(&|_| None);
    let none = Args::default();
    let flags = Args {
        log_level: Some("trace".into()),
        log_format: Some("standard".into()),
        log_file: Some("/g".into()),
        log_rotate_bytes: Some(1),
        log_rotate_duration: Some("2s".into()),
        log_rotate_max_files: Some(-1),
        ..Args::default()
    };
    let told = |args: &Args, env: Env, config: Option<&Config>| {
        let options = LogOptions::new(args, &env, config).unwrap();
        let Rotation { bytes_max, age_max, files_max } = options.rotation;
        let file = options.file.map(|path| path.display().to_string()).unwrap_or_default();
        let (level, format) = (word(options.level), options.format);
        format!("{level} {format:?} {file} {bytes_max} {} {files_max}", age_max.as_secs())
    };
    let debug = Env::of([("VAULT_LOG_LEVEL", "debug"), ("BAO_LOG_FORMAT", "json")]);
    assert_eq!(told(&none, Env::default(), None), "info Standard  0 0 0");
    assert_eq!(told(&none, debug.clone(), None), "debug Json  0 0 0");
    assert_eq!(told(&none, Env::default(), Some(&file)), "warn Json /f 7 8 9");
    let with_env = config(&|name| (name == "VAULT_LOG_LEVEL").then(|| "error".to_owned()));
    assert_eq!(told(&none, Env::default(), Some(&with_env)), "error Json /f 7 8 9");
    assert_eq!(told(&flags, debug.clone(), Some(&with_env)), "trace Standard /g 1 2 -1");
    assert_eq!(told(&flags, debug, None), "trace Standard /g 1 2 -1");
}

#[test]
fn wrong_words_are_refused() {
    for (args, message) in [
        (
            Args { log_level: Some("loud".into()), ..Args::default() },
            "`loud` is no log level: see `server -help`",
        ),
        (
            Args { log_format: Some("xml".into()), ..Args::default() },
            "`xml` is no log format: see `server -help`",
        ),
        (
            Args { log_rotate_max_files: Some(-2), ..Args::default() },
            "`-log-rotate-max-files` must be -1 or more",
        ),
    ] {
        let failure = LogOptions::new(&args, &Env::default(), None).unwrap_err();
        assert_eq!(failure.message, message);
    }
}

#[test]
fn a_log_file_that_fails_is_told_once_on_the_console() {
    let folder = tempfile::tempdir().unwrap();
    let console = folder.path().join("console");
    let rotation = Rotation { bytes_max: 1, age_max: Duration::ZERO, files_max: 0 };
    let path = folder.path().join("a.log");
    let file = LogFile::open(&path, rotation, Arc::new(SystemClock)).unwrap();
    let sink = Sink {
        console: File::create(&console).unwrap(),
        file: Some(Arc::new(file)),
        has_failed: AtomicBool::new(false),
    };
    (&sink).write_all(b"1\n").unwrap();
    // What cannot be put aside is written on.
    std::fs::remove_file(&path).unwrap();
    (&sink).write_all(b"2\n").unwrap();
    (&sink).write_all(b"3\n").unwrap();
    let text = std::fs::read_to_string(&console).unwrap();
    let lines: Vec<_> = text.lines().collect();
    assert!(lines[1].starts_with("the log file cannot be written: "), "{text}");
    assert_eq!([lines[0], lines[2], lines[3]], ["1", "2", "3"]);
    assert_eq!(lines.len(), 4);
}
