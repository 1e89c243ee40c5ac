//! Users of databases: made for whoever asks and taken away again, or there already and given new
//! passwords.
//!
//! A database is outside of this cluster's log. So what is going to be done is written down
//! before (`Route::intends`), and whoever leads next finishes or undoes it.

mod config;
mod connection;
mod credential;
mod creds;
mod names;
mod password;
pub mod plugin;
mod role;
mod root;
mod rotation;
mod schedule;
mod statements;
mod static_role;
mod template_time;
mod username;

pub use connection::State;
pub use password::Password;
pub use rotation::fall_due;

use crate::framework::{Engine, Overlap, Route, SecretKind};
use crate::request::Operation;

/// # Errors
/// Where two routes match the same paths.
pub fn engine() -> Result<Engine<State>, Overlap> {
    let routes = [
        Route::new("config", "List the connections.").list(config::list),
        Route::new("config/{name}", "Read, write or delete a connection to a database.")
            .exists(config::exists)
            .read(config::read)
            .write(config::write)
            .delete(config::delete),
        Route::new("reset/{name}", "Close a connection, and open it anew.").write(config::reset),
        Route::new("reload/{plugin_name}", "Close all connections of a plugin.")
            .write(config::reload),
        Route::new("rotate-root/{name}", "Give the administrator a password nobody knows.")
            .write(root::rotate)
            .intends("rotate_root", root::prepare),
        Route::new("roles", "List the roles.").list(role::list),
        Route::new("roles/{name}", "Read, write or delete a role.")
            .exists(role::exists)
            .read(role::read)
            .write(role::write)
            .delete(role::delete),
        Route::new("creds/{name}", "A new user, for as long as its lease lives.")
            .read(creds::create)
            .intends("create_user", creds::prepare),
        Route::new("static-roles", "List the static roles.").list(static_role::list),
        Route::new("static-roles/{name}", "Read, write or delete a static role.")
            .exists(static_role::exists)
            .read(static_role::read)
            .write(static_role::write)
            .delete(static_role::delete)
            .intends(ROTATE, static_role::prepare)
            .acts_only_on(Operation::Update),
        Route::new("static-creds/{name}", "A static role's password.")
            .read(static_role::credentials),
        Route::new("rotate-role/{name}", "Give a static role's user a new password now.")
            .write(rotation::rotate)
            .intends(ROTATE, rotation::prepare),
    ];
    let engine = Engine::new("database", "Users of databases, and their passwords.", routes)?;
    Ok(engine
        .secret(SecretKind::new(USER).renew(creds::renew).revoke(creds::revoke))
        .act("create_user", creds::settle)
        .act("rotate_root", root::settle)
        .act(ROTATE, rotation::settle)
        .act(DUE, rotation::settle_due))
}

/// What is leased.
const USER: &str = "user";

/// The act that gives a static role's user a password that is stored.
const ROTATE: &str = "rotate_static";

/// The act that chooses the next password of a static role.
const DUE: &str = "rotate_due";

/// Begins the filings of static roles, see [`fall_due`].
pub const EXPIRY_KIND: &str = "database.";
