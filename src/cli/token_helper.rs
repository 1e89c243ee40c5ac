//! Where the token of the last login is kept: `~/.vault-token`, or a program that `~/.vault`
//! names.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::env::Env;
use super::failure::Failure;
use crate::config::env;
use crate::hcl;
use crate::secret::Secret;

pub(super) enum TokenHelper {
    /// A file, readable by its owner alone, without a newline.
    File(PathBuf),
    /// A program: `get` prints the token, `store` reads it.
    Program(String),
    /// There is no home to keep it in.
    Nowhere,
}

impl TokenHelper {
    /// The one that the configuration names, at `VAULT_CONFIG_PATH` or `~/.vault`.
    pub(super) fn find(env: &Env) -> Result<Self, Failure> {
        let home = env.home();
        let config = match env.get(env::CONFIG_PATH) {
            Some(path) => Some(PathBuf::from(path)),
            None => home.as_ref().map(|home| home.join(".vault")),
        };
        if let Some(program) = config.map_or(Ok(None), |path| configured(&path))? {
            return Ok(Self::Program(program));
        }
        Ok(match env.get(env::TOKEN_PATH).map(PathBuf::from) {
            Some(path) => Self::File(path),
            None => home.map_or(Self::Nowhere, |home| Self::File(home.join(".vault-token"))),
        })
    }

    pub(super) fn get(&self) -> Result<Option<Secret<String>>, Failure> {
        let text = match self {
            Self::Nowhere => return Ok(None),
            Self::File(path) => match fs::read_to_string(path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                Err(error) => {
                    return Err(Failure::local(format!(
                        "Error getting the token from {}: {error}",
                        path.display()
                    )));
                }
                Ok(text) => text,
            },
            Self::Program(program) => run(program, "get", "")?,
        };
        let token = text.trim();
        Ok((!token.is_empty()).then(|| Secret::new(token.to_owned())))
    }

    pub(super) fn store(&self, token: &Secret<String>) -> Result<(), Failure> {
        match self {
            Self::Nowhere => Err(Failure::local("Error storing token: HOME is not set")),
            Self::File(path) => write_private(path, token.expose()).map_err(|error| {
                Failure::local(format!("Error storing token: {}: {error}", path.display()))
            }),
            Self::Program(program) => run(program, "store", token.expose()).map(|_| ()),
        }
    }
}

/// The new file takes the old one's place in one step, so that nobody reads half a token.
fn write_private(path: &Path, token: &str) -> io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".{}", std::process::id()));
    let beside = PathBuf::from(beside);
    let mut file =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
    // `mode` counts only where the file is new.
    file.set_permissions(fs::Permissions::from_mode(0o600))?;
    file.write_all(token.as_bytes())?;
    drop(file);
    fs::rename(&beside, path)
}

fn configured(path: &Path) -> Result<Option<String>, Failure> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Failure::local(format!("{}: {error}", path.display()))),
    };
    let body = hcl::parse(&text)
        .map_err(|error| Failure::local(format!("{}: {error}", path.display())))?;
    let program = match body.get("token_helper") {
        Some(hcl::Node::Scalar(scalar)) => scalar.value.as_str(),
        _ => None,
    };
    Ok(program.filter(|program| !program.is_empty()).map(str::to_owned))
}

fn run(program: &str, action: &str, input: &str) -> Result<String, Failure> {
    let wrong =
        |reason: String| Failure::local(format!("the token helper `{program} {action}`: {reason}"));
    let mut words = program.split_whitespace();
    let executable = words.next().unwrap_or_default();
    let mut child = Command::new(executable)
        .args(words)
        .arg(action)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .map_err(|error| wrong(error.to_string()))?;
    if let Some(mut pipe) = child.stdin.take() {
        // A helper may end without reading; its exit status tells whether that is right.
        drop(pipe.write_all(input.as_bytes()));
    }
    let output = child.wait_with_output().map_err(|error| wrong(error.to_string()))?;
    if !output.status.success() {
        return Err(wrong(format!("ended with {}", output.status)));
    }
    String::from_utf8(output.stdout).map_err(|_| wrong("its answer is not UTF-8".into()))
}

#[cfg(test)]
mod tests;
