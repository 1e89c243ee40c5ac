//! `seal "awskms"`: a symmetric key of AWS KMS wraps (`Encrypt`) and unwraps (`Decrypt`).
//!
//! Requests are signed by Signature Version 4 (`aws-sigv4`), and go to the region's endpoint.

mod credentials;
mod sources;

use std::sync::OnceLock;
use std::time::{Duration, UNIX_EPOCH};

use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use http_body_util::Full;
use hyper::{Method, Request, header};
use serde_json::{Value, json};

use super::{Kms, KmsError, key_in, taken};
use crate::client::{Error, Plain, Tls};
use crate::clock::{Clock as _, SystemClock};
use crate::crypto::LockedKey;
use crate::seal::SealKind;
use crate::secret::Secret;

use credentials::Credentials;
use sources::Sources;
pub use sources::{AccessKey, Profile};

/// Where the key is, and who may use it.
pub struct AwsKmsOptions {
    pub region: String,
    /// Id, ARN or alias.
    pub key: String,
    /// Instead of the region's own.
    pub endpoint: Option<String>,
    /// Goes before all other sources of credentials.
    pub access_key: Option<AccessKey>,
    pub profile: Profile,
}

pub struct AwsKmsSeal {
    plain: Plain,
    sources: Sources,
    region: String,
    key: String,
    endpoint: String,
    /// The ARN that the key had when it wrapped first.
    arn: OnceLock<String>,
}

impl AwsKmsSeal {
    /// `env` gives the variables of AWS by their whole names; it is asked now and never again.
    ///
    /// # Errors
    /// Where the endpoint is none, or the system's certificate authorities cannot be read.
    pub fn new(
        options: AwsKmsOptions,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, String> {
        let AwsKmsOptions { region, key, endpoint, access_key, profile } = options;
        if !region.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
            return Err(format!("`region` must be one such as \"eu-central-1\", found {region:?}"));
        }
        // The partition of China has its own domain.
        let domain = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
        let endpoint = endpoint.unwrap_or_else(|| format!("https://kms.{region}.{domain}"));
        let endpoint = format!("{}/", endpoint.trim_end_matches('/'));
        crate::client::Address::parse(&endpoint).map_err(|error| error.to_string())?;
        let plain = Plain::new(&Tls::default(), ANSWER_TIME, REPLY_BYTES_MAX);
        let plain = plain.map_err(|error| error.to_string())?;
        let sources = Sources::new(access_key, profile, &region, env)?;
        Ok(Self { plain, sources, region, key, endpoint, arn: OnceLock::new() })
    }

    /// Asks at most [`ATTEMPTS_MAX`] times: where the service is overloaded, or the credentials
    /// have ended before their time.
    async fn ask(&self, action: &str, body: &Value) -> Result<Value, KmsError> {
        let body = Secret::new(body.to_string().into_bytes());
        let mut attempt = 1;
        loop {
            let credentials = self.sources.credentials().await?;
            let outcome = self.ask_once(action, body.expose(), &credentials).await;
            let wait = match &outcome {
                Err(Refusal { kind: RefusalKind::Expired, .. }) => {
                    self.sources.forget().await;
                    Duration::ZERO
                }
                Err(Refusal { kind: RefusalKind::Busy, .. }) => RETRY_WAIT * attempt,
                _ => return outcome.map_err(Refusal::into_error),
            };
            if attempt >= ATTEMPTS_MAX {
                return outcome.map_err(Refusal::into_error);
            }
            attempt += 1;
            tokio::time::sleep(wait).await;
        }
    }

    async fn ask_once(
        &self,
        action: &str,
        body: &[u8],
        credentials: &Credentials,
    ) -> Result<Value, Refusal> {
        let request = self.signed(action, body, credentials).map_err(|reason| Refusal {
            kind: RefusalKind::Final,
            text: format!("the request cannot be signed: {reason}"),
        })?;
        let reply = self
            .plain
            .send(request)
            .await
            .map_err(|error: Error| Refusal { kind: RefusalKind::Busy, text: error.to_string() })?;
        let answer: Value = serde_json::from_slice(reply.body()).unwrap_or_default();
        if reply.status().is_success() {
            return Ok(answer);
        }
        Err(Refusal::read(reply.status().as_u16(), &answer))
    }

    fn signed(
        &self,
        action: &str,
        body: &[u8],
        credentials: &Credentials,
    ) -> Result<Request<Full<Bytes>>, String> {
        let mut request = Request::builder()
            .method(Method::POST)
            .uri(&self.endpoint)
            .header(header::CONTENT_TYPE, "application/x-amz-json-1.1")
            .header("x-amz-target", format!("TrentService.{action}"))
            .body(Full::new(Bytes::copy_from_slice(body)))
            .map_err(|error| error.to_string())?;
        let identity = credentials.signer().into();
        let parameters = v4::SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name("kms")
            .time(UNIX_EPOCH + Duration::from_millis(SystemClock.now().0))
            .settings(SigningSettings::default())
            .build()
            .map_err(|error| error.to_string())?
            .into();
        let headers = request.headers().iter();
        let headers =
            headers.filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)));
        let signable =
            SignableRequest::new("POST", &*self.endpoint, headers, SignableBody::Bytes(body))
                .map_err(|error| error.to_string())?;
        let signed = sign(signable, &parameters).map_err(|error| error.to_string())?;
        signed.into_parts().0.apply_to_request_http1x(&mut request);
        Ok(request)
    }
}

impl Kms for AwsKmsSeal {
    fn kind(&self) -> SealKind {
        SealKind::AwsKms
    }

    fn wrap<'a>(
        &'a self,
        key: &'a LockedKey,
    ) -> BoxFuture<'a, Result<(String, Vec<u8>), KmsError>> {
        Box::pin(async move {
            let plaintext = Secret::new(STANDARD.encode(key.expose()));
            let mut body = json!({ "KeyId": self.key, "Plaintext": plaintext.expose() });
            let answer = self.ask("Encrypt", &body).await;
            drop(taken(&mut body, "Plaintext"));
            let answer = answer?;
            let text = |name: &str| answer.get(name).and_then(Value::as_str);
            let wrapped = text("CiphertextBlob").and_then(|text| STANDARD.decode(text).ok());
            let (Some(wrapped), Some(arn)) = (wrapped, text("KeyId")) else {
                return Err(KmsError::Refused("its answer holds no ciphertext".into()));
            };
            Ok((self.arn.get_or_init(|| arn.to_owned()).clone(), wrapped))
        })
    }

    /// The key is named, so that no other key can be slipped in.
    fn unwrap<'a>(
        &'a self,
        key_id: &'a str,
        wrapped: &'a [u8],
    ) -> BoxFuture<'a, Result<LockedKey, KmsError>> {
        Box::pin(async move {
            let body = json!({ "KeyId": key_id, "CiphertextBlob": STANDARD.encode(wrapped) });
            let mut answer = self.ask("Decrypt", &body).await?;
            key_in(&mut answer, "Plaintext")
        })
    }

    fn current_key_id(&self) -> Option<&str> {
        self.arn.get().map(String::as_str)
    }
}

/// What the service said instead of an answer.
#[derive(Debug)]
struct Refusal {
    kind: RefusalKind,
    text: String,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum RefusalKind {
    /// Other credentials may be taken.
    Expired,
    /// It may pass.
    Busy,
    Final,
}

impl Refusal {
    /// Errors of AWS's JSON protocol 1.1: `{"__type": "prefix#Name", "message": …}`.
    fn read(status: u16, answer: &Value) -> Self {
        let text = |names: &[&str]| {
            names.iter().find_map(|name| answer.get(name)).and_then(Value::as_str).unwrap_or("")
        };
        let name = text(&["__type"]).rsplit('#').next().unwrap_or_default().to_owned();
        let kind = match name.as_str() {
            "ExpiredTokenException" | "ExpiredToken" => RefusalKind::Expired,
            "ThrottlingException"
            | "KMSInternalException"
            | "DependencyTimeoutException"
            | "KeyUnavailableException" => RefusalKind::Busy,
            _ if status >= 500 || status == 429 => RefusalKind::Busy,
            _ => RefusalKind::Final,
        };
        Self { kind, text: format!("{status} {name}: {}", text(&["message", "Message"])) }
    }

    fn into_error(self) -> KmsError {
        match self.kind {
            RefusalKind::Busy => KmsError::Unreachable(self.text),
            RefusalKind::Expired | RefusalKind::Final => KmsError::Refused(self.text),
        }
    }
}

/// Of one attempt.
const ANSWER_TIME: Duration = Duration::from_secs(8);

const ATTEMPTS_MAX: u32 = 3;

/// Before the second attempt; twice that before the third.
const RETRY_WAIT: Duration = Duration::from_millis(500);

const REPLY_BYTES_MAX: usize = 1 << 20;

#[cfg(test)]
mod tests;
