//! What each kind of database does for the engine. Tests put their own in.

mod pool;
mod postgres;
mod postgres_connect;
mod postgres_url;
mod tls;

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::Password;
use crate::log::BoxFuture;
use crate::request::Error;

/// A database with users, reached as its administrator. Its methods have no time limit of their
/// own where they may have changed something: who calls them has one, and knows that the outcome
/// is open then.
pub trait Database: Send + Sync {
    /// That it can be reached, and takes the credentials.
    fn verify(&self) -> BoxFuture<'_, Result<(), Failure>>;

    /// In one transaction, where the database has them.
    fn create<'a>(&'a self, user: &'a NewUser<'a>) -> BoxFuture<'a, Result<(), Failure>>;

    /// A new end of a user's password.
    fn renew<'a>(
        &'a self,
        username: &'a str,
        expiration: &'a str,
        statements: &'a [String],
    ) -> BoxFuture<'a, Result<(), Failure>>;

    /// Of the administrator or of another. The same once more changes nothing.
    fn set_password<'a>(
        &'a self,
        username: &'a str,
        password: &'a Password,
        statements: &'a [String],
    ) -> BoxFuture<'a, Result<(), Failure>>;

    /// Who is gone already is a success. What `rollback` has is run first, and nothing else where
    /// that was enough.
    fn remove<'a>(&'a self, user: &'a OldUser<'a>) -> BoxFuture<'a, Result<Removed, Failure>>;

    /// Whether these credentials are taken.
    fn login<'a>(
        &'a self,
        username: &'a str,
        password: &'a Password,
    ) -> BoxFuture<'a, Result<Login, Failure>>;

    /// Longer ones it cuts off or refuses.
    fn username_bytes_max(&self) -> usize;
}

pub struct NewUser<'a> {
    pub username: &'a str,
    pub password: &'a Password,
    pub expiration: &'a str,
    pub statements: &'a [String],
}

pub struct OldUser<'a> {
    pub username: &'a str,
    pub rollback: &'a [String],
    /// None: what the database usually needs.
    pub revocation: &'a [String],
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Removed {
    Now,
    /// There was nobody of this name.
    Before,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Login {
    Taken,
    Refused,
    /// The database does not look at the password: the user may not log in, or not from here.
    Unknown,
}

/// Why a database did not do what it was asked for. The text has no secrets in it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Failure {
    pub kind: FailureKind,
    pub text: String,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum FailureKind {
    /// Nothing was asked of it yet: it cannot be reached, or all connections are in use.
    Unreachable,
    /// It does not take the administrator's credentials. Nothing was changed.
    Credentials,
    /// It said no, and what had been done before was undone.
    Refused,
    /// It may have been done, in part or in whole.
    Unknown,
}

impl Failure {
    pub fn new(kind: FailureKind, text: impl Into<String>) -> Self {
        Self { kind, text: text.into() }
    }

    /// Whether the database is as it was.
    pub fn is_without_effect(&self) -> bool {
        self.kind != FailureKind::Unknown
    }

    /// For whoever asked.
    pub(super) fn told(self) -> Error {
        Error::Failed(self.text)
    }

    /// For what is tried again: a database that is down is waited for.
    pub(super) fn retried(self) -> Error {
        match self.kind {
            FailureKind::Unreachable => Error::Unavailable(self.text),
            _ => Error::Failed(self.text),
        }
    }
}

impl From<Error> for Failure {
    /// Of what is refused before the database is asked.
    fn from(error: Error) -> Self {
        Self::new(FailureKind::Refused, error.to_string())
    }
}

/// What a plugin reads of a connection's configuration.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct Details {
    pub connection_url: String,
    pub username: String,
    pub password: Password,
    /// Of a rotation that was begun: tried where the other is refused. Stored elsewhere.
    #[serde(skip)]
    pub password_next: Password,
    pub max_open_connections: i64,
    pub max_idle_connections: i64,
    /// Seconds; 0: without limit.
    pub max_connection_lifetime: u64,
    pub username_template: String,
    pub disable_escaping: bool,
    pub tls_ca: String,
    pub tls_certificate: String,
    pub tls_server_name: String,
    pub tls_skip_verify: bool,
    /// PEM, of certificate and key.
    pub tls_certificate_key: Password,
    /// PEM, of the certificate's key.
    pub private_key: Password,
    /// `password` or `scram-sha-256`.
    pub password_authentication: String,
    /// As they were written, for whoever reads the configuration.
    pub shown: Map<String, Value>,
}

/// Opens connections' databases: what the server has, or a test's.
pub trait Plugins: Send + Sync {
    /// Does not connect yet.
    ///
    /// # Errors
    /// With a text for the operator, where the details are not such that it could.
    fn open(&self, plugin: &str, details: &Details) -> Result<Arc<dyn Database>, String>;

    /// The template of users' names, where the operator gives none.
    fn usual_template(&self, plugin: &str) -> Option<&'static str>;
}

/// The plugins of this program.
pub struct Builtin;

impl Plugins for Builtin {
    fn open(&self, plugin: &str, details: &Details) -> Result<Arc<dyn Database>, String> {
        match plugin {
            POSTGRESQL => Ok(Arc::new(postgres::Postgres::new(details)?)),
            _ => Err(format!("plugin not found in the catalog: {plugin}")),
        }
    }

    fn usual_template(&self, plugin: &str) -> Option<&'static str> {
        match plugin {
            POSTGRESQL => Some(postgres::USUAL_TEMPLATE),
            _ => None,
        }
    }
}

/// A URL as it may be shown, where it has a password in it.
pub(super) fn shown_url(url: &str) -> Option<String> {
    postgres_url::without_password(url)
}

const POSTGRESQL: &str = "postgresql-database-plugin";

/// As `sys/plugins/catalog` lists them, sorted.
pub const KINDS: &[&str] = &[POSTGRESQL];
