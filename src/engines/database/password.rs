//! Passwords: made, kept, and wiped when nobody holds them any more.

use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::State;
use crate::framework::Call;
use crate::password::PasswordPolicy;
use crate::request::Error;
use crate::rng::Rng;
use crate::secret::Secret;
use crate::text::as_name;

/// Prints as dots. Serialises for the store alone, behind the barrier.
#[derive(Clone, Debug)]
pub struct Password(Arc<Secret<String>>);

impl Password {
    pub fn new(text: String) -> Self {
        Self(Arc::new(Secret::new(text)))
    }

    /// Every call is a place to review.
    pub fn expose(&self) -> &str {
        self.0.expose()
    }

    pub fn is_empty(&self) -> bool {
        self.expose().is_empty()
    }
}

impl From<Secret<String>> for Password {
    fn from(secret: Secret<String>) -> Self {
        Self(Arc::new(secret))
    }
}

impl Default for Password {
    fn default() -> Self {
        Self::new(String::new())
    }
}

impl Serialize for Password {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.expose())
    }
}

impl<'de> Deserialize<'de> for Password {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::new)
    }
}

/// A new password by a policy of `sys/policies/password/`; without one as Vault's: 20 letters,
/// digits and hyphens, at least one of each.
///
/// # Errors
/// [`Error::Failed`] where there is no such policy.
pub(super) fn generate(call: &mut Call<'_, State>, policy: &str) -> Result<Password, Error> {
    if policy.is_empty() {
        return usual(call.rng);
    }
    let key = format!("policy/password/{}", as_name(policy.trim_matches('/')));
    let stored = call.storage.beside("core/", |core| core.get::<StoredPolicy>(&key))?;
    let stored = stored.ok_or_else(|| {
        Error::Failed("failed to generate password: no password policy found".into())
    })?;
    by_policy(&stored.policy, call.rng)
}

fn usual(rng: &dyn Rng) -> Result<Password, Error> {
    by_policy(USUAL, rng)
}

fn by_policy(text: &str, rng: &dyn Rng) -> Result<Password, Error> {
    let policy = PasswordPolicy::parse(text)
        .map_err(|error| Error::Failed(format!("failed to generate password: {error}")))?;
    Ok(policy.generate(rng).into())
}

/// As `sys/policies/password/` stores it.
#[derive(Deserialize)]
struct StoredPolicy {
    policy: String,
}

const USUAL: &str = r#"
length = 20
rule "charset" { charset = "abcdefghijklmnopqrstuvwxyz" min-chars = 1 }
rule "charset" { charset = "ABCDEFGHIJKLMNOPQRSTUVWXYZ" min-chars = 1 }
rule "charset" { charset = "0123456789" min-chars = 1 }
rule "charset" { charset = "-" min-chars = 1 }
"#;
