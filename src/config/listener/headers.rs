//! `custom_response_headers { "default" = { "X-Frame-Options" = ["DENY"] } }`

use std::collections::BTreeMap;

use crate::config::stanza::{Found, Reader, Setting};
use crate::config::syntax::{Entry, Node, Value};

/// Headers that responses get: `default` first, then those of the class (`"2xx"`), then those of
/// the status (`"404"`); the later replaces the earlier.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResponseHeaders(BTreeMap<Statuses, BTreeMap<String, String>>);

/// Ordered from what holds for most to what holds for one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Statuses {
    All,
    /// By the first digit.
    Class(u16),
    One(u16),
}

impl ResponseHeaders {
    /// As they were written: `default`, `2xx` or `404`, and the headers for it.
    pub fn scopes(&self) -> impl Iterator<Item = (String, &BTreeMap<String, String>)> {
        self.0.iter().map(|(statuses, headers)| {
            let scope = match statuses {
                Statuses::All => "default".to_owned(),
                Statuses::Class(digit) => format!("{digit}xx"),
                Statuses::One(status) => status.to_string(),
            };
            (scope, headers)
        })
    }

    /// Names, in lower case, and values for a response of this status.
    pub fn for_status(&self, status: u16) -> BTreeMap<&str, &str> {
        let fitting = self.0.iter().filter(|(statuses, _)| match statuses {
            Statuses::All => true,
            Statuses::Class(digit) => *digit == status / 100,
            Statuses::One(one) => *one == status,
        });
        let pairs = fitting.flat_map(|(_, headers)| headers);
        pairs.map(|(name, value)| (name.as_str(), value.as_str())).collect()
    }
}

impl Setting for ResponseHeaders {
    fn kind() -> String {
        "a block of blocks: status (\"default\", \"2xx\", \"404\"), header, values".to_owned()
    }

    fn read(found: &Found<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        let before = reader.problems.len();
        let mut headers = Self::default();
        for body in found.blocks(reader) {
            for group in body.entries {
                let Some(statuses) = statuses(&group.key) else {
                    let text = format!(
                        "`custom_response_headers` must name a status such as \"default\", \"2xx\" \
                         or \"404\", found {:?}",
                        group.key,
                    );
                    reader.problem(&group.node.place, text);
                    continue;
                };
                let found = Found { key: &group.key, entries: vec![group] };
                for body in found.blocks(reader) {
                    for header in body.entries {
                        if let Some((name, value)) = read_header(header, reader) {
                            headers.0.entry(statuses).or_default().insert(name, value);
                        }
                    }
                }
            }
        }
        (reader.problems.len() == before).then_some(headers)
    }

    fn absent() -> Option<Self> {
        Some(Self::default())
    }
}

fn statuses(key: &str) -> Option<Statuses> {
    if key == "default" {
        return Some(Statuses::All);
    }
    if let Some(digit) = key.strip_suffix("xx") {
        let digit = digit.parse().ok().filter(|digit| (1..=5).contains(digit))?;
        return Some(Statuses::Class(digit));
    }
    key.parse().ok().filter(|status| (100..600).contains(status)).map(Statuses::One)
}

fn read_header(header: &Entry, reader: &mut Reader<'_>) -> Option<(String, String)> {
    let (key, place) = (&header.key, &header.node.place);
    let name = key.to_ascii_lowercase();
    let is_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    if name.is_empty() || !name.chars().all(is_token) {
        reader.problem(place, format!("{key:?} cannot be the name of a header"));
        return None;
    }
    // As in Vault: these names are the server's own.
    if name.starts_with("x-vault-") {
        reader
            .problem(place, format!("a custom header must not begin with X-Vault-, found {key:?}"));
        return None;
    }
    let texts = match &header.node.value {
        Value::Text(text) => Some(vec![text.as_str()]),
        Value::List(nodes) => nodes.iter().map(text).collect(),
        _ => None,
    };
    // As in Vault: the values of a list make one header.
    let value = texts.map(|texts| texts.join("; "));
    let Some(value) = value else {
        let text = format!("header {key:?} must be text or a list, found {}", header.node.value);
        reader.problem(place, text);
        return None;
    };
    if value.chars().any(|character| character.is_control()) || !value.is_ascii() {
        reader.problem(place, format!("header {key:?} must be printable ASCII"));
        return None;
    }
    Some((name, value))
}

fn text(node: &Node) -> Option<&str> {
    match &node.value {
        Value::Text(text) => Some(text),
        _ => None,
    }
}
