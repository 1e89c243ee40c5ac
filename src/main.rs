//! Parses arguments, and runs a command or the server.

use std::io::{self, IsTerminal as _};
use std::process::ExitCode;

use strongroom::cli::Local;
use strongroom::cli::env::Env;
use strongroom::cli::io::Io;
use strongroom::{cli, crypto, diagnose, serve};

fn main() -> ExitCode {
    // First of all, before there is a secret to protect.
    let protected = crypto::protect_process_memory();
    let arguments = std::env::args_os().map(|argument| argument.to_string_lossy().into_owned());
    // Standard error is not locked: the log goes there too, from other threads.
    let (stdin, stdout, mut stderr) = (io::stdin(), io::stdout(), io::stderr());
    let mut io = Io {
        is_output_terminal: stdout.is_terminal(),
        is_input_terminal: stdin.is_terminal(),
        input: &mut stdin.lock(),
        output: &mut io::BufWriter::new(stdout.lock()),
        errors: &mut stderr,
    };
    if let Err(error) = protected {
        io.warn(&format!("memory may be written to core dumps: {error}"));
    }
    let env = Env::of_process();
    let local = |work: Local, io: &mut Io<'_>| match work {
        Local::Server(args) => serve::run(&args, &env, io),
        Local::Diagnose(args) => diagnose::run(&args, &env, io),
    };
    cli::run(arguments.collect(), &env, &mut io, local).into()
}
