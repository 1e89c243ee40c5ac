//! The document as it grows, mount by mount.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::schema;
use crate::framework::{Access, RouteFacts};
use crate::mount::{MountEntry, Table};
use crate::request::Operation;

/// An OpenAPI document, without those of its parts that are not needed yet.
pub(super) struct Document {
    version: String,
    generic: bool,
    paths: BTreeMap<String, Map<String, Value>>,
    schemas: BTreeMap<String, Value>,
    /// How often each name of an operation was given out: OpenAPI wants them all different.
    names: BTreeMap<String, usize>,
}

impl Document {
    pub(super) fn new(version: String, generic: bool) -> Self {
        Self {
            version,
            generic,
            paths: BTreeMap::new(),
            schemas: BTreeMap::new(),
            names: BTreeMap::new(),
        }
    }

    pub(super) fn add(&mut self, entry: &MountEntry, facts: &[RouteFacts]) {
        for route in facts {
            let place = Place::new(entry, route, self.generic);
            // Two mounts of a kind have the same generic paths.
            if !self.paths.contains_key(&place.path) {
                let item = self.item(&place, route);
                self.paths.insert(place.path, item);
            }
        }
    }

    pub(super) fn finish(self) -> Value {
        json!({
            "openapi": "3.0.2",
            "info": {
                "title": "Strongroom API",
                "description":
                    "The HTTP API of this server, Vault's in form. All paths are below `/v1/`.",
                "version": self.version,
                "license": {
                    "name": "Apache-2.0",
                    "url": "https://www.apache.org/licenses/LICENSE-2.0",
                },
            },
            "servers": [{ "url": "/v1" }],
            "paths": self.paths,
            "components": { "schemas": self.schemas },
        })
    }

    fn item(&mut self, place: &Place, route: &RouteFacts) -> Map<String, Value> {
        let mut item = Map::new();
        item.insert("description".into(), route.help.into());
        if !place.parameters.is_empty() {
            item.insert("parameters".into(), place.parameters.clone().into());
        }
        for (name, holds) in [
            ("x-vault-sudo", route.access == Access::Sudo),
            (
                "x-vault-unauthenticated",
                matches!(route.access, Access::Unauthenticated | Access::OptionalToken),
            ),
            ("x-vault-createSupported", route.tells_create),
        ] {
            if holds {
                item.insert(name.into(), true.into());
            }
        }
        let reads = route.operations.iter().any(|(operation, _)| *operation == Operation::Read);
        for (operation, input) in &route.operations {
            let Some((method, verb)) = method_of(*operation) else { continue };
            if *operation == Operation::List && reads {
                continue;
            }
            let made = self.operation(place, *operation, verb, input);
            item.insert(method.into(), made);
        }
        let lists = route.operations.iter().any(|(operation, _)| *operation == Operation::List);
        if lists
            && reads
            && let Some(Value::Object(get)) = item.get_mut("get")
            && let Some(Value::Array(parameters)) =
                Some(get.entry("parameters").or_insert_with(|| json!([])))
        {
            parameters.push(list_parameter("Return a list if `true`", false));
        }
        item
    }

    fn operation(
        &mut self,
        place: &Place,
        operation: Operation,
        verb: &str,
        input: &Value,
    ) -> Value {
        let name = self.name(&format!("{}-{verb}-{}", place.prefix, place.words));
        let fields = fields(input, &place.captured);
        let mut made = Map::new();
        made.insert("operationId".into(), name.clone().into());
        made.insert("tags".into(), json!([place.tag]));
        match operation {
            Operation::Update | Operation::Create | Operation::Patch => {
                let open = input.get("additionalProperties") == Some(&Value::Bool(true));
                if !fields.is_empty() || open {
                    let reference = self.schema(&name, input, fields);
                    let content_type = match operation {
                        Operation::Patch => "application/merge-patch+json",
                        _ => "application/json",
                    };
                    let body = json!({
                        "required": true,
                        "content": { content_type: { "schema": { "$ref": reference } } },
                    });
                    made.insert("requestBody".into(), body);
                }
            }
            _ => {
                let mut parameters: Vec<Value> =
                    fields.iter().map(|(name, schema)| query_parameter(name, schema)).collect();
                if operation == Operation::List {
                    parameters.push(list_parameter("Must be set to `true`", true));
                }
                if !parameters.is_empty() {
                    made.insert("parameters".into(), parameters.into());
                }
            }
        }
        let (status, text) = match operation {
            Operation::Delete => ("204", "empty body"),
            _ => ("200", "OK"),
        };
        made.insert("responses".into(), json!({ status: { "description": text } }));
        Value::Object(made)
    }

    /// Where a body's schema is, once it was put there.
    fn schema(&mut self, name: &str, input: &Value, fields: Map<String, Value>) -> String {
        let mut body = Map::from_iter([("type".to_owned(), Value::from("object"))]);
        let required: Vec<&Value> = input
            .get("required")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter(|name| name.as_str().is_some_and(|name| fields.contains_key(name)))
            .collect();
        if !required.is_empty() {
            body.insert("required".into(), json!(required));
        }
        if !fields.is_empty() {
            body.insert("properties".into(), Value::Object(fields));
        }
        let words = name.split('-').map(|word| {
            let mut letters = word.chars();
            let first = letters.next().map(|first| first.to_ascii_uppercase());
            first.into_iter().chain(letters).collect::<String>()
        });
        let name = format!("{}Request", words.collect::<String>());
        self.schemas.insert(name.clone(), Value::Object(body));
        format!("#/components/schemas/{name}")
    }

    /// The same name again gets a number.
    fn name(&mut self, wanted: &str) -> String {
        let times = self.names.entry(wanted.to_owned()).or_insert(0);
        *times += 1;
        if *times == 1 { wanted.to_owned() } else { format!("{wanted}-{times}") }
    }
}

/// Where a route is, and what its operations are called after.
struct Place {
    path: String,
    parameters: Vec<Value>,
    captured: Vec<&'static str>,
    tag: &'static str,
    /// The kind of mount: the first part of operations' names.
    prefix: String,
    /// The template's words, with hyphens between.
    words: String,
}

impl Place {
    fn new(entry: &MountEntry, route: &RouteFacts, generic: bool) -> Self {
        let template = route.template.replace("...}", "}");
        let built_in = entry.administers() || entry.kind == "cubbyhole" || entry.kind == "identity";
        let mount = entry.path.trim_end_matches('/');
        let auth = if entry.table == Table::Auth { "auth/" } else { "" };
        let captured: Vec<&'static str> = route.captures().map(|(name, _)| name).collect();
        let describe = |name: &str| {
            let with = route.operations.iter().find_map(|(_, schema)| {
                schema.get("properties")?.get(name)?.get("description").cloned()
            });
            with.unwrap_or_else(|| name.into())
        };
        let mut parameters: Vec<Value> = captured
            .iter()
            .map(|name| {
                json!({
                    "name": name,
                    "in": "path",
                    "description": describe(name),
                    "required": true,
                    "schema": { "type": "string" },
                })
            })
            .collect();
        let mount = if generic && !built_in && entry.kind != "token" {
            let name = format!("{}_mount_path", entry.kind.replace('-', "_"));
            parameters.push(json!({
                "name": name,
                "in": "path",
                "description": "Path that the backend was mounted at",
                "required": true,
                "schema": { "type": "string", "default": mount },
            }));
            format!("{{{name}}}")
        } else {
            mount.to_owned()
        };
        let slash = if template.is_empty() { "" } else { "/" };
        let words: Vec<&str> =
            template.split(['/', '{', '}', '_', '.']).filter(|word| !word.is_empty()).collect();
        let tag = match (entry.table, entry.kind.as_str()) {
            (_, "system") => "system",
            (_, "identity") => "identity",
            (Table::Auth, _) => "auth",
            (Table::Secret, _) => "secrets",
        };
        Self {
            path: format!("/{auth}{mount}{slash}{template}"),
            parameters,
            captured,
            tag,
            prefix: entry.kind.clone(),
            words: if words.is_empty() { "root".into() } else { words.join("-") },
        }
    }
}

/// What a route takes besides what its path captures.
fn fields(input: &Value, captured: &[&str]) -> Map<String, Value> {
    let properties = input.get("properties").and_then(Value::as_object).into_iter().flatten();
    properties
        .filter(|(name, _)| !captured.contains(&name.as_str()))
        .map(|(name, property)| (name.clone(), schema::of(property)))
        .collect()
}

fn query_parameter(name: &str, schema: &Value) -> Value {
    let mut schema = schema.clone();
    let description = schema.as_object_mut().and_then(|schema| schema.shift_remove("description"));
    json!({
        "name": name,
        "in": "query",
        "description": description.unwrap_or_else(|| name.into()),
        "schema": schema,
    })
}

fn list_parameter(description: &str, required: bool) -> Value {
    let mut parameter = json!({
        "name": "list",
        "in": "query",
        "description": description,
        "schema": { "type": "string", "enum": ["true"] },
    });
    if required && let Some(parameter) = parameter.as_object_mut() {
        parameter.insert("required".into(), true.into());
    }
    parameter
}

/// HTTP's method in lower case, and the verb in names. A list is a `get` with a parameter.
fn method_of(operation: Operation) -> Option<(&'static str, &'static str)> {
    Some(match operation {
        Operation::Create | Operation::Update => ("post", "write"),
        Operation::Delete => ("delete", "delete"),
        Operation::Header => ("head", "head"),
        Operation::Help => return None,
        Operation::List => ("get", "list"),
        Operation::Patch => ("patch", "patch"),
        Operation::Read => ("get", "read"),
    })
}
