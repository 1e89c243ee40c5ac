//! Authorization codes (RFC 6749, section 4.1): stored under a digest, for minutes, to be used
//! once.

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::crypto::sha256;
use crate::request::Error;
use crate::rng::Rng;
use crate::txn::Scope;

/// What whoever shows the code is to be given.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct Code {
    pub(super) provider: String,
    pub(super) client_id: String,
    pub(super) entity_id: String,
    pub(super) redirect_uri: String,
    pub(super) nonce: String,
    pub(super) scopes: Vec<String>,
    /// Where the client asked when the person logged in: seconds since 1970.
    pub(super) auth_time: Option<u64>,
    pub(super) challenge: String,
    /// `plain` or `S256`; empty where there is no challenge.
    pub(super) challenge_method: String,
    pub(super) expires: Timestamp,
}

impl Code {
    /// Stores it and returns the code.
    ///
    /// # Errors
    /// Where it cannot be stored.
    pub(super) fn file(&self, core: &mut Scope<'_>, rng: &dyn Rng) -> Result<String, Error> {
        // The minute in which it ends is in it: so it is found, and swept away, without an index.
        let code = format!("{}{:010}", rng.base62(32), minute(self.expires));
        core.put(&key(&code).ok_or_else(|| Error::internal("a code"))?, self)?;
        Ok(code)
    }

    /// Takes it away, whatever comes of it: whoever comes second finds nothing.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub(super) fn take(
        core: &mut Scope<'_>,
        code: &str,
        now: Timestamp,
    ) -> Result<Option<Self>, Error> {
        let Some(key) = key(code) else {
            return Ok(None);
        };
        let Some(found) = core.get::<Self>(&key)? else {
            return Ok(None);
        };
        core.delete(&key)?;
        Ok(Some(found).filter(|found| now < found.expires))
    }
}

pub(super) fn minute(time: Timestamp) -> u64 {
    time.0 / 60_000
}

/// `None` where the text cannot be a code of ours.
fn key(code: &str) -> Option<String> {
    let is_code = code.len() == 42 && code.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let minute = code.get(32..).filter(|_| is_code)?;
    let digest: String =
        sha256(&[code.as_bytes()]).iter().map(|byte| format!("{byte:02x}")).collect();
    minute.parse::<u64>().ok()?;
    Some(format!("{CODES}/{minute}/{digest}"))
}

pub(super) const CODES: &str = "identity/oidc/code";

/// Seconds between leave and use.
pub(super) const LIFE_SECONDS: u64 = 300;
