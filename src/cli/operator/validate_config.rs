//! `operator validate-config`

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::cli::failure::{Failure, REMOTE};
use crate::cli::format::Format;
use crate::cli::session::Session;
use crate::config::sockaddr::Interface;
use crate::config::{Config, Findings, Place, advice};

/// Check a configuration, without a server
///
/// Reads files as `server` does, with the same environment, and tells everything that is wrong or
/// has no effect: where, why, and what to write. What only the machine it will run on can tell
/// (files, addresses, disks) is looked at by `operator diagnose`. Exits with 0 if all is well, 1 if
/// a server would not start with it, 2 if there are warnings.
#[derive(clap::Args)]
pub(in crate::cli) struct Args {
    /// A configuration file, or a folder of them; may be repeated. [VAULT_CONFIG_PATH]
    #[arg(long, value_name = "PATH")]
    config: Vec<PathBuf>,
    /// The same.
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
}

pub(in crate::cli) fn run(session: &mut Session<'_, '_>, args: Args) -> Result<(), Failure> {
    session.refuse_raw()?;
    let mut paths = args.config;
    paths.extend(args.paths);
    if paths.is_empty() {
        paths.extend(session.env.get("CONFIG_PATH").map(PathBuf::from));
    }
    if paths.is_empty() {
        return Err(Failure::local("must specify at least one config path using -config"));
    }
    let interfaces =
        Interface::all().map_err(|error| Failure::local(format!("network interfaces: {error}")))?;
    let env = session.env;
    let found = Config::examine(&paths, &|name| env.plain(name).map(str::to_owned), &interfaces);
    let findings = findings(&found);
    if session.format == Format::Table {
        for finding in &findings {
            session.io.print(&finding.text())?;
        }
        session.io.print(&closing(&found))?;
    } else {
        let shown: Vec<Value> = findings.iter().map(Finding::json).collect();
        let valid = found.config.is_some();
        session.print_value(&json!({ "valid": valid, "findings": shown }))?;
    }
    match (&found.config, found.warnings.is_empty()) {
        (None, _) => Err(Failure::silent(1)),
        (Some(_), false) => Err(Failure::silent(REMOTE)),
        (Some(_), true) => Ok(()),
    }
}

struct Finding<'a> {
    severity: &'static str,
    place: &'a Place,
    cause: &'a str,
    remedy: Option<String>,
}

impl Finding<'_> {
    fn text(&self) -> String {
        let mut text = format!("{}: {}: {}", self.severity, self.place, self.cause);
        if let Some(remedy) = &self.remedy {
            text.push_str(&format!("\n    {remedy}"));
        }
        text
    }

    fn json(&self) -> Value {
        json!({
            "severity": self.severity,
            "file": self.place.source(),
            "line": self.place.line_number(),
            "cause": self.cause,
            "remedy": self.remedy,
        })
    }
}

fn findings(found: &Findings) -> Vec<Finding<'_>> {
    let problems = found.problems.iter().map(|problem| ("error", &problem.place, &problem.text));
    let warnings = found.warnings.iter().map(|warning| ("warning", &warning.place, &warning.text));
    let both = problems.chain(warnings);
    both.map(|(severity, place, cause)| Finding { severity, place, cause, remedy: advice(cause) })
        .collect()
}

fn closing(found: &Findings) -> String {
    let count = |count: usize, what: &str| match count {
        1 => format!("1 {what}"),
        count => format!("{count} {what}s"),
    };
    let warnings = count(found.warnings.len(), "warning");
    match found.config {
        Some(_) => format!("The configuration is valid: {warnings}."),
        None => {
            let errors = count(found.problems.len(), "error");
            format!("A server will not start with this configuration: {errors}, {warnings}.")
        }
    }
}
