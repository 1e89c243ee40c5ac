//! Keys outside the cluster that wrap the key of its seal, so that it opens by itself.
//!
//! Every seal wraps the same seal key, so any one of them opens the cluster: losing one does not
//! lose the data.

#[cfg(feature = "awskms")]
mod aws;
#[cfg(feature = "pkcs11")]
mod pkcs11;
mod static_key;
mod transit;

#[cfg(feature = "awskms")]
pub use aws::{AccessKey, AwsKmsOptions, AwsKmsSeal, Profile};
#[cfg(feature = "pkcs11")]
pub use pkcs11::{Pkcs11Options, Pkcs11Seal, Pkcs11Token};
pub use static_key::{StaticKey, StaticSeal};
pub use transit::{TransitOptions, TransitSeal};

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::future::BoxFuture;
use serde_json::Value;

use crate::crypto::LockedKey;
use crate::seal::{SealKind, WrappedSealKey};
use crate::secret::Secret;

/// What wraps a key and unwraps it again.
pub trait Kms: Send + Sync {
    fn kind(&self) -> SealKind;

    /// The wrapped key, and the id of the key that wrapped it.
    ///
    /// # Errors
    /// Where the key service does not answer, or refuses.
    fn wrap<'a>(&'a self, key: &'a LockedKey)
    -> BoxFuture<'a, Result<(String, Vec<u8>), KmsError>>;

    /// # Errors
    /// As [`Self::wrap`], or where it was not wrapped here.
    fn unwrap<'a>(
        &'a self,
        key_id: &'a str,
        wrapped: &'a [u8],
    ) -> BoxFuture<'a, Result<LockedKey, KmsError>>;

    /// Which key wraps from now on, where that is known without asking.
    fn current_key_id(&self) -> Option<&str> {
        None
    }
}

/// A seal of the configuration.
pub struct Seal {
    /// Unique among them; kept with what it wraps.
    pub name: String,
    /// The lowest goes first.
    pub priority: u32,
    /// It unwraps what it has wrapped, and wraps nothing more: on the way to another seal.
    pub disabled: bool,
    pub kms: Box<dyn Kms>,
}

/// All seals of the configuration that open by themselves; none where people hold all shares.
#[derive(Default)]
pub struct Seals {
    seals: Vec<Seal>,
}

impl Seals {
    pub fn new(mut seals: Vec<Seal>) -> Self {
        seals.sort_by(|a, b| (a.priority, &a.name).cmp(&(b.priority, &b.name)));
        Self { seals }
    }

    /// In the order in which they are tried.
    pub fn all(&self) -> &[Seal] {
        &self.seals
    }

    /// Those that wrap.
    pub fn enabled(&self) -> impl Iterator<Item = &Seal> {
        self.seals.iter().filter(|seal| !seal.disabled)
    }

    /// What a new cluster's seal is called: the first's kind; `None` where people hold shares.
    pub fn kind(&self) -> Option<SealKind> {
        self.enabled().next().map(|seal| seal.kms.kind())
    }

    /// By every enabled seal.
    ///
    /// # Errors
    /// Where one of them cannot: what it does not wrap it could not open later.
    pub async fn wrap(&self, key: &LockedKey) -> Result<Vec<WrappedSealKey>, SealFailure> {
        let mut all = Vec::new();
        for seal in self.enabled() {
            let wrapped = tokio::time::timeout(KMS_TIME_MAX, seal.kms.wrap(key)).await;
            let (key_id, wrapped) = wrapped
                .unwrap_or(Err(KmsError::Unreachable("no answer in time".into())))
                .map_err(|error| SealFailure { name: seal.name.clone(), error })?;
            let (name, kind) = (seal.name.clone(), seal.kms.kind());
            all.push(WrappedSealKey { name, kind, key_id, wrapped });
        }
        Ok(all)
    }

    /// By the first seal that can, disabled ones included.
    ///
    /// # Errors
    /// What each of them said.
    pub async fn unwrap(&self, wrapped: &[WrappedSealKey]) -> Result<LockedKey, Vec<SealFailure>> {
        let mut failures = Vec::new();
        for seal in &self.seals {
            // A seal that was renamed is still the same: its kind is tried where no name fits.
            let named = wrapped.iter().filter(|key| key.name == seal.name);
            let others = wrapped.iter().filter(|key| key.name != seal.name);
            for key in named.chain(others).filter(|key| key.kind == seal.kms.kind()) {
                let opened = seal.kms.unwrap(&key.key_id, &key.wrapped);
                let opened = tokio::time::timeout(KMS_TIME_MAX, opened).await;
                match opened.unwrap_or(Err(KmsError::Unreachable("no answer in time".into()))) {
                    Ok(key) => return Ok(key),
                    Err(error) => {
                        failures.push(SealFailure { name: seal.name.clone(), error });
                    }
                }
            }
        }
        if failures.is_empty() {
            let (name, error) = ("seal".to_owned(), KmsError::NotConfigured);
            failures.push(SealFailure { name, error });
        }
        Err(failures)
    }

    /// Whether what is stored was wrapped by another set of seals, or by keys that have been
    /// followed by others.
    pub fn differ_from(&self, wrapped: &[WrappedSealKey]) -> bool {
        let of = |seal: &Seal, key: &WrappedSealKey| {
            seal.name == key.name
                && seal.kms.kind() == key.kind
                && seal.kms.current_key_id().is_none_or(|id| id == key.key_id)
        };
        let enabled = self.enabled().count();
        enabled != wrapped.len()
            || !self.enabled().all(|seal| wrapped.iter().any(|key| of(seal, key)))
    }

    /// Whether each seal answers: wraps a key that is thrown away, and unwraps it.
    pub async fn check(&self) -> Vec<(String, SealKind, Result<(), KmsError>)> {
        let mut all = Vec::new();
        for seal in self.enabled() {
            let probe = async {
                let key = LockedKey::generate(&crate::rng::SystemRng);
                let (id, wrapped) = seal.kms.wrap(&key).await?;
                let opened = seal.kms.unwrap(&id, &wrapped).await?;
                let is_same = opened.expose() == key.expose();
                is_same.then_some(()).ok_or(KmsError::Refused("it unwraps another key".into()))
            };
            let outcome = tokio::time::timeout(KMS_TIME_MAX, probe).await;
            let outcome = outcome.unwrap_or(Err(KmsError::Unreachable("no answer in time".into())));
            all.push((seal.name.clone(), seal.kms.kind(), outcome));
        }
        all
    }
}

/// A text in a body, which is zeroed when dropped.
fn taken(body: &mut Value, name: &str) -> Secret<String> {
    match body.get_mut(name).map(Value::take) {
        Some(Value::String(text)) => Secret::new(text),
        _ => Secret::new(String::new()),
    }
}

/// The key that a service has unwrapped, in base64, out of its answer.
fn key_in(answer: &mut Value, name: &str) -> Result<LockedKey, KmsError> {
    let text = taken(answer, name);
    let plaintext = STANDARD.decode(text.expose()).map(Secret::new);
    let plaintext = plaintext.map_err(|_| KmsError::WrongKey)?;
    LockedKey::from_slice(plaintext.expose()).ok_or(KmsError::WrongKey)
}

/// A seal does not wrap or unwrap.
#[derive(Debug, thiserror::Error)]
#[error("seal {name:?}: {error}")]
pub struct SealFailure {
    pub name: String,
    pub error: KmsError,
}

/// Why not.
#[derive(Debug, thiserror::Error)]
pub enum KmsError {
    /// It may answer later.
    #[error("the key service cannot be reached: {0}")]
    Unreachable(String),
    #[error("the key service refuses: {0}")]
    Refused(String),
    #[error("the configuration has no key {0:?}: put it there as the previous one")]
    UnknownKey(String),
    #[error("what is stored was not wrapped by this key")]
    WrongKey,
    #[error("the configuration has none of the seals that wrapped the root key")]
    NotConfigured,
}

/// For one seal to answer, its own retries included.
const KMS_TIME_MAX: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests;
