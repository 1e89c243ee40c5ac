//! `creds/`: a user of its own for whoever asks, and its end.
//!
//! The name is in the log before the database has the user; whatever becomes of this process, a
//! user without a lease is taken away.

use std::sync::PoisonError;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::connection::Connection;
use super::password::generate;
use super::plugin::{Failure, NewUser, OldUser, Removed};
use super::role::{Name, Role, supported};
use super::template_time::expiration;
use super::{State, USER};
use crate::framework::{Begun, Call, Intent, Leased, Renewal, TtlTerms};
use crate::request::{Error, Lease, Reply};

/// In the intent.
#[derive(Deserialize, Serialize)]
pub(super) struct Creation {
    role: String,
    user: User,
}

/// In the lease: all that is needed to end it, whatever becomes of the role.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct User {
    username: String,
    db_name: String,
    role: String,
    revocation_statements: Vec<String>,
    #[serde(default)]
    rollback_statements: Vec<String>,
}

pub(super) async fn prepare(call: &mut Call<'_, State>, input: Name) -> Result<Intent, Error> {
    let role = find(call, &input.name)?;
    let (connection, database) = Connection::open(call, &role.db_name)?;
    connection.check_allowed(&input.name)?;
    supported(&role.credential).map_err(Error::BadRequest)?;
    if super::statements::expand(&role.creation_statements).is_empty() {
        return Err(Error::Failed("empty creation statements".into()));
    }
    let username = connection.username(call, &input.name, database.username_bytes_max())?;
    Intent::of(&Creation {
        user: User {
            username,
            db_name: role.db_name.clone(),
            role: input.name.clone(),
            revocation_statements: role.revocation_statements.clone(),
            rollback_statements: role.rollback_statements.clone(),
        },
        role: input.name,
    })
}

fn find(call: &mut Call<'_, State>, name: &str) -> Result<std::sync::Arc<Role>, Error> {
    let role = Role::find(call, name)?;
    role.ok_or_else(|| Error::BadRequest(format!("unknown role: {name}")))
}

pub(super) async fn create(call: &mut Call<'_, State>, _: Name) -> Result<Reply, Error> {
    let Creation { role: name, user } = call.intent()?;
    let outcome = make(call, &name, user.clone()).await;
    outcome.map_err(|(error, failure)| {
        if failure.is_none_or(|failure| failure.is_without_effect()) {
            let undone = &call.state.undone;
            undone.lock().unwrap_or_else(PoisonError::into_inner).insert(user.username);
        }
        error
    })
}

async fn make(
    call: &mut Call<'_, State>,
    name: &str,
    user: User,
) -> Result<Reply, (Error, Option<Failure>)> {
    let before = |error| (error, None);
    let role = find(call, name).map_err(before)?;
    let (connection, database) = Connection::open(call, &user.db_name).map_err(before)?;
    let own = supported(&role.credential).map_err(|text| before(Error::BadRequest(text)))?;
    let policy = if own.is_empty() { &connection.password_policy } else { own };
    let password = generate(call, policy).map_err(before)?;
    let terms = TtlTerms { usual: role.default_ttl, max: role.max_ttl, ..TtlTerms::default() };
    let granted = call.ttl.grant(&terms, call.now, call.now).map_or(0, |granted| granted.ttl);
    let new = NewUser {
        username: &user.username,
        password: &password,
        expiration: &expiration(call.now.seconds() + granted + GRACE_SECONDS),
        statements: &role.creation_statements,
    };
    database.create(&new).await.map_err(|failure| (failure.clone().told(), Some(failure)))?;
    let after = |error| (error, Some(Failure::new(super::plugin::FailureKind::Unknown, "")));
    let lease = Lease {
        ttl: Duration::from_secs(role.default_ttl),
        max_ttl: Duration::from_secs(role.max_ttl),
        ..Lease::of(USER, &user).map_err(after)?
    };
    let data = json!({ "username": user.username, "password": password.expose() });
    Ok(Reply { lease: Some(lease), ..Reply::of(&data).map_err(after)? })
}

/// Takes away a user that has no lease.
pub(super) async fn settle(
    call: &mut Call<'_, State>,
    begun: Begun<Creation>,
) -> Result<(), Error> {
    let user = begun.intent.user;
    let undone = &call.state.undone;
    if undone.lock().unwrap_or_else(PoisonError::into_inner).remove(&user.username) {
        return Ok(());
    }
    if Connection::is_lost(call, &user.db_name, begun.since)? {
        tracing::warn!("a user may be left in a database whose connection was deleted");
        return Ok(());
    }
    let removed = remove(call, &user, &user.rollback_statements).await?;
    // The database may still be at what was sent to it: nobody there now is not the end of it.
    if removed == Removed::Before && call.now.since(begun.since) < MAY_BE_UNDER_WAY {
        return Err(Error::Unavailable(
            "a user that may still come into being is looked for once more".into(),
        ));
    }
    Ok(())
}

async fn remove(
    call: &mut Call<'_, State>,
    user: &User,
    rollback: &[String],
) -> Result<Removed, Error> {
    let (_, database) = Connection::open(call, &user.db_name)?;
    let old =
        OldUser { username: &user.username, rollback, revocation: &user.revocation_statements };
    database.remove(&old).await.map_err(Failure::retried)
}

pub(super) async fn revoke(call: &mut Call<'_, State>, lease: Leased<User>) -> Result<(), Error> {
    remove(call, &lease.internal, &[]).await.map(drop)
}

/// The database is told the new end too.
pub(super) async fn renew(
    call: &mut Call<'_, State>,
    lease: Leased<User>,
) -> Result<Renewal, Error> {
    let user = &lease.internal;
    let role = Role::find(call, &user.role)?.ok_or_else(|| {
        Error::Failed(format!("error during renew: could not find role with name {:?}", user.role))
    })?;
    let (_, database) = Connection::open(call, &user.db_name)?;
    let terms = TtlTerms {
        requested: lease.increment,
        usual: role.default_ttl,
        max: role.max_ttl,
        ..TtlTerms::default()
    };
    // Past its end it is refused, by who asks this.
    if let Some(granted) = call.ttl.grant(&terms, lease.issued, call.now) {
        let end = expiration(call.now.seconds() + granted.ttl + GRACE_SECONDS);
        database
            .renew(&user.username, &end, &role.renew_statements)
            .await
            .map_err(Failure::told)?;
    }
    Ok(Renewal { ttl: role.default_ttl, max_ttl: role.max_ttl })
}

/// As in Vault: the database's own end comes after the lease's.
const GRACE_SECONDS: u64 = 5;

/// As long as an act outside may take, and a statement after whoever sent it has gone.
/// How long a database may be at a statement of whom it has lost.
pub(super) const MAY_BE_UNDER_WAY: Duration = Duration::from_secs(60);
