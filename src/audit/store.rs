//! Which devices there are, as it is stored: one record each, and one that says when any of it has
//! changed.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::hash::{Hasher, SALT_BYTES};
use crate::request::Error;
use crate::rng::Rng;
use crate::text::as_name;
use crate::txn::{Scope, check_path};

/// One device.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct StoredDevice {
    /// With a trailing slash.
    pub path: String,
    #[serde(rename = "type")]
    pub kind: String,
    pub description: String,
    pub options: BTreeMap<String, String>,
    pub local: bool,
    /// Base64. Of this device alone, until it is disabled.
    pub salt: String,
    /// By a node's configuration, which alone takes it away.
    #[serde(default)]
    pub declared: bool,
}

/// What is read with every request.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(super) struct Settings {
    /// Goes up with every change of a device or of `headers`.
    pub(super) generation: u64,
    /// Request headers that are logged, in lower case, and whether hashed.
    #[serde(default)]
    pub(super) headers: BTreeMap<String, bool>,
}

/// The devices of the cluster, over the root namespace's `core/` scope.
pub struct AuditStore<'s, 't> {
    scope: &'s mut Scope<'t>,
}

impl StoredDevice {
    /// With a salt of its own.
    pub fn new(path: String, kind: String, rng: &dyn Rng) -> Self {
        Self {
            path,
            kind,
            description: String::new(),
            options: BTreeMap::new(),
            local: false,
            salt: STANDARD.encode(rng.bytes::<SALT_BYTES>()),
            declared: false,
        }
    }

    /// # Errors
    /// Where the record is damaged.
    pub fn hasher(&self) -> Result<Hasher, Error> {
        Hasher::of_stored(&self.salt)
            .ok_or_else(|| Error::internal(format!("audit device {}: no salt", self.path)))
    }
}

impl<'s, 't> AuditStore<'s, 't> {
    pub fn new(scope: &'s mut Scope<'t>) -> Self {
        Self { scope }
    }

    /// Sorted by path.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub fn devices(&mut self) -> Result<Vec<StoredDevice>, Error> {
        let mut devices = Vec::new();
        for name in self.scope.list(DIRECTORY)? {
            devices.extend(self.scope.get::<StoredDevice>(&format!("{DIRECTORY}/{name}"))?);
        }
        devices.sort_by(|a: &StoredDevice, b| a.path.cmp(&b.path));
        Ok(devices)
    }

    /// `path` with its trailing slash.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub fn get(&mut self, path: &str) -> Result<Option<StoredDevice>, Error> {
        self.scope.get(&key(path))
    }

    /// # Errors
    /// Where it cannot be written.
    pub fn put(&mut self, device: &StoredDevice) -> Result<(), Error> {
        self.scope.put(&key(&device.path), device)?;
        self.change(|_| {})
    }

    /// # Errors
    /// Where it cannot be written.
    pub fn delete(&mut self, path: &str) -> Result<(), Error> {
        self.scope.delete(&key(path))?;
        self.change(|_| {})
    }

    /// Request headers that are logged, in lower case, and whether hashed.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub fn headers(&mut self) -> Result<BTreeMap<String, bool>, Error> {
        Ok(self.settings()?.headers.clone())
    }

    /// `None`: it is not logged.
    ///
    /// # Errors
    /// [`Error::BadRequest`] where there are too many.
    pub fn set_header(&mut self, name: &str, hashed: Option<bool>) -> Result<(), Error> {
        let current = self.settings()?.headers.get(name).copied();
        if current == hashed {
            return Ok(());
        }
        if current.is_none() && self.settings()?.headers.len() >= HEADERS_MAX {
            return Err(Error::BadRequest(format!("at most {HEADERS_MAX} headers can be logged")));
        }
        self.change(|settings| {
            match hashed {
                Some(hashed) => settings.headers.insert(name.to_owned(), hashed),
                None => settings.headers.remove(name),
            };
        })
    }

    pub(super) fn settings(&mut self) -> Result<Arc<Settings>, Error> {
        Ok(self.scope.get_shared::<Settings>(SETTINGS)?.unwrap_or_default())
    }

    fn change(&mut self, change: impl FnOnce(&mut Settings)) -> Result<(), Error> {
        let mut settings = Settings::clone(&*self.settings()?);
        settings.generation = settings.generation.saturating_add(1);
        change(&mut settings);
        self.scope.put(SETTINGS, &settings)
    }
}

/// One slash at the end, none in front.
///
/// # Errors
/// [`Error::BadRequest`] where that is no path.
pub fn normalise(path: &str) -> Result<String, Error> {
    let path = path.trim_matches('/');
    if path.is_empty() {
        return Err(Error::bad_request("the path of an audit device must not be empty"));
    }
    check_path(path)?;
    if path.len() > PATH_BYTES_MAX || path.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return Err(Error::BadRequest(format!(
            "the path of an audit device must hold no white space, and at most {PATH_BYTES_MAX} \
             bytes"
        )));
    }
    Ok(format!("{path}/"))
}

/// A path as one name.
pub fn name_of(path: &str) -> String {
    as_name(path.trim_end_matches('/'))
}

fn key(path: &str) -> String {
    format!("{DIRECTORY}/{}", name_of(path))
}

const DIRECTORY: &str = "audit";

/// Not in the directory: it stays when the last device goes.
const SETTINGS: &str = "audit-settings";

const HEADERS_MAX: usize = 128;

const PATH_BYTES_MAX: usize = 256;
