//! What a role makes of a token's claims: whether they are as it demands, who logs in, in which
//! groups they are, and what their token's metadata tells.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::role::Role;
use crate::auth::glob::glob;
use crate::request::{Auth, Error};

type Claims = Map<String, Value>;

/// How the values of bound claims are compared.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum BoundClaims {
    Glob,
    #[default]
    String,
}

impl BoundClaims {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Glob => "glob",
            Self::String => "string",
        }
    }

    /// # Errors
    /// Where something that is no text is to be a pattern.
    pub(super) fn check(self, bound: &Claims) -> Result<(), Error> {
        if self == Self::String {
            return Ok(());
        }
        let values = bound.values().flat_map(each);
        match values.into_iter().find(|value| !value.is_string()) {
            Some(value) => Err(Error::BadRequest(format!("claim is not a string: {value}"))),
            None => Ok(()),
        }
    }

    fn matches(self, bound: &Value, actual: &Value) -> bool {
        match (self, bound, actual) {
            (Self::Glob, Value::String(pattern), Value::String(text)) => glob(pattern, text),
            (Self::Glob, ..) => false,
            // 1 and 1.0 are one number.
            (Self::String, Value::Number(one), Value::Number(other)) => {
                one == other || one.as_f64() == other.as_f64()
            }
            (Self::String, ..) => bound == actual,
        }
    }
}

/// # Errors
/// [`Error::BadRequest`] with the first claim that is not as the role demands.
pub(super) fn check_bound(role: &Role, claims: &Claims) -> Result<(), Error> {
    for (name, bound) in &role.bound_claims {
        let wrong = |what: &str| {
            Error::BadRequest(format!("error validating claims: claim {name:?} {what}"))
        };
        let actual = claim(claims, name).ok_or_else(|| wrong("is missing"))?;
        let kind = role.bound_claims_type;
        let is_bound =
            |actual: &&Value| each(bound).iter().any(|bound| kind.matches(bound, actual));
        if !each(actual).iter().any(is_bound) {
            return Err(wrong("does not match any associated bound claim values"));
        }
    }
    Ok(())
}

/// Who logs in, for the pipeline.
///
/// # Errors
/// [`Error::BadRequest`] where the token does not tell what the role wants to know.
pub(super) fn identify(role: &Role, role_name: &str, claims: &Claims) -> Result<Auth, Error> {
    let user = match role.user_claim_json_pointer {
        true => claim(claims, &role.user_claim),
        false => claims.get(&role.user_claim),
    };
    let user = user.ok_or_else(|| {
        Error::BadRequest(format!("claim {:?} not found in token", role.user_claim))
    })?;
    let user = user.as_str().ok_or_else(|| {
        Error::BadRequest(format!("claim {:?} could not be converted to string", role.user_claim))
    })?;
    if user.is_empty() {
        return Err(Error::BadRequest(format!("claim {:?} is empty", role.user_claim)));
    }
    let mapped = mapped(role, claims)?;
    let mut metadata = mapped.clone();
    metadata.insert(ROLE.into(), role_name.to_owned());
    Ok(Auth {
        alias_name: user.to_owned(),
        display_name: user.to_owned(),
        alias_metadata: mapped,
        group_aliases: groups(role, claims)?,
        metadata,
        ..Auth::default()
    })
}

fn mapped(role: &Role, claims: &Claims) -> Result<BTreeMap<String, String>, Error> {
    let mut metadata = BTreeMap::new();
    for (name, to) in &role.claim_mappings {
        let text = match claim(claims, name) {
            None | Some(Value::Null) => continue,
            Some(Value::String(text)) => text.clone(),
            Some(Value::Bool(value)) => value.to_string(),
            Some(Value::Number(number)) => number.to_string(),
            Some(_) => {
                return Err(Error::BadRequest(format!(
                    "error converting claim '{name}' to string"
                )));
            }
        };
        metadata.insert(to.clone(), text);
    }
    Ok(metadata)
}

fn groups(role: &Role, claims: &Claims) -> Result<Vec<String>, Error> {
    if role.groups_claim.is_empty() {
        return Ok(Vec::new());
    }
    let name = &role.groups_claim;
    let found = claim(claims, name).ok_or_else(|| {
        Error::BadRequest(format!("failed to fetch groups: {name:?} claim not found in token"))
    })?;
    if !matches!(found, Value::Array(_) | Value::String(_)) {
        return Err(Error::BadRequest(format!(
            "{name:?} claim could not be converted to string list"
        )));
    }
    let mut groups = Vec::new();
    for group in each(found) {
        let group = group.as_str().ok_or_else(|| {
            Error::BadRequest(format!(
                "value {group} in groups claim could not be parsed as string"
            ))
        })?;
        if !group.is_empty() {
            groups.push(group.to_owned());
        }
    }
    Ok(groups)
}

/// By its name, or by a JSON pointer (RFC 6901), which begins with a slash.
pub(super) fn claim<'c>(claims: &'c Claims, name: &str) -> Option<&'c Value> {
    let Some(pointer) = name.strip_prefix('/') else {
        return claims.get(name);
    };
    let (first, rest) = match pointer.split_once('/') {
        Some((first, rest)) => (first, format!("/{rest}")),
        None => (pointer, String::new()),
    };
    claims.get(&first.replace("~1", "/").replace("~0", "~"))?.pointer(&rest)
}

/// A list's members, or the one value.
fn each(value: &Value) -> Vec<&Value> {
    match value {
        Value::Array(list) => list.iter().collect(),
        one => vec![one],
    }
}

/// What a token's metadata calls the role, whatever claims are mapped.
pub(super) const ROLE: &str = "role";
