//! Throws arbitrary and mutated input at every parser that reads what strangers or operators
//! write, and checks what must hold whatever comes.
//!
//! `cargo run -p strongroom-chaos --bin fuzz -- --seconds 600 --target hcl`. A panic ends it, with
//! the seed and the input that led there.

#![expect(clippy::print_stdout, reason = "it reports to whoever runs it")]

#[path = "../random.rs"]
mod random;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use strongroom::clock::Timestamp;
use strongroom::http::probe;
use strongroom::password::PasswordPolicy;
use strongroom::policy::{Access, Acl, Expectations, Policy};
use strongroom::request::{Operation, Params};
use strongroom::rng::{Rng, SystemRng};
use strongroom::{hcl, policy};

use random::Random;

#[derive(Parser)]
#[command(about = "Throws arbitrary input at parsers")]
struct Arguments {
    /// Decides every input; a new one each run where it is not given.
    #[arg(long)]
    seed: Option<u64>,
    /// In all; shared by the targets.
    #[arg(long, default_value_t = 20)]
    seconds: u64,
    /// hcl, policy, json, path or password; all where it is not given.
    #[arg(long)]
    target: Option<String>,
}

struct Target {
    name: &'static str,
    /// What mutations begin with.
    corpus: &'static [&'static str],
    /// The problem, where something does not hold.
    check: fn(&[u8]) -> Result<(), String>,
}

const TARGETS: [Target; 5] = [
    Target { name: "hcl", corpus: HCL, check: check_hcl },
    Target { name: "policy", corpus: POLICIES, check: check_policy },
    Target { name: "json", corpus: JSON, check: check_json },
    Target { name: "path", corpus: PATHS, check: check_path },
    Target { name: "password", corpus: PASSWORDS, check: check_password },
];

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let rng: &dyn Rng = &SystemRng;
    let seed = arguments.seed.unwrap_or_else(|| u64::from(u32::from_le_bytes(rng.bytes())));
    let chosen: Vec<&Target> = TARGETS
        .iter()
        .filter(|target| arguments.target.as_deref().is_none_or(|name| name == target.name))
        .collect();
    if chosen.is_empty() {
        println!("fuzz: no such target");
        return ExitCode::FAILURE;
    }
    let share = Duration::from_secs(arguments.seconds) / u32::try_from(chosen.len()).unwrap_or(1);
    for target in chosen {
        println!("fuzz: {} --seed {seed} for {} s", target.name, share.as_secs());
        match run(target, seed, share) {
            Ok(inputs) => println!("fuzz: {}: {inputs} inputs, nothing found", target.name),
            Err(problem) => {
                println!("fuzz: {} --seed {seed}: {problem}", target.name);
                return ExitCode::FAILURE;
            }
        }
    }
    ExitCode::SUCCESS
}

#[expect(clippy::disallowed_methods, reason = "it runs for a time, and nothing depends on it")]
fn run(target: &Target, seed: u64, share: Duration) -> Result<u64, String> {
    let mut random = Random::new(seed);
    // Inputs that were taken are worth mutating further.
    let mut pool: Vec<Vec<u8>> =
        target.corpus.iter().map(|text| text.as_bytes().to_vec()).collect();
    let start = Instant::now();
    let mut inputs = 0;
    while start.elapsed() < share {
        let input = next(&mut random, &pool);
        let checked = std::panic::catch_unwind(|| (target.check)(&input));
        let shown = || {
            let text = String::from_utf8_lossy(&input);
            format!("input {inputs}: {text:?}")
        };
        match checked {
            Ok(Ok(())) => {}
            Ok(Err(problem)) => return Err(format!("{problem}: {}", shown())),
            Err(_) => return Err(format!("panicked: {}", shown())),
        }
        if inputs % 64 == 0 && input.len() < INPUT_BYTES_MAX / 4 {
            if pool.len() >= POOL_MAX {
                let at = below(&mut random, pool.len() - target.corpus.len());
                pool.swap_remove(target.corpus.len() + at);
            }
            pool.push(input);
        }
        inputs += 1;
    }
    Ok(inputs)
}

fn next(random: &mut Random, pool: &[Vec<u8>]) -> Vec<u8> {
    if random.within(0..16) == 0 {
        let length = below(random, 200);
        return (0..length).map(|_| byte(random)).collect();
    }
    let pick = |random: &mut Random| pool.get(below(random, pool.len())).cloned();
    let mut input = pick(random).unwrap_or_default();
    for _ in 0..random.within(1..6) {
        let at = below(random, input.len() + 1);
        match random.within(0..8) {
            0 => input.truncate(at),
            1 => input.insert(at, byte(random)),
            2 => drop((at < input.len()).then(|| input.remove(at))),
            3 => {
                if let Some(changed) = input.get_mut(at) {
                    *changed = byte(random);
                }
            }
            4 => {
                let other = pick(random).unwrap_or_default();
                let from = below(random, other.len() + 1);
                drop(input.splice(at.., other.into_iter().skip(from)).collect::<Vec<_>>());
            }
            5 => {
                // What nests, nested deeply.
                let token = TOKENS.get(below(random, TOKENS.len())).copied().unwrap_or_default();
                let times = [1, 2, 40, 400].get(below(random, 4)).copied().unwrap_or(1);
                let many = token.repeat(times);
                drop(input.splice(at..at, many.bytes()).collect::<Vec<_>>());
            }
            6 => {
                let end = at + below(random, input.len() - at.min(input.len()) + 1);
                let part = input.get(at..end.min(input.len())).unwrap_or_default().to_vec();
                input.extend(part);
            }
            _ => {
                if let Some(flipped) = input.get_mut(at) {
                    *flipped ^= 1 << random.within(0..8);
                }
            }
        }
    }
    input.truncate(INPUT_BYTES_MAX);
    input
}

fn below(random: &mut Random, bound: usize) -> usize {
    let bound = u64::try_from(bound).unwrap_or(u64::MAX);
    usize::try_from(random.within(0..bound)).unwrap_or_default()
}

fn byte(random: &mut Random) -> u8 {
    u8::try_from(random.within(0..256)).unwrap_or_default()
}

/// What was read can be printed, and what is printed reads the same.
fn check_hcl(input: &[u8]) -> Result<(), String> {
    let text = String::from_utf8_lossy(input);
    let Ok(body) = hcl::parse(&text) else { return Ok(()) };
    let printed = match hcl::print(&body) {
        Ok(printed) => printed,
        // Only JSON has a word that HCL lacks.
        Err(_) if hcl::is_json(&text) => return Ok(()),
        Err(error) => return Err(format!("{error} when printed")),
    };
    let again = hcl::parse(&printed).map_err(|error| format!("{error} in its print"))?;
    let printed_again =
        hcl::print(&again).map_err(|error| format!("{error} when printed again"))?;
    if hcl::is_json(&text) || printed == printed_again {
        return Ok(());
    }
    Err(format!("printed twice it differs: {printed:?} and {printed_again:?}"))
}

/// A policy that parses compiles, and denies what it does not name.
fn check_policy(input: &[u8]) -> Result<(), String> {
    let text = String::from_utf8_lossy(input);
    // Neither may panic; what they answer is tested elsewhere.
    drop(Expectations::parse(&text));
    drop(policy::format(&text));
    let Ok(parsed) = Policy::parse("p", &text) else { return Ok(()) };
    let acl = Acl::compile([&parsed], None, Timestamp::ZERO);
    for path in ["secret/data/a", "a", "", "+/b/", "é/ü"] {
        let verdict = acl.check(Operation::Read, path, &Params::new(), None, Access::Ordinary);
        let named = parsed.rules.iter().any(|rules| {
            let capabilities = rules.permissions.capabilities;
            capabilities.names().contains(&"read")
        });
        if verdict.is_allowed() && !named {
            return Err(format!("{path:?} is allowed, and no rule grants `read`"));
        }
        acl.capabilities(path);
        acl.preflight(path);
    }
    acl.resultant();
    Ok(())
}

/// What is taken as JSON is taken by a plain parser too, and the other way round within limits.
fn check_json(input: &[u8]) -> Result<(), String> {
    let ours = probe::parameters(input);
    let plain = serde_json::from_slice::<serde_json::Value>(input);
    match (ours, plain) {
        (Ok(params), Ok(serde_json::Value::Object(object))) if params == object => Ok(()),
        (Ok(params), Ok(serde_json::Value::Null)) if params.is_empty() => Ok(()),
        (Ok(_), Ok(_)) => Err("read as something else".into()),
        // A plain parser stops at 128 levels.
        (Ok(_), Err(error)) if error.to_string().contains("recursion") => Ok(()),
        (Ok(_), Err(error)) => Err(format!("taken, and yet {error}")),
        (Err(_), _) => Ok(()),
    }
}

/// What reaches policies has no segment that could leave its mount.
fn check_path(input: &[u8]) -> Result<(), String> {
    let text = String::from_utf8_lossy(input);
    let Some(path) = probe::api_path(&text) else { return Ok(()) };
    if path.split('/').any(|segment| segment == "." || segment == "..") {
        return Err(format!("{path:?} has dotted segments"));
    }
    if path.starts_with('/') || path.contains("//") || path.chars().any(char::is_control) {
        return Err(format!("{path:?} is not clean"));
    }
    Ok(())
}

/// Whatever policy is taken makes passwords.
fn check_password(input: &[u8]) -> Result<(), String> {
    let text = String::from_utf8_lossy(input);
    let Ok(parsed) = PasswordPolicy::parse(&text) else { return Ok(()) };
    let length = parsed.generate(&SystemRng).expose().chars().count();
    if (4..=100).contains(&length) { Ok(()) } else { Err(format!("a password of {length}")) }
}

const INPUT_BYTES_MAX: usize = 16 * 1024;

const POOL_MAX: usize = 512;

const TOKENS: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    "\"",
    "\\",
    "/",
    "..",
    "%2e",
    "%2F",
    "//",
    "/v1/",
    "=",
    ",",
    "{{",
    "}}",
    "<<A\n",
    "\nA\n",
    "#",
    "/*",
    "*/",
    "path \"",
    "rule \"charset\" {",
    "capabilities",
    "null",
    "\u{0}",
    "\u{feff}",
    "é",
    "\\u0000",
    "1e999",
    "-",
    "+",
    "*",
    "${",
];

const HCL: &[&str] = &[
    "a = 1\nb \"c\" \"d\" { e = [1, \"x\", true], f = { g = 1.5 } } # end\n",
    "/* a */ a = <<EOF\ntext ${x}\nEOF\nb = <<-EOF\n  in\n  EOF\n// c\n",
    "{\"a\": {\"b\": [1, {\"c\": null}]}, \"d\": \"\\u00e9\\n\"}",
    "storage \"raft\" { path = \"/x\" retry_join { leader_api_addr = \"https://a:8200\" } }",
];

const POLICIES: &[&str] = &[
    "path \"secret/data/*\" { capabilities = [\"read\", \"list\"] }\n\
     path \"+/b/\" { capabilities = [\"deny\"] }",
    "path \"a\" { allowed_parameters = { \"x\" = [], y = [1, \"z*\"] } denied_parameters = { \"*\" = [] }\n\
     required_parameters = [\"x\"] min_wrapping_ttl = \"1s\" max_wrapping_ttl = 90 }",
    "{\"path\": {\"a/*\": {\"capabilities\": [\"sudo\", \"read\"]}}}",
    "path \"{{identity.entity.id}}/x\" { policy = \"write\" }",
    "cGF0aCAiYSIgeyBjYXBhYmlsaXRpZXMgPSBbInJlYWQiXSB9",
    "policy \"a\" { file = \"a.hcl\" }\ntest \"b\" { policies = [\"a\"] path = \"x\" allow = [\"read\"] }",
];

const JSON: &[&str] = &[
    "{\"a\": [1, -2.5e3, \"x\\u00e9\\ud83d\\ude00\", null, true], \"b\": {\"c\": {}}}",
    "null",
    "{\"a\": 123456789012345678901234567890}",
    "[1]",
];

const PATHS: &[&str] = &[
    "/v1/secret/data/a%2Fb",
    "/v1/secret//data/../x",
    "/v1/secret/%2e%2e/sys/mounts",
    "/v1/a%20b/%C3%A9/",
    "/ui/",
];

const PASSWORDS: &[&str] = &[
    "length = 20\nrule \"charset\" { charset = \"abcdef\" min-chars = 2 }",
    "{\"length\": 8, \"rule\": [{\"charset\": {\"charset\": \"0123\"}}]}",
    "bGVuZ3RoPTIwCnJ1bGUgImNoYXJzZXQiIHsgY2hhcnNldD0iYWJjZGVmIiB9",
];
