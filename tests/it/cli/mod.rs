//! The command line against a server that answers what a test tells it to.

mod client;
mod commands;
mod server;
mod tls;

use std::path::Path;

use strongroom::cli::Local;
use strongroom::cli::env::Env;
use strongroom::cli::io::Io;

use server::Server;

/// Runs `vault` with these words; answers all that a caller sees, in one text.
fn run(server: &Server, home: &Path, words: &[&str], input: &str) -> String {
    run_with(server, home, words, input, &[])
}

fn run_with(
    server: &Server,
    home: &Path,
    words: &[&str],
    input: &str,
    variables: &[(&str, &str)],
) -> String {
    let home = home.to_str().unwrap();
    let mut env = vec![("HOME", home), ("VAULT_ADDR", server.address())];
    env.extend(variables);
    let env = Env::of(env);
    let (mut output, mut errors) = (Vec::new(), Vec::new());
    let mut io = Io {
        input: &mut input.as_bytes(),
        output: &mut output,
        errors: &mut errors,
        is_output_terminal: false,
        is_input_terminal: false,
    };
    let arguments = std::iter::once("/usr/bin/vault").chain(words.iter().copied());
    let code =
        strongroom::cli::run(arguments.map(str::to_owned).collect(), &env, &mut io, |args, io| {
            match args {
                Local::Server(args) => io.print(&format!("server {args:?}")),
                Local::Diagnose(args) => io.print(&format!("diagnose {args:?}")),
            }
        });
    let mut text = format!("exit {code}\n");
    text.push_str(&String::from_utf8(output).unwrap());
    if !errors.is_empty() {
        text.push_str("--- stderr\n");
        text.push_str(&String::from_utf8(errors).unwrap());
    }
    text.replace(server.address(), "ADDR")
}
