//! `audit "file" "name" { … }`: audit devices that the configuration declares.

use std::collections::BTreeMap;

use super::stanza::{Body, Found, KeyDoc, Reader, Setting, objects, read_key};
use super::syntax::{Entry, Value};

/// An audit device, as declared. Whether its options are good is found where it is opened.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct AuditDevice {
    /// Such as `file`.
    pub kind: String,
    /// Its name in `sys/audit`.
    pub path: String,
    pub description: String,
    pub local: bool,
    pub options: BTreeMap<String, String>,
}

impl Setting for Vec<AuditDevice> {
    fn kind() -> String {
        "a block `audit \"<type>\" \"<path>\"`, repeatable".to_owned()
    }

    fn read(found: &Found<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        let before = reader.problems.len();
        let mut devices = Self::new();
        for entry in &found.entries {
            blocks(&mut devices, entry, &entry.labels, reader);
        }
        for (at, device) in devices.iter().enumerate() {
            let twice = devices.iter().skip(at + 1).any(|other| other.path == device.path);
            if let Some(entry) = found.entries.first().filter(|_| twice) {
                let text = format!("two audit devices are called {:?}", device.path);
                reader.problem(&entry.node.place, text);
            }
        }
        (reader.problems.len() == before).then_some(devices)
    }

    fn absent() -> Option<Self> {
        Some(Self::new())
    }

    fn document(into: &mut Vec<KeyDoc>) {
        for (key, kind, help) in [
            ("description", "text", "Words for people."),
            ("local", "true or false", "Kept in this cluster alone."),
            ("options", "a block", "What `sys/audit` takes as options, such as `file_path`."),
        ] {
            into.push(KeyDoc {
                stanza: STANZA,
                key,
                kind: kind.to_owned(),
                default: None,
                help: help.to_owned(),
                has_effect: true,
            });
        }
    }
}

/// Type and path are labels, or names of blocks within (which JSON's are), or keys.
fn blocks(
    devices: &mut Vec<AuditDevice>,
    entry: &Entry,
    labels: &[String],
    reader: &mut Reader<'_>,
) {
    let mut bodies = Vec::new();
    objects("audit", &entry.node, reader, &mut bodies);
    for body in bodies {
        let of_key = |key: &str| {
            body.entries.iter().find(|entry| entry.key == key).and_then(|entry| {
                match &entry.node.value {
                    Value::Text(text) => Some(text.clone()),
                    _ => None,
                }
            })
        };
        let kind = labels.first().cloned().or_else(|| of_key("type"));
        let path = labels.get(1).cloned().or_else(|| of_key("path"));
        match (kind, path) {
            (Some(kind), Some(path)) => devices.extend(device(kind, path, &body, reader)),
            // One label more within.
            _ if labels.len() < 2
                && body.entries.iter().all(|inner| is_block(&inner.node.value)) =>
            {
                for inner in body.entries {
                    let mut all = labels.to_vec();
                    all.push(inner.key.clone());
                    all.extend(inner.labels.iter().cloned());
                    blocks(devices, inner, &all, reader);
                }
            }
            _ => reader.problem(
                &body.place,
                "`audit` must have a type and a path: audit \"file\" \"name\" { … }".to_owned(),
            ),
        }
    }
}

fn is_block(value: &Value) -> bool {
    matches!(value, Value::Object(_) | Value::List(_))
}

fn device(
    kind: String,
    path: String,
    body: &Body<'_>,
    reader: &mut Reader<'_>,
) -> Option<AuditDevice> {
    body.warn_of_others(STANZA, &["type", "path", "description", "local", "options"], &[], reader);
    let description = read_key::<Option<String>>("description", None, body, reader)?;
    let local = read_key::<bool>("local", Some("false"), body, reader)?;
    let mut options = BTreeMap::new();
    let mut bodies = Vec::new();
    for entry in body.entries.iter().filter(|entry| entry.key == "options") {
        objects("options", &entry.node, reader, &mut bodies);
    }
    for entry in bodies.iter().flat_map(|body| body.entries) {
        let text = match &entry.node.value {
            Value::Bool(value) => value.to_string(),
            Value::Number(text) | Value::Text(text) => text.clone(),
            other => {
                let text =
                    format!("`{}` must be text, a number or a boolean, found {other}", entry.key);
                reader.problem(&entry.node.place, text);
                continue;
            }
        };
        options.insert(entry.key.clone(), text);
    }
    Some(AuditDevice { kind, path, description: description.unwrap_or_default(), local, options })
}

const STANZA: &str = "audit";
