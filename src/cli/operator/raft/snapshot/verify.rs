//! `operator raft snapshot verify`

use std::path::PathBuf;

use serde_json::{Map, Value, json};

use super::archive::{State, bad};
use crate::backup::{self, Checked};
use crate::cli::failure::Failure;
use crate::cli::session::Session;
use crate::seal::{Share, try_open};

/// Check every record of a snapshot
///
/// Reads all of the archive: its checksums, the form of each record, and whether directories have
/// as many records as they count. With -deep each record is decrypted as well, which takes a
/// threshold of the unseal keys of the time when the snapshot was saved. Needs no server; nothing
/// leaves this machine. The state is unpacked to the folder in TMPDIR, encrypted as it is.
#[derive(clap::Args)]
pub(in crate::cli) struct Args {
    file: PathBuf,
    /// Decrypt every record too.
    #[arg(long)]
    deep: bool,
    /// An unseal key, for -deep; may be repeated. Without it each is asked for. An argument is
    /// seen by other users of this machine, and kept by the shell.
    #[arg(long = "key", value_name = "KEY")]
    keys: Vec<String>,
}

pub(in crate::cli) fn run(session: &mut Session<'_, '_>, args: &Args) -> Result<(), Failure> {
    if !args.deep && !args.keys.is_empty() {
        return Err(Failure::local("-key is of use with -deep only"));
    }
    let state = State::of(&args.file)?;
    let damaged = |error: backup::Error| bad(&args.file, &error);
    let checked = backup::walk(state.file()).map_err(damaged)?;
    let kinds = checked.kinds;
    let mut rows = vec![
        ("Index", json!(state.unpacked.meta.index)),
        ("Records", json!(kinds.records)),
        ("Directories", json!(kinds.directories)),
        ("System Records", json!(kinds.system)),
        ("Remembered Requests", json!(kinds.requests)),
        ("Value Bytes", json!(kinds.value_bytes)),
    ];
    if let Some(seal) = &checked.seal {
        rows.push(("Key Shares", json!(seal.shares())));
        rows.push(("Key Threshold", json!(seal.threshold())));
    }
    report(session, &checked.problems, checked.problems_total)?;
    if args.deep {
        let opened = deep(session, args, &state, &checked)?;
        rows.push(("Opened Records", json!(opened.records)));
        rows.push(("Secrets Mounts", json!(opened.secrets_mounts)));
        rows.push(("Auth Mounts", json!(opened.auth_mounts)));
        report(session, &opened.problems, opened.problems_total)?;
    }
    let shown: Vec<_> =
        rows.iter().map(|(name, value)| ((*name).into(), value.to_string())).collect();
    let map: Map<String, Value> =
        rows.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    session.print_map(&map, &shown)?;
    session.io.warn("Success! The snapshot is whole.");
    Ok(())
}

fn report(session: &mut Session<'_, '_>, problems: &[String], total: u64) -> Result<(), Failure> {
    for problem in problems {
        session.io.warn(&format!("* {problem}"));
    }
    match total {
        0 => Ok(()),
        1 => Err(Failure::local("The snapshot has 1 error, above")),
        total => Err(Failure::local(format!(
            "The snapshot has {total} errors, the first of which are above"
        ))),
    }
}

fn deep(
    session: &mut Session<'_, '_>,
    args: &Args,
    state: &State,
    checked: &Checked,
) -> Result<backup::Opened, Failure> {
    let (Some(seal), Some(record)) = (&checked.seal, &checked.keyring) else {
        return Err(Failure::local("The snapshot has no keyring to open"));
    };
    let mut shares = Vec::new();
    let wrong = |error: &dyn std::fmt::Display| Failure::local(format!("Error: {error}"));
    for number in 1..=seal.threshold() {
        let given = args.keys.get(usize::from(number) - 1);
        let label = format!("Unseal Key {number} of {}", seal.threshold());
        let instead = "operator raft snapshot verify -deep -key=KEY";
        let share = match given {
            Some(key) => Share::parse(key.trim()),
            None if session.global.non_interactive || !args.keys.is_empty() => {
                let threshold = seal.threshold();
                let text = format!("{threshold} unseal keys are needed: give -key so often");
                return Err(Failure::local(text));
            }
            None => Share::parse(session.io.prompt_hidden(&label, instead)?.expose().trim()),
        };
        shares.push(share.map_err(|error| wrong(&error))?);
    }
    let keyring = try_open(record, &shares).map_err(|error| wrong(&error))?;
    backup::deep(state.file(), &state.unpacked, &keyring).map_err(|error| bad(&args.file, &error))
}
