//! Which service accounts log in, and what their tokens may do.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::selector::Selector;
use super::{Call, Route};
use crate::auth::glob::glob;
use crate::auth::token_parameters::{TokenParameters, TokenParametersInput};
use crate::framework::NoParams;
use crate::request::{Error, Reply};

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::new("role", "The names of the roles.").list(list),
        Route::new(
            "role/{name}",
            "A role: which service accounts log in, and what their tokens may do.",
        )
        .exists(exists)
        .read(read)
        .write(write)
        .delete(delete),
    ]
}

/// As stored.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub(super) struct Role {
    pub(super) bound_service_account_names: Vec<String>,
    pub(super) bound_service_account_namespaces: Vec<String>,
    pub(super) bound_service_account_namespace_selector: String,
    pub(super) audience: String,
    pub(super) alias_name_source: AliasName,
    #[serde(flatten)]
    pub(super) token: TokenParameters,
}

/// By which a service account is known.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub(super) enum AliasName {
    /// By namespace and name: whoever is given an old name is known as the old one.
    #[serde(rename = "serviceaccount_name")]
    Name,
    #[default]
    #[serde(rename = "serviceaccount_uid")]
    Uid,
}

#[derive(Deserialize, JsonSchema)]
struct Name {
    /// Name of the role.
    name: String,
}

#[derive(Deserialize, JsonSchema)]
struct Write {
    /// Name of the role.
    name: String,
    /// Service accounts; `*` in a name stands for anything.
    bound_service_account_names: Option<Vec<String>>,
    /// Namespaces; `*` in a name stands for anything.
    bound_service_account_namespaces: Option<Vec<String>>,
    /// Namespaces by their labels: a label selector of Kubernetes, as JSON.
    bound_service_account_namespace_selector: Option<String>,
    /// What must be among a token's audiences.
    audience: Option<String>,
    /// `serviceaccount_uid` or `serviceaccount_name`: by which a service account is known.
    alias_name_source: Option<String>,
    #[serde(flatten)]
    token: TokenParametersInput,
}

impl Role {
    /// # Errors
    /// Where it cannot be read.
    pub(super) fn get(call: &mut Call<'_>, name: &str) -> Result<Option<Self>, Error> {
        call.storage.get(&key(name))
    }

    pub(super) fn has_name(&self, name: &str) -> bool {
        self.bound_service_account_names.iter().any(|pattern| glob(pattern, name))
    }

    pub(super) fn has_namespace(&self, namespace: &str) -> bool {
        self.bound_service_account_namespaces.iter().any(|pattern| glob(pattern, namespace))
    }

    fn change(&mut self, input: Write) -> Result<(), Error> {
        if let Some(names) = input.bound_service_account_names {
            self.bound_service_account_names = names;
        }
        if let Some(namespaces) = input.bound_service_account_namespaces {
            self.bound_service_account_namespaces = namespaces;
        }
        // As in OpenBao, alone among the fields: not given is none.
        let selector = input.bound_service_account_namespace_selector;
        self.bound_service_account_namespace_selector = selector.unwrap_or_default();
        if let Some(audience) = input.audience {
            self.audience = audience;
        }
        match input.alias_name_source.as_deref() {
            None => {}
            Some("" | "serviceaccount_uid") => self.alias_name_source = AliasName::Uid,
            Some("serviceaccount_name") => self.alias_name_source = AliasName::Name,
            Some(_) => {
                return Err(Error::bad_request(
                    "invalid alias_name_source, must be one of: serviceaccount_uid, \
                     serviceaccount_name",
                ));
            }
        }
        self.token.change(input.token)?;
        self.check()
    }

    fn check(&self) -> Result<(), Error> {
        let (names, namespaces) =
            (&self.bound_service_account_names, &self.bound_service_account_namespaces);
        if names.is_empty() {
            return Err(Error::bad_request("\"bound_service_account_names\" can not be empty"));
        }
        if namespaces.is_empty() && self.bound_service_account_namespace_selector.is_empty() {
            return Err(Error::bad_request(
                "\"bound_service_account_namespaces\" can not be empty if \
                 \"bound_service_account_namespace_selector\" is not set",
            ));
        }
        let mixes = |list: &[String]| list.len() > 1 && list.iter().any(|one| one == "*");
        if mixes(names) || mixes(namespaces) {
            return Err(Error::bad_request("can not mix \"*\" with values"));
        }
        if let Err(reason) = self.selector() {
            return Err(Error::BadRequest(format!(
                "invalid \"bound_service_account_namespace_selector\" configured: {reason}"
            )));
        }
        Ok(())
    }

    /// `None` where there is none.
    pub(super) fn selector(&self) -> Result<Option<Selector>, String> {
        let text = &self.bound_service_account_namespace_selector;
        if text.is_empty() { Ok(None) } else { Selector::parse(text).map(Some) }
    }
}

async fn list(call: &mut Call<'_>, _: NoParams) -> Result<Reply, Error> {
    Ok(Reply::keys(call.storage.list(DIRECTORY)?))
}

async fn exists(call: &mut Call<'_>, input: Name) -> Result<bool, Error> {
    Ok(Role::get(call, &input.name)?.is_some())
}

async fn read(call: &mut Call<'_>, input: Name) -> Result<Reply, Error> {
    let role = Role::get(call, &input.name)?.ok_or(Error::NotFound)?;
    let mut data = Map::new();
    let mut add = |name: &str, value: Value| data.insert(name.to_owned(), value);
    let source = match role.alias_name_source {
        AliasName::Name => "serviceaccount_name",
        AliasName::Uid => "serviceaccount_uid",
    };
    add("alias_name_source", source.into());
    if !role.audience.is_empty() {
        add("audience", role.audience.into());
    }
    add("bound_service_account_names", role.bound_service_account_names.into());
    let selector = role.bound_service_account_namespace_selector;
    add("bound_service_account_namespace_selector", selector.into());
    let namespaces = role.bound_service_account_namespaces;
    let namespaces = (!namespaces.is_empty()).then(|| Value::from(namespaces));
    add("bound_service_account_namespaces", namespaces.unwrap_or_default());
    role.token.describe(&mut data);
    Ok(Reply::data(data))
}

async fn write(call: &mut Call<'_>, input: Write) -> Result<Reply, Error> {
    let key = key(&input.name);
    let mut role = call.storage.get::<Role>(&key)?.unwrap_or_default();
    role.change(input)?;
    call.storage.put(&key, &role)?;
    let warning = role.token.warning(call.ttl.max);
    Ok(Reply { warnings: warning.into_iter().collect(), ..Reply::default() })
}

async fn delete(call: &mut Call<'_>, input: Name) -> Result<Reply, Error> {
    call.storage.delete(&key(&input.name))?;
    Ok(Reply::default())
}

fn key(name: &str) -> String {
    format!("{DIRECTORY}/{name}")
}

const DIRECTORY: &str = "role";
