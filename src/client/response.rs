//! What a server answers.

use bytes::Bytes;
use hyper::StatusCode;
use hyper::header::HeaderMap;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::Error;

/// A whole reply.
pub struct Response {
    /// Where it came from, after a redirect.
    pub url: String,
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Response {
    pub(super) fn new(url: String, status: StatusCode, headers: HeaderMap, body: Bytes) -> Self {
        Self { url, status, headers, body }
    }

    /// The body as JSON, its numbers as they were written.
    ///
    /// # Errors
    /// [`Error::Reply`] where it is something else.
    pub fn json(&self) -> Result<Value, Error> {
        self.parse()
    }

    /// Vault's envelope; `None` where there is nothing: a 204, or a 404 without data or warnings.
    ///
    /// # Errors
    /// [`Error::Reply`] where the body is neither empty nor an envelope.
    pub fn envelope(&self) -> Result<Option<Envelope>, Error> {
        if self.body.iter().all(u8::is_ascii_whitespace) {
            return Ok(None);
        }
        if self.status == StatusCode::NOT_FOUND {
            // What is no envelope is a plain "not found" here, whoever answered it.
            let found = serde_json::from_slice::<Envelope>(&self.body).ok();
            return Ok(
                found.filter(|envelope| !envelope.warnings.is_empty() || envelope.has_data())
            );
        }
        self.parse().map(Some)
    }

    fn parse<T: serde::de::DeserializeOwned>(&self) -> Result<T, Error> {
        serde_json::from_slice(&self.body)
            .map_err(|error| Error::Reply { url: self.url.clone(), reason: error.to_string() })
    }
}

/// The envelope of Vault's replies.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Envelope {
    #[serde(deserialize_with = "or_default")]
    pub request_id: String,
    #[serde(deserialize_with = "or_default")]
    pub lease_id: String,
    /// Seconds.
    #[serde(deserialize_with = "or_default")]
    pub lease_duration: u64,
    #[serde(deserialize_with = "or_default")]
    pub renewable: bool,
    /// An object, or null.
    pub data: Value,
    #[serde(deserialize_with = "or_default")]
    pub warnings: Vec<String>,
    pub wrap_info: Option<WrapBlock>,
    pub auth: Option<AuthBlock>,
    #[serde(deserialize_with = "or_default")]
    pub mount_type: String,
}

impl Envelope {
    /// The data, where there are any.
    pub fn data(&self) -> Option<&Map<String, Value>> {
        self.data.as_object()
    }

    pub fn has_data(&self) -> bool {
        self.data().is_some_and(|data| !data.is_empty())
    }

    /// The names that a list answers.
    pub fn keys(&self) -> Option<&Vec<Value>> {
        self.data().and_then(|data| data.get("keys")).and_then(Value::as_array)
    }
}

/// What a login or a new token answers.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct AuthBlock {
    #[serde(deserialize_with = "or_default")]
    pub client_token: String,
    #[serde(deserialize_with = "or_default")]
    pub accessor: String,
    pub policies: Option<Vec<String>>,
    pub token_policies: Option<Vec<String>>,
    pub identity_policies: Option<Vec<String>>,
    pub metadata: Value,
    #[serde(deserialize_with = "or_default")]
    pub orphan: bool,
    #[serde(deserialize_with = "or_default")]
    pub entity_id: String,
    /// Seconds; 0 never ends.
    #[serde(deserialize_with = "or_default")]
    pub lease_duration: u64,
    #[serde(deserialize_with = "or_default")]
    pub renewable: bool,
    pub mfa_requirement: Value,
}

/// What stands in for a reply that was wrapped.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct WrapBlock {
    pub token: String,
    pub accessor: String,
    /// Seconds.
    pub ttl: u64,
    /// RFC 3339.
    pub creation_time: String,
    pub creation_path: String,
    pub wrapped_accessor: String,
}

fn or_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}
