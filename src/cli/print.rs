//! `print`, and what `-output-curl-string` and `-output-policy` print.

use super::failure::Failure;
use super::global;
use super::session::Session;
use crate::client::{DELETE, GET, Outline, PATCH};

/// Print what this program works with
#[derive(clap::Subcommand)]
pub(super) enum Command {
    /// Print the token in use
    Token,
}

pub(super) fn run(session: &mut Session<'_, '_>, command: &Command) -> Result<(), Failure> {
    let Command::Token = command;
    match global::token(session.env)? {
        Some(token) => session.io.print(token.expose()),
        None => session.io.print(""),
    }
}

/// The command that sends the same request. The token is read when that runs, not shown here.
pub(super) fn curl(outline: &Outline, program: &str) -> String {
    let mut words = vec!["curl".to_owned()];
    if outline.method != GET {
        words.push(format!("-X {}", outline.method));
    }
    for (name, value) in &outline.headers {
        words.push(format!("-H {}", double_quoted(&format!("{}: {value}", canonical(name)))));
    }
    if outline.has_token {
        words.push(format!("-H \"X-Vault-Token: $({program} print token)\""));
    }
    if !outline.body.is_empty() {
        words.push(format!("-d '{}'", outline.body.replace('\'', r"'\''")));
    }
    words.push(double_quoted(&outline.url));
    words.join(" ")
}

/// The policy that allows the request.
pub(super) fn policy(outline: &Outline) -> String {
    let capabilities = match (&outline.method, outline.is_list) {
        (_, true) => "\"list\"",
        (method, _) if *method == GET => "\"read\"",
        (method, _) if *method == DELETE => "\"delete\"",
        (method, _) if *method == PATCH => "\"patch\"",
        _ => "\"create\", \"update\"",
    };
    format!("path \"{}\" {{\n  capabilities = [{capabilities}]\n}}", outline.path)
}

/// `x-vault-request` as people write it.
fn canonical(name: &str) -> String {
    let word = |word: &str| {
        let mut letters = word.chars();
        let first = letters.next().map(|first| first.to_ascii_uppercase());
        first.into_iter().chain(letters).collect::<String>()
    };
    name.split('-').map(word).collect::<Vec<_>>().join("-")
}

fn double_quoted(text: &str) -> String {
    let mut quoted = String::from('"');
    for letter in text.chars() {
        if matches!(letter, '"' | '\\' | '$' | '`') {
            quoted.push('\\');
        }
        quoted.push(letter);
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests;
