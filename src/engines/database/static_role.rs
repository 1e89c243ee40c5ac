//! `static-roles/`: users that are there already, whose passwords this engine changes.

use std::collections::BTreeMap;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::connection::Connection;
use super::credential::Credential;
use super::password::generate;
use super::role::{self, Name};
use super::rotation::{Rotation, apply, file_next};
use super::schedule::Schedule;
use super::{Password, State, names, statements};
use crate::clock::Timestamp;
use crate::framework::{Call, Intent, NoParams, Seconds};
use crate::request::{Error, Reply};
use crate::secret::Secret;

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub(super) struct StaticRole {
    pub(super) db_name: String,
    pub(super) username: String,
    pub(super) rotation_statements: Vec<String>,
    pub(super) credential: Credential,
    /// Seconds; 0: by the schedule.
    pub(super) rotation_period: u64,
    pub(super) rotation_schedule: String,
    /// Seconds after its moment in which a rotation that failed is tried again; 0: always.
    pub(super) rotation_window: u64,
    pub(super) password: Password,
    /// The next one, while it is not known which of the two is in force.
    pub(super) pending: Option<Password>,
    /// Zero: never by this engine.
    pub(super) rotated: Timestamp,
    /// When it is due.
    pub(super) next: Timestamp,
}

#[derive(Deserialize, JsonSchema)]
pub(super) struct Write {
    /// Name of the role.
    name: String,
    /// Name of the connection.
    db_name: Option<String>,
    /// Of the user, who is there.
    username: Option<String>,
    /// At least 5 seconds.
    rotation_period: Option<Seconds>,
    /// Minute, hour, day, month and weekday as cron has them, in UTC; instead of a period.
    rotation_schedule: Option<String>,
    /// At least an hour, with a schedule.
    rotation_window: Option<Seconds>,
    /// What changes the password: `{{username}}`, `{{password}}`.
    rotation_statements: Option<Value>,
    /// `password`, unless something else is said.
    credential_type: Option<String>,
    /// Of the type.
    credential_config: Option<BTreeMap<String, String>>,
    /// Take the user over as it is.
    skip_import_rotation: Option<bool>,
    /// The user's, where it is taken over as it is.
    password: Option<Secret<String>>,
}

impl StaticRole {
    pub(super) fn find(call: &mut Call<'_, State>, name: &str) -> Result<Option<Self>, Error> {
        if names::check(name).is_err() {
            return Ok(None);
        }
        call.storage.get(&key(name))
    }

    pub(super) fn save(&self, call: &mut Call<'_, State>, name: &str) -> Result<(), Error> {
        call.storage.put(&key(name), self)
    }

    /// When it is due after this moment.
    pub(super) fn due_after(&self, moment: Timestamp) -> Timestamp {
        let by_schedule = Schedule::parse(&self.rotation_schedule).ok();
        let by_schedule = by_schedule.and_then(|schedule| schedule.after(moment));
        by_schedule.unwrap_or_else(|| moment.plus(Duration::from_secs(self.rotation_period)))
    }
}

pub(super) async fn list(call: &mut Call<'_, State>, _: NoParams) -> Result<Reply, Error> {
    Ok(Reply::keys(call.storage.list(DIRECTORY)?))
}

pub(super) async fn exists(call: &mut Call<'_, State>, input: Name) -> Result<bool, Error> {
    Ok(StaticRole::find(call, &input.name)?.is_some())
}

/// Whether the role is new, and what it is to be.
fn wanted(call: &mut Call<'_, State>, input: &Write) -> Result<(bool, StaticRole), Error> {
    names::check(&input.name)?;
    let known = StaticRole::find(call, &input.name)?;
    let is_new = known.is_none();
    let mut role = known.unwrap_or_default();
    let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    match given(&input.db_name) {
        Some(name) => role.db_name = name,
        None if is_new => {
            return Err(Error::bad_request("database name is a required field"));
        }
        None => {}
    }
    names::check(&role.db_name)?;
    match given(&input.username) {
        Some(name) if is_new => role.username = name,
        None if is_new => {
            return Err(Error::bad_request(
                "username is a required field to create a static account",
            ));
        }
        Some(name) if name != role.username => {
            return Err(Error::bad_request("cannot update static account username"));
        }
        Some(_) | None => {}
    }
    if call.storage.get::<Value>(&role::key(&input.name))?.is_some() {
        return Err(Error::bad_request("Role and Static Role names must be unique"));
    }
    when(&mut role, input)?;
    let rotation = statements::read("rotation_statements", input.rotation_statements.clone())?;
    if let Some(rotation) = rotation {
        role.rotation_statements = rotation;
    }
    role.credential.change(input.credential_type.clone(), input.credential_config.clone())?;
    Ok((is_new, role))
}

/// By a period or by a schedule.
fn when(role: &mut StaticRole, input: &Write) -> Result<(), Error> {
    let refuse = |text: &str| Err(Error::bad_request(text));
    let schedule = input.rotation_schedule.as_deref().filter(|text| !text.is_empty());
    match (input.rotation_period, schedule) {
        (Some(_), Some(_)) => {
            return refuse(
                "mutually exclusive fields rotation_period and rotation_schedule were both specified; only one of them can be provided",
            );
        }
        (Some(Seconds(seconds)), None) => {
            let seconds = u64::try_from(seconds).unwrap_or_default();
            if seconds < PERIOD_SECONDS_MIN {
                return refuse("rotation_period must be 5 seconds or more");
            }
            role.rotation_period = seconds;
            role.rotation_schedule.clear();
            role.rotation_window = 0;
        }
        (None, Some(schedule)) => {
            if let Err(error) = Schedule::parse(schedule) {
                return Err(Error::BadRequest(format!(
                    "could not parse rotation_schedule: {error}"
                )));
            }
            schedule.clone_into(&mut role.rotation_schedule);
            role.rotation_period = 0;
        }
        (None, None) if role.rotation_period == 0 && role.rotation_schedule.is_empty() => {
            return refuse("rotation_period is required to create static accounts");
        }
        (None, None) => {}
    }
    if let Some(Seconds(seconds)) = input.rotation_window {
        if role.rotation_schedule.is_empty() {
            return refuse("rotation_window is invalid with use of rotation_period");
        }
        let seconds = u64::try_from(seconds).unwrap_or_default();
        if seconds < WINDOW_SECONDS_MIN {
            return refuse("rotation_window must be 3600 seconds (an hour) or more");
        }
        role.rotation_window = seconds;
    }
    Ok(())
}

/// A new role's first password is stored before the database gets it.
pub(super) async fn prepare(call: &mut Call<'_, State>, input: Write) -> Result<Intent, Error> {
    let (is_new, mut role) = wanted(call, &input)?;
    let (connection, _) = Connection::open(call, &role.db_name)?;
    connection.check_allowed(&input.name)?;
    let policy = role::supported(&role.credential).map_err(Error::Failed)?;
    let skips = input.skip_import_rotation.unwrap_or(connection.skip_static_role_import_rotation);
    if !is_new || skips {
        return Intent::of(&Rotation { role: input.name, creates: false });
    }
    if call.storage.get::<StaticRole>(&new_key(&input.name))?.is_some() {
        return Err(Error::Unavailable(
            "a static role of this name is being made: try again".into(),
        ));
    }
    let policy = if policy.is_empty() { &connection.password_policy } else { policy };
    role.pending = Some(generate(call, policy)?);
    call.storage.put(&new_key(&input.name), &role)?;
    Intent::of(&Rotation { role: input.name, creates: true })
}

pub(super) async fn write(call: &mut Call<'_, State>, input: Write) -> Result<Reply, Error> {
    let rotation: Rotation = call.intent()?;
    if rotation.creates {
        let role = call.storage.get::<StaticRole>(&new_key(&input.name))?;
        let role = role.ok_or_else(|| {
            Error::Unavailable("the static role was settled meanwhile: try again".into())
        })?;
        apply(call, &input.name, role).await.map_err(|failure| {
            Error::Failed(format!("error setting credentials: {}", failure.text))
        })??;
        call.storage.delete(&new_key(&input.name))?;
        return Ok(Reply::default());
    }
    let (is_new, mut role) = wanted(call, &input)?;
    if let Some(password) = input.password {
        if !is_new {
            return Err(Error::bad_request(
                "password is for a new role: `rotate-role` changes it later",
            ));
        }
        role.password = password.into();
    }
    let since = if role.rotated == Timestamp::ZERO { call.now } else { role.rotated };
    let since = if role.rotation_schedule.is_empty() { since } else { call.now };
    role.next = role.due_after(since);
    file_next(call, &input.name, role.next)?;
    role.save(call, &input.name)?;
    Ok(Reply::default())
}

pub(super) async fn read(call: &mut Call<'_, State>, input: Name) -> Result<Reply, Error> {
    let role = StaticRole::find(call, &input.name)?.ok_or(Error::NotFound)?;
    let mut data = Map::from_iter([
        ("credential_type".to_owned(), json!(role.credential.kind)),
        ("db_name".to_owned(), json!(role.db_name)),
        ("rotation_statements".to_owned(), json!(role.rotation_statements)),
        ("username".to_owned(), json!(role.username)),
    ]);
    role.credential.show(&mut data);
    show_times(&role, &mut data);
    Ok(Reply::data(data))
}

fn show_times(role: &StaticRole, data: &mut Map<String, Value>) {
    if role.rotated != Timestamp::ZERO {
        data.insert("last_vault_rotation".into(), role.rotated.rfc3339().into());
    }
    if role.rotation_schedule.is_empty() {
        data.insert("rotation_period".into(), role.rotation_period.into());
    } else {
        data.insert("rotation_schedule".into(), json!(role.rotation_schedule));
        if role.rotation_window > 0 {
            data.insert("rotation_window".into(), role.rotation_window.into());
        }
    }
}

pub(super) async fn credentials(call: &mut Call<'_, State>, input: Name) -> Result<Reply, Error> {
    let role = StaticRole::find(call, &input.name)?;
    let role = role.ok_or_else(|| Error::BadRequest(format!("unknown role: {}", input.name)))?;
    Connection::get(call, &role.db_name)?.check_allowed(&input.name)?;
    let mut data = Map::from_iter([
        ("password".to_owned(), json!(role.password.expose())),
        ("ttl".to_owned(), role.next.since(call.now).as_secs().into()),
        ("username".to_owned(), json!(role.username)),
    ]);
    show_times(&role, &mut data);
    Ok(Reply::data(data))
}

/// The user stays, with the password that it has.
pub(super) async fn delete(call: &mut Call<'_, State>, input: Name) -> Result<Reply, Error> {
    if StaticRole::find(call, &input.name)?.is_some() {
        call.storage.delete(&key(&input.name))?;
    }
    Ok(Reply::default())
}

pub(super) fn key(name: &str) -> String {
    format!("{DIRECTORY}/{name}")
}

/// What is being made.
pub(super) fn new_key(name: &str) -> String {
    format!("static-role-new/{name}")
}

const DIRECTORY: &str = "static-role";

const PERIOD_SECONDS_MIN: u64 = 5;

const WINDOW_SECONDS_MIN: u64 = 3600;
