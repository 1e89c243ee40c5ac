//! A device's options, which come as text: read once, when it is opened, with an error for whoever
//! enables it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use super::filter::Filter;
use crate::audit_log::Style;
use crate::duration::SignedDuration;
use crate::request::Error;

/// The types of devices.
pub const KINDS: &[&str] = &["file", "socket", "syslog"];

/// All that options say.
#[derive(Debug)]
pub(super) struct Options {
    pub(super) shape: Shape,
    pub(super) target: Target,
    pub(super) filter: Option<Filter>,
    /// Takes only what no other device takes.
    pub(super) fallback: bool,
}

/// How records are written.
#[derive(Clone, Debug)]
pub(super) struct Shape {
    pub(super) style: Style,
    /// Before each record.
    pub(super) prefix: String,
    pub(super) hmac_accessor: bool,
    /// Nothing is hashed.
    pub(super) log_raw: bool,
    /// Counts instead of names in answers to lists.
    pub(super) elide_list_responses: bool,
}

/// Where they go.
#[derive(Clone, Debug)]
pub(super) enum Target {
    Discard,
    File(FileOptions),
    Socket(SocketOptions),
    Stderr,
    Stdout,
    Syslog(SyslogOptions),
}

#[derive(Clone, Debug)]
pub(super) struct FileOptions {
    pub(super) path: PathBuf,
    /// `None`: as it is; of a new file 0600.
    pub(super) mode: Option<u32>,
    /// Length at which the file is put aside; 0: never.
    pub(super) rotate_bytes: u64,
    /// Age at which it is; zero: never.
    pub(super) rotate_duration: Duration,
    /// Files put aside that stay; 0: all.
    pub(super) rotate_max_files: u64,
    /// Each batch is on disk before a request goes on.
    pub(super) sync: bool,
}

#[derive(Clone, Debug)]
pub(super) struct SocketOptions {
    pub(super) address: String,
    pub(super) kind: SocketKind,
    pub(super) write_timeout: Duration,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum SocketKind {
    Tcp,
    Udp,
    Unix,
}

#[derive(Clone, Debug)]
pub(super) struct SyslogOptions {
    /// Of the datagram socket; `None`: where systems have it.
    pub(super) address: Option<PathBuf>,
    /// RFC 5424, table 1.
    pub(super) facility: u8,
    pub(super) tag: String,
}

impl Options {
    /// Also the names that no device of this type knows. `may_prefix`: the configuration allows
    /// `prefix`.
    ///
    /// # Errors
    /// [`Error::BadRequest`], with the option.
    pub(super) fn read(
        kind: &str,
        given: &BTreeMap<String, String>,
        may_prefix: bool,
    ) -> Result<(Self, Vec<String>), Error> {
        if !KINDS.contains(&kind) {
            return Err(Error::BadRequest(format!("unknown backend type: {kind:?}")));
        }
        let mut given = Given { given, known: COMMON.to_vec() };
        let shape = shape(&given, may_prefix)?;
        let target = match kind {
            "file" => file(&mut given)?,
            "socket" => socket(&mut given)?,
            _ => syslog(&mut given)?,
        };
        let filter = match given.text("filter") {
            Some(text) => Some(
                Filter::parse(text)
                    .map_err(|error| Error::BadRequest(format!("filter: {error}")))?,
            ),
            None => None,
        };
        let fallback = given.boolean("fallback", false)?;
        if fallback && filter.is_some() {
            return Err(Error::bad_request("a fallback device takes what others leave: no filter"));
        }
        let unknown = given.unknown();
        Ok((Self { shape, target, filter, fallback }, unknown))
    }
}

fn shape(given: &Given<'_>, may_prefix: bool) -> Result<Shape, Error> {
    let style = match given.text("format").unwrap_or("json") {
        "json" => Style::Json,
        "jsonx" => Style::Jsonx,
        other => return Err(Error::BadRequest(format!("unknown format type {other:?}"))),
    };
    let prefix = given.given.get("prefix").cloned().unwrap_or_default();
    if !prefix.is_empty() && !may_prefix {
        return Err(Error::bad_request(
            "`prefix` could make a file something else than a log: the configuration must allow \
             it with `allow_audit_log_prefixing`",
        ));
    }
    if prefix.len() > PREFIX_BYTES_MAX || prefix.contains(['\n', '{', '<']) {
        return Err(Error::BadRequest(format!(
            "`prefix` must have at most {PREFIX_BYTES_MAX} bytes, and no line break, `{{` or `<`"
        )));
    }
    Ok(Shape {
        style,
        prefix,
        hmac_accessor: given.boolean("hmac_accessor", true)?,
        log_raw: given.boolean("log_raw", false)?,
        elide_list_responses: given.boolean("elide_list_responses", false)?,
    })
}

fn file(given: &mut Given<'_>) -> Result<Target, Error> {
    given.known.extend(FILE);
    let path = given.text("file_path").or_else(|| given.text("path"));
    let path = path.ok_or_else(|| Error::bad_request("file_path is required"))?;
    match path {
        "discard" => return Ok(Target::Discard),
        "stderr" => return Ok(Target::Stderr),
        "stdout" => return Ok(Target::Stdout),
        _ => {}
    }
    let mode = match given.text("mode") {
        None => Some(0o600),
        Some(text) => mode(text)?,
    };
    let sync = match given.text("sync").unwrap_or("none") {
        "none" => false,
        "batch" => true,
        other => {
            return Err(Error::BadRequest(format!("sync {other:?} must be \"none\" or \"batch\"")));
        }
    };
    Ok(Target::File(FileOptions {
        path: path.into(),
        mode,
        rotate_bytes: given.size("rotate_bytes")?,
        rotate_duration: given.duration("rotate_duration", Duration::ZERO)?,
        rotate_max_files: given.number("rotate_max_files")?,
        sync,
    }))
}

/// `None`: it is left as it is.
fn mode(text: &str) -> Result<Option<u32>, Error> {
    let refuse = |why: &str| Err(Error::BadRequest(format!("mode {text:?} {why}")));
    // Rust would take a sign too.
    let is_octal = text.bytes().all(|byte| matches!(byte, b'0'..=b'7'));
    match u32::from_str_radix(text, 8) {
        Ok(0) if is_octal => Ok(None),
        Ok(mode) if is_octal && mode & 0o111 != 0 => {
            refuse("would make the log a program: leave the bits for execution out")
        }
        // The chain goes on from what a log ends with, so that it is read too.
        Ok(mode) if is_octal && mode <= 0o666 && mode & 0o600 != 0o600 => {
            refuse("would keep this server from its own log: the owner must read and write it")
        }
        Ok(mode) if is_octal && mode <= 0o666 => Ok(Some(mode)),
        _ => refuse("is no file mode: octal digits such as 0640"),
    }
}

fn socket(given: &mut Given<'_>) -> Result<Target, Error> {
    given.known.extend(["address", "socket_type", "write_timeout"]);
    let address = given.text("address").ok_or_else(|| Error::bad_request("address is required"))?;
    let kind = match given.text("socket_type").unwrap_or("tcp") {
        "tcp" => SocketKind::Tcp,
        "udp" => SocketKind::Udp,
        "unix" => SocketKind::Unix,
        other => {
            return Err(Error::BadRequest(format!(
                "socket_type {other:?} must be \"tcp\", \"udp\" or \"unix\""
            )));
        }
    };
    let write_timeout = given.duration("write_timeout", WRITE_TIMEOUT)?;
    if write_timeout.is_zero() {
        return Err(Error::bad_request("`write_timeout` must be more than 0"));
    }
    Ok(Target::Socket(SocketOptions { address: address.to_owned(), kind, write_timeout }))
}

fn syslog(given: &mut Given<'_>) -> Result<Target, Error> {
    given.known.extend(["facility", "tag", "address"]);
    let name = given.text("facility").unwrap_or("AUTH");
    let facility = FACILITIES.iter().find(|(facility, _)| facility.eq_ignore_ascii_case(name));
    let (_, facility) =
        facility.ok_or_else(|| Error::BadRequest(format!("invalid syslog facility: {name}")))?;
    let tag = given.text("tag").unwrap_or("vault");
    if tag.len() > 64 || tag.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return Err(Error::bad_request("`tag` must be one word of at most 64 bytes"));
    }
    let address = given.text("address").map(PathBuf::from);
    Ok(Target::Syslog(SyslogOptions { address, facility: *facility, tag: tag.to_owned() }))
}

struct Given<'g> {
    given: &'g BTreeMap<String, String>,
    known: Vec<&'static str>,
}

impl Given<'_> {
    /// Empty is as good as none.
    fn text(&self, name: &str) -> Option<&str> {
        self.given.get(name).map(|text| text.trim()).filter(|text| !text.is_empty())
    }

    /// As Go's `strconv.ParseBool`.
    fn boolean(&self, name: &str, default: bool) -> Result<bool, Error> {
        match self.text(name) {
            None => Ok(default),
            Some("1" | "t" | "T" | "true" | "TRUE" | "True") => Ok(true),
            Some("0" | "f" | "F" | "false" | "FALSE" | "False") => Ok(false),
            Some(other) => {
                Err(Error::BadRequest(format!("`{name}` must be true or false, not {other:?}")))
            }
        }
    }

    fn duration(&self, name: &str, default: Duration) -> Result<Duration, Error> {
        let Some(text) = self.text(name) else {
            return Ok(default);
        };
        let length = SignedDuration::parse(text).ok().and_then(SignedDuration::unsigned);
        length.ok_or_else(|| {
            Error::BadRequest(format!(
                "`{name}` must be a duration such as 2s or 24h, not {text:?}"
            ))
        })
    }

    fn number(&self, name: &str) -> Result<u64, Error> {
        let text = self.text(name).unwrap_or("0");
        text.parse().map_err(|_| {
            Error::BadRequest(format!("`{name}` must be a whole number, not {text:?}"))
        })
    }

    /// In bytes, or with `KiB`, `MiB`, `GiB`, or `KB` and so on.
    fn size(&self, name: &str) -> Result<u64, Error> {
        let text = self.text(name).unwrap_or("0");
        let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let unit = text.get(digits.len()..).unwrap_or_default().to_ascii_lowercase();
        let factor = match unit.as_str() {
            "" | "b" => Some(1),
            "k" | "kib" => Some(1 << 10),
            "kb" => Some(1000),
            "m" | "mib" => Some(1 << 20),
            "mb" => Some(1_000_000),
            "g" | "gib" => Some(1 << 30),
            "gb" => Some(1_000_000_000),
            _ => None,
        };
        let number = digits.trim().parse::<u64>().ok();
        number.zip(factor).and_then(|(number, factor)| number.checked_mul(factor)).ok_or_else(
            || {
                Error::BadRequest(format!(
                    "`{name}` must be a size such as 104857600 or 100MiB, not {text:?}"
                ))
            },
        )
    }

    fn unknown(&self) -> Vec<String> {
        let known = |name: &&String| !self.known.contains(&name.as_str());
        self.given.keys().filter(known).cloned().collect()
    }
}

const COMMON: [&str; 8] = [
    "format",
    "prefix",
    "hmac_accessor",
    "log_raw",
    "elide_list_responses",
    "filter",
    "fallback",
    "skip_test",
];

const FILE: [&str; 7] =
    ["file_path", "path", "mode", "rotate_bytes", "rotate_duration", "rotate_max_files", "sync"];

/// RFC 5424, table 1.
const FACILITIES: &[(&str, u8)] = &[
    ("KERN", 0),
    ("USER", 1),
    ("MAIL", 2),
    ("DAEMON", 3),
    ("AUTH", 4),
    ("SYSLOG", 5),
    ("LPR", 6),
    ("NEWS", 7),
    ("UUCP", 8),
    ("CRON", 9),
    ("AUTHPRIV", 10),
    ("FTP", 11),
    ("LOCAL0", 16),
    ("LOCAL1", 17),
    ("LOCAL2", 18),
    ("LOCAL3", 19),
    ("LOCAL4", 20),
    ("LOCAL5", 21),
    ("LOCAL6", 22),
    ("LOCAL7", 23),
];

/// As Vault's.
const WRITE_TIMEOUT: Duration = Duration::from_secs(2);

const PREFIX_BYTES_MAX: usize = 256;

#[cfg(test)]
mod tests;
