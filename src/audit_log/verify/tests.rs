use super::*;
use crate::audit_log::{Chain, Link, Style};

const SALT: &[u8] = b"salt";

/// Writes logs as a device does.
struct Log {
    lines: Vec<String>,
    head: Option<Head>,
    segment: u8,
    salt: &'static [u8],
}

impl Log {
    fn new() -> Self {
        Self { lines: Vec::new(), head: None, segment: 0, salt: SALT }
    }

    fn segment(&mut self, records: u64, torn: u64) {
        self.segment += 1;
        let mut chain = Chain::begin(ChainKey::of_salt(self.salt), [self.segment; 8]);
        let link = Link { previous: self.head.clone(), torn, ..Link::default() };
        let mut line = link.line("t", "", Style::Json);
        chain.seal(&mut line, Style::Json);
        self.lines.push(line);
        for number in 0..records {
            let mut line = format!("{{\"type\":\"request\",\"n\":{number}}}");
            chain.seal(&mut line, Style::Json);
            self.lines.push(line);
        }
        self.head = chain.head();
    }
}

fn verify(lines: &[String], keys: &[&[u8]], heads: &[Head]) -> Verdict {
    let keys = keys.iter().map(|salt| ChainKey::of_salt(salt)).collect();
    let mut verifier = Verifier::new(keys, heads.to_vec());
    for (at, line) in lines.iter().enumerate() {
        verifier.line("log", at as u64 + 1, line.as_bytes());
    }
    verifier.end()
}

fn told(lines: &[String], keys: &[&[u8]], heads: &[Head]) -> Vec<String> {
    let findings = verify(lines, keys, heads).findings;
    findings.iter().map(ToString::to_string).collect()
}

fn log() -> Log {
    let mut log = Log::new();
    log.segment(4, 0);
    log.segment(4, 0);
    log
}

#[test]
fn a_log_as_written_is_whole() {
    let log = log();
    let verdict = verify(&log.lines, &[SALT], &[log.head.clone().unwrap()]);
    assert!(verdict.is_whole(), "{:?}", verdict.findings);
    assert_eq!((verdict.records, verdict.segments), (10, 2));
    assert_eq!(verdict.last, log.head);
    // A part of it too, where it is known to be one.
    let verdict = verify(&log.lines[2..], &[SALT], &[]);
    assert!(verdict.is_whole());
    assert_eq!(verdict.first.unwrap().number, 3);
}

#[test]
fn what_was_done_to_a_log_is_found_at_its_line() {
    type Change = fn(&mut Vec<String>);
    let rows: &[(&str, Change, &[&str])] = &[
        (
            "changed",
            |lines| lines[2] = lines[2].replace("\"n\":1", "\"n\":9"),
            &["log:3: the record was changed"],
        ),
        ("removed", |lines| drop(lines.remove(2)), &["log:3: record 3 is missing before this one"]),
        (
            "several removed",
            |lines| drop(lines.drain(1..4)),
            &["log:2: records 2 to 4 are missing before this one"],
        ),
        (
            "moved",
            |lines| lines.swap(2, 3),
            &[
                "log:3: record 3 is missing before this one",
                "log:4: record 3 stands here a second time, or too late",
            ],
        ),
        (
            "put in",
            |lines| lines.insert(2, "{\"type\":\"request\"}".into()),
            &["log:3: the line is no record of the chain: it was put here, or what it was is lost"],
        ),
        (
            "copied",
            |lines| lines.insert(3, lines[1].clone()),
            &["log:4: record 2 stands here a second time, or too late"],
        ),
        (
            "the end of a segment removed",
            |lines| drop(lines.drain(3..5)),
            &[
                "log:4: the segment before ended with record 5 of 0101010101010101, says this one, but \
             what stands here ends with record 3 of 0101010101010101",
            ],
        ),
        (
            "a link removed",
            |lines| drop(lines.remove(5)),
            &["log:6: a segment begins here without its first record"],
        ),
        (
            "garbage at the end",
            |lines| lines.push("x".into()),
            &[
                "log:11: the line is no record of the chain: it was put here, or what it was is lost",
            ],
        ),
    ];
    for (what, change, expected) in rows {
        let mut lines = log().lines;
        change(&mut lines);
        for keys in [&[][..], &[SALT]] {
            assert_eq!(told(&lines, keys, &[]), *expected, "{what}");
        }
    }
}

#[test]
fn whoever_computes_the_rest_anew_is_found_by_key_or_by_a_remembered_head() {
    let honest = log();
    let mut forged = Log { salt: b"guess", ..Log::new() };
    forged.segment(3, 0);
    forged.segment(4, 0);
    assert!(verify(&forged.lines, &[], &[]).is_whole());
    let by_key = told(&forged.lines, &[SALT], &[]);
    assert_eq!(by_key.len(), forged.lines.len());
    assert_eq!(by_key[0], "log:1: the record was not made with the key");
    let head = honest.head.clone().unwrap();
    let by_head = told(&forged.lines, &[], std::slice::from_ref(&head));
    assert_eq!(
        by_head,
        [format!(
            "log:9: the record is not the remembered one, {head}: it or one before was changed"
        )]
    );
}

#[test]
fn an_end_that_was_cut_off_is_found_by_a_remembered_head() {
    let log = log();
    let head = log.head.clone().unwrap();
    let cut = &log.lines[..8];
    assert!(
        verify(cut, &[SALT], &[]).is_whole(),
        "nothing else tells it from a log that ends there"
    );
    assert_eq!(
        told(cut, &[SALT], std::slice::from_ref(&head)),
        [format!(
            "at the end: record {head} is not there: the end was cut off, or a file is not given"
        )]
    );
}

#[test]
fn a_line_that_a_crash_tore_is_no_finding_where_the_next_segment_tells_of_it() {
    let mut log = Log::new();
    log.segment(2, 0);
    log.lines.push("{\"type\":\"req".into());
    log.segment(2, 12);
    let verdict = verify(&log.lines, &[SALT], &[]);
    assert!(verdict.is_whole(), "{:?}", verdict.findings);
    assert_eq!(verdict.torn, 1);
    // Of another length it is another.
    log.lines[3].push('x');
    assert_eq!(told(&log.lines, &[SALT], &[]).len(), 1);
}

#[test]
fn a_device_that_was_enabled_again_has_another_key() {
    let mut log = Log::new();
    log.segment(2, 0);
    log.salt = b"second";
    log.segment(2, 0);
    assert!(verify(&log.lines, &[SALT, b"second"], &[]).is_whole());
    assert_eq!(told(&log.lines, &[SALT], &[]).len(), 3);
}

#[test]
fn findings_are_bounded() {
    let lines = vec!["x".to_owned(); 3000];
    let verdict = verify(&lines, &[], &[]);
    assert_eq!(verdict.findings.len(), FINDINGS_MAX);
    assert_eq!(verdict.further, 2000);
}
