//! `connection_url` of PostgreSQL: a URL, or words `key=value`, as libpq reads them.
//!
//! Options that make the client read files of the server it runs on are refused, unlike in Vault:
//! who may configure a connection must not learn whether a file is there, or send its content.

use std::time::Duration;

use tokio_postgres::config::{Host, SslMode};

use super::Details;
use super::tls::Check;

pub(super) struct Target {
    pub(super) config: tokio_postgres::Config,
    /// `None`: not even where the database offers it.
    pub(super) tls: Option<Check>,
}

/// # Errors
/// With a text for the operator, without the password.
pub(super) fn parse(details: &Details, username: &str, password: &str) -> Result<Target, String> {
    let url = details.connection_url.trim();
    if url.is_empty() {
        return Err("connection_url cannot be empty".into());
    }
    let is_url = SCHEMES.iter().any(|scheme| url.starts_with(scheme));
    let put = |text: &str| {
        if details.disable_escaping || !is_url { text.to_owned() } else { escaped(text) }
    };
    let url = url.replace("{{username}}", &put(username)).replace("{{password}}", &put(password));
    let (rest, options) = if is_url { of_url(&url) } else { of_words(&url)? };
    // An authority that nobody asks would only look safe.
    let mut mode = if details.tls_ca.is_empty() { "prefer" } else { "verify-full" }.to_owned();
    for (key, value) in options {
        match key.as_str() {
            "sslmode" => mode = value,
            "sslrootcert" if value == "system" => {
                return Err(
                    "sslrootcert=system is not supported: put the authority in `tls_ca`".into()
                );
            }
            _ => {
                return Err(format!(
                    "the option {key:?} of connection_url would read a file of this server: use \
                     `tls_ca`, `tls_certificate` and `private_key`"
                ));
            }
        }
    }
    let mut config: tokio_postgres::Config = rest.parse().map_err(|error| told(&error))?;
    if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
        return Err("connection_url names no host".into());
    }
    // As libpq: a socket of this machine has no TLS.
    let is_local = |host: &Host| !matches!(host, Host::Tcp(_));
    if config.get_hostaddrs().is_empty() && config.get_hosts().iter().all(is_local) {
        mode = "disable".into();
    }
    let has_authority = !details.tls_ca.is_empty();
    let (ssl, tls) = match mode.as_str() {
        "disable" => (SslMode::Disable, None),
        "allow" | "prefer" => (SslMode::Prefer, Some(Check::Nothing)),
        // As libpq: with an authority it is asked.
        "require" if has_authority => (SslMode::Require, Some(Check::Authority)),
        "require" => (SslMode::Require, Some(Check::Nothing)),
        "verify-ca" => (SslMode::Require, Some(Check::Authority)),
        "verify-full" => (SslMode::Require, Some(Check::Name)),
        other => {
            return Err(format!(
                "sslmode {other:?} is invalid: take disable, allow, prefer, require, verify-ca or \
                 verify-full"
            ));
        }
    };
    config.ssl_mode(ssl);
    config.connect_timeout(
        config.get_connect_timeout().copied().unwrap_or(CONNECT_MAX).min(CONNECT_MAX),
    );
    if config.get_application_name().is_none() {
        config.application_name("strongroom");
    }
    Ok(Target { config, tls })
}

/// What is wrong, and nothing of the text: it has a password in it.
fn told(error: &tokio_postgres::Error) -> String {
    use std::error::Error as _;
    let cause = error.source().map(ToString::to_string).unwrap_or_default();
    let cause = cause.split('`').next().unwrap_or_default().trim().trim_end_matches(':');
    format!("connection_url cannot be read: {cause}").trim_end_matches([' ', ':']).to_owned()
}

type Options = Vec<(String, String)>;

/// The URL without options that are ours to read.
fn of_url(url: &str) -> (String, Options) {
    let Some((base, query)) = url.split_once('?') else {
        return (url.to_owned(), Vec::new());
    };
    let mut own = Vec::new();
    let mut kept = Vec::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        if is_own(key) {
            own.push((key.to_owned(), value.to_owned()));
        } else {
            kept.push(pair);
        }
    }
    let mark = if kept.is_empty() { "" } else { "?" };
    (format!("{base}{mark}{}", kept.join("&")), own)
}

fn of_words(text: &str) -> Result<(String, Options), String> {
    let mut own = Vec::new();
    let mut kept = String::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let (key, after) =
            rest.split_once('=').ok_or("connection_url is no URL, and no key=value")?;
        let (key, after) = (key.trim(), after.trim_start());
        let length = word_length(after).ok_or("connection_url has a quote that does not end")?;
        let (value, after) = after.split_at(length);
        if is_own(key) {
            own.push((key.to_owned(), value.trim_matches('\'').to_owned()));
        } else {
            kept.push_str(&format!("{key}={value} "));
        }
        rest = after.trim_start();
    }
    Ok((kept, own))
}

/// Of a value that may be in quotes, with backslashes.
fn word_length(text: &str) -> Option<usize> {
    let quoted = text.starts_with('\'');
    let mut letters = text.char_indices().skip(usize::from(quoted));
    while let Some((at, letter)) = letters.next() {
        match letter {
            '\\' => drop(letters.next()),
            '\'' if quoted => return Some(at + 1),
            letter if !quoted && letter.is_whitespace() => return Some(at),
            _ => {}
        }
    }
    (!quoted).then_some(text.len())
}

fn is_own(key: &str) -> bool {
    key == "sslmode" || FILE_OPTIONS.contains(&key)
}

/// As a part of a URL.
fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    crate::text::percent_encode(text, crate::text::UNRESERVED, &mut escaped);
    escaped
}

/// A URL as it may be shown, where it holds a password; also as `key=value`, or as an option.
pub(super) fn without_password(url: &str) -> Option<String> {
    let Some((scheme, rest)) = url.split_once("://") else {
        return without_password_word(url);
    };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, after) = rest.split_at(end);
    let masked = authority.rsplit_once('@').and_then(|(user, host)| {
        let (name, _) = user.split_once(':').filter(|(_, password)| is_literal(password))?;
        Some(format!("{name}:{MASK}@{host}"))
    });
    let option = without_password_option(after);
    if masked.is_none() && option.is_none() {
        return None;
    }
    let authority = masked.as_deref().unwrap_or(authority);
    Some(format!("{scheme}://{authority}{}", option.as_deref().unwrap_or(after)))
}

fn is_literal(password: &str) -> bool {
    !matches!(password, "" | "{{password}}" | "'{{password}}'")
}

fn without_password_option(after: &str) -> Option<String> {
    let (path, query) = after.split_once('?')?;
    let mut found = false;
    let options = query.split('&').map(|option| match option.split_once('=') {
        Some((key @ "password", value)) if is_literal(value) => {
            found = true;
            format!("{key}={MASK}")
        }
        _ => option.to_owned(),
    });
    let options: Vec<String> = options.collect();
    found.then(|| format!("{path}?{}", options.join("&")))
}

/// Of `key=value` words.
fn without_password_word(words: &str) -> Option<String> {
    let start = words.match_indices("password").find_map(|(at, key)| {
        let is_word = words
            .get(..at)
            .is_some_and(|before| before.is_empty() || before.ends_with(char::is_whitespace));
        let value = words.get(at + key.len()..)?.trim_start().strip_prefix('=')?.trim_start();
        is_word.then_some(words.len() - value.len())
    })?;
    let value = words.get(start..)?;
    let length = word_length(value)?;
    if !is_literal(value.get(..length)?) {
        return None;
    }
    Some(format!("{}{MASK}{}", words.get(..start)?, value.get(length..)?))
}

/// As Go shows a password in a URL.
const MASK: &str = "xxxxx";

const SCHEMES: [&str; 2] = ["postgres://", "postgresql://"];

/// They name files.
const FILE_OPTIONS: [&str; 10] = [
    "passfile",
    "service",
    "servicefile",
    "sslcert",
    "sslcrl",
    "sslcrldir",
    "sslinline",
    "sslkey",
    "sslpassword",
    "sslrootcert",
];

const CONNECT_MAX: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests;
