//! Parses arguments, and runs a command.

use std::io::{self, IsTerminal as _};
use std::process::ExitCode;

use strongroom::cli::env::Env;
use strongroom::cli::failure::Failure;
use strongroom::cli::io::Io;
use strongroom::cli::{self, server};

fn main() -> ExitCode {
    let arguments = std::env::args_os().map(|argument| argument.to_string_lossy().into_owned());
    let (stdin, stdout, stderr) = (io::stdin(), io::stdout(), io::stderr());
    let mut io = Io {
        is_output_terminal: stdout.is_terminal(),
        is_input_terminal: stdin.is_terminal(),
        input: &mut stdin.lock(),
        output: &mut io::BufWriter::new(stdout.lock()),
        errors: &mut stderr.lock(),
    };
    cli::run(arguments.collect(), &Env::of_process(), &mut io, serve).into()
}

fn serve(_: server::Args, _: &mut Io<'_>) -> Result<(), Failure> {
    Err(Failure::local("this build holds the command line alone"))
}
