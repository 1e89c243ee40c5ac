//! `sys/plugins/catalog`: what can be mounted. All of it is built in: there are no others.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Node;
use super::mounts::RUNNING_VERSION;
use crate::auth;
use crate::engines;
use crate::framework::{Call, NoParams, Route};
use crate::request::{Error, Reply};

pub(super) fn routes() -> Vec<Route<Node>> {
    vec![
        Route::new("plugins/catalog", "Everything that can be mounted.").read(catalog),
        Route::new("plugins/catalog/{type}", "What can be mounted, of one type.")
            .sudo()
            .read(of_type)
            .list(of_type),
        Route::new("plugins/catalog/{type}/{name}", "One kind of mount.")
            .sudo()
            .read(read)
            .write(register)
            .delete(remove),
        Route::new("plugins/runtimes/catalog", "Container runtimes of plugins: there are none.")
            .sudo()
            .list(runtimes),
    ]
}

/// By type, as Vault names types, sorted.
fn kinds() -> [(&'static str, &'static [&'static str]); 3] {
    [
        ("auth", auth::KINDS),
        ("database", engines::database::plugin::KINDS),
        ("secret", engines::KINDS),
    ]
}

async fn catalog(_: &mut Call<'_, Node>, _: NoParams) -> Result<Reply, Error> {
    let mut detailed = Vec::new();
    for (kind, names) in kinds() {
        for name in names {
            detailed.push(json!({
                "builtin": true,
                "deprecation_status": "supported",
                "name": name,
                "type": kind,
                "version": RUNNING_VERSION,
            }));
        }
    }
    let mut data = json!({ "detailed": detailed });
    if let Value::Object(data) = &mut data {
        data.extend(kinds().map(|(kind, names)| (kind.to_owned(), json!(names))));
    }
    Reply::of(&data)
}

#[derive(Deserialize, JsonSchema)]
struct OfType {
    /// `auth`, `database` or `secret`.
    r#type: String,
}

#[derive(Deserialize, JsonSchema)]
struct Plugin {
    /// `auth`, `database` or `secret`.
    r#type: String,
    /// Name of the kind of mount.
    name: String,
}

async fn of_type(_: &mut Call<'_, Node>, input: OfType) -> Result<Reply, Error> {
    let names = names(&input.r#type)?;
    Ok(Reply::keys(names.iter().map(|name| (*name).to_owned()).collect()))
}

async fn read(_: &mut Call<'_, Node>, input: Plugin) -> Result<Reply, Error> {
    if !names(&input.r#type)?.contains(&input.name.as_str()) {
        return Err(Error::NotFound);
    }
    Reply::of(&json!({
        "args": null,
        "builtin": true,
        "command": "",
        "deprecation_status": "supported",
        "name": input.name,
        "sha256": "",
        "version": RUNNING_VERSION,
    }))
}

async fn register(_: &mut Call<'_, Node>, input: Plugin) -> Result<Reply, Error> {
    names(&input.r#type)?;
    Err(Error::BadRequest(format!(
        "the plugin {:?} cannot be registered: this server runs what is built in alone",
        input.name
    )))
}

/// What is not there is gone, as in Vault; what is built in stays.
async fn remove(_: &mut Call<'_, Node>, input: Plugin) -> Result<Reply, Error> {
    if names(&input.r#type)?.contains(&input.name.as_str()) {
        return Err(Error::BadRequest(format!(
            "{:?} is built in, and cannot be removed from the catalog",
            input.name
        )));
    }
    Ok(Reply::default())
}

async fn runtimes(_: &mut Call<'_, Node>, _: NoParams) -> Result<Reply, Error> {
    Ok(Reply::keys(Vec::new()))
}

fn names(kind: &str) -> Result<&'static [&'static str], Error> {
    let found = kinds().into_iter().find(|(known, _)| *known == kind).map(|(_, names)| names);
    found.ok_or_else(|| {
        Error::BadRequest(format!(
            "unknown type of plugin {kind:?}: expected auth, database or secret"
        ))
    })
}
