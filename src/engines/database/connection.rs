//! A configured connection, as it is stored, and the database that it opens.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use super::plugin::{Builtin, Database, Details, Plugins};
use super::username::{About, Template};
use super::{Password, names};
use crate::clock::Timestamp;
use crate::framework::Call;
use crate::record::Revision;
use crate::request::Error;

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub(super) struct Connection {
    pub(super) plugin_name: String,
    pub(super) plugin_version: String,
    /// Names of roles, with `*` for any characters.
    pub(super) allowed_roles: Vec<String>,
    pub(super) root_rotation_statements: Vec<String>,
    pub(super) password_policy: String,
    pub(super) skip_static_role_import_rotation: bool,
    pub(super) details: Details,
    /// The administrator's next password: which of the two is in force is not known, until the
    /// rotation that was begun has been finished.
    pub(super) pending: Option<Password>,
}

/// What a mount keeps in memory: its databases, each with its connections.
pub struct State {
    plugins: Arc<dyn Plugins>,
    open: Mutex<BTreeMap<String, Opened>>,
    /// New users of whom it is known that nothing came: there is nothing to look for.
    pub(super) undone: Mutex<std::collections::BTreeSet<String>>,
}

struct Opened {
    /// Of the record that it was opened by.
    revision: Revision,
    database: Arc<dyn Database>,
}

impl Default for State {
    fn default() -> Self {
        Self::with(Arc::new(Builtin))
    }
}

impl State {
    /// With plugins of a test's own.
    pub fn with(plugins: Arc<dyn Plugins>) -> Self {
        Self { plugins, open: Mutex::default(), undone: Mutex::default() }
    }

    pub(super) fn plugins(&self) -> &dyn Plugins {
        self.plugins.as_ref()
    }

    /// Its connections go once nobody uses them any more.
    pub(super) fn close(&self, name: &str) {
        drop(self.lock().remove(name));
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Opened>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Connection {
    /// # Errors
    /// [`Error::BadRequest`] where there is none; Vault says 500.
    pub(super) fn get(call: &mut Call<'_, State>, name: &str) -> Result<Arc<Self>, Error> {
        Self::find(call, name)?.ok_or_else(|| {
            Error::BadRequest(format!("failed to find entry for connection with name: {name:?}"))
        })
    }

    pub(super) fn find(call: &mut Call<'_, State>, name: &str) -> Result<Option<Arc<Self>>, Error> {
        if names::check(name).is_err() {
            return Ok(None);
        }
        call.storage.get_shared(&key(name))
    }

    /// Whether there has been none for so long that nobody waits for it any more: a mount must
    /// not stay for ever because of what was begun with a connection that was deleted.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub(super) fn is_lost(
        call: &mut Call<'_, State>,
        name: &str,
        since: Timestamp,
    ) -> Result<bool, Error> {
        Ok(call.now.since(since) > LOST_AFTER && Self::find(call, name)?.is_none())
    }

    /// The connection with its database, opened where it is not yet.
    ///
    /// # Errors
    /// Where there is none, or it cannot be opened.
    pub(super) fn open(
        call: &mut Call<'_, State>,
        name: &str,
    ) -> Result<(Arc<Self>, Arc<dyn Database>), Error> {
        let connection = Self::get(call, name)?;
        let revision = call.storage.peek_revision(&key(name))?;
        if let Some(opened) =
            call.state.lock().get(name).filter(|opened| opened.revision == revision)
        {
            return Ok((connection, opened.database.clone()));
        }
        let database = connection.database(call.state).map_err(Error::Failed)?;
        let opened = Opened { revision, database: database.clone() };
        drop(call.state.lock().insert(name.to_owned(), opened));
        Ok((connection, database))
    }

    /// # Errors
    /// With a text for the operator.
    pub(super) fn database(&self, state: &State) -> Result<Arc<dyn Database>, String> {
        let password_next = self.pending.clone().unwrap_or_default();
        let details = Details { password_next, ..self.details.clone() };
        state.plugins().open(&self.plugin_name, &details)
    }

    /// As if the next password were in force already.
    pub(super) fn promoted(&self) -> Option<Self> {
        let password = self.pending.clone()?;
        let details = Details { password, ..self.details.clone() };
        Some(Self { details, pending: None, ..self.clone() })
    }

    pub(super) fn save(&self, call: &mut Call<'_, State>, name: &str) -> Result<(), Error> {
        call.storage.put(&key(name), self)
    }

    /// Whether a password stands in the URL as it is: what is put there unescaped may end it.
    pub(super) fn fits_url(&self, password: &Password) -> bool {
        let url = self.details.connection_url.trim();
        let is_escaped = url.contains("://") && !self.details.disable_escaping;
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        is_escaped || password.expose().bytes().all(is_plain)
    }

    /// # Errors
    /// As in Vault, 500 where it is not.
    pub(super) fn check_allowed(&self, role: &str) -> Result<(), Error> {
        if self.allowed_roles.iter().any(|pattern| names::matches(pattern, role)) {
            return Ok(());
        }
        Err(Error::Failed(format!("{role:?} is not an allowed role")))
    }

    /// # Errors
    /// With a text for the operator.
    pub(super) fn template(&self, state: &State) -> Result<Template, String> {
        let own = &self.details.username_template;
        let usual = state.plugins().usual_template(&self.plugin_name).unwrap_or_default();
        Template::parse(if own.is_empty() { usual } else { own })
            .map_err(|error| format!("unable to parse template: {error}"))
    }

    /// A name for a new user.
    ///
    /// # Errors
    /// Where the template makes none that the database takes.
    pub(super) fn username(
        &self,
        call: &Call<'_, State>,
        role: &str,
        bytes_max: usize,
    ) -> Result<String, Error> {
        let display_name = call.caller.map_or("", |caller| caller.display_name.as_str());
        let about = About { display_name, role_name: role, now: call.now, rng: call.rng };
        let made = self.template(call.state).and_then(|template| template.render(about));
        let name = made.map_err(|error| {
            Error::Failed(format!("failed to generate username: {error}: see username_template"))
        })?;
        if name.is_empty() || name.len() > bytes_max {
            return Err(Error::Failed(format!(
                "failed to generate username: the database takes 1 to {bytes_max} bytes, and \
                 username_template makes {}: end it with `| truncate {bytes_max}`",
                name.len()
            )));
        }
        Ok(name)
    }
}

pub(super) fn key(name: &str) -> String {
    format!("{DIRECTORY}/{name}")
}

pub(super) const DIRECTORY: &str = "config";

const LOST_AFTER: std::time::Duration = std::time::Duration::from_secs(86_400);
