//! `oidc/client`: who may let others log in through this server.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::named_key::{DAY, NamedKey};
use super::{CLIENTS, DEFAULT, assignment, published, seconds};
use crate::engines::identity::{Call, Route};
use crate::framework::{NoParams, Seconds};
use crate::identity::Who;
use crate::request::{Error, Reply};
use crate::txn::Scope;

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::new("oidc/client", "The names of the clients.").list(list),
        Route::new("oidc/client/{name}", "A client: an application that people log in to.")
            .exists(exists)
            .read(read)
            .write(write)
            .delete(delete),
    ]
}

/// As stored. Durations in seconds.
#[derive(Clone, Deserialize, Serialize)]
pub(super) struct Client {
    pub(super) client_id: String,
    /// Empty where the client is public: it could keep none.
    pub(super) client_secret: String,
    pub(super) key: String,
    pub(super) redirect_uris: Vec<String>,
    pub(super) assignments: Vec<String>,
    pub(super) id_token_ttl: u64,
    pub(super) access_token_ttl: u64,
    pub(super) is_public: bool,
}

#[derive(Deserialize, JsonSchema)]
struct Name {
    /// Name of the client.
    name: String,
}

#[derive(Deserialize, JsonSchema)]
struct Write {
    /// Name of the client.
    name: String,
    /// The key that signs its ID tokens; it cannot be changed.
    key: Option<String>,
    /// Where codes may be sent.
    redirect_uris: Option<Vec<String>>,
    /// Who may log in to it: names of assignments.
    assignments: Option<Vec<String>>,
    /// Time to live of ID tokens.
    id_token_ttl: Option<Seconds>,
    /// Time to live of access tokens.
    access_token_ttl: Option<Seconds>,
    /// `confidential`, which keeps a secret, or `public`; it cannot be changed.
    client_type: Option<String>,
}

impl Client {
    fn new(key: String, is_public: bool, client_id: String, client_secret: String) -> Self {
        Self {
            client_id,
            client_secret,
            key,
            redirect_uris: Vec::new(),
            assignments: Vec::new(),
            id_token_ttl: DAY,
            access_token_ttl: DAY,
            is_public,
        }
    }

    /// # Errors
    /// Where the store cannot be read.
    pub(super) fn by_id(core: &mut Scope<'_>, client_id: &str) -> Result<Option<Arc<Self>>, Error> {
        let is_drawn = |id: &str| !id.is_empty() && id.bytes().all(|c| c.is_ascii_alphanumeric());
        if !is_drawn(client_id) {
            return Ok(None);
        }
        match core.get_shared::<String>(&id_key(client_id))? {
            Some(name) => core.get_shared(&key(&name)),
            None => Ok(None),
        }
    }

    /// Whether someone may log in to it.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub(super) fn is_assigned(&self, core: &mut Scope<'_>, who: &Who) -> Result<bool, Error> {
        for name in &self.assignments {
            if assignment::get(core, name)?.is_some_and(|found| found.has(who)) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Exactly as registered; of an address of this very machine (RFC 8252, section 7.3) any
    /// port.
    pub(super) fn allows_redirect(&self, uri: &str) -> bool {
        let without_port = |uri: &str| {
            ["http://127.0.0.1", "http://[::1]"].iter().find_map(|host| {
                let rest = uri.strip_prefix(host)?;
                let rest = match rest.strip_prefix(':') {
                    Some(rest) => rest.trim_start_matches(|c: char| c.is_ascii_digit()),
                    None => rest,
                };
                (rest.is_empty() || rest.starts_with(['/', '?'])).then(|| format!("{host}{rest}"))
            })
        };
        self.redirect_uris.iter().any(|allowed| {
            allowed == uri
                || without_port(allowed).zip(without_port(uri)).is_some_and(|(a, b)| a == b)
        })
    }

    fn shown(&self) -> Map<String, Value> {
        let shown = json!({
            "access_token_ttl": self.access_token_ttl,
            "assignments": self.assignments,
            "client_id": self.client_id,
            "client_type": if self.is_public { "public" } else { "confidential" },
            "id_token_ttl": self.id_token_ttl,
            "key": self.key,
            "redirect_uris": self.redirect_uris,
        });
        shown.as_object().cloned().unwrap_or_default()
    }
}

fn get(core: &mut Scope<'_>, name: &str) -> Result<Option<Arc<Client>>, Error> {
    core.get_shared(&key(name))
}

async fn list(call: &mut Call<'_>, _: NoParams) -> Result<Reply, Error> {
    let names = call.storage.list(CLIENTS)?;
    let mut key_info = Map::new();
    for name in &names {
        if let Some(client) = get(&mut call.storage, name)? {
            key_info.insert(name.clone(), Value::Object(client.shown()));
        }
    }
    Ok(super::super::entity::keys_with_info(names, key_info))
}

async fn exists(call: &mut Call<'_>, input: Name) -> Result<bool, Error> {
    Ok(get(&mut call.storage, &input.name)?.is_some())
}

async fn read(call: &mut Call<'_>, input: Name) -> Result<Reply, Error> {
    let client = get(&mut call.storage, &input.name)?.ok_or(Error::NotFound)?;
    let mut data = client.shown();
    if !client.is_public {
        data.insert("client_secret".into(), client.client_secret.clone().into());
    }
    Ok(Reply::data(data))
}

async fn write(call: &mut Call<'_>, input: Write) -> Result<Reply, Error> {
    let before = get(&mut call.storage, &input.name)?;
    let is_public = match input.client_type.as_deref() {
        None => None,
        Some("confidential") => Some(false),
        Some("public") => Some(true),
        Some(other) => return Err(Error::BadRequest(format!("invalid client_type {other:?}"))),
    };
    let mut client = match before {
        Some(before) => {
            if is_public.is_some_and(|is_public| is_public != before.is_public) {
                return Err(Error::bad_request("client_type modification is not allowed"));
            }
            if input.key.is_some_and(|key| key != before.key) {
                return Err(Error::bad_request("key modification is not allowed"));
            }
            Client::clone(&before)
        }
        None => {
            let is_public = is_public.unwrap_or_default();
            let secret = || format!("hvo_secret_{}", call.rng.base62(64));
            let secret = if is_public { String::new() } else { secret() };
            let key = input.key.unwrap_or_else(|| DEFAULT.to_owned());
            Client::new(key, is_public, call.rng.base62(32), secret)
        }
    };
    client.redirect_uris = input.redirect_uris.unwrap_or(client.redirect_uris);
    client.assignments = input.assignments.unwrap_or(client.assignments);
    if let Some(ttl) = input.id_token_ttl {
        client.id_token_ttl = seconds(ttl, "id_token_ttl")?;
    }
    if let Some(ttl) = input.access_token_ttl {
        client.access_token_ttl = seconds(ttl, "access_token_ttl")?;
    }
    check(call, &mut client)?;
    call.storage.put(&id_key(&client.client_id), &input.name)?;
    published::put(&mut call.storage, &key(&input.name), &client)?;
    Ok(Reply::default())
}

fn check(call: &mut Call<'_>, client: &mut Client) -> Result<(), Error> {
    client.assignments.sort_unstable();
    client.assignments.dedup();
    for name in &client.assignments {
        if assignment::get(&mut call.storage, name)?.is_none() {
            return Err(Error::BadRequest(format!("assignment {name:?} does not exist")));
        }
    }
    let key = NamedKey::get(&mut call.storage, &client.key)?;
    let key =
        key.ok_or_else(|| Error::BadRequest(format!("key {:?} does not exist", client.key)))?;
    if client.id_token_ttl > key.verification_ttl {
        return Err(Error::bad_request(
            "a client's id_token_ttl cannot be greater than the verification_ttl of the key it \
             references",
        ));
    }
    if client.access_token_ttl == 0 {
        return Err(Error::bad_request("access_token_ttl must be greater than zero"));
    }
    Ok(())
}

async fn delete(call: &mut Call<'_>, input: Name) -> Result<Reply, Error> {
    if let Some(client) = get(&mut call.storage, &input.name)? {
        call.storage.delete(&id_key(&client.client_id))?;
        published::delete(&mut call.storage, &key(&input.name))?;
    }
    Ok(Reply::default())
}

fn key(name: &str) -> String {
    format!("{CLIENTS}/{name}")
}

fn id_key(client_id: &str) -> String {
    format!("identity/oidc/client-id/{client_id}")
}
