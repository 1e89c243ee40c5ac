//! `rotate-root/`: a password of the administrator that nobody knows.
//!
//! The new password is stored before the database gets it, beside the old one. Whatever becomes
//! of this process, which of the two is in force is found out by trying.

use serde::{Deserialize, Serialize};

use super::config::Name;
use super::connection::Connection;
use super::creds::MAY_BE_UNDER_WAY;
use super::password::generate;
use super::plugin::{Failure, Login};
use super::{State, names};
use crate::framework::{Begun, Call, Intent};
use crate::request::{Error, Reply};

#[derive(Deserialize, Serialize)]
pub(super) struct Rotation {
    connection: String,
}

pub(super) async fn prepare(call: &mut Call<'_, State>, input: Name) -> Result<Intent, Error> {
    names::check(&input.name)?;
    let mut connection = Connection::clone(&*Connection::get(call, &input.name)?);
    if connection.pending.is_some() {
        return Err(Error::Unavailable(UNDER_WAY.into()));
    }
    if connection.details.username.is_empty() {
        return Err(failed("unable to rotate root credentials: no username in configuration"));
    }
    if !connection.details.connection_url.contains("{{password}}") {
        return Err(failed(
            "unable to rotate root credentials: connection_url has no {{password}} that another \
             could be put in",
        ));
    }
    let password = generate(call, &connection.password_policy)?;
    if !connection.fits_url(&password) {
        return Err(failed(
            "the password policy makes passwords that connection_url cannot hold: leave out all but \
             letters, digits, `-`, `_` and `.`, or use a URL without disable_escaping",
        ));
    }
    connection.pending = Some(password);
    connection.save(call, &input.name)?;
    Intent::of(&Rotation { connection: input.name })
}

pub(super) async fn rotate(call: &mut Call<'_, State>, _: Name) -> Result<Reply, Error> {
    let Rotation { connection: name } = call.intent()?;
    let (connection, database) = Connection::open(call, &name)?;
    let next = connection.pending.clone().ok_or_else(|| failed(GONE))?;
    let username = &connection.details.username;
    let told = |failure: Failure| Error::Failed(format!("failed to update user: {}", failure.text));
    database
        .set_password(username, &next, &connection.root_rotation_statements)
        .await
        .map_err(told)?;
    if database.login(username, &next).await.map_err(told)? != Login::Taken {
        return Err(failed(
            "the database does not take the new password after the rotation: see \
             root_rotation_statements",
        ));
    }
    promote(call, &name, &connection)?;
    Ok(Reply::default())
}

/// What was begun is finished where the new password is in force, else forgotten.
pub(super) async fn settle(
    call: &mut Call<'_, State>,
    begun: Begun<Rotation>,
) -> Result<(), Error> {
    let name = begun.intent.connection;
    let Some(connection) = Connection::find(call, &name)? else {
        return Ok(());
    };
    let Some(next) = connection.pending.clone() else {
        return Ok(());
    };
    let (_, database) = Connection::open(call, &name)?;
    let details = &connection.details;
    let login = database.login(&details.username, &next).await.map_err(Failure::retried)?;
    if login == Login::Taken {
        return promote(call, &name, &connection);
    }
    if login == Login::Unknown {
        return Err(Error::Unavailable("the database does not let its administrator in".into()));
    }
    let login = database.login(&details.username, &details.password).await;
    if login.map_err(Failure::retried)? == Login::Taken {
        // The database may still be at what was sent to it.
        if call.now.since(begun.since) < MAY_BE_UNDER_WAY {
            return Err(Error::Unavailable(UNDER_WAY.into()));
        }
        let kept = Connection { pending: None, ..Connection::clone(&connection) };
        return kept.save(call, &name);
    }
    Err(failed(
        "the database takes neither the old nor the new password of its administrator: set one \
         there, and write it to the connection's configuration",
    ))
}

fn promote(call: &mut Call<'_, State>, name: &str, connection: &Connection) -> Result<(), Error> {
    let promoted = connection.promoted().ok_or_else(|| failed(GONE))?;
    promoted.save(call, name)
}

fn failed(text: &str) -> Error {
    Error::Failed(text.to_owned())
}

const GONE: &str = "the rotation has been settled meanwhile: see which password is in force";

pub(super) const UNDER_WAY: &str = "the administrator's password is being rotated: try again";
