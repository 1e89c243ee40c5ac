//! `config/`: connections to databases.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::connection::{Connection, DIRECTORY, key};
use super::plugin::{Details, Failure, shown_url};
use super::username::About;
use super::{State, names, statements};
use crate::duration::SignedDuration;
use crate::framework::{Call, NoParams};
use crate::request::{Error, Reply};
use crate::secret::Secret;

#[derive(Deserialize, JsonSchema)]
pub(super) struct Name {
    /// Name of the connection.
    pub(super) name: String,
}

pub(super) async fn list(call: &mut Call<'_, State>, _: NoParams) -> Result<Reply, Error> {
    Ok(Reply::keys(call.storage.list(DIRECTORY)?))
}

pub(super) async fn exists(call: &mut Call<'_, State>, input: Name) -> Result<bool, Error> {
    Ok(Connection::find(call, &input.name)?.is_some())
}

#[derive(Deserialize, JsonSchema)]
pub(super) struct Write {
    /// Name of the connection.
    name: String,
    /// Such as `postgresql-database-plugin`.
    plugin_name: Option<String>,
    /// Nothing: plugins are those of this program.
    plugin_version: Option<String>,
    /// Connect once, and refuse what does not work. On unless said otherwise.
    verify_connection: Option<bool>,
    /// Names of roles, with `*` for any characters. None: no role may use it.
    allowed_roles: Option<Vec<String>>,
    /// What changes the administrator's password.
    root_rotation_statements: Option<Value>,
    /// Of `sys/policies/password/`.
    password_policy: Option<String>,
    /// Static roles take their users over without a new password, unless they say otherwise.
    skip_static_role_import_rotation: Option<bool>,
    /// Where it is, with `{{username}}` and `{{password}}`.
    connection_url: Option<String>,
    /// The administrator.
    username: Option<String>,
    /// The administrator's.
    password: Option<Secret<String>>,
    /// At the same time; 0: 4.
    max_open_connections: Option<i64>,
    /// Kept for later; 0: as many as may be open, less than 0: none.
    max_idle_connections: Option<i64>,
    /// After which a connection is not used again; 0: no limit.
    max_connection_lifetime: Option<Value>,
    /// Go's templates: `.DisplayName`, `.RoleName`, `random` and others.
    username_template: Option<String>,
    /// Put name and password into the URL as they are.
    disable_escaping: Option<bool>,
    /// PEM, of who signed the database's certificate.
    tls_ca: Option<String>,
    /// PEM, for the database.
    tls_certificate: Option<String>,
    /// PEM, of certificate and key, for the database.
    tls_certificate_key: Option<Secret<String>>,
    /// PEM, of the certificate's key.
    private_key: Option<Secret<String>>,
    /// In the database's certificate, where it is not the host of the URL.
    tls_server_name: Option<String>,
    /// Believe whoever answers.
    tls_skip_verify: Option<bool>,
    /// `password`, or `scram-sha-256`: passwords are hashed before the database gets them.
    password_authentication: Option<String>,
}

pub(super) async fn write(call: &mut Call<'_, State>, input: Write) -> Result<Reply, Error> {
    names::check(&input.name)?;
    let name = input.name.clone();
    let verifies = input.verify_connection.unwrap_or(true);
    let known = Connection::find(call, &name)?;
    let mut connection = known.map(|known| Connection::clone(&known)).unwrap_or_default();
    let before = (connection.details.connection_url.clone(), connection.details.username.clone());
    change(&mut connection, input)?;
    let after = (&connection.details.connection_url, &connection.details.username);
    // Else nobody could find out any more which of two passwords is in force there.
    if connection.pending.is_some() && (&before.0, &before.1) != after {
        return Err(Error::Unavailable(super::root::UNDER_WAY.into()));
    }
    if connection.plugin_name.is_empty() {
        return Err(Error::bad_request("empty plugin name"));
    }
    let refuse = |why: String| Error::BadRequest(format!("error creating database object: {why}"));
    let state = call.state;
    let database = connection.database(state).map_err(refuse)?;
    let sample = About { display_name: "", role_name: "", now: call.now, rng: call.rng };
    let template = connection.template(state).and_then(|template| template.render(sample));
    let rendered = template
        .map_err(|error| refuse(format!("unable to initialize username template: {error}")))?;
    // A name that comes again is somebody's: what failed for one would be undone for the other.
    let sample = About { display_name: "", role_name: "", now: call.now, rng: call.rng };
    let again = connection.template(state).and_then(|template| template.render(sample));
    if again.is_ok_and(|again| again == rendered) {
        return Err(refuse(
            "username_template must make another name each time: use `random`".into(),
        ));
    }
    if verifies {
        database.verify().await.map_err(|Failure { text, .. }| {
            refuse(format!("error verifying connection: {text}"))
        })?;
    }
    connection.save(call, &name)?;
    if shown_url(&connection.details.connection_url).is_some() {
        return Ok(Reply::default().warn(
            "Password found in connection_url, use a templated url to enable root rotation and \
             prevent read access to password information.",
        ));
    }
    Ok(Reply::default())
}

/// What was said; the rest stays.
fn change(connection: &mut Connection, mut input: Write) -> Result<(), Error> {
    if let Some(version) = input.plugin_version.take().filter(|version| !version.is_empty()) {
        return Err(Error::BadRequest(format!(
            "error creating database object: plugin not found in the catalog: version={version}: \
             leave `plugin_version` empty"
        )));
    }
    if let Some(plugin) = input.plugin_name.take() {
        connection.plugin_name = plugin;
    }
    if let Some(policy) = input.password_policy.take() {
        connection.password_policy = policy;
    }
    if let Some(roles) = input.allowed_roles.take() {
        connection.allowed_roles = roles;
    }
    let rotation = input.root_rotation_statements.take();
    if let Some(rotation) = statements::read("root_rotation_statements", rotation)? {
        connection.root_rotation_statements = rotation;
    }
    if let Some(skips) = input.skip_static_role_import_rotation {
        connection.skip_static_role_import_rotation = skips;
    }
    let details = &mut connection.details;
    if let Some(given) = input.max_connection_lifetime.take().filter(|given| !given.is_null()) {
        details.max_connection_lifetime = lifetime(&given)?;
        details.shown.insert("max_connection_lifetime".into(), given);
    }
    change_details(details, input);
    Ok(())
}

/// As it is told again, but for what is secret.
fn change_details(details: &mut Details, input: Write) {
    let shown = &mut details.shown;
    let texts = [
        ("connection_url", &mut details.connection_url, input.connection_url),
        ("username", &mut details.username, input.username),
        ("username_template", &mut details.username_template, input.username_template),
        ("tls_ca", &mut details.tls_ca, input.tls_ca),
        ("tls_certificate", &mut details.tls_certificate, input.tls_certificate),
        ("tls_server_name", &mut details.tls_server_name, input.tls_server_name),
        (
            "password_authentication",
            &mut details.password_authentication,
            input.password_authentication,
        ),
    ];
    for (field, to, given) in texts {
        set(shown, field, to, given);
    }
    let numbers = [
        ("max_open_connections", &mut details.max_open_connections, input.max_open_connections),
        ("max_idle_connections", &mut details.max_idle_connections, input.max_idle_connections),
    ];
    for (field, to, given) in numbers {
        set(shown, field, to, given);
    }
    let switches = [
        ("disable_escaping", &mut details.disable_escaping, input.disable_escaping),
        ("tls_skip_verify", &mut details.tls_skip_verify, input.tls_skip_verify),
    ];
    for (field, to, given) in switches {
        set(shown, field, to, given);
    }
    let secrets = [
        (&mut details.password, input.password),
        (&mut details.tls_certificate_key, input.tls_certificate_key),
        (&mut details.private_key, input.private_key),
    ];
    for (to, given) in secrets {
        if let Some(given) = given {
            *to = given.into();
        }
    }
}

fn set<T: Serialize>(shown: &mut Map<String, Value>, field: &str, to: &mut T, given: Option<T>) {
    if let Some(given) = given {
        shown.insert(field.to_owned(), json!(given));
        *to = given;
    }
}

fn lifetime(given: &Value) -> Result<u64, Error> {
    let seconds = match given {
        Value::String(text) if text.is_empty() => Some(0),
        Value::String(text) => SignedDuration::parse(text).ok().map(SignedDuration::whole_seconds),
        Value::Number(number) => number.as_i64(),
        _ => None,
    };
    seconds.and_then(|seconds| u64::try_from(seconds).ok()).ok_or_else(|| {
        Error::bad_request(
            "error creating database object: invalid max_connection_lifetime: expected a duration \
             such as \"5s\" or \"1h30m\"",
        )
    })
}

pub(super) async fn read(call: &mut Call<'_, State>, input: Name) -> Result<Reply, Error> {
    let connection = Connection::find(call, &input.name)?.ok_or(Error::NotFound)?;
    let mut details: Map<String, Value> = connection.details.shown.clone();
    if let Some(shown) = shown_url(&connection.details.connection_url) {
        details.insert("connection_url".into(), shown.into());
    }
    let mut data = Map::from_iter([
        ("allowed_roles".to_owned(), json!(connection.allowed_roles)),
        ("connection_details".to_owned(), Value::Object(details)),
        ("password_policy".to_owned(), json!(connection.password_policy)),
        ("plugin_name".to_owned(), json!(connection.plugin_name)),
        ("plugin_version".to_owned(), json!(connection.plugin_version)),
        (
            "root_credentials_rotate_statements".to_owned(),
            json!(connection.root_rotation_statements),
        ),
    ]);
    if connection.skip_static_role_import_rotation {
        data.insert("skip_static_role_import_rotation".into(), true.into());
    }
    Ok(Reply::data(data))
}

/// Its leases stay, and cannot be ended without it: as in Vault.
pub(super) async fn delete(call: &mut Call<'_, State>, input: Name) -> Result<Reply, Error> {
    if let Some(connection) = Connection::find(call, &input.name)? {
        if connection.pending.is_some() {
            return Err(Error::Unavailable(super::root::UNDER_WAY.into()));
        }
        call.storage.delete(&key(&input.name))?;
        call.state.close(&input.name);
    }
    Ok(Reply::default())
}

pub(super) async fn reset(call: &mut Call<'_, State>, input: Name) -> Result<Reply, Error> {
    Connection::get(call, &input.name)?;
    call.state.close(&input.name);
    Ok(Reply::default())
}

#[derive(Deserialize, JsonSchema)]
pub(super) struct Reload {
    /// Such as `postgresql-database-plugin`.
    plugin_name: String,
}

/// All connections of one plugin.
pub(super) async fn reload(call: &mut Call<'_, State>, input: Reload) -> Result<Reply, Error> {
    let mut closed = Vec::new();
    for name in call.storage.list(DIRECTORY)? {
        let connection = Connection::find(call, &name)?;
        if connection.is_some_and(|connection| connection.plugin_name == input.plugin_name) {
            call.state.close(&name);
            closed.push(name);
        }
    }
    if closed.is_empty() {
        return Err(Error::BadRequest(format!(
            "no connections were found with plugin_name {:?}",
            input.plugin_name
        )));
    }
    Reply::of(&json!({ "connections": closed, "count": closed.len() }))
}
