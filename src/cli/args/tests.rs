use clap::Parser;

use super::*;

#[test]
fn single_dashes_become_double() {
    let rewritten =
        |text: &str| with_double_dashes(text.split(' ').map(str::to_owned).collect()).join(" ");
    for (given, wanted) in [
        ("kv get -format=json secret/x", "kv get --format=json secret/x"),
        ("kv get --format json x", "kv get --format json x"),
        ("write x -", "write x -"),
        ("write x a=-b -f", "write x a=-b --f"),
        ("renew -increment -1", "renew --increment -1"),
        ("write x -- -f", "write x -- -f"),
    ] {
        assert_eq!(rewritten(given), wanted);
    }
}

#[test]
fn help_is_written_with_single_dashes() {
    for (given, wanted) in [
        ("  -h, --help  Print help", "  -h, -help  Print help"),
        ("unexpected argument '--x' found", "unexpected argument '-x' found"),
        ("--tls-skip-verify[=<BOOL>]  Trust", "-tls-skip-verify           Trust"),
        ("use '-- --x'", "use '-- -x'"),
        ("a--b ---c", "a--b ---c"),
    ] {
        assert_eq!(with_single_dashes(given), wanted);
    }
}

#[derive(Parser)]
struct Sample {
    #[arg(long)]
    switch: bool,
    #[arg(long)]
    count: Option<i64>,
    names: Vec<String>,
}

fn parsed(arguments: &[&str]) -> Result<(bool, Option<i64>), clap::Error> {
    use clap::{CommandFactory as _, FromArgMatches as _};
    let matches = with_go_flags(Sample::command()).try_get_matches_from(arguments)?;
    Sample::from_arg_matches(&matches).map(|sample| (sample.switch, sample.count))
}

#[test]
fn switches_take_a_value_and_flags_repeat() {
    for (arguments, wanted) in [
        (&["x"][..], (false, None)),
        (&["x", "--switch"], (true, None)),
        (&["x", "--switch", "name"], (true, None)),
        (&["x", "--switch=false"], (false, None)),
        (&["x", "--switch=1", "--switch=F"], (false, None)),
        (&["x", "--count=1", "--count", "-2"], (false, Some(-2))),
    ] {
        assert_eq!(parsed(arguments).unwrap(), wanted, "{arguments:?}");
    }
    assert!(parsed(&["x", "--switch=maybe"]).is_err());
}

#[test]
fn durations_read_as_go_reads_them() {
    for (text, wanted) in [
        ("90", Some(90)),
        ("90s", Some(90)),
        ("1h30m", Some(5400)),
        ("1.5h", Some(5400)),
        ("0.1h", Some(360)),
        ("2d", Some(172_800)),
        ("1500ms", Some(1)),
        ("-1h", Some(-3600)),
        ("", None),
        ("h", None),
        ("1x", None),
        ("1h30", None),
        ("1e400h", None),
    ] {
        assert_eq!(seconds(text).ok(), wanted, "{text}");
    }
}
