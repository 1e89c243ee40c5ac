//! What a route table says of itself: for OpenAPI, for tests that walk every route, and for
//! whoever explains why a request was refused.

use serde_json::Value;

use super::route::{Access, Needs, Route};
use crate::request::Operation;

/// One line of a table, without its handlers.
#[derive(Clone, Debug)]
pub struct RouteFacts {
    /// Below the mount, such as `keys/{name}` or `data/{path...}`.
    pub template: &'static str,
    pub help: &'static str,
    pub access: Access,
    pub needs: Needs,
    pub tells_create: bool,
    pub login: bool,
    /// A request that may run is noted in an entry of its own before it does.
    pub acts_outside: bool,
    /// Each with the schema of what it takes, captures included.
    pub operations: Vec<(Operation, Value)>,
}

impl RouteFacts {
    pub fn of<S: Send + Sync + 'static>(route: &Route<S>) -> Self {
        let schema = |operation| {
            route.input_schema(operation).map_or(Value::Null, |schema| schema.as_value().clone())
        };
        Self {
            template: route.template,
            help: route.help,
            access: route.access,
            needs: route.needs,
            tells_create: route.exists.is_some(),
            login: route.login,
            acts_outside: route.acts_outside,
            operations: route.operations().map(|of| (of, schema(of))).collect(),
        }
    }

    /// What the path captures, in order: names, and whether each takes several segments.
    pub fn captures(&self) -> impl Iterator<Item = (&'static str, bool)> {
        self.template.split('/').filter_map(|segment| {
            let name = segment.strip_prefix('{')?.strip_suffix('}')?;
            Some(name.strip_suffix("...").map_or((name, false), |name| (name, true)))
        })
    }
}
