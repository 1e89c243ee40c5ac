//! What `?help=1` answers: written from the tables that requests are routed by, so that it cannot
//! tell of a path or a parameter that is not there.

use std::collections::BTreeMap;

use serde_json::Value;

use super::coerce::kind;
use super::engine::Engine;
use super::route::Route;
use crate::request::Operation;

/// A mount: what it is for, and its paths.
pub(super) fn of_engine<S: Send + Sync + 'static>(engine: &Engine<S>) -> String {
    let mut text = format!("## DESCRIPTION\n\n{}\n\n## PATHS\n", engine.about());
    for route in engine.routes() {
        text.push_str(&format!("\n    {}\n        {}\n", shown(route), route.help()));
    }
    text
}

/// A path: the route that answers it, with its operations and parameters.
pub(super) fn of_route<S: Send + Sync + 'static>(path: &str, route: &Route<S>) -> String {
    let mut text = format!(
        "Request:        {path}\nMatching Route: {}\n\n{}\n\n## OPERATIONS\n\n",
        shown(route),
        route.help()
    );
    let mut parameters = BTreeMap::new();
    for operation in route.operations() {
        text.push_str(&format!("    {}\n", method(operation)));
        let schema = route.input_schema(operation).map(schemars::Schema::as_value);
        let properties = schema.and_then(|schema| schema.get("properties"));
        for (name, property) in properties.and_then(Value::as_object).into_iter().flatten() {
            parameters.insert(name, property);
        }
    }
    if !parameters.is_empty() {
        text.push_str("\n## PARAMETERS\n");
    }
    for (name, property) in parameters {
        text.push_str(&format!("\n    {name} ({})\n", kind(property).name()));
        if let Some(about) = property.get("description").and_then(Value::as_str) {
            text.push_str(&format!("        {}\n", about.replace('\n', "\n        ")));
        }
    }
    text
}

/// `/` where the mount itself is meant.
fn shown<S: Send + Sync + 'static>(route: &Route<S>) -> &'static str {
    if route.template().is_empty() { "/" } else { route.template() }
}

fn method(operation: Operation) -> &'static str {
    match operation {
        Operation::Create | Operation::Update => "create, update (POST, PUT)",
        Operation::Delete => "delete (DELETE)",
        Operation::Header => "header (HEAD)",
        Operation::Help => "help (GET ?help=1)",
        Operation::List => "list (LIST, GET ?list=true)",
        Operation::Patch => "patch (PATCH)",
        Operation::Read => "read (GET)",
    }
}
