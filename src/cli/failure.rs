//! How a command ends when it does not succeed.

use std::io;

use crate::client::{self, Outline, Unsent};

/// A message for standard error, what to try next, and an exit code.
#[derive(Debug)]
pub struct Failure {
    pub exit: u8,
    /// Empty where all has been said.
    pub message: String,
    pub hints: Vec<Hint>,
    /// The request that `-output-curl-string` or `-output-policy` asks to see; no failure at all.
    pub outline: Option<Box<Outline>>,
}

/// What to try next. The program's name is filled in where it is shown.
#[derive(Debug, Eq, PartialEq)]
pub enum Hint {
    /// A command without the program's name, and why.
    Command {
        command: String,
        why: &'static str,
    },
    Text(String),
}

impl Failure {
    fn new(exit: u8, message: impl Into<String>) -> Self {
        Self { exit, message: message.into(), hints: Vec::new(), outline: None }
    }

    /// The command line or something on this machine is wrong.
    pub fn local(message: impl Into<String>) -> Self {
        Self::new(LOCAL, message)
    }

    /// The server refused, or has no such thing.
    pub fn remote(message: impl Into<String>) -> Self {
        Self::new(REMOTE, message)
    }

    /// Ends with this code; all has been said.
    pub fn silent(exit: u8) -> Self {
        Self::new(exit, "")
    }

    /// As Vault words it: what was tried, a colon, and why not.
    pub fn during(doing: impl std::fmt::Display, error: client::Error) -> Self {
        let mut failure = Self::from(error);
        failure.message = format!("{doing}: {}", failure.message);
        failure
    }

    #[must_use]
    pub fn hint(mut self, command: impl Into<String>, why: &'static str) -> Self {
        self.hints.push(Hint::Command { command: command.into(), why });
        self
    }

    #[must_use]
    pub fn exit(mut self, exit: u8) -> Self {
        self.exit = exit;
        self
    }
}

impl From<client::Error> for Failure {
    fn from(error: client::Error) -> Self {
        let hints = hints(&error);
        let mut failure = match &error {
            client::Error::Address { .. } | client::Error::Tls(_) => Self::local(error.to_string()),
            _ => Self::remote(error.to_string()),
        };
        failure.hints = hints;
        if let client::Error::NotSent(outline) = error {
            failure.outline = Some(outline);
        }
        failure
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            // The reader has what it wanted; shells know this code as "ended by SIGPIPE".
            return Self::silent(141);
        }
        Self::local(error.to_string())
    }
}

fn hints(error: &client::Error) -> Vec<Hint> {
    let command = |command: &str, why| vec![Hint::Command { command: command.to_owned(), why }];
    let text = |text: &str| vec![Hint::Text(text.to_owned())];
    match error {
        client::Error::Address { .. } => text(
            "give the server's address with -address or VAULT_ADDR, such as https://127.0.0.1:8200",
        ),
        client::Error::Unsent { kind: Unsent::Connection, reason, url, .. } => {
            connection_hints(reason, url)
        }
        client::Error::Api(error) => match error.status {
            503 if error.says("sealed") => {
                command("operator unseal", "gives it one of the unseal keys")
            }
            400 | 501 | 503 if error.says("not initialized") => {
                command("operator init", "makes the unseal keys and the first token")
            }
            403 if error.says("preflight") => {
                command("secrets list", "shows which secrets engines exist, and where")
            }
            403 if !error.had_token => command("login", "logs in; no token was sent"),
            403 if error.url.contains("/v1/auth/token/lookup") => {
                command("login", "logs in anew; that token is not, or no longer, valid")
            }
            403 => vec![
                Hint::Command {
                    command: "token lookup".to_owned(),
                    why: "shows whether the token is valid, and its policies",
                },
                Hint::Command {
                    command: format!("token capabilities {}", path_of(&error.url)),
                    why: "shows what it may do there",
                },
            ],
            404 if error.says("no handler for route") => {
                command("secrets list", "shows which secrets engines exist, and where")
            }
            400 if error.raw.contains("HTTPS server") => {
                text("the server speaks https: let VAULT_ADDR or -address start with https://")
            }
            _ => Vec::new(),
        },
        _ => Vec::new(),
    }
}

fn connection_hints(reason: &str, url: &str) -> Vec<Hint> {
    let text = |text: &str| vec![Hint::Text(text.to_owned())];
    if reason.contains("UnknownIssuer") || reason.contains("CaUsedAsEndEntity") {
        return text(
            "give the authority that signed the server's certificate with -ca-cert or VAULT_CACERT",
        );
    }
    if reason.contains("not valid for name") || reason.contains("NotValidForName") {
        return text(
            "the server's certificate is for another name: use that in VAULT_ADDR, or give it \
             with -tls-server-name",
        );
    }
    if url.starts_with("https://")
        && (reason.contains("InvalidContentType") || reason.contains("corrupt message"))
    {
        return text("the server speaks plain http: let VAULT_ADDR or -address start with http://");
    }
    text("check that the server runs, and where: give its address with -address or VAULT_ADDR")
}

/// The path as a policy names it.
fn path_of(url: &str) -> &str {
    let path = url.split_once("/v1/").map_or(url, |(_, path)| path);
    path.split('?').next().unwrap_or(path)
}

pub const LOCAL: u8 = 1;
pub const REMOTE: u8 = 2;
/// As in Vault: there is no such command.
pub const UNKNOWN_COMMAND: u8 = 127;

#[cfg(test)]
mod tests;
