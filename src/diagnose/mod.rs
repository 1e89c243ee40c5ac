//! `operator diagnose`: why a server does not start on this machine, or will not do well.
//!
//! **Invariant:** nothing is changed. Files are read; the disk's speed is measured with a file that
//! has no name; an address is bound for a moment and let go; what a running server has locked is
//! seen in `/proc/locks`.

mod addresses;
mod certificates;
mod check;
mod disk;
mod host;
mod network;
mod seals;
mod storage;

use std::path::PathBuf;

use check::{Check, Status};

use crate::cli::diagnose::Args;
use crate::cli::env::Env;
use crate::cli::failure::Failure;
use crate::cli::io::Io;
use crate::clock::{Clock as _, SystemClock};
use crate::config::sockaddr::Interface;
use crate::config::{Config, Findings, Storage, advice};
use crate::server::plain;

/// # Errors
/// With exit code 1 where a check has failed, 2 where one warns.
pub fn run(args: &Args, env: &Env, io: &mut Io<'_>) -> Result<(), Failure> {
    let mut paths = args.config.clone();
    if paths.is_empty() {
        paths.extend(env.get("CONFIG_PATH").map(PathBuf::from));
    }
    if paths.is_empty() {
        return Err(Failure::local("must specify at least one config path using -config"));
    }
    let interfaces =
        Interface::all().map_err(|error| Failure::local(format!("network interfaces: {error}")))?;
    let variable = |name: &str| env.plain(name).map(str::to_owned);
    let found = Config::examine(&paths, &variable, &interfaces);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let whole = runtime.block_on(look(args, found, &variable));
    if args.is_json {
        let time = SystemClock.now().rfc3339();
        let text = serde_json::to_string_pretty(&whole.json(&time));
        io.print(&text.map_err(|error| Failure::local(error.to_string()))?)?;
    } else {
        let colours = io.is_output_terminal && env.plain("NO_COLOR").is_none();
        io.print(&format!("Strongroom v{}\n\nResults:", env!("CARGO_PKG_VERSION")))?;
        io.print(whole.text(colours).trim_end())?;
    }
    match whole.status() {
        Status::Fail => Err(Failure::silent(1)),
        Status::Warn => Err(Failure::silent(2)),
        Status::Ok | Status::Skipped => Ok(()),
    }
}

async fn look(args: &Args, found: Findings, env: crate::config::env::Env<'_>) -> Check {
    let skips = |name: &str| args.skip.iter().any(|skipped| skipped == name);
    let parsed = parsed(&found);
    let Some(mut config) = found.config else {
        let others = ["Check Operating System", "Check Storage", "Check Seals", "Check Addresses"]
            .map(|name| Check::skipped(name, "The configuration cannot be used."));
        return Check::group("Strongroom Diagnose", std::iter::once(parsed).chain(others));
    };
    let holder = match &config.settings.storage {
        Storage::Raft(raft) => storage::holder(&raft.path),
        Storage::Inmem(_) => None,
    };
    let mut checks = vec![host::look(&config), parsed];
    checks.push(match skips("storage") {
        true => Check::skipped("Check Storage", "-skip=storage"),
        false => storage::look(&config, holder),
    });
    checks.push(seals::look(&mut config, env, skips("autounseal")).await);
    checks.push(addresses::look(&config));
    checks.push(match skips("listener") {
        true => Check::skipped("Check Listeners", "-skip=listener"),
        false => certificates::look(&config, holder),
    });
    checks.push(host::files(&config));
    checks.push(match skips("network") {
        true => Check::skipped("Check Other Nodes", "-skip=network"),
        false => network::look(&config).await,
    });
    Check::group("Strongroom Diagnose", checks)
}

fn parsed(found: &Findings) -> Check {
    const NAME: &str = "Parse Configuration";
    let problems = found.problems.iter().map(|problem| {
        let advice = advice(&problem.text).unwrap_or_else(|| "Correct that line.".into());
        Check::fail(&problem.place.to_string(), &problem.text, &advice)
    });
    let warnings = found.warnings.iter().map(|warning| {
        let advice = advice(&warning.text).unwrap_or_default();
        Check::warn(&warning.place.to_string(), &warning.text, &advice)
    });
    let all: Vec<Check> = problems.chain(warnings).collect();
    match all.is_empty() {
        true => Check::ok(NAME, ""),
        false => Check::group(NAME, all),
    }
}

/// What the system says, in words.
fn words(error: impl Into<std::io::Error>) -> String {
    plain(&error.into())
}
