//! Runs a cluster of real processes, kills them under writes, and checks what is left.
//!
//! `cargo run -p strongroom-chaos -- --kills 10`. The program under test is `$STRONGROOM_BIN`, or
//! `strongroom` beside this one.

#![expect(clippy::print_stdout, reason = "it reports to whoever runs it")]
#![expect(
    clippy::indexing_slicing,
    reason = "only JSON is indexed: a field that is missing is null"
)]

mod canary;
mod checker;
mod cluster;
mod nemesis;
mod node;
mod random;
mod workload;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use strongroom::rng::{Rng, SystemRng};

use canary::Canary;
use checker::{no_plaintext, versions};
use cluster::Cluster;
use nemesis::{Effect, Fault};
use random::Random;
use workload::{Outcome, Workload, Write};

#[derive(Parser)]
#[command(about = "Kills nodes of a cluster under writes, and checks that nothing was lost")]
struct Arguments {
    /// Decides which nodes are killed, and when; a new one each run where it is not given.
    #[arg(long)]
    seed: Option<u64>,
    /// How many times nodes are killed.
    #[arg(long, default_value_t = 50)]
    kills: u64,
    /// Where the time was over after fewer faults than this, too little was tried: the run fails.
    #[arg(long, default_value_t = 1)]
    kills_min: usize,
    /// These faults, in turn; a mixture of all where none is named.
    #[arg(long, value_delimiter = ',', value_enum)]
    faults: Vec<Fault>,
    /// Writers that all write one path.
    #[arg(long, default_value_t = workload::ONE_PATH_WRITERS)]
    writers: usize,
    /// No further kill after this time.
    #[arg(long, default_value_t = 600)]
    seconds: u64,
    /// Keeps the nodes' folders, also where all is well.
    #[arg(long)]
    keep: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let rng: &dyn Rng = &SystemRng;
    let seed = arguments.seed.unwrap_or_else(|| u64::from(u32::from_le_bytes(rng.bytes())));
    println!("chaos: --seed {seed} --kills {} --seconds {}", arguments.kills, arguments.seconds);
    let (program, folder) =
        match (program(), tempfile::Builder::new().prefix("strongroom-chaos-").tempdir()) {
            (Ok(program), Ok(folder)) => (program, folder),
            (Err(error), _) => return failed(&error),
            (_, Err(error)) => return failed(&error.to_string()),
        };
    let mut cluster = match Cluster::new(&program, folder.path()) {
        Ok(cluster) => cluster,
        Err(error) => return failed(&error),
    };
    let result = run(&arguments, seed, &mut cluster, folder.path()).await;
    cluster.kill_all().await;
    let problems = result.unwrap_or_else(|error| vec![error]);
    if !problems.is_empty() {
        for node in &cluster.nodes {
            println!("--- the end of the log of {}\n{}", node.name, node.end_of_log());
        }
    }
    if arguments.keep || !problems.is_empty() {
        println!("kept: {}", folder.keep().display());
    }
    for problem in problems.iter().take(PROBLEMS_SHOWN) {
        println!("problem: {problem}");
    }
    if problems.is_empty() {
        println!("chaos: ok");
        return ExitCode::SUCCESS;
    }
    let count = problems.len();
    println!("chaos: {count} problems; again with --seed {seed} --kills {}", arguments.kills);
    ExitCode::FAILURE
}

fn too_few(faults: usize, min: usize) -> Option<String> {
    (faults < min).then(|| format!("{faults} faults, not {min}, in the time that there was"))
}

fn failed(error: &str) -> ExitCode {
    println!("chaos: {error}");
    ExitCode::FAILURE
}

fn program() -> Result<PathBuf, String> {
    if let Some(program) = std::env::var_os("STRONGROOM_BIN") {
        return Ok(program.into());
    }
    let own = std::env::current_exe().map_err(|error| error.to_string())?;
    let beside = own.with_file_name("strongroom");
    if beside.is_file() {
        return Ok(beside);
    }
    Err(format!("{} is missing: cargo build --bin strongroom", beside.display()))
}

/// Answers what was wrong with the nodes; an error where the run could not go on.
async fn run(
    arguments: &Arguments,
    seed: u64,
    cluster: &mut Cluster,
    folder: &Path,
) -> Result<Vec<String>, String> {
    let mut random = Random::new(seed);
    let canary = Canary::new(random.next());
    cluster.start().await?;
    let texts = canary.prepare(cluster).await?;
    let workload = Workload::new(cluster, canary.clone())?;
    println!("{:7.1?} three nodes are up; writers start", workload.now());
    let writers = workload.run(arguments.writers);
    let time = Duration::from_secs(arguments.seconds);
    let told = |number: u64, effect: &Effect| {
        println!(
            "{:7.1?} {:3} {}: outage {:.0?}, healed after {:.1?}",
            workload.now(),
            number + 1,
            effect.fault,
            effect.outage,
            effect.healed
        );
    };
    let effects = nemesis::run(
        cluster,
        &workload,
        &mut random,
        (arguments.kills, &arguments.faults),
        time,
        told,
    )
    .await;
    workload.stop(writers).await?;
    let (writes, mut problems) = workload.seen(|seen| (seen.writes.clone(), seen.findings.clone()));
    summary(&workload, &writes, effects.as_deref().unwrap_or_default());
    match effects {
        Ok(effects) => problems.extend(too_few(effects.len(), arguments.kills_min)),
        Err(error) => {
            problems.push(error);
            return Ok(problems);
        }
    }
    problems.extend(versions::check(cluster, &canary, &writes).await?);
    // Once more from another node's own data.
    let next = cluster.change_leader().await?;
    problems.extend(versions::check(cluster, &canary, &writes).await?);
    println!("{:7.1?} all read twice, the second time from {}", workload.now(), next.name);
    cluster.kill_all().await;
    let searched = no_plaintext::search(folder, &texts)?;
    println!("{} files of {} bytes searched", searched.files, searched.bytes);
    problems.extend(searched.problems);
    Ok(problems)
}

fn summary(workload: &Workload, writes: &[Write], effects: &[Effect]) {
    let count =
        |wanted: fn(&Outcome) -> bool| writes.iter().filter(|write| wanted(&write.outcome)).count();
    println!(
        "{} writes: {} acknowledged, {} unknown, {} refused",
        writes.len(),
        count(|outcome| matches!(outcome, Outcome::Acknowledged(_))),
        count(|outcome| *outcome == Outcome::Unknown),
        count(|outcome| *outcome == Outcome::Refused),
    );
    workload.seen(|seen| {
        for (kind, count) in &seen.errors {
            println!("  {count} x {kind}");
        }
        println!("slowest acknowledged write at a node without a fault: {:.1?}", seen.slowest);
    });
    let mut outages: BTreeMap<Fault, Vec<Duration>> = BTreeMap::new();
    for effect in effects {
        outages.entry(effect.fault).or_default().push(effect.outage);
    }
    for (fault, mut outages) in outages {
        outages.sort();
        let middle = outages.get(outages.len() / 2).copied().unwrap_or_default();
        let longest = outages.last().copied().unwrap_or_default();
        let times = outages.len();
        println!(
            "{fault}: {times} times, outage {middle:.0?} in the middle, {longest:.0?} at most"
        );
    }
}

const PROBLEMS_SHOWN: usize = 50;

#[cfg(test)]
mod tests;
