//! What operators give: unseal keys and PGP keys.

use std::fs;

use crate::cli::failure::Failure;
use crate::cli::session::Session;
use crate::secret::Secret;

/// The unseal key of the argument, of standard input for `-`, or else asked for. `instead` is the
/// command that needs no terminal.
pub(super) fn unseal_key(
    session: &mut Session<'_, '_>,
    given: Option<&str>,
    instead: &str,
) -> Result<Secret<String>, Failure> {
    let text = match given {
        Some("-") => String::from_utf8(session.io.read_input()?)
            .map(Secret::new)
            .map_err(|_| Failure::local("standard input is not UTF-8"))?,
        Some(key) => Secret::new(key.to_owned()),
        None if session.global.non_interactive => {
            return Err(Failure::local("No unseal key was given"));
        }
        None => session.io.prompt_hidden("Unseal Key", instead)?,
    };
    Ok(Secret::new(text.expose().trim().to_owned()))
}

/// The files' contents in base64, as the server takes them. Text in PGP's armour stays text.
pub(super) fn pgp_keys(files: &[String]) -> Result<Vec<String>, Failure> {
    use base64::Engine as _;
    let read = |file: &String| {
        let path = file.strip_prefix('@').unwrap_or(file);
        let bytes = fs::read(path)
            .map_err(|error| Failure::local(format!("Error reading PGP key {path}: {error}")))?;
        let text = String::from_utf8(bytes.clone()).ok().map(|text| text.trim().to_owned());
        // A file may hold base64 already.
        let is_base64 = |text: &String| {
            base64::engine::general_purpose::STANDARD.decode(text).is_ok() && !text.is_empty()
        };
        Ok(text
            .filter(is_base64)
            .unwrap_or_else(|| base64::engine::general_purpose::STANDARD.encode(&bytes)))
    };
    files.iter().map(read).collect()
}
