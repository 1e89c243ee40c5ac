//! `sys/policies/password`: how generated passwords look.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::Node;
use crate::framework::{Call, NoParams, Route};
use crate::password::PasswordPolicy;
use crate::request::{Error, Reply};
use crate::text::{as_name, of_name};

pub(super) fn routes() -> Vec<Route<Node>> {
    vec![
        Route::new("policies/password", "The names of the password policies.").list(list),
        Route::new("policies/password/{name...}", "Read, write or delete a password policy.")
            .read(read)
            .write(write)
            .delete(delete),
        Route::new("policies/password/{name...}/generate", "Make a password by a policy.")
            .read(generate),
    ]
}

#[derive(Deserialize, JsonSchema)]
struct Named {
    /// Name of the password policy.
    name: String,
}

#[derive(Deserialize, JsonSchema)]
struct Write {
    /// Name of the password policy.
    name: String,
    /// `length = …` and rules, in HCL or JSON, or in base64 of it.
    #[serde(default)]
    policy: String,
}

#[derive(Deserialize, Serialize)]
struct Stored {
    policy: String,
}

async fn list(call: &mut Call<'_, Node>, _: NoParams) -> Result<Reply, Error> {
    let names = call.storage.list(DIRECTORY)?;
    Ok(Reply::keys(names.iter().map(|name| of_name(name)).collect()))
}

async fn read(call: &mut Call<'_, Node>, input: Named) -> Result<Reply, Error> {
    Reply::of(&json!({ "policy": stored(call, &input.name)?.policy }))
}

async fn write(call: &mut Call<'_, Node>, input: Write) -> Result<Reply, Error> {
    let key = key(&input.name)?;
    if input.policy.trim().is_empty() {
        return Err(Error::bad_request("missing policy"));
    }
    let policy = parse(&input.policy)?;
    call.storage.put(&key, &Stored { policy: policy.text.clone() })?;
    let bits = policy.entropy_bits();
    if bits < ENTROPY_BITS_LOW {
        return Ok(Reply::default().warn(format!(
            "passwords of this policy can be guessed: they have {bits:.0} bits of entropy at most \
             (more than {ENTROPY_BITS_LOW:.0} are advised): raise `length`, or add characters"
        )));
    }
    Ok(Reply::default())
}

async fn delete(call: &mut Call<'_, Node>, input: Named) -> Result<Reply, Error> {
    call.storage.delete(&key(&input.name)?)?;
    Ok(Reply::default())
}

async fn generate(call: &mut Call<'_, Node>, input: Named) -> Result<Reply, Error> {
    let stored = stored(call, &input.name)?;
    let policy = parse(&stored.policy)?;
    Reply::of(&json!({ "password": policy.generate(call.rng).expose() }))
}

fn stored(call: &mut Call<'_, Node>, name: &str) -> Result<Stored, Error> {
    let found = call.storage.get::<Stored>(&key(name)?)?;
    // As in Vault, this one 404 has a text, through its formatter of many errors.
    let absent = "1 error occurred:\n\t* policy does not exist\n\n";
    found.ok_or_else(|| Error::Missing(absent.into()))
}

fn parse(text: &str) -> Result<PasswordPolicy, Error> {
    PasswordPolicy::parse(text).map_err(|error| Error::BadRequest(error.to_string()))
}

/// A name may hold slashes; a record's may not.
fn key(name: &str) -> Result<String, Error> {
    let name = name.trim_matches('/');
    if name.is_empty() {
        return Err(Error::bad_request("the password policy needs a name"));
    }
    if name.len() > NAME_BYTES_MAX {
        return Err(Error::BadRequest(format!("a name has at most {NAME_BYTES_MAX} bytes")));
    }
    Ok(format!("{DIRECTORY}/{}", as_name(name)))
}

const DIRECTORY: &str = "policy/password";

const NAME_BYTES_MAX: usize = 512;

/// What a machine tries within hours, where it has a hash.
const ENTROPY_BITS_LOW: f64 = 40.0;
