//! Templates of claims: JSON with `{{…}}` where values go, quotes and all.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use crate::clock::Timestamp;
use crate::duration::SignedDuration;
use crate::identity::Who;
use crate::request::Error;

/// # Errors
/// [`Error::BadRequest`] where it could never be filled in, or claims what the server claims.
pub(super) fn check(template: &str) -> Result<(), Error> {
    if template.len() > TEMPLATE_BYTES_MAX {
        return Err(Error::BadRequest(format!(
            "the template is longer than {TEMPLATE_BYTES_MAX} bytes"
        )));
    }
    let claims = fill(template, None, Timestamp::ZERO)?;
    match claims.keys().find(|name| RESERVED.contains(&name.as_str())) {
        Some(name) => Err(Error::BadRequest(format!(
            "top level key {name:?} not allowed. Restricted keys: {}",
            RESERVED.join(", ")
        ))),
        None => Ok(()),
    }
}

/// What a template claims of someone; without anyone, values are empty.
///
/// # Errors
/// [`Error::BadRequest`] with what is wrong with the template.
pub(super) fn fill(
    template: &str,
    who: Option<&Who>,
    now: Timestamp,
) -> Result<Map<String, Value>, Error> {
    let text = decoded(template);
    if text.trim().is_empty() {
        return Ok(Map::new());
    }
    let mut filled = String::with_capacity(text.len());
    let mut rest = text.as_str();
    while let Some((before, after)) = rest.split_once("{{") {
        let unbalanced =
            || Error::bad_request("error parsing template: unbalanced templating characters");
        let (directive, after) = after.split_once("}}").ok_or_else(unbalanced)?;
        let value = resolve(directive.trim(), who, now).ok_or_else(|| {
            Error::bad_request(
                "error parsing template: no value could be found for one of the template \
                 directives",
            )
        })?;
        filled.push_str(before);
        filled.push_str(&value.to_string());
        rest = after;
    }
    filled.push_str(rest);
    serde_json::from_str(&filled)
        .map_err(|error| Error::BadRequest(format!("error parsing template JSON: {error}")))
}

/// A template may be sent in base64, to be spared from shells.
fn decoded(template: &str) -> String {
    let bytes = STANDARD.decode(template.trim()).ok();
    bytes.and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or_else(|| template.to_owned())
}

/// `None` for what no directive says; what is merely not there is empty.
fn resolve(directive: &str, who: Option<&Who>, now: Timestamp) -> Option<Value> {
    if let Some(time) = directive.strip_prefix("time.now") {
        return moment(time, now);
    }
    let text = directive.strip_prefix("identity.")?;
    if let Some(group) = text.strip_prefix("groups.ids.") {
        let (id, field) = group.split_once('.')?;
        let found = who.and_then(|who| who.identity.groups.get(id));
        return of_group(field, "name", found.map(|group| (&group.name, &group.metadata)));
    }
    if let Some(group) = text.strip_prefix("groups.names.") {
        let (name, field) = group.split_once('.')?;
        let mut groups = who.iter().flat_map(|who| &who.identity.groups);
        let found = groups.find(|(_, group)| group.name == name);
        return of_group(field, "id", found.map(|(id, group)| (id, &group.metadata)));
    }
    let text = text.strip_prefix("entity.")?;
    let identity = who.map(|who| &who.identity);
    let string = |value: Option<&String>| Some(Value::String(value.cloned().unwrap_or_default()));
    match text {
        "id" => return string(identity.map(|identity| &identity.id)),
        "name" => return string(identity.map(|identity| &identity.name)),
        "groups.ids" => {
            let groups = identity.iter().flat_map(|identity| identity.groups.keys());
            return Some(groups.cloned().collect());
        }
        "groups.names" => {
            let groups = identity.iter().flat_map(|identity| identity.groups.values());
            return Some(groups.map(|group| group.name.clone()).collect());
        }
        _ => {}
    }
    if let Some(alias) = text.strip_prefix("aliases.") {
        let (accessor, field) = alias.split_once('.')?;
        let alias = identity.and_then(|identity| identity.aliases.get(accessor));
        return match field {
            "id" => string(alias.map(|alias| &alias.id)),
            "name" => string(alias.map(|alias| &alias.name)),
            _ => of_map(field, "metadata", alias.map(|alias| &alias.metadata)).or_else(|| {
                of_map(field, "custom_metadata", alias.map(|alias| &alias.custom_metadata))
            }),
        };
    }
    of_map(text, "metadata", identity.map(|identity| &identity.metadata))
}

type Metadata = std::collections::BTreeMap<String, String>;

fn of_group(field: &str, own: &str, found: Option<(&String, &Metadata)>) -> Option<Value> {
    if field == own {
        let value = found.map(|(value, _)| value.clone());
        return Some(Value::String(value.unwrap_or_default()));
    }
    of_map(field, "metadata", found.map(|(_, metadata)| metadata))
}

/// The whole map, or one value of it.
fn of_map(field: &str, name: &str, map: Option<&Metadata>) -> Option<Value> {
    let rest = field.strip_prefix(name)?;
    if rest.is_empty() {
        return Some(map.map_or_else(|| json!({}), |map| json!(map)));
    }
    let key = rest.strip_prefix('.').filter(|key| !key.is_empty())?;
    let value = map.and_then(|map| map.get(key)).cloned();
    Some(Value::String(value.unwrap_or_default()))
}

/// `.plus.1h` or `.minus.5m`, in seconds since 1970.
fn moment(text: &str, now: Timestamp) -> Option<Value> {
    if text.is_empty() {
        return Some(now.seconds().into());
    }
    let seconds = |text: &str| SignedDuration::parse(text).ok()?.unsigned();
    let moment = if let Some(later) = text.strip_prefix(".plus.") {
        now.seconds().saturating_add(seconds(later)?.as_secs())
    } else {
        now.seconds().saturating_sub(seconds(text.strip_prefix(".minus.")?)?.as_secs())
    };
    Some(moment.into())
}

/// What only the server claims.
const RESERVED: &[&str] =
    &["iat", "aud", "exp", "iss", "sub", "namespace", "nonce", "auth_time", "at_hash", "c_hash"];

const TEMPLATE_BYTES_MAX: usize = 64 * 1024;
