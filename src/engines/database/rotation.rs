//! New passwords of static roles: when they are due, when someone asks, and when one was begun
//! and not finished.
//!
//! A new password is stored before the database gets it (`pending`), and takes the old one's
//! place once the database has it. What is begun is gone on with, by whoever leads next: the same
//! password once more changes nothing.

use serde::{Deserialize, Serialize};
use serde_json::{Map, json};

use super::connection::Connection;
use super::creds::MAY_BE_UNDER_WAY;
use super::password::generate;
use super::plugin::{Failure, Login};
use super::role::{Name, supported};
use super::static_role::{StaticRole, new_key};
use super::{DUE, EXPIRY_KIND, ROTATE, State};
use crate::clock::Timestamp;
use crate::expiry::{Expiry, Filing, Outcome};
use crate::framework::{Begun, Call, Intent};
use crate::lease::{IntentStore, StoredIntent};
use crate::mount::MountEntry;
use crate::request::{Error, Params, Reply};
use crate::txn::Scope;

#[derive(Deserialize, Serialize)]
pub(super) struct Rotation {
    pub(super) role: String,
    /// There is no such role yet.
    pub(super) creates: bool,
}

pub(super) async fn prepare(call: &mut Call<'_, State>, input: Name) -> Result<Intent, Error> {
    let role = StaticRole::find(call, &input.name)?;
    let role = role.ok_or_else(|| Error::bad_request("no static role found for role name"))?;
    Connection::get(call, &role.db_name)?.check_allowed(&input.name)?;
    begin(call, &input.name, role)?;
    Intent::of(&Rotation { role: input.name, creates: false })
}

/// Chooses the next password, where none is under way.
fn begin(call: &mut Call<'_, State>, name: &str, mut role: StaticRole) -> Result<(), Error> {
    if role.pending.is_some() {
        return Ok(());
    }
    let connection = Connection::get(call, &role.db_name)?;
    let policy = supported(&role.credential).map_err(Error::Failed)?;
    let policy = if policy.is_empty() { &connection.password_policy } else { policy };
    role.pending = Some(generate(call, policy)?);
    role.save(call, name)
}

pub(super) async fn rotate(call: &mut Call<'_, State>, input: Name) -> Result<Reply, Error> {
    let role = StaticRole::find(call, &input.name)?;
    let role = role.filter(|role| role.pending.is_some()).ok_or_else(|| {
        Error::Unavailable("the rotation was settled meanwhile: see static-creds".into())
    })?;
    apply(call, &input.name, role).await.map_err(|failure| {
        Error::Failed(format!(
            "unable to finish rotating credentials; retries will continue in the background: {}",
            failure.text
        ))
    })??;
    Ok(Reply::default())
}

/// Gives the database the next password, and makes it the role's.
pub(super) async fn apply(
    call: &mut Call<'_, State>,
    name: &str,
    mut role: StaticRole,
) -> Result<Result<(), Error>, Failure> {
    let Some(next) = role.pending.clone() else {
        return Ok(Ok(()));
    };
    let (_, database) = Connection::open(call, &role.db_name)?;
    database.set_password(&role.username, &next, &role.rotation_statements).await?;
    role.password = next;
    role.pending = None;
    role.rotated = call.now;
    role.next = role.due_after(call.now);
    Ok(file_next(call, name, role.next).and_then(|()| role.save(call, name)))
}

/// What was begun is gone on with.
pub(super) async fn settle(
    call: &mut Call<'_, State>,
    begun: Begun<Rotation>,
) -> Result<(), Error> {
    let Rotation { role: name, creates } = begun.intent;
    if creates {
        return settle_creation(call, &name, begun.since).await;
    }
    let Some(mut role) = StaticRole::find(call, &name)? else {
        return Ok(());
    };
    let Some(pending) = role.pending.clone() else {
        return Ok(());
    };
    if Connection::is_lost(call, &role.db_name, begun.since)? {
        // The next that is due goes on with the same password.
        return skip(call, &name, role);
    }
    if is_past_window(&role, call.now) {
        let (_, database) = Connection::open(call, &role.db_name)?;
        let login = database.login(&role.username, &pending).await.map_err(Failure::retried)?;
        if login == Login::Refused {
            // The database may still be at what was sent to it.
            if call.now.since(begun.since) < MAY_BE_UNDER_WAY {
                return Err(Error::Unavailable("looked at once more".into()));
            }
            role.pending = None;
            return skip(call, &name, role);
        }
    }
    apply(call, &name, role).await.map_err(Failure::retried)?
}

/// Of a role whose client was not told that it is there: it is, where the database has taken its
/// password.
async fn settle_creation(
    call: &mut Call<'_, State>,
    name: &str,
    since: Timestamp,
) -> Result<(), Error> {
    let Some(role) = call.storage.get::<StaticRole>(&new_key(name))? else {
        return Ok(());
    };
    let pending = role.pending.clone().unwrap_or_default();
    if Connection::find(call, &role.db_name)?.is_some() {
        let (_, database) = Connection::open(call, &role.db_name)?;
        let login = database.login(&role.username, &pending).await.map_err(Failure::retried)?;
        // Where the user may not log in, it is not known; the same password does no harm.
        if login != Login::Refused && StaticRole::find(call, name)?.is_none() {
            apply(call, name, role).await.map_err(Failure::retried)??;
        } else if login == Login::Refused && call.now.since(since) < MAY_BE_UNDER_WAY {
            return Err(Error::Unavailable("looked at once more".into()));
        }
    }
    call.storage.delete(&new_key(name))
}

/// A rotation that is due: chooses the password, and leaves the rest to another act, so that it
/// is stored first.
pub(super) async fn settle_due(
    call: &mut Call<'_, State>,
    begun: Begun<Rotation>,
) -> Result<(), Error> {
    let name = begun.intent.role;
    let Some(role) = StaticRole::find(call, &name)? else {
        return Ok(());
    };
    if role.next > call.now {
        return Ok(());
    }
    if role.pending.is_none() && is_past_window(&role, call.now) {
        return skip(call, &name, role);
    }
    if Connection::find(call, &role.db_name)?.is_none() {
        return skip(call, &name, role);
    }
    begin(call, &name, role)?;
    let (mount, now) = (call.mount.accessor.clone(), call.now);
    call.storage.beside("core/", |core| {
        let stored = left(ROTATE, &name, now);
        IntentStore::new(core).put(&mount, &format!("{ROTATE}-{name}"), &stored)
    })
}

fn is_past_window(role: &StaticRole, now: Timestamp) -> bool {
    let window = std::time::Duration::from_secs(role.rotation_window);
    role.rotation_window > 0 && role.next.plus(window) < now
}

/// The schedule's next moment is the next try.
fn skip(call: &mut Call<'_, State>, name: &str, mut role: StaticRole) -> Result<(), Error> {
    role.next = role.due_after(call.now);
    file_next(call, name, role.next)?;
    role.save(call, name)
}

/// An act that nobody is at, to be settled at once.
fn left(act: &str, role: &str, now: Timestamp) -> StoredIntent {
    let intent: Params =
        Map::from_iter([("role".into(), json!(role)), ("creates".into(), json!(false))]);
    StoredIntent {
        act: act.to_owned(),
        intent,
        since: now,
        settle_after: now,
        given_up: true,
        ..StoredIntent::default()
    }
}

pub(super) fn file_next(
    call: &mut Call<'_, State>,
    name: &str,
    when: Timestamp,
) -> Result<(), Error> {
    let id = filing(call.mount, name);
    call.storage.beside("core/", |core| {
        let filing = Filing { at: Some(when), ..Filing::default() };
        Expiry::new(core).file(&id, when, filing).map(drop)
    })
}

fn filing(mount: &MountEntry, role: &str) -> String {
    format!("{EXPIRY_KIND}{}.{}.{role}", mount.uuid, mount.accessor)
}

/// Of a static role that may be due. `namespace` is the scope of all; `id` is what follows
/// [`EXPIRY_KIND`].
///
/// # Errors
/// Where the store cannot be read.
pub fn fall_due(namespace: &mut Scope<'_>, id: &str, now: Timestamp) -> Result<Outcome, Error> {
    let mut parts = id.splitn(3, '.');
    let (Some(mount), Some(accessor), Some(name)) = (parts.next(), parts.next(), parts.next())
    else {
        return Err(Error::internal(format!("a filing is no {EXPIRY_KIND}MOUNT.ACCESSOR.ROLE")));
    };
    let role = namespace.narrow(&format!("logical/{mount}/"), |scope| {
        scope.get::<StaticRole>(&super::static_role::key(name))
    })?;
    let Some(role) = role else {
        return Ok(Outcome::Ended);
    };
    if role.next > now {
        return Ok(Outcome::Until(role.next));
    }
    namespace.narrow("core/", |core| {
        let mut intents = IntentStore::new(core);
        let id = format!("{DUE}-{name}");
        if intents.get(accessor, &id)?.is_none() {
            intents.put(accessor, &id, &left(DUE, name, now))?;
        }
        Ok(Outcome::Ended)
    })
}
