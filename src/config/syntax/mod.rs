//! What stanzas are read from: the tree of [`crate::hcl`], whose values know their file and line.
//!
//! **Invariant:** input is bounded by `FILE_BYTES_MAX`; no input panics.

#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

use super::problem::{Place, Problem};
use crate::hcl;

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
    hcl::parse(text)
        .map(|body| entries(source, body))
        .map_err(|error| Problem { place: at(source, error.line), text: error.message })
}

fn entries(source: &Arc<str>, body: hcl::Body) -> Vec<Entry> {
    let entry = |item: hcl::Item| {
        let mut keys = item.keys.into_iter().map(|key| key.text);
        let key = keys.next().unwrap_or_default();
        Entry { key, labels: keys.collect(), node: node(source, item.line, item.node) }
    };
    body.items.into_iter().map(entry).collect()
}

fn node(source: &Arc<str>, line: usize, node: hcl::Node) -> Node {
    let value = match node {
        hcl::Node::Scalar(scalar) => value(&scalar),
        hcl::Node::List(list) => {
            let elements = list.elements.into_iter();
            Value::List(elements.map(|one| self::node(source, one.line, one.node)).collect())
        }
        hcl::Node::Object(body) => Value::Object(entries(source, body)),
    };
    Node { place: at(source, line), value }
}

fn value(scalar: &hcl::Scalar) -> Value {
    match &scalar.value {
        serde_json::Value::Bool(value) => Value::Bool(*value),
        serde_json::Value::String(text) => Value::Text(text.clone()),
        serde_json::Value::Number(number) => Value::Number(match scalar.raw() {
            // `0660` is left as it is: whoever reads permissions takes them for octal anyway.
            Some(raw) if !raw.contains(['x', 'X']) => raw.to_owned(),
            _ => number.to_string(),
        }),
        // Of scalars there is nothing else.
        _ => Value::Null,
    }
}

fn at(source: &Arc<str>, line: usize) -> Place {
    Place::line(source, u32::try_from(line).unwrap_or(u32::MAX))
}

pub(super) const FILE_BYTES_MAX: usize = 1024 * 1024;
const SHOWN_CHARS_MAX: usize = 60;
