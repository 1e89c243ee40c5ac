//! What policies are expected to allow and to refuse, as a table in HCL or JSON that is checked
//! without a server.
//!
//! ```hcl
//! policy "web" { file = "web.hcl" }          # below the table's own folder
//! test "the web reads its own configuration" {
//!   policies   = ["web"]
//!   path       = "secret/data/web/config"
//!   allow      = ["read"]
//!   deny       = ["update", "delete"]
//!   parameters = { ttl = "1h" }              # what the request would send
//!   wrap_ttl   = "5m"
//!   sudo       = false                       # whether the path asks for `sudo`
//!   entity     = { id = "…", name = "bob", metadata = { team = "web" } }
//! }
//! ```

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Map, Value};

use super::acl::Access;
use super::explain::{Explanation, Question, explain};
use super::parse::Policy;
use super::template::Identity;
use crate::clock::Timestamp;
use crate::duration::SignedDuration;
use crate::hcl::{self, Body, Item, Node};
use crate::request::{Operation, Params};

/// A table, read.
#[derive(Debug, Default)]
pub struct Expectations {
    /// Where each policy's text is, by its name.
    pub files: BTreeMap<String, String>,
    tests: Vec<Test>,
}

/// The text is the writer's to read.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{0}")]
pub struct ExpectationsError(String);

#[derive(Debug, Default)]
struct Test {
    name: String,
    line: usize,
    policies: Vec<String>,
    path: String,
    allow: Vec<Operation>,
    deny: Vec<Operation>,
    params: Params,
    wrap_ttl: Option<Duration>,
    sudo: bool,
    identity: Option<Identity>,
}

/// One operation of one test.
#[derive(Debug)]
pub struct Checked {
    pub test: String,
    /// In the table, from 1.
    pub line: usize,
    pub operation: Operation,
    pub path: String,
    pub is_expected_allowed: bool,
    pub explanation: Explanation,
}

impl Checked {
    pub fn holds(&self) -> bool {
        self.explanation.refusal.is_none() == self.is_expected_allowed
    }

    /// What decided, and where that is written.
    pub fn reason(&self) -> String {
        let places: Vec<String> = self
            .explanation
            .sources
            .iter()
            .map(|source| format!("{} line {}: path {:?}", source.policy, source.line, source.path))
            .collect();
        let what = match &self.explanation.refusal {
            Some(refusal) => refusal.to_string(),
            None => "the rule grants it".to_owned(),
        };
        if places.is_empty() { what } else { format!("{what} ({})", places.join("; ")) }
    }
}

impl Expectations {
    /// # Errors
    /// Where it is no such table.
    pub fn parse(text: &str) -> Result<Self, ExpectationsError> {
        Self::read(text).map_err(ExpectationsError)
    }

    fn read(text: &str) -> Result<Self, String> {
        let body = hcl::parse(text).map_err(|error| error.to_string())?;
        let mut table = Self::default();
        for item in body.items {
            let line = item.line;
            match key(&item) {
                "policy" => {
                    for (name, body, line) in blocks(item)? {
                        let file = body.get("file").map(Node::to_json);
                        let Some(Value::String(file)) = file else {
                            return Err(format!("line {line}: policy {name:?} needs a `file`"));
                        };
                        table.files.insert(name.to_lowercase(), file);
                    }
                }
                "test" => {
                    for (name, body, line) in blocks(item)? {
                        table.tests.push(test(name, body, line)?);
                    }
                }
                other => {
                    return Err(format!(
                        "line {line}: unknown {other:?}: expected `policy \"…\" {{ … }}` or \
                         `test \"…\" {{ … }}`"
                    ));
                }
            }
        }
        if table.tests.is_empty() {
            return Err("there is no `test` in it".into());
        }
        Ok(table)
    }

    /// Every operation of every test. `policies` by name.
    ///
    /// # Errors
    /// Where a test names a policy that is not there.
    pub fn check(
        &self,
        policies: &BTreeMap<String, Policy>,
        now: Timestamp,
    ) -> Result<Vec<Checked>, ExpectationsError> {
        let mut checked = Vec::new();
        for test in &self.tests {
            let mut own = Vec::new();
            for name in &test.policies {
                let policy = policies.get(name).ok_or_else(|| {
                    ExpectationsError(format!(
                        "line {}: test {:?} names the policy {name:?}, which is in no `policy` \
                         block and no file that was given",
                        test.line, test.name
                    ))
                })?;
                own.push(policy.clone());
            }
            for (operations, is_expected_allowed) in [(&test.allow, true), (&test.deny, false)] {
                for operation in operations {
                    checked.push(test.ask(&own, *operation, is_expected_allowed, now));
                }
            }
        }
        Ok(checked)
    }
}

impl Test {
    fn ask(
        &self,
        policies: &[Policy],
        operation: Operation,
        is_expected_allowed: bool,
        now: Timestamp,
    ) -> Checked {
        let mut path = self.path.trim_start_matches('/').to_owned();
        if operation == Operation::List && !path.ends_with('/') {
            path.push('/');
        }
        let question = Question {
            operation,
            path: &path,
            params: &self.params,
            wrap_ttl: self.wrap_ttl,
            access: if self.sudo { Access::Sudo } else { Access::Ordinary },
        };
        let explanation = explain(policies, self.identity.as_ref(), now, &question);
        Checked {
            test: self.name.clone(),
            line: self.line,
            operation,
            path,
            is_expected_allowed,
            explanation,
        }
    }
}

fn test(name: String, body: Body, line: usize) -> Result<Test, String> {
    let mut test = Test { name, line, ..Test::default() };
    for item in body.items {
        let line = item.line;
        let value = item.node.to_json();
        let wrong = |expected: &str| format!("line {line}: {:?} must be {expected}", key(&item));
        match key(&item) {
            "path" => test.path = text(&value).ok_or_else(|| wrong("a string"))?,
            "policies" => {
                let names = texts(&value).ok_or_else(|| wrong("a list of names"))?;
                test.policies = names.into_iter().map(|name| name.to_lowercase()).collect();
            }
            "allow" => test.allow = operations(&value).ok_or_else(|| wrong(OPERATIONS))?,
            "deny" => test.deny = operations(&value).ok_or_else(|| wrong(OPERATIONS))?,
            "sudo" => test.sudo = value.as_bool().ok_or_else(|| wrong("true or false"))?,
            "parameters" => test.params = object(&value).ok_or_else(|| wrong("an object"))?,
            "wrap_ttl" => {
                let ttl = match &value {
                    Value::Number(number) => number.as_u64().map(Duration::from_secs),
                    Value::String(text) => {
                        SignedDuration::parse(text).ok().and_then(SignedDuration::unsigned)
                    }
                    _ => None,
                };
                test.wrap_ttl = Some(ttl.ok_or_else(|| wrong("a duration such as \"5m\""))?);
            }
            "entity" => {
                test.identity = Some(
                    identity(&value)
                        .ok_or_else(|| wrong("an object of `id`, `name` and `metadata`"))?,
                );
            }
            other => {
                return Err(format!(
                    "line {line}: unknown key {other:?} in a test: expected path, policies, allow, \
                     deny, parameters, wrap_ttl, sudo or entity"
                ));
            }
        }
    }
    if test.path.is_empty() {
        return Err(format!("line {line}: test {:?} needs a `path`", test.name));
    }
    if test.allow.is_empty() && test.deny.is_empty() {
        return Err(format!("line {line}: test {:?} needs `allow` or `deny`", test.name));
    }
    Ok(test)
}

fn identity(value: &Value) -> Option<Identity> {
    let fields = object(value)?;
    let field = |name: &str| match fields.get(name) {
        None => Some(String::new()),
        Some(value) => text(value),
    };
    let metadata = match fields.get("metadata") {
        None => Map::new(),
        Some(value) => object(value)?,
    };
    let metadata: Option<BTreeMap<String, String>> =
        metadata.iter().map(|(name, value)| Some((name.clone(), text(value)?))).collect();
    let (id, name) = (field("id")?, field("name")?);
    Some(Identity { id, name, metadata: metadata?, ..Identity::default() })
}

fn operations(value: &Value) -> Option<Vec<Operation>> {
    let names = texts(value)?;
    names
        .iter()
        .map(|name| match name.as_str() {
            "create" => Some(Operation::Create),
            "delete" => Some(Operation::Delete),
            "list" => Some(Operation::List),
            "patch" => Some(Operation::Patch),
            "read" => Some(Operation::Read),
            "update" => Some(Operation::Update),
            _ => None,
        })
        .collect()
}

/// What HCL makes of `a = { … }`: an object, or a list of one.
fn object(value: &Value) -> Option<Map<String, Value>> {
    match value {
        Value::Object(object) => Some(object.clone()),
        Value::Array(list) => match list.as_slice() {
            [only] => object(only),
            _ => None,
        },
        _ => None,
    }
}

fn text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

fn texts(value: &Value) -> Option<Vec<String>> {
    value.as_array()?.iter().map(text).collect()
}

/// `test "a" { … }`, or what JSON makes of it: an object or a list of objects, by name.
fn blocks(item: Item) -> Result<Vec<(String, Body, usize)>, String> {
    let line = item.line;
    let kind = key(&item).to_owned();
    let wrong = || format!("line {line}: expected `{kind} \"name\" {{ … }}`");
    let label = item.keys.get(1).map(|label| label.text.clone());
    let mut blocks = Vec::new();
    for body in bodies(item.node).ok_or_else(wrong)? {
        match &label {
            Some(name) => blocks.push((name.clone(), body, line)),
            None => {
                for inner in body.items {
                    let (name, line) = (key(&inner).to_owned(), inner.line);
                    for body in bodies(inner.node).ok_or_else(wrong)? {
                        blocks.push((name.clone(), body, line));
                    }
                }
            }
        }
    }
    Ok(blocks)
}

fn bodies(node: Node) -> Option<Vec<Body>> {
    match node {
        Node::Object(body) => Some(vec![body]),
        Node::List(list) => list
            .elements
            .into_iter()
            .map(|element| match element.node {
                Node::Object(body) => Some(body),
                Node::List(_) | Node::Scalar(_) => None,
            })
            .collect(),
        Node::Scalar(_) => None,
    }
}

fn key(item: &Item) -> &str {
    item.keys.first().map_or("", |key| key.text.as_str())
}

const OPERATIONS: &str = "a list of create, read, update, patch, delete and list";
