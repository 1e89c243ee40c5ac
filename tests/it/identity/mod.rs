//! Who is behind a token: entities, aliases, groups, and what they bring.

mod entities;
mod groups;
mod logins;
mod model;
mod oidc;
mod provider;
mod templates;

use std::collections::BTreeMap;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Map, Value, json};
use strongroom::framework::{self, Call, Engine, LoginTerms, Mount, Route};
use strongroom::mount::{MountConfig, MountEntry, ROOT_NAMESPACE, Table};
use strongroom::request::{Auth, Error, Operation, Reply};

use crate::harness::{Server, data};

/// By which the fake method is known.
pub(crate) const ACCESSOR: &str = "auth_fake_1";

/// A server with an auth method that believes whatever it is told.
pub(crate) fn server() -> Server {
    let server = Server::with_mounts(vec![("fake/", method()), ("second/", method())]);
    enable(&server, "fake/", ACCESSOR);
    server
}

pub(crate) fn enable(server: &Server, path: &str, accessor: &str) {
    let entry = MountEntry {
        table: Table::Auth,
        path: path.into(),
        kind: "fake".into(),
        description: String::new(),
        uuid: format!("uuid-auth-{}", path.trim_end_matches('/')),
        accessor: accessor.into(),
        local: false,
        seal_wrap: false,
        external_entropy_access: false,
        options: BTreeMap::new(),
        config: MountConfig::default(),
        tainted: false,
    };
    server.change(ROOT_NAMESPACE, |scope| scope.put(&entry.table.key(path), &entry).unwrap());
}

#[derive(Deserialize, JsonSchema)]
struct Login {
    name: String,
    #[serde(default)]
    metadata: BTreeMap<String, String>,
    #[serde(default)]
    groups: Vec<String>,
    #[serde(default)]
    policies: Vec<String>,
}

#[derive(Deserialize, JsonSchema)]
struct Groups {
    groups: Vec<String>,
}

fn method() -> Arc<dyn Mount> {
    async fn log_in(_: &mut Call<'_>, input: Login) -> Result<Reply, Error> {
        let auth = Auth {
            alias_name: input.name,
            alias_metadata: input.metadata,
            group_aliases: input.groups,
            token_policies: input.policies,
            renewable: true,
            ..Auth::default()
        };
        Ok(Reply { auth: Some(auth), ..Reply::default() })
    }
    async fn write_groups(call: &mut Call<'_>, now: Groups) -> Result<Reply, Error> {
        call.storage.put("groups", &now.groups)?;
        Ok(Reply::default())
    }
    async fn renew(
        call: &mut Call<'_>,
        _: framework::Login<IgnoredAny>,
    ) -> Result<LoginTerms, Error> {
        let group_aliases = call.storage.get("groups")?;
        Ok(LoginTerms { group_aliases, ..LoginTerms::default() })
    }
    let routes = [
        Route::new("login/{name}", "Believe.").login().write(log_in),
        Route::new("groups", "Of whoever renews from now on.").write(write_groups),
    ];
    let engine = Engine::new("fake", "For tests.", routes).unwrap();
    engine.renew_login(renew).mount(()).into()
}

pub(crate) fn log_in(server: &Server, name: &str, params: &Value) -> Auth {
    try_log_in(server, name, params).unwrap()
}

pub(crate) fn try_log_in(server: &Server, name: &str, params: &Value) -> Result<Auth, Error> {
    let path = format!("auth/fake/login/{name}");
    server.send(Operation::Update, &path, params, "").map(|reply| reply.auth.unwrap())
}

/// As root; what is not there panics.
pub(crate) fn read(server: &Server, path: &str) -> Map<String, Value> {
    data(server.read(path).unwrap())
}

/// As root: the id of what was written.
pub(crate) fn write(server: &Server, path: &str, params: &Value) -> String {
    data(server.write(path, params).unwrap())["id"].as_str().unwrap().to_owned()
}

pub(crate) fn policy(server: &Server, name: &str, text: &str) {
    server.write(&format!("sys/policies/acl/{name}"), &json!({ "policy": text })).unwrap();
}

/// Whether a token may read a path: what is not there is no refusal.
pub(crate) fn may_read(server: &Server, token: &str, path: &str) -> bool {
    match server.send(Operation::Read, path, &Value::Null, token) {
        Err(Error::Denied) => false,
        Ok(_) | Err(Error::NotFound | Error::NoRoute(_)) => true,
        Err(other) => panic!("{path}: {other:?}"),
    }
}
