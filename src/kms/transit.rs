//! `seal "transit"`: a key of another cluster's transit engine.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::future::BoxFuture;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{Kms, KmsError, key_in, taken};
use crate::client::{Address, Client, Config, Error, Request, Tls};
use crate::crypto::LockedKey;
use crate::seal::SealKind;
use crate::secret::Secret;

/// Where the key is, and how it is reached.
pub struct TransitOptions {
    pub address: String,
    pub token: Secret<String>,
    pub key_name: String,
    /// Of the engine, such as `transit/`.
    pub mount_path: String,
    pub namespace: Option<String>,
    /// Whether the token is left to someone else to renew.
    pub disable_renewal: bool,
    pub tls: Tls,
}

pub struct TransitSeal {
    client: Client,
    key_name: String,
    mount: String,
    /// When the token is to be renewed next; `None`: never.
    renewal: Option<Mutex<Instant>>,
}

impl TransitSeal {
    /// # Errors
    /// Where the address is none, or a certificate cannot be read.
    pub fn new(options: TransitOptions) -> Result<Self, Error> {
        let mut config = Config::new(Address::parse(&options.address)?);
        config.tls = options.tls;
        config.token = Some(options.token);
        config.namespace = options.namespace.filter(|namespace| !namespace.is_empty());
        config.timeout = ANSWER_TIME;
        let renewal = (!options.disable_renewal).then(|| Mutex::new(Instant::now()));
        Ok(Self {
            client: Client::new(config)?,
            key_name: options.key_name,
            mount: options.mount_path.trim_matches('/').to_owned(),
            renewal,
        })
    }

    async fn ask(&self, action: &str, body: &Value) -> Result<Value, KmsError> {
        self.renew().await;
        let path = format!("{}/{action}/{}", self.mount, self.key_name);
        let answer = self.client.send(&Request::write(&path, body)).await;
        let mut answer =
            answer.and_then(|response| response.json()).map_err(|error| failure(&error))?;
        // Moved, not copied: it may hold a key.
        Ok(answer.get_mut("data").map(Value::take).unwrap_or_default())
    }

    /// Before two thirds of the token's time are over; a token that cannot be renewed is used as
    /// long as it lasts.
    async fn renew(&self) {
        let Some(renewal) = &self.renewal else {
            return;
        };
        if *renewal.lock().unwrap_or_else(PoisonError::into_inner) > Instant::now() {
            return;
        }
        let renewed = self.client.send(&Request::write("auth/token/renew-self", &json!({}))).await;
        let seconds = match renewed.and_then(|response| response.json()) {
            Ok(answer) => {
                answer.pointer("/auth/lease_duration").and_then(Value::as_u64).unwrap_or(0)
            }
            Err(error) => {
                tracing::debug!(%error, "the token of the transit seal was not renewed");
                0
            }
        };
        let pause = Duration::from_secs(seconds / 2).clamp(RENEWAL_PAUSE_MIN, RENEWAL_PAUSE_MAX);
        *renewal.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now() + pause;
    }
}

impl Kms for TransitSeal {
    fn kind(&self) -> SealKind {
        SealKind::Transit
    }

    fn wrap<'a>(
        &'a self,
        key: &'a LockedKey,
    ) -> BoxFuture<'a, Result<(String, Vec<u8>), KmsError>> {
        Box::pin(async move {
            let plaintext = Secret::new(STANDARD.encode(key.expose()));
            let mut body = json!({ "plaintext": plaintext.expose() });
            let answer = self.ask("encrypt", &body).await;
            drop(taken(&mut body, "plaintext"));
            let answer = answer?;
            let ciphertext = answer.get("ciphertext").and_then(Value::as_str).unwrap_or_default();
            // `vault:v3:…`: the version of the key.
            let version = ciphertext.split(':').nth(1).filter(|version| !version.is_empty());
            let version = version.ok_or_else(|| {
                KmsError::Refused("its answer holds no ciphertext of a transit key".into())
            })?;
            let id = format!("{}/{}:{version}", self.mount, self.key_name);
            Ok((id, ciphertext.as_bytes().to_vec()))
        })
    }

    fn unwrap<'a>(
        &'a self,
        _: &'a str,
        wrapped: &'a [u8],
    ) -> BoxFuture<'a, Result<LockedKey, KmsError>> {
        Box::pin(async move {
            let ciphertext = std::str::from_utf8(wrapped).map_err(|_| KmsError::WrongKey)?;
            let mut answer = self.ask("decrypt", &json!({ "ciphertext": ciphertext })).await?;
            key_in(&mut answer, "plaintext")
        })
    }
}

fn failure(error: &Error) -> KmsError {
    match error.status() {
        Some(status) if status < 500 && status != 429 => KmsError::Refused(error.to_string()),
        _ => KmsError::Unreachable(error.to_string()),
    }
}

/// Of one attempt; the client tries twice more.
const ANSWER_TIME: Duration = Duration::from_secs(8);

const RENEWAL_PAUSE_MIN: Duration = Duration::from_secs(10);
const RENEWAL_PAUSE_MAX: Duration = Duration::from_secs(86_400);
