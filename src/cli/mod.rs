//! The command line: Vault's commands, flags, output and exit codes, over HTTP alone.
//!
//! A command is a file: its arguments, whose doc comments are its help, and its `run`.

mod args;
mod data;
pub mod diagnose;
pub mod env;
pub mod failure;
mod format;
mod global;
mod go_text;
pub mod io;
mod prompt;
pub mod server;
mod session;
mod table;
mod token_helper;
mod yaml;

mod audit;
mod auth;
mod cluster;
mod completion;
mod debug;
mod delete;
mod explain;
mod kv;
mod lease;
mod list;
mod login;
mod man;
mod monitor;
mod mount;
mod namespace;
mod oidc;
mod operator;
mod patch;
mod path_help;
mod plugin;
mod policy;
mod print;
mod read;
mod secrets;
mod status;
mod token;
mod unwrap;
mod version;
mod write;

use std::path::Path;

use clap::error::ErrorKind;
use clap::{CommandFactory as _, FromArgMatches as _};

use env::Env;
use failure::{Failure, Hint, LOCAL, UNKNOWN_COMMAND};
use global::GlobalFlags;
use io::Io;
use session::Session;

/// Runs one command and answers the process's exit code.
///
/// `arguments` start with the program's name. `local` does what needs more than HTTP.
pub fn run(
    arguments: Vec<String>,
    env: &Env,
    io: &mut Io<'_>,
    local: impl FnOnce(Local, &mut Io<'_>) -> Result<(), Failure>,
) -> u8 {
    let program = program_name(&arguments);
    if let Some(line) = completion::asked(env) {
        let root = args::with_go_flags(CommandLine::command());
        for candidate in completion::candidates(&line, &root, env) {
            // Whoever asked may have gone on typing.
            drop(io.print(&candidate));
        }
        drop(io.output.flush());
        return 0;
    }
    let result = parse(arguments, &program, env, io).and_then(|parsed| match parsed {
        Some(parsed) => dispatch(parsed, &program, env, io, local),
        None => Ok(()),
    });
    let flushed = io.output.flush().map_err(Failure::from);
    match result.and(flushed) {
        Ok(()) => 0,
        Err(failure) => {
            report(&failure, &program, io);
            failure.exit
        }
    }
}

/// What this module cannot do, because it talks to servers over HTTP alone.
pub enum Local {
    /// Run a server.
    Server(server::Args),
    /// Look at the machine that one is to run on.
    Diagnose(diagnose::Args),
}

#[derive(clap::Parser)]
#[command(disable_help_subcommand = true, disable_version_flag = true)]
#[command(about = "Reads and writes secrets, and runs the server that keeps them.")]
struct CommandLine {
    #[command(flatten)]
    global: GlobalFlags,
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    Read(read::Args),
    Write(write::Args),
    Delete(delete::Args),
    List(list::Args),
    Patch(patch::Args),
    Unwrap(unwrap::Args),
    Login(login::Args),
    Server(server::Args),
    Status(status::Args),
    #[command(subcommand)]
    Audit(audit::Command),
    #[command(subcommand)]
    Auth(auth::Command),
    Completion(completion::Args),
    Debug(debug::Args),
    #[command(subcommand)]
    Kv(kv::Command),
    #[command(subcommand)]
    Lease(lease::Command),
    #[command(subcommand)]
    Operator(operator::Command),
    Explain(explain::Args),
    Man(man::Args),
    Monitor(monitor::Args),
    #[command(subcommand)]
    Namespace(namespace::Command),
    PathHelp(path_help::Args),
    #[command(subcommand)]
    Plugin(plugin::Command),
    #[command(subcommand)]
    Policy(policy::Command),
    #[command(subcommand)]
    Print(print::Command),
    #[command(subcommand)]
    Secrets(secrets::Command),
    #[command(subcommand)]
    Token(token::Command),
    Version(version::Args),
    VersionHistory(version::HistoryArgs),
}

fn program_name(arguments: &[String]) -> String {
    arguments
        .first()
        .and_then(|path| Path::new(path).file_name())
        .map_or_else(|| "strongroom".into(), |name| name.to_string_lossy().into_owned())
}

/// `None` where help or the version was asked for, and shown.
fn parse(
    arguments: Vec<String>,
    program: &str,
    env: &Env,
    io: &mut Io<'_>,
) -> Result<Option<CommandLine>, Failure> {
    let mut arguments = args::with_double_dashes(arguments);
    match arguments.get(1).map(String::as_str) {
        Some("--autocomplete-install") => {
            return completion::install(env, program, io).map(|()| None);
        }
        Some("--autocomplete-uninstall") => {
            return completion::uninstall(env, program, io).map(|()| None);
        }
        _ => {}
    }
    if matches!(arguments.get(1).map(String::as_str), Some("--v" | "--version")) {
        io.print(&version::line())?;
        return Ok(None);
    }
    for argument in &mut arguments {
        if argument == "--h" {
            *argument = "-h".into();
        }
    }
    let command = args::with_go_flags(CommandLine::command());
    let is_known = |name: &str| command.find_subcommand(name).is_some();
    let first = arguments.iter().skip(1).find(|argument| !argument.starts_with('-'));
    let exit = match first {
        Some(name) if is_known(name) => LOCAL,
        _ => UNKNOWN_COMMAND,
    };
    let matches = command.bin_name(program).try_get_matches_from(arguments);
    match matches.and_then(|matches| CommandLine::from_arg_matches(&matches)) {
        Ok(parsed) => Ok(Some(parsed)),
        Err(error) if error.kind() == ErrorKind::DisplayHelp => {
            io.print(args::with_single_dashes(&error.to_string()).trim_end())?;
            Ok(None)
        }
        Err(error) => {
            let text = args::with_single_dashes(&error.to_string());
            Err(Failure::local(text.trim_start_matches("error: ").trim_end()).exit(exit))
        }
    }
}

fn dispatch(
    line: CommandLine,
    program: &str,
    env: &Env,
    io: &mut Io<'_>,
    local: impl FnOnce(Local, &mut Io<'_>) -> Result<(), Failure>,
) -> Result<(), Failure> {
    match line.command {
        Command::Server(args) => return local(Local::Server(args), io),
        Command::Operator(operator::Command::Diagnose(mut args)) => {
            args.is_json = diagnose::is_json(line.global.format(env)?)?;
            return local(Local::Diagnose(args), io);
        }
        _ => {}
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let is_curl = line.global.output_curl_string;
    let result = Session::new(io, env, &line.global, program)
        .and_then(|mut session| runtime.block_on(run_command(line.command, &mut session)));
    match result {
        Err(Failure { outline: Some(outline), .. }) if is_curl => {
            io.print(&print::curl(&outline, program))
        }
        Err(Failure { outline: Some(outline), .. }) => io.print(&print::policy(&outline)),
        result => result,
    }
}

async fn run_command(command: Command, session: &mut Session<'_, '_>) -> Result<(), Failure> {
    let is_report = matches!(command, Command::Audit(audit::Command::Report(_)));
    if session.format.is_of_reports() && !is_report {
        return Err(Failure::local("-format=csv and -format=html are for `audit report` alone."));
    }
    match command {
        Command::Read(args) => read::run(session, &args).await,
        Command::Write(args) => write::run(session, &args).await,
        Command::Delete(args) => delete::run(session, &args).await,
        Command::List(args) => list::run(session, &args).await,
        Command::Patch(args) => patch::run(session, &args).await,
        Command::Unwrap(args) => unwrap::run(session, &args).await,
        Command::Login(args) => login::run(session, &args).await,
        // `dispatch` has handed it over.
        Command::Server(_) => Ok(()),
        Command::Status(args) => status::run(session, &args).await,
        Command::Audit(command) => audit::run(session, command).await,
        Command::Auth(command) => auth::run(session, command).await,
        Command::Completion(args) => completion::run(session, &args),
        Command::Debug(args) => debug::run(session, &args).await,
        Command::Kv(command) => kv::run(session, command).await,
        Command::Lease(command) => lease::run(session, command).await,
        Command::Operator(command) => operator::run(session, command).await,
        Command::Explain(args) => explain::run(session, &args).await,
        Command::Man(args) => {
            let root = args::with_go_flags(CommandLine::command().name("strongroom"));
            man::run(session, &args, &root)
        }
        Command::Monitor(args) => monitor::run(session, &args).await,
        Command::Namespace(command) => namespace::run(session, command).await,
        Command::Plugin(command) => plugin::run(session, command).await,
        Command::PathHelp(args) => path_help::run(session, &args).await,
        Command::Policy(command) => policy::run(session, command).await,
        Command::Print(command) => print::run(session, &command),
        Command::Secrets(command) => secrets::run(session, command).await,
        Command::Token(command) => token::run(session, command).await,
        Command::Version(args) => version::run(session, &args),
        Command::VersionHistory(args) => version::run_history(session, &args).await,
    }
}

fn report(failure: &Failure, program: &str, io: &mut Io<'_>) {
    if failure.message.is_empty() {
        return;
    }
    io.warn(&failure.message);
    if failure.hints.is_empty() {
        return;
    }
    io.warn("");
    for hint in &failure.hints {
        match hint {
            Hint::Command { command, why } => {
                io.warn(&format!("Hint: `{program} {command}` {why}."))
            }
            Hint::Text(text) => io.warn(&format!("Hint: {text}.")),
        }
    }
}

#[cfg(test)]
mod tests;
