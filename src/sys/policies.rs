//! `sys/policies/acl`, and `sys/policy` as clients of old know it.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::Node;
use crate::framework::{Call, NoParams, Route};
use crate::namespace::ROOT_HOME;
use crate::policy::{DEFAULT, Policy, ROOT, is_reserved, normalize_name};
use crate::policy_store::{PolicyStore, StoredPolicy};
use crate::request::{Error, Reply};

pub(super) fn routes() -> Vec<Route<Node>> {
    vec![
        Route::new("policies/acl", "The names of the policies.").list(list),
        Route::new("policies/acl/{name...}", "Read, write or delete a policy.")
            .list(list_below)
            .read(read)
            .write(write)
            .delete(delete),
        Route::new("policy", "The names of the policies.").read(list_legacy).list(list_legacy),
        Route::new("policy/{name...}", "Read, write or delete a policy.")
            .read(read_legacy)
            .write(write)
            .delete(delete),
    ]
}

#[derive(Deserialize, JsonSchema)]
struct PolicyName {
    /// Name of the policy.
    name: String,
}

#[derive(Deserialize, JsonSchema)]
struct WritePolicy {
    /// Name of the policy.
    name: String,
    /// The rules, in HCL or JSON, or in base64 of it.
    policy: Option<String>,
    /// The same, for clients of old.
    rules: Option<String>,
    /// Let values that templates put into a path hold `*` and `+`.
    #[serde(default)]
    allow_wildcards_in_identity_templates: bool,
    /// Let values that templates put into a path hold `/`.
    #[serde(default)]
    allow_slashes_in_identity_templates: bool,
}

async fn list(call: &mut Call<'_, Node>, _: NoParams) -> Result<Reply, Error> {
    Ok(Reply::keys(names(call)?))
}

/// `LIST policies/acl/` is `LIST policies/acl`.
async fn list_below(call: &mut Call<'_, Node>, input: PolicyName) -> Result<Reply, Error> {
    if input.name.is_empty() { Ok(Reply::keys(names(call)?)) } else { Err(Error::UnsupportedPath) }
}

async fn list_legacy(call: &mut Call<'_, Node>, _: NoParams) -> Result<Reply, Error> {
    let names = names(call)?;
    Reply::of(&json!({ "keys": names, "policies": names }))
}

fn names(call: &mut Call<'_, Node>) -> Result<Vec<String>, Error> {
    let mut names = PolicyStore::new(&mut call.storage).names()?;
    // No token of another namespace has it.
    if call.storage.home() == ROOT_HOME {
        names.push(ROOT.into());
    }
    names.sort_unstable();
    Ok(names)
}

async fn read(call: &mut Call<'_, Node>, input: PolicyName) -> Result<Reply, Error> {
    let (name, text) = text(call, &input.name)?;
    Reply::of(&json!({ "name": name, "policy": text }))
}

async fn read_legacy(call: &mut Call<'_, Node>, input: PolicyName) -> Result<Reply, Error> {
    let (name, text) = text(call, &input.name)?;
    Reply::of(&json!({ "name": name, "rules": text }))
}

fn text(call: &mut Call<'_, Node>, name: &str) -> Result<(String, String), Error> {
    let name = normalize_name(name).map_err(Error::bad_request)?;
    if name == ROOT {
        return Ok((name, String::new()));
    }
    let stored = PolicyStore::new(&mut call.storage).get(&name)?;
    stored.map(|stored| (name, stored.text)).ok_or(Error::NotFound)
}

async fn write(call: &mut Call<'_, Node>, input: WritePolicy) -> Result<Reply, Error> {
    let name = normalize_name(&input.name).map_err(Error::bad_request)?;
    if is_reserved(&name) {
        return Err(Error::BadRequest(format!("cannot update {name:?} policy")));
    }
    let text = input.policy.or(input.rules).filter(|text| !text.trim().is_empty());
    let text =
        text.ok_or_else(|| Error::bad_request("'policy' parameter not supplied or empty"))?;
    let policy =
        Policy::parse(&name, &text).map_err(|error| Error::BadRequest(error.to_string()))?;
    let stored = StoredPolicy {
        text: policy.text,
        modified: call.now,
        allow_wildcards_in_identity_templates: input.allow_wildcards_in_identity_templates,
        allow_slashes_in_identity_templates: input.allow_slashes_in_identity_templates,
    };
    PolicyStore::new(&mut call.storage).put(&name, &stored)?;
    Ok(policy.warnings.into_iter().fold(Reply::default(), Reply::warn))
}

async fn delete(call: &mut Call<'_, Node>, input: PolicyName) -> Result<Reply, Error> {
    let name = normalize_name(&input.name).map_err(Error::bad_request)?;
    if is_reserved(&name) || name == DEFAULT {
        return Err(Error::BadRequest(format!("cannot delete {name} policy")));
    }
    PolicyStore::new(&mut call.storage).delete(&name)?;
    Ok(Reply::default())
}
