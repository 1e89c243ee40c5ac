//! HCL (version 1, as Vault reads it) and JSON, read into one tree that knows its lines.
//!
//! Neither a JSON reader nor an HCL2 one would do: the first forgets lines, and the second refuses
//! what HCL1 files hold (several attributes on one line, quoted keys, `block = { … }`).
//!
//! **Invariant:** input is bounded by `FILE_BYTES_MAX`, depth by `DEPTH_MAX`; no input panics.

mod hcl;
mod json;
mod scan;

#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

use super::problem::{Place, Problem};

/// A value and where it begins.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub place: Place,
    pub value: Value,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Null,
    Bool(bool),
    /// As written: what it may be depends on the key.
    Number(String),
    Text(String),
    List(Vec<Node>),
    Object(Vec<Entry>),
}

/// `key = value`, or a block `key "label" { … }`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Entry {
    pub key: String,
    pub labels: Vec<String>,
    pub node: Node,
}

impl PartialEq for Node {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

/// For error messages; long text is cut.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Bool(value) => write!(f, "{value}"),
            Self::Number(text) => f.write_str(text),
            Self::Text(text) if text.chars().count() > SHOWN_CHARS_MAX => {
                let start: String = text.chars().take(SHOWN_CHARS_MAX).collect();
                write!(f, "{start:?}…")
            }
            Self::Text(text) => write!(f, "{text:?}"),
            Self::List(_) => f.write_str("a list"),
            Self::Object(_) => f.write_str("a block"),
        }
    }
}

/// Reads a file's text. As in Vault, the first character decides: `{` begins JSON, whatever the
/// file's name, because Helm charts put JSON into `.hcl` files.
pub(super) fn parse(source: &Arc<str>, text: &str) -> Result<Vec<Entry>, Problem> {
    if text.len() > FILE_BYTES_MAX {
        let text = format!("is longer than {FILE_BYTES_MAX} bytes");
        return Err(Problem { place: Place::whole(source), text });
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if text.trim_start().starts_with('{') {
        json::parse(source, text)
    } else {
        hcl::parse(source, text)
    }
}

pub(super) const FILE_BYTES_MAX: usize = 1024 * 1024;
const DEPTH_MAX: usize = 32;
const SHOWN_CHARS_MAX: usize = 60;
