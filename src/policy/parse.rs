//! Policy text to rules.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::capability::{Capabilities, Capability};
use super::pattern::Pattern;
use super::template::{self, TemplateLimits};
use crate::clock::Timestamp;
use crate::duration::SignedDuration;
use crate::hcl::{self, Body, Item, Node};

/// Bytes of one policy's text, after base64 is undone.
pub const TEXT_BYTES_MAX: usize = 1 << 20;

/// Stanzas in one policy.
pub const PATHS_MAX: usize = 16_384;

/// Bytes of one rule's path.
pub const PATH_BYTES_MAX: usize = 4096;

/// Warnings that one policy may cause; the last says that there are more.
const WARNINGS_MAX: usize = 16;

/// The text is the caller's to read. It says which path, key and line, and what was expected.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("failed to parse policy: {0}")]
pub struct PolicyError(String);

/// A policy's text, understood.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    pub name: String,
    /// Empty for the root namespace, else with a trailing slash. Its rules are for paths below.
    pub namespace: String,
    /// HCL or JSON, as it was written; base64 is undone.
    pub text: String,
    pub rules: Vec<PathRules>,
    /// Some rule depends on who asks, so that an [`super::Acl`] made of it is for one entity only.
    pub templated: bool,
    /// Stored beside the text, by whoever stores it.
    pub template_limits: TemplateLimits,
    /// What the writer should be told.
    pub warnings: Vec<String>,
}

/// One `path "…" { … }`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PathRules {
    /// As written, templates and wildcards included.
    pub path: String,
    /// Where it starts in the text, from 1.
    pub line: usize,
    pub permissions: Permissions,
    /// From then on as if it were not there.
    pub expiration: Option<Timestamp>,
    pub comment: String,
    templated: bool,
}

/// Names of parameters, in lower case, with the values they are about. No values: any value.
pub type Parameters = BTreeMap<String, Vec<Value>>;

/// What a rule allows.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Permissions {
    pub capabilities: Capabilities,
    /// Empty: no limits.
    pub allowed_parameters: Parameters,
    pub denied_parameters: Parameters,
    /// In lower case.
    pub required_parameters: Vec<String>,
    /// Zero: none.
    pub min_wrapping_ttl: Duration,
    /// Zero: none.
    pub max_wrapping_ttl: Duration,
    pub mfa_methods: Vec<String>,
    /// Others have to agree to each request.
    pub control_group: bool,
    /// Most keys that one listing may return.
    pub pagination_limit: Option<u64>,
}

impl Permissions {
    /// `deny` leaves nothing beside it.
    pub(super) fn denied() -> Self {
        let capabilities = Capabilities::from_iter([Capability::Deny]);
        Self { capabilities, ..Self::default() }
    }
}

impl PathRules {
    pub(super) fn is_templated(&self) -> bool {
        self.templated
    }
}

impl Policy {
    /// Takes HCL 1 or JSON, or either of them in base64.
    ///
    /// # Errors
    /// With a text for the writer, where it is no policy.
    pub fn parse(name: &str, text: &str) -> Result<Self, PolicyError> {
        let text = decoded(text)?;
        let mut policy = Self { name: name.to_owned(), ..Self::default() };
        let body = hcl::parse(&text).map_err(|error| PolicyError(error.to_string()))?;
        for item in body.items {
            let line = item.line;
            match key(&item) {
                "name" if item.keys.len() == 1 => {}
                "path" => {
                    for stanza in stanzas(item)? {
                        policy.add(stanza)?;
                    }
                }
                other => {
                    return Err(PolicyError(format!(
                        "invalid key {other:?} on line {line}: expected `path \"…\" {{ … }}`"
                    )));
                }
            }
        }
        policy.text = text;
        Ok(policy)
    }

    fn add(&mut self, stanza: Stanza) -> Result<(), PolicyError> {
        if self.rules.len() >= PATHS_MAX {
            return Err(PolicyError(format!("more than {PATHS_MAX} paths")));
        }
        let path = stanza.path.clone();
        let mut warnings = Vec::new();
        let rules = path_rules(stanza, &mut warnings)
            .map_err(|message| PolicyError(format!("path {path:?}: {message}")))?;
        self.templated |= rules.templated;
        self.rules.push(rules);
        for warning in warnings {
            if self.warnings.len() + 1 < WARNINGS_MAX {
                self.warnings.push(format!("path {path:?}: {warning}"));
            } else if self.warnings.len() < WARNINGS_MAX {
                self.warnings.push("there are more warnings, which are not shown".to_owned());
            }
        }
        Ok(())
    }
}

/// The text as `policy fmt` leaves it: HCL, whatever it was. Comments stay, but for JSON, which
/// has none.
///
/// # Errors
/// As [`Policy::parse`], and where JSON has a `null`, which HCL has not.
pub fn format(text: &str) -> Result<String, PolicyError> {
    let text = Policy::parse("", text)?.text;
    let mut body = hcl::parse(&text).map_err(|error| PolicyError(error.to_string()))?;
    if hcl::is_json(&text) {
        let mut items = Vec::new();
        for item in std::mem::take(&mut body.items) {
            if key(&item) == "path" {
                let stanzas = stanzas(item)?.into_iter();
                items.extend(stanzas.map(|s| Item::block("path", s.path, s.body, s.line)));
            } else {
                items.push(item);
            }
        }
        body.items = items;
    }
    hcl::print(&body).map_err(|error| PolicyError(error.to_string()))
}

/// Undoes base64 where it is base64, as Vault does. No policy is both: one with a path in it has
/// characters that base64 lacks.
fn decoded(text: &str) -> Result<String, PolicyError> {
    let compact: String = text.split(['\r', '\n']).collect();
    let text = match STANDARD.decode(compact.trim()).ok().and_then(|b| String::from_utf8(b).ok()) {
        Some(decoded) => decoded,
        None => text.to_owned(),
    };
    if text.len() > TEXT_BYTES_MAX {
        return Err(PolicyError(format!("more than {TEXT_BYTES_MAX} bytes")));
    }
    Ok(text)
}

struct Stanza {
    path: String,
    body: Body,
    line: usize,
}

/// `path "a" { … }`, or what JSON makes of it: an object or a list of objects, by path, each
/// again an object or a list of them.
fn stanzas(item: Item) -> Result<Vec<Stanza>, PolicyError> {
    let line = item.line;
    let mut stanzas = Vec::new();
    let mut labels = item.keys.into_iter().skip(1);
    match (labels.next(), labels.next()) {
        (Some(label), None) => push_stanzas(&mut stanzas, &label.text, item.node, line)?,
        (Some(_), Some(label)) => {
            let message =
                format!("unexpected {:?} on line {line}: a path is one string", label.text);
            return Err(PolicyError(message));
        }
        (None, _) => {
            let message = format!("`path` on line {line}: expected a path, as in `path \"a/b\"`");
            for body in objects(item.node).ok_or(PolicyError(message))? {
                for inner in body.items {
                    let (path, line) = (key(&inner).to_owned(), inner.line);
                    push_stanzas(&mut stanzas, &path, inner.node, line)?;
                }
            }
        }
    }
    Ok(stanzas)
}

fn push_stanzas(
    stanzas: &mut Vec<Stanza>,
    path: &str,
    node: Node,
    line: usize,
) -> Result<(), PolicyError> {
    let found = node.describe();
    let bodies = objects(node).ok_or_else(|| {
        PolicyError(format!("path {path:?}: expected an object, found {found} on line {line}"))
    })?;
    stanzas.extend(bodies.into_iter().map(|body| Stanza { path: path.to_owned(), body, line }));
    Ok(())
}

fn objects(node: Node) -> Option<Vec<Body>> {
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

fn path_rules(stanza: Stanza, warnings: &mut Vec<String>) -> Result<PathRules, String> {
    let Stanza { path, body, line } = stanza;
    if path.len() > PATH_BYTES_MAX {
        return Err(format!("more than {PATH_BYTES_MAX} bytes"));
    }
    let templated = template::is_templated(&path).map_err(|_| {
        format!("`{{{{` and `}}}}` are not in pairs on line {line}: expected {{{{identity.…}}}}")
    })?;
    for reference in template::unknown_references(&path) {
        warnings.push(format!("nothing is known as {reference:?}: the rule will never apply"));
    }
    if Pattern::parse(&path).is_none() {
        return Err("invalid use of wildcards ('+*' is forbidden)".to_owned());
    }
    let mut rules = PathRules { path, line, templated, ..PathRules::default() };
    let mut seen: Vec<String> = Vec::new();
    let mut filtered = false;
    for item in body.items {
        let name = key(&item).to_owned();
        if seen.contains(&name) {
            warnings.push(format!("{name:?} on line {} was given before", item.line));
        }
        filtered |= name == "list_scan_response_keys_filter_path";
        attribute(&mut rules, &name, item)?;
        if !seen.contains(&name) {
            seen.push(name);
        }
    }
    let permissions = &mut rules.permissions;
    if permissions.capabilities.denies() {
        *permissions = Permissions::denied();
        return Ok(rules);
    }
    let (min, max) = (permissions.min_wrapping_ttl, permissions.max_wrapping_ttl);
    if !max.is_zero() && max < min {
        return Err("max_wrapping_ttl cannot be less than min_wrapping_ttl".to_owned());
    }
    if filtered {
        // Were it left out silently, listings would show more than the writer wants.
        permissions.capabilities.remove(Capability::List);
        permissions.capabilities.remove(Capability::Scan);
        warnings.push(
            "\"list_scan_response_keys_filter_path\" is not supported: the rule grants no listing"
                .to_owned(),
        );
    }
    if permissions.control_group {
        warnings.push(
            "\"control_group\" cannot be satisfied here: the rule refuses every request".to_owned(),
        );
    }
    Ok(rules)
}

fn attribute(rules: &mut PathRules, name: &str, item: Item) -> Result<(), String> {
    let line = item.line;
    let permissions = &mut rules.permissions;
    let labelled = item.keys.len() > 1;
    match name {
        _ if labelled => return Err(format!("{name:?} on line {line}: expected `=`")),
        "capabilities" => {
            for capability in strings(name, &item)? {
                // As in Vault, nothing counts beside `deny`, be it right or wrong.
                if !permissions.capabilities.denies() {
                    permissions.capabilities.insert(capability_of(&capability, line)?);
                }
            }
        }
        "policy" => permissions.capabilities |= legacy(&string(name, &item)?, line)?,
        "allowed_parameters" => {
            merge_parameters(&mut permissions.allowed_parameters, &parameters(name, item)?);
        }
        "denied_parameters" => {
            merge_parameters(&mut permissions.denied_parameters, &parameters(name, item)?);
        }
        "required_parameters" => {
            let names = strings(name, &item)?.into_iter().map(|name| name.to_lowercase());
            merge_names(&mut permissions.required_parameters, names);
        }
        "min_wrapping_ttl" => permissions.min_wrapping_ttl = duration(name, &item)?,
        "max_wrapping_ttl" => permissions.max_wrapping_ttl = duration(name, &item)?,
        "mfa_methods" => merge_names(&mut permissions.mfa_methods, strings(name, &item)?),
        "control_group" => match item.node {
            Node::Object(_) => permissions.control_group = true,
            other => return Err(unexpected(name, line, "an object", &other)),
        },
        "pagination_limit" => permissions.pagination_limit = pagination_limit(name, &item)?,
        "expiration" => rules.expiration = expiration(name, &item)?,
        "comment" => rules.comment = string(name, &item)?,
        "list_scan_response_keys_filter_path" => drop(string(name, &item)?),
        "subscribe_event_types" => drop(strings(name, &item)?),
        _ => {
            let expected = ATTRIBUTES.join(", ");
            return Err(format!("invalid key {name:?} on line {line}: expected one of {expected}"));
        }
    }
    Ok(())
}

/// Values of a name that both have are put together; no values, which is any value, wins.
pub(super) fn merge_parameters(into: &mut Parameters, from: &Parameters) {
    for (name, values) in from {
        match into.get_mut(name) {
            None => {
                into.insert(name.clone(), values.clone());
            }
            Some(known) if known.is_empty() || values.is_empty() => known.clear(),
            Some(known) => known.extend(values.iter().cloned()),
        }
    }
}

/// Adds those that are not there yet.
pub(super) fn merge_names(into: &mut Vec<String>, from: impl IntoIterator<Item = String>) {
    let mut known: BTreeSet<String> = into.iter().cloned().collect();
    into.extend(from.into_iter().filter(|name| known.insert(name.clone())));
}

fn capability_of(name: &str, line: usize) -> Result<Capability, String> {
    Capability::of_name(name).ok_or_else(|| {
        let names = Capability::ALL.map(Capability::name).join(", ");
        format!("invalid capability {name:?} on line {line}: expected one of {names}")
    })
}

/// The form before capabilities, still met in old policies.
fn legacy(policy: &str, line: usize) -> Result<Capabilities, String> {
    use Capability::{Create, Delete, Deny, List, Read, Sudo, Update};
    let capabilities: &[Capability] = match policy {
        "" => &[],
        "deny" => &[Deny],
        "read" => &[Read, List],
        "write" => &[Create, Read, Update, Delete, List],
        "sudo" => &[Create, Read, Update, Delete, List, Sudo],
        _ => {
            return Err(format!(
                "invalid policy {policy:?} on line {line}: expected read, write, sudo or deny"
            ));
        }
    };
    Ok(capabilities.iter().copied().collect())
}

fn parameters(name: &str, item: Item) -> Result<Parameters, String> {
    let line = item.line;
    let found = item.node.describe();
    let bodies = objects(item.node)
        .ok_or_else(|| format!("{name:?} on line {line}: expected an object, found {found}"))?;
    let mut parameters = Parameters::new();
    for inner in bodies.into_iter().flat_map(|body| body.items) {
        let parameter = key(&inner).to_lowercase();
        let Node::List(list) = &inner.node else {
            let what = format!("{name}.{parameter}");
            return Err(unexpected(&what, inner.line, "a list of values", &inner.node));
        };
        let values = list.elements.iter().map(|element| element.node.to_json()).collect();
        merge_parameters(&mut parameters, &Parameters::from([(parameter, values)]));
    }
    Ok(parameters)
}

fn strings(name: &str, item: &Item) -> Result<Vec<String>, String> {
    let Node::List(list) = &item.node else {
        return Err(unexpected(name, item.line, "a list of strings", &item.node));
    };
    let text = |node: &Node| match node.to_json() {
        Value::String(text) => Ok(text),
        _ => Err(unexpected(name, item.line, "strings in the list", node)),
    };
    list.elements.iter().map(|element| text(&element.node)).collect()
}

fn string(name: &str, item: &Item) -> Result<String, String> {
    match item.node.to_json() {
        Value::String(text) => Ok(text),
        _ => Err(unexpected(name, item.line, "a string", &item.node)),
    }
}

fn duration(name: &str, item: &Item) -> Result<Duration, String> {
    let expected = "seconds or a duration such as \"1h30m\"";
    let length = match item.node.to_json() {
        Value::Number(number) => number
            .as_u64()
            .map(Duration::from_secs)
            .or_else(|| Duration::try_from_secs_f64(number.as_f64()?).ok()),
        Value::String(text) if text.trim().is_empty() => Some(Duration::ZERO),
        Value::String(text) => SignedDuration::parse(&text).ok().and_then(SignedDuration::unsigned),
        _ => None,
    };
    length.ok_or_else(|| unexpected(name, item.line, expected, &item.node))
}

/// 0: none.
fn pagination_limit(name: &str, item: &Item) -> Result<Option<u64>, String> {
    match item.node.to_json().as_u64() {
        Some(limit) => Ok(Some(limit).filter(|limit| *limit > 0)),
        None => Err(unexpected(name, item.line, "a number, 0 or more", &item.node)),
    }
}

fn expiration(name: &str, item: &Item) -> Result<Option<Timestamp>, String> {
    match item.node.to_json() {
        Value::String(text) if text.is_empty() => Ok(None),
        Value::String(text) => match Timestamp::parse_rfc3339(&text) {
            Some(time) => Ok(Some(time)),
            None => Err(format!(
                "{name:?} on line {}: expected a time such as \"2030-01-02T03:04:05Z\", \
                 found {text:?}",
                item.line
            )),
        },
        _ => Err(unexpected(name, item.line, "a time as a string", &item.node)),
    }
}

fn unexpected(name: &str, line: usize, expected: &str, found: &Node) -> String {
    let shown = match found {
        Node::Scalar(scalar) => scalar.value.to_string().chars().take(SHOWN_MAX).collect(),
        Node::List(_) | Node::Object(_) => found.describe().to_owned(),
    };
    format!("{name:?} on line {line}: expected {expected}, found {shown}")
}

/// Characters of a value that an error repeats.
const SHOWN_MAX: usize = 40;

const ATTRIBUTES: [&str; 14] = [
    "allowed_parameters",
    "capabilities",
    "comment",
    "control_group",
    "denied_parameters",
    "expiration",
    "list_scan_response_keys_filter_path",
    "max_wrapping_ttl",
    "mfa_methods",
    "min_wrapping_ttl",
    "pagination_limit",
    "policy",
    "required_parameters",
    "subscribe_event_types",
];
