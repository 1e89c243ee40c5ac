use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use strongroom::framework::{
    Begun, Call, Engine, Intent, Leased, Mount, Renewal, Route, SecretKind,
};
use strongroom::request::{Error, Lease, Reply};
use tokio::sync::Notify;

/// Something like a database, outside of the server: it has users.
#[derive(Default)]
pub(crate) struct Backend {
    inner: Mutex<Inner>,
    pub(crate) go_on: Notify,
}

#[derive(Default)]
struct Inner {
    users: BTreeSet<String>,
    /// How often each user was really dropped.
    dropped: BTreeMap<String, u32>,
    acts: Vec<String>,
    mode: Mode,
    next: u64,
    reached: u32,
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum Mode {
    #[default]
    Works,
    /// Nothing is done.
    Fails,
    /// It cannot be reached.
    IsAway,
    /// It is done, and the answer is an error all the same.
    FailsAfterwards,
    /// Until [`Backend::go_on`]; then it is done.
    Hangs,
    /// It is done, and who asked panics.
    Panics,
}

impl Backend {
    pub(crate) fn set(&self, mode: Mode) {
        self.inner.lock().unwrap().mode = mode;
    }

    pub(crate) fn users(&self) -> Vec<String> {
        self.inner.lock().unwrap().users.iter().cloned().collect()
    }

    /// What was asked of it since this was asked last.
    pub(crate) fn acts(&self) -> Vec<String> {
        std::mem::take(&mut self.inner.lock().unwrap().acts)
    }

    /// Users that were dropped more than once although they were there but once.
    pub(crate) fn dropped(&self) -> BTreeMap<String, u32> {
        self.inner.lock().unwrap().dropped.clone()
    }

    pub(crate) fn reached(&self) -> u32 {
        self.inner.lock().unwrap().reached
    }

    async fn act(&self, what: &str, user: &str) -> Result<(), Error> {
        let mode = {
            let mut inner = self.inner.lock().unwrap();
            inner.acts.push(format!("{what} {user}"));
            inner.reached += 1;
            inner.mode
        };
        match mode {
            Mode::Fails => return Err(Error::Failed("the backend is down".into())),
            Mode::IsAway => return Err(Error::Unavailable("the backend is away".into())),
            Mode::Hangs => self.go_on.notified().await,
            Mode::Works | Mode::FailsAfterwards | Mode::Panics => tokio::task::yield_now().await,
        }
        {
            let mut inner = self.inner.lock().unwrap();
            match what {
                "create" => drop(inner.users.insert(user.to_owned())),
                "drop" | "undo" => {
                    inner.users.remove(user);
                    *inner.dropped.entry(user.to_owned()).or_default() += 1;
                }
                _ => {}
            }
        }
        assert!(mode != Mode::Panics, "as a handler with a fault does");
        if mode == Mode::FailsAfterwards {
            return Err(Error::Failed("the connection broke".into()));
        }
        Ok(())
    }
}

/// An engine with users of a backend (`creds/`: created outside; `made/`: as if they were there),
/// and with leases that need no act (`notes/`).
pub(crate) fn engine(backend: &Arc<Backend>) -> Arc<dyn Mount> {
    let routes = [
        Route::new("creds/{role}", "A user.").read(create).intends("create_user", prepare),
        Route::new("made/{role}", "A user that is there.").read(made),
        Route::new("notes/{role}", "What just ends.").read(note),
        Route::new("roles/{role}", "How long users live.").write(write_role).delete(delete_role),
    ];
    let user = SecretKind::new("user").renew(renew).revoke(revoke);
    Engine::new("database", "", routes)
        .unwrap()
        .secret(user)
        .secret(SecretKind::new("note"))
        .act("create_user", undo)
        .mount(backend.clone())
        .into()
}

#[derive(Deserialize, Serialize)]
struct User {
    name: String,
    role: String,
}

#[derive(Default, Deserialize, Serialize)]
struct Role {
    ttl: u64,
    max_ttl: u64,
}

#[derive(Deserialize, JsonSchema)]
struct Named {
    role: String,
}

#[derive(Deserialize, JsonSchema)]
struct Terms {
    role: String,
    #[serde(default)]
    ttl: i64,
    #[serde(default)]
    max_ttl: i64,
}

type At<'c> = Call<'c, Arc<Backend>>;

fn role(call: &mut At<'_>, name: &str) -> Result<Role, Error> {
    if name == "nobody" {
        return Err(Error::bad_request("unknown role"));
    }
    Ok(call.storage.get(&format!("role/{name}"))?.unwrap_or_default())
}

async fn prepare(call: &mut At<'_>, input: Named) -> Result<Intent, Error> {
    role(call, &input.role)?;
    Intent::of(&new_user(call, input.role))
}

fn new_user(call: &At<'_>, role: String) -> User {
    let mut inner = call.state.inner.lock().unwrap();
    inner.next += 1;
    User { name: format!("{role}-{}", inner.next), role }
}

async fn create(call: &mut At<'_>, _: Named) -> Result<Reply, Error> {
    let user: User = call.intent()?;
    call.state.act("create", &user.name).await?;
    reply(call, &user)
}

async fn made(call: &mut At<'_>, input: Named) -> Result<Reply, Error> {
    let user = new_user(call, input.role);
    call.state.inner.lock().unwrap().users.insert(user.name.clone());
    reply(call, &user)
}

fn reply(call: &mut At<'_>, user: &User) -> Result<Reply, Error> {
    let Role { ttl, max_ttl } = role(call, &user.role)?;
    let lease = Lease {
        ttl: std::time::Duration::from_secs(ttl),
        max_ttl: std::time::Duration::from_secs(max_ttl),
        ..Lease::of("user", user)?
    };
    Ok(Reply { lease: Some(lease), ..Reply::of(&json!({ "username": user.name }))? })
}

async fn note(_: &mut At<'_>, input: Named) -> Result<Reply, Error> {
    let lease = Lease { renewable: input.role != "fixed", ..Lease::of("note", &json!({}))? };
    Ok(Reply { lease: Some(lease), ..Reply::of(&json!({ "note": input.role }))? })
}

async fn write_role(call: &mut At<'_>, input: Terms) -> Result<Reply, Error> {
    let role = Role { ttl: input.ttl as u64, max_ttl: input.max_ttl as u64 };
    call.storage.put(&format!("role/{}", input.role), &role)?;
    Ok(Reply::default())
}

async fn delete_role(call: &mut At<'_>, input: Named) -> Result<Reply, Error> {
    call.storage.delete(&format!("role/{}", input.role))?;
    Ok(Reply::default())
}

async fn renew(call: &mut At<'_>, lease: Leased<User>) -> Result<Renewal, Error> {
    let Role { ttl, max_ttl } = role(call, &lease.internal.role)?;
    call.state.act("renew", &lease.internal.name).await?;
    Ok(Renewal { ttl, max_ttl })
}

async fn revoke(call: &mut At<'_>, lease: Leased<User>) -> Result<(), Error> {
    call.state.act("drop", &lease.internal.name).await
}

async fn undo(call: &mut At<'_>, begun: Begun<User>) -> Result<(), Error> {
    call.state.act("undo", &begun.intent.name).await
}
