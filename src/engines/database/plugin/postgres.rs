//! PostgreSQL, over `tokio-postgres`.
//!
//! What changes something is one transaction, and the database itself ends a statement that
//! hangs: so whoever has hung up knows when nothing can be under way any more.

use std::time::Duration;

use tokio::time::Instant;
use tokio_postgres::SimpleQueryMessage;
use tokio_postgres::error::SqlState;

use super::pool::{Place, Pool};
use super::postgres_connect::{MakeTls, Session, connect};
use super::postgres_url::{Target, parse};
use super::{Database, Details, Failure, FailureKind, Login, NewUser, OldUser, Removed};
use crate::engines::database::Password;
use crate::engines::database::statements::{Filler, expand, fill, redact};
use crate::log::BoxFuture;

pub(super) const USUAL_TEMPLATE: &str = r#"{{ printf "v-%s-%s-%s-%s" (.DisplayName | truncate 8) (.RoleName | truncate 8) (random 20) (unix_time) | truncate 63 }}"#;

pub(super) struct Postgres {
    details: Details,
    target: Target,
    tls: Option<MakeTls>,
    pool: Pool<Session>,
    /// Roles go one after the other: rights on one table cannot be taken away at the same time.
    dropping: tokio::sync::Mutex<()>,
}

impl Postgres {
    /// # Errors
    /// With a text for the operator.
    pub(super) fn new(details: &Details) -> Result<Self, String> {
        match details.password_authentication.as_str() {
            "" | "password" | "scram-sha-256" => {}
            other => {
                return Err(format!("'{other}' is not a valid password authentication type"));
            }
        }
        let target = parse(details, &details.username, details.password.expose())?;
        let tls = match target.tls {
            Some(check) => Some(MakeTls {
                config: super::tls::client_config(details, check)?.into(),
                server_name: details.tls_server_name.clone(),
            }),
            None => None,
        };
        Ok(Self {
            details: details.clone(),
            target,
            tls,
            pool: Pool::new(details),
            dropping: tokio::sync::Mutex::default(),
        })
    }

    async fn connect(&self) -> Result<Session, Failure> {
        let connecting = tokio::time::timeout(CONNECT_MAX, self.connect_in_any_time()).await;
        connecting.unwrap_or_else(|_| Err(Failure::new(FailureKind::Unreachable, SILENT)))
    }

    async fn connect_in_any_time(&self) -> Result<Session, Failure> {
        let mut connected = connect(&self.target.config, self.tls.as_ref()).await;
        let next = &self.details.password_next;
        if let Err(error) = &connected
            && error.code().is_some_and(is_of_credentials)
            && !next.is_empty()
        {
            let mut config = self.target.config.clone();
            config.password(next.expose());
            connected = connect(&config, self.tls.as_ref()).await;
        }
        let mut session = connected.map_err(|error| {
            let kind = match error.code() {
                Some(code) if is_of_credentials(code) => FailureKind::Credentials,
                _ => FailureKind::Unreachable,
            };
            Failure::new(kind, format!("failed to connect: {}", self.text(&error, &[])))
        })?;
        // Names are quoted for it, whatever the server has been told.
        session.execute("SET standard_conforming_strings = on").await.map_err(|error| {
            let text = format!("failed to connect: {}", self.text(&error, &[]));
            Failure::new(FailureKind::Unreachable, text)
        })?;
        Ok(session)
    }

    /// A connection that works, also where others had died while nobody used them.
    async fn lend(&self) -> Result<Lent<'_>, Failure> {
        let place = self.pool.place().await?;
        while let Some((mut session, made)) = place.reuse(Instant::now()) {
            if session.is_alive(ALIVE_MAX).await {
                return Ok(Lent { place, session, made });
            }
        }
        let session = self.connect().await?;
        Ok(Lent { place, session, made: Instant::now() })
    }

    /// All of it, or nothing.
    async fn transaction(
        &self,
        statements: &[String],
        fillers: &[(&str, Filler<'_>)],
    ) -> Result<(), Failure> {
        let mut filled = Vec::new();
        let statements = expand(statements);
        for statement in &statements {
            filled.push(fill(statement, fillers)?);
        }
        // Who ends the transaction in a statement has to live with what stands then.
        let is_split = statements.iter().any(|text| text.to_lowercase().contains("commit"));
        let refused = if is_split { FailureKind::Unknown } else { FailureKind::Refused };
        let mut lent = self.lend().await?;
        let mut outcome = run_all(&mut lent.session, &filled).await;
        for _ in 0..CROSSED_MAX {
            if !outcome.as_ref().is_err_and(|(_, error)| has_crossed(error)) || is_split {
                break;
            }
            if lent.session.execute("ROLLBACK").await.is_err() {
                break;
            }
            outcome = run_all(&mut lent.session, &filled).await;
        }
        if outcome.is_ok() {
            lent.give_back();
            return Ok(());
        }
        // Whether its transaction is over is not known.
        if lent.session.execute("ROLLBACK").await.is_ok() {
            lent.give_back();
        }
        outcome.map_err(|(step, error)| {
            let kind = match step {
                Step::Begin => FailureKind::Unreachable,
                Step::Commit if error.as_db_error().is_none() => FailureKind::Unknown,
                Step::Statement | Step::Commit => refused,
            };
            let text = self.text(&error, &secrets(fillers));
            Failure::new(kind, format!("failed to execute query: {text}"))
        })
    }

    /// The first column of all rows.
    async fn column(
        &self,
        query: &str,
        fillers: &[(&str, Filler<'_>)],
    ) -> Result<Vec<String>, Failure> {
        let query = fill(query, fillers)?;
        let mut lent = self.lend().await?;
        match lent.session.query(query.expose()).await {
            Ok(rows) => {
                lent.give_back();
                Ok(rows.iter().filter_map(first_column).collect())
            }
            Err(error) => {
                let text = format!("failed to execute query: {}", self.text(&error, &[]));
                let is_told = error.as_db_error().is_some();
                let kind = if is_told { FailureKind::Refused } else { FailureKind::Unreachable };
                Err(Failure::new(kind, text))
            }
        }
    }

    async fn exists(&self, username: &str) -> Result<bool, Failure> {
        let fillers = [("name", Filler::Text(username))];
        Ok(!self.column(EXISTS, &fillers).await?.is_empty())
    }

    async fn remove(&self, user: &OldUser<'_>) -> Result<Removed, Failure> {
        let fillers = both(user.username);
        let was_there = self.exists(user.username).await?;
        if was_there && !user.rollback.is_empty() {
            let undone = self.transaction(user.rollback, &fillers).await;
            if !self.exists(user.username).await? {
                return Ok(Removed::Now);
            }
            // Where there is another way, it is taken.
            if user.revocation.is_empty() {
                undone?;
            }
        }
        if user.revocation.is_empty() {
            if !was_there {
                return Ok(Removed::Before);
            }
            return self.drop_role(user.username).await.map(|()| Removed::Now);
        }
        // They may have to take away more than the user.
        let outcome = self.transaction(user.revocation, &fillers).await;
        match outcome {
            Ok(()) if was_there => Ok(Removed::Now),
            Ok(()) => Ok(Removed::Before),
            Err(failure) if failure.kind == FailureKind::Refused => {
                if self.exists(user.username).await? {
                    return Err(failure);
                }
                Ok(if was_there { Removed::Now } else { Removed::Before })
            }
            Err(failure) => Err(failure),
        }
    }

    /// As Vault: what it may have been granted is taken away, as far as that is possible; then
    /// the role goes.
    async fn drop_role(&self, username: &str) -> Result<(), Failure> {
        let waiting = tokio::time::timeout(DROPPING_WAIT_MAX, self.dropping.lock()).await;
        let _one_at_a_time = waiting.map_err(|_| {
            Failure::new(FailureKind::Unreachable, "other users are being taken away")
        })?;
        let name = ("name", Filler::Text(username));
        let mut first = None;
        let mut note = |outcome: Result<(), Failure>| match outcome {
            Err(failure) if failure.kind == FailureKind::Refused => {
                first.get_or_insert(failure);
                Ok(())
            }
            other => other,
        };
        note(self.transaction(&[NO_LOGIN.into()], &[name]).await)?;
        let mut schemas = self.column(SCHEMAS, &[name]).await?;
        schemas.push("public".into());
        schemas.dedup();
        for schema in &schemas {
            for statement in OF_SCHEMA {
                let fillers = [name, ("schema", Filler::Text(schema))];
                note(self.transaction(&[(*statement).into()], &fillers).await)?;
            }
        }
        for database in self.column("SELECT current_database()", &[]).await? {
            let fillers = [name, ("database", Filler::Text(&database))];
            note(self.transaction(&[OF_DATABASE.into()], &fillers).await)?;
        }
        let dropped = self.transaction(&[DROP.into()], &[name]).await;
        dropped.map_err(|failure| match first {
            Some(first) => Failure::new(
                failure.kind,
                format!(
                    "could not perform all revocation statements: {}; {}",
                    first.text, failure.text
                ),
            ),
            None => failure,
        })
    }

    /// What the database or the connection says, and nothing that a statement had in it.
    fn text(&self, error: &tokio_postgres::Error, secrets: &[&str]) -> String {
        let text = match error.as_db_error() {
            Some(error) => {
                format!(
                    "{}: {} (SQLSTATE {})",
                    error.severity(),
                    error.message(),
                    error.code().code()
                )
            }
            None => {
                use std::error::Error as _;
                let cause = error.source().map(ToString::to_string);
                cause.map_or_else(|| error.to_string(), |cause| format!("{error}: {cause}"))
            }
        };
        let own = [self.details.password.expose(), self.details.password_next.expose()];
        let secrets: Vec<&str> = secrets.iter().copied().chain(own).collect();
        redact(&text, &secrets)
    }
}

struct Lent<'p> {
    place: Place<'p, Session>,
    session: Session,
    made: Instant,
}

impl Lent<'_> {
    fn give_back(self) {
        if !self.session.is_over() {
            self.place.give_back(self.session, self.made);
        }
    }
}

/// Of a transaction.
#[derive(Clone, Copy)]
enum Step {
    Begin,
    Statement,
    Commit,
}

async fn run_all(
    session: &mut Session,
    statements: &[Password],
) -> Result<(), (Step, tokio_postgres::Error)> {
    session.execute(BEGIN).await.map_err(|error| (Step::Begin, error))?;
    for statement in statements {
        let done = session.execute(statement.expose()).await;
        done.map_err(|error| (Step::Statement, error))?;
    }
    session.execute("COMMIT").await.map_err(|error| (Step::Commit, error))
}

impl Database for Postgres {
    fn verify(&self) -> BoxFuture<'_, Result<(), Failure>> {
        Box::pin(async {
            let asked = self.column("SELECT 1", &[]);
            match tokio::time::timeout(VERIFY_MAX, asked).await {
                Ok(outcome) => outcome.map(drop),
                Err(_) => Err(Failure::new(
                    FailureKind::Unreachable,
                    format!("the database did not answer within {} s", VERIFY_MAX.as_secs()),
                )),
            }
        })
    }

    fn create<'a>(&'a self, user: &'a NewUser<'a>) -> BoxFuture<'a, Result<(), Failure>> {
        Box::pin(async move {
            let password = self.as_told(user.password);
            let fillers = [
                ("name", Filler::Text(user.username)),
                ("username", Filler::Text(user.username)),
                ("password", Filler::Text(password.expose())),
                ("expiration", Filler::Plain(user.expiration)),
            ];
            self.transaction(user.statements, &fillers).await
        })
    }

    fn renew<'a>(
        &'a self,
        username: &'a str,
        expiration: &'a str,
        statements: &'a [String],
    ) -> BoxFuture<'a, Result<(), Failure>> {
        Box::pin(async move {
            let [name, user] = both(username);
            let fillers = [name, user, ("expiration", Filler::Plain(expiration))];
            let usual = [RENEW.to_owned()];
            let statements = if statements.is_empty() { &usual } else { statements };
            self.transaction(statements, &fillers).await
        })
    }

    fn set_password<'a>(
        &'a self,
        username: &'a str,
        password: &'a Password,
        statements: &'a [String],
    ) -> BoxFuture<'a, Result<(), Failure>> {
        Box::pin(async move {
            let password = self.as_told(password);
            let [name, user] = both(username);
            let fillers = [name, user, ("password", Filler::Text(password.expose()))];
            let usual = [SET_PASSWORD.to_owned()];
            let statements = if statements.is_empty() { &usual } else { statements };
            self.transaction(statements, &fillers).await
        })
    }

    fn remove<'a>(&'a self, user: &'a OldUser<'a>) -> BoxFuture<'a, Result<Removed, Failure>> {
        Box::pin(self.remove(user))
    }

    fn login<'a>(
        &'a self,
        username: &'a str,
        password: &'a Password,
    ) -> BoxFuture<'a, Result<Login, Failure>> {
        Box::pin(async move {
            let mut config = self.target.config.clone();
            config.user(username).password(password.expose());
            let connecting = connect(&config, self.tls.as_ref());
            let Ok(connected) = tokio::time::timeout(CONNECT_MAX, connecting).await else {
                return Err(Failure::new(FailureKind::Unreachable, SILENT));
            };
            match connected {
                Ok(_) => Ok(Login::Taken),
                Err(error) => match error.code() {
                    Some(code) if *code == SqlState::INVALID_PASSWORD => Ok(Login::Refused),
                    // Whoever may not come in from here, or not at all.
                    Some(code) if is_of_credentials(code) => Ok(Login::Unknown),
                    // They come after the password was looked at.
                    Some(code)
                        if *code == SqlState::INSUFFICIENT_PRIVILEGE
                            || *code == SqlState::UNDEFINED_DATABASE =>
                    {
                        Ok(Login::Taken)
                    }
                    _ => {
                        let text = self.text(&error, &[password.expose()]);
                        let text = format!("failed to connect: {text}");
                        Err(Failure::new(FailureKind::Unreachable, text))
                    }
                },
            }
        })
    }

    fn username_bytes_max(&self) -> usize {
        63
    }
}

impl Postgres {
    /// As the database gets it: with `scram-sha-256` what it would store, so that it cannot tell
    /// it to its log.
    fn as_told(&self, password: &Password) -> Password {
        if self.details.password_authentication == "scram-sha-256" {
            let verifier = postgres_protocol::password::scram_sha_256(password.expose().as_bytes());
            return Password::new(verifier);
        }
        password.clone()
    }
}

fn both(username: &str) -> [(&'static str, Filler<'_>); 2] {
    [("name", Filler::Text(username)), ("username", Filler::Text(username))]
}

fn secrets<'v>(fillers: &[(&str, Filler<'v>)]) -> Vec<&'v str> {
    let of = fillers.iter().filter(|(name, _)| *name == "password");
    of.map(|(_, filler)| match filler {
        Filler::Text(text) | Filler::Plain(text) => *text,
    })
    .collect()
}

fn first_column(message: &SimpleQueryMessage) -> Option<String> {
    match message {
        SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
        _ => None,
    }
}

/// Whether another transaction was in the way, so that the same may succeed now.
fn has_crossed(error: &tokio_postgres::Error) -> bool {
    error.as_db_error().is_some_and(|error| {
        *error.code() == SqlState::T_R_SERIALIZATION_FAILURE
            || *error.code() == SqlState::T_R_DEADLOCK_DETECTED
            || error.message() == "tuple concurrently updated"
    })
}

fn is_of_credentials(code: &SqlState) -> bool {
    *code == SqlState::INVALID_PASSWORD || *code == SqlState::INVALID_AUTHORIZATION_SPECIFICATION
}

/// From the look-up of the name until the password was taken.
const CONNECT_MAX: Duration = Duration::from_secs(15);

const SILENT: &str = "failed to connect: the database does not answer";

/// Less than a lease has to end in, so that it is tried again instead of counted as failed.
const DROPPING_WAIT_MAX: Duration = Duration::from_secs(10);

/// Whoever has hung up waits a minute: no statement is at it then.
const BEGIN: &str = "BEGIN; SET LOCAL statement_timeout = '20s'; SET LOCAL lock_timeout = '20s'; \
                     SET LOCAL standard_conforming_strings = on";

const EXISTS: &str = "SELECT 1 FROM pg_catalog.pg_roles WHERE rolname = '{{name}}'";

const NO_LOGIN: &str = r#"ALTER ROLE "{{name}}" NOLOGIN"#;

const SCHEMAS: &str = "SELECT DISTINCT table_schema FROM information_schema.role_column_grants \
                       WHERE grantee = '{{name}}' AND table_schema <> 'public'";

const OF_SCHEMA: &[&str] = &[
    r#"REVOKE ALL PRIVILEGES ON ALL TABLES IN SCHEMA "{{schema}}" FROM "{{name}}""#,
    r#"REVOKE ALL PRIVILEGES ON ALL SEQUENCES IN SCHEMA "{{schema}}" FROM "{{name}}""#,
    r#"REVOKE ALL PRIVILEGES ON ALL FUNCTIONS IN SCHEMA "{{schema}}" FROM "{{name}}""#,
    r#"REVOKE ALL ON SCHEMA "{{schema}}" FROM "{{name}}""#,
];

const OF_DATABASE: &str = r#"REVOKE ALL ON DATABASE "{{database}}" FROM "{{name}}""#;

const DROP: &str = r#"DROP ROLE IF EXISTS "{{name}}""#;

const RENEW: &str = r#"ALTER ROLE "{{name}}" VALID UNTIL '{{expiration}}'"#;

const SET_PASSWORD: &str = r#"ALTER ROLE "{{username}}" WITH PASSWORD '{{password}}'"#;

/// Tries of a transaction that others were in the way of.
const CROSSED_MAX: u32 = 10;

const VERIFY_MAX: Duration = Duration::from_secs(15);

/// An answer to a connection that was not used for a while.
const ALIVE_MAX: Duration = Duration::from_secs(5);
