//! `audit report`

use std::path::PathBuf;

use super::lines;
use crate::audit_log::{Filter, Kind, Report};
use crate::cli::failure::Failure;
use crate::cli::format::Format;
use crate::cli::session::Session;
use crate::cli::table;
use crate::clock::{Clock as _, SystemClock, Timestamp};
use crate::duration::SignedDuration;

/// Tell who asked for what, when, and which policy allowed it
///
/// Reads audit logs in JSON; give those of one device, so that no request is told twice. `-`
/// reads standard input. `-format` is table, json, csv or html: one page that needs no network.
#[derive(clap::Args)]
pub(in crate::cli) struct Args {
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// From then on: RFC 3339, or a duration such as 24h, counted back from now.
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Until then, likewise.
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// A path, and all below it; each * is any text.
    #[arg(long, value_name = "PATH")]
    path: Option<String>,
    /// An entity's id, a display name, or an accessor as the log shows it.
    #[arg(long, value_name = "WHO")]
    entity: Option<String>,
    /// Only secret, login, token, policy, auth, mount, key, audit or system.
    #[arg(long, value_name = "KIND")]
    kind: Option<String>,
}

pub(in crate::cli) fn run(session: &mut Session<'_, '_>, args: &Args) -> Result<(), Failure> {
    let now = SystemClock.now();
    let kind = match args.kind.as_deref() {
        None => None,
        Some(name) => Some(Kind::parse(name).ok_or_else(|| {
            let names = Kind::ALL.map(Kind::name).join(", ");
            Failure::local(format!("Invalid kind {name:?}: {names}"))
        })?),
    };
    let mut report = Report::new(Filter {
        since: args.since.as_deref().map(|text| time(text, now)).transpose()?,
        until: args.until.as_deref().map(|text| time(text, now)).transpose()?,
        path: args.path.clone(),
        entity: args.entity.clone(),
        kind,
    });
    lines::each(&args.files, session.io, |_, _, line| report.line(line))?;
    let text = match session.format {
        Format::Csv => report.csv(),
        Format::Html => report.html(&now.rfc3339()),
        Format::Json => report.json().map_err(|error| Failure::local(error.to_string()))?,
        Format::Table => table::with_header(&report.table()),
        Format::Pretty | Format::Raw | Format::Yaml => {
            return Err(Failure::local("The report's -format is table, json, csv or html."));
        }
    };
    session.io.print(text.trim_end())?;
    if report.left_out > 0 {
        let left_out = report.left_out;
        session.io.warn(&format!("{left_out} further requests are not shown: choose -since."));
    }
    Ok(())
}

fn time(text: &str, now: Timestamp) -> Result<Timestamp, Failure> {
    let back = || SignedDuration::parse(text).ok().and_then(SignedDuration::unsigned);
    let past = |length: std::time::Duration| {
        Timestamp(now.0.saturating_sub(u64::try_from(length.as_millis()).unwrap_or(now.0)))
    };
    Timestamp::parse_rfc3339(text).or_else(|| back().map(past)).ok_or_else(|| {
        Failure::local(format!(
            "Invalid time {text:?}: 2026-11-24T07:51:00Z, or a duration such as 24h"
        ))
    })
}
