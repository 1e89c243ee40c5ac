//! `policy test`

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::cli::failure::{Failure, REMOTE};
use crate::cli::format::Format;
use crate::cli::session::Session;
use crate::clock::{Clock as _, SystemClock};
use crate::policy::{Checked, Expectations, Policy};

/// Check policy files against a table of what they should allow and refuse
#[derive(clap::Args)]
pub(in crate::cli) struct Args {
    /// Tables, and policies besides those that the tables name; a policy is called after its file.
    #[arg(required = true)]
    files: Vec<PathBuf>,
}

/// Needs no server. Exit code 2 where an expectation does not hold.
pub(in crate::cli) fn run(session: &mut Session<'_, '_>, args: &Args) -> Result<(), Failure> {
    session.refuse_raw()?;
    let (mut policies, mut tables) = (BTreeMap::new(), Vec::new());
    for file in &args.files {
        let text = read(file)?;
        match Expectations::parse(&text) {
            Ok(table) => tables.push((file, table)),
            // A policy has `path` blocks and no `test`; what is neither is told as a table.
            Err(error) => match Policy::parse(&stem(file), &text) {
                Ok(policy) if !policy.rules.is_empty() => {
                    policies.insert(policy.name.clone(), policy);
                }
                _ => return Err(Failure::local(format!("{}: {error}", file.display()))),
            },
        }
    }
    if tables.is_empty() {
        return Err(Failure::local("none of the files has a `test` block"));
    }
    let mut checked = Vec::new();
    for (file, table) in tables {
        let mut own = policies.clone();
        let folder = file.parent().unwrap_or(Path::new(""));
        for (name, path) in &table.files {
            let path = folder.join(path);
            let policy = Policy::parse(name, &read(&path)?)
                .map_err(|error| Failure::local(format!("{}: {error}", path.display())))?;
            own.insert(name.clone(), policy);
        }
        let results = table
            .check(&own, SystemClock.now())
            .map_err(|error| Failure::local(format!("{}: {error}", file.display())))?;
        checked.extend(results.into_iter().map(|result| (file.display().to_string(), result)));
    }
    report(session, &checked)
}

fn report(session: &mut Session<'_, '_>, checked: &[(String, Checked)]) -> Result<(), Failure> {
    let failed = checked.iter().filter(|(_, result)| !result.holds()).count();
    if session.format == Format::Table {
        for (file, result) in checked.iter().filter(|(_, result)| !result.holds()) {
            let wanted = if result.is_expected_allowed { "allowed" } else { "refused" };
            session.io.print(&format!(
                "FAIL  {file}:{}: {}: {} {:?} should be {wanted}: {}",
                result.line,
                result.test,
                result.operation.name(),
                result.path,
                result.reason()
            ))?;
        }
        let held = checked.len().saturating_sub(failed);
        session.io.print(&format!("{held} expectations hold, {failed} do not"))?;
    } else {
        let shown: Vec<Value> = checked.iter().map(|(file, result)| shown(file, result)).collect();
        session.print_value(&Value::Array(shown))?;
    }
    if failed > 0 { Err(Failure::silent(REMOTE)) } else { Ok(()) }
}

fn shown(file: &str, result: &Checked) -> Value {
    json!({
        "file": file,
        "line": result.line,
        "test": result.test,
        "operation": result.operation.name(),
        "path": result.path,
        "expected": if result.is_expected_allowed { "allow" } else { "deny" },
        "holds": result.holds(),
        "reason": result.reason(),
    })
}

fn read(file: &Path) -> Result<String, Failure> {
    fs::read_to_string(file)
        .map_err(|error| Failure::local(format!("Error reading {}: {error}", file.display())))
}

fn stem(file: &Path) -> String {
    file.file_stem().map(|stem| stem.to_string_lossy().to_lowercase()).unwrap_or_default()
}
