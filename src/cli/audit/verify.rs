//! `audit verify`

use std::path::PathBuf;

use serde_json::{Value, json};

use super::lines;
use crate::audit_log::{ChainKey, Head, Verdict, Verifier};
use crate::cli::failure::{Failure, REMOTE};
use crate::cli::format::Format;
use crate::cli::session::Session;

/// Check that an audit log is whole
///
/// Finds records that were changed, removed, moved or inserted, and tells where. Give the files of
/// one device on one node, the oldest first; `-` reads standard input. Without a key it finds what
/// was changed by hand; with one also what was computed anew by whoever could write the file. That
/// the end was cut off is found by a head that was remembered earlier. Key and head are what
/// `read sys/audit-chain/PATH` shows. Exits with 2 where the log is not whole.
#[derive(clap::Args)]
pub(in crate::cli) struct Args {
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// A key of the device: 64 hexadecimal digits, or @ and a file with them. Repeatable, because
    /// a device that was disabled and enabled again has another.
    #[arg(long, value_name = "KEY", action = clap::ArgAction::Append)]
    key: Vec<String>,
    /// A remembered head, as segment:number:hash. Repeatable.
    #[arg(long, value_name = "HEAD", action = clap::ArgAction::Append)]
    head: Vec<String>,
}

pub(in crate::cli) fn run(session: &mut Session<'_, '_>, args: &Args) -> Result<(), Failure> {
    session.refuse_raw()?;
    let mut keys = Vec::new();
    for key in &args.key {
        let text = match key.strip_prefix('@') {
            Some(path) => std::fs::read_to_string(path)
                .map_err(|error| Failure::local(format!("Error reading {path}: {error}")))?,
            None => key.clone(),
        };
        keys.push(text.parse::<ChainKey>().map_err(Failure::local)?);
    }
    let heads = args.head.iter().map(|head| head.parse::<Head>().map_err(Failure::local));
    let mut verifier = Verifier::new(keys, heads.collect::<Result<_, _>>()?);
    lines::each(&args.files, session.io, |file, number, line| verifier.line(file, number, line))?;
    let verdict = verifier.end();
    let is_whole = verdict.is_whole();
    match session.format {
        Format::Table => print(session, &verdict, !args.key.is_empty())?,
        _ => session.print_value(&value(&verdict))?,
    }
    if is_whole { Ok(()) } else { Err(Failure::silent(REMOTE)) }
}

fn print(session: &mut Session<'_, '_>, verdict: &Verdict, by_key: bool) -> Result<(), Failure> {
    let Verdict { records, segments, torn, first, last, findings, further } = verdict;
    for finding in findings {
        session.io.print(&finding.to_string())?;
    }
    if *further > 0 {
        session.io.print(&format!("and {further} more"))?;
    }
    let checked = if by_key { "hashes and key" } else { "hashes alone: give a -key" };
    session.io.print(&format!("{records} records in {segments} segments ({checked})"))?;
    if *torn > 0 {
        session.io.print(&format!("{torn} lines were cut off by a crash, and are told of"))?;
    }
    if let (Some(first), Some(last)) = (first, last) {
        if first.number > 1 {
            let number = first.number;
            session.io.print(&format!("begins at record {number} of its segment"))?;
        }
        session.io.print(&format!("head {last}"))?;
    }
    let text = match (findings.is_empty(), records) {
        (true, 0) => "There are no records.",
        (true, _) => "The log is whole.",
        (false, _) => "The log is NOT whole.",
    };
    session.io.print(text)
}

fn value(verdict: &Verdict) -> Value {
    let findings: Vec<Value> = verdict
        .findings
        .iter()
        .map(|finding| {
            json!({
                "file": finding.place.as_ref().map(|place| &place.file),
                "line": finding.place.as_ref().map(|place| place.line),
                "what": finding.what.to_string(),
            })
        })
        .collect();
    json!({
        "whole": verdict.is_whole(),
        "records": verdict.records,
        "segments": verdict.segments,
        "torn": verdict.torn,
        "first": verdict.first.as_ref().map(ToString::to_string),
        "head": verdict.last.as_ref().map(ToString::to_string),
        "findings": findings,
        "further_findings": verdict.further,
    })
}
