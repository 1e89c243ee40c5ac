use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::clock::Timestamp;

/// What a handler answers. The envelope around it is `http/encode.rs`'s.
#[derive(Debug, Default)]
pub struct Reply {
    pub body: Body,
    pub warnings: Vec<String>,
    /// A new or renewed token.
    pub auth: Option<Auth>,
    /// What expires, where `data` is a leased secret.
    pub lease: Option<Lease>,
    pub wrap_info: Option<WrapInfo>,
    /// Instead of 200 (204 where there is no body).
    pub status: Option<u16>,
    /// Further headers, names in lower case.
    pub headers: BTreeMap<String, String>,
    /// Type of the mount that answered, such as `kv`.
    pub mount_type: String,
}

#[derive(Debug, Default)]
pub enum Body {
    /// 204, or 404 to a read.
    #[default]
    Empty,
    /// In the envelope, as `data`.
    Data(Map<String, Value>),
    /// The whole body, as it is: `sys/health`, `sys/seal-status` and their like.
    Bare(Value),
    Raw(RawBody),
}

/// Bytes that are no JSON of ours.
#[derive(Debug)]
pub struct RawBody {
    pub content_type: String,
    pub bytes: Bytes,
}

impl Reply {
    pub fn data(data: Map<String, Value>) -> Self {
        Self { body: Body::Data(data), ..Self::default() }
    }

    /// `value` must serialize to an object: a handler's output type.
    ///
    /// # Errors
    /// Where it does not.
    pub fn of<T: Serialize>(value: &T) -> Result<Self, super::Error> {
        match serde_json::to_value(value).map_err(super::Error::internal)? {
            Value::Object(data) => Ok(Self::data(data)),
            other => Err(super::Error::internal(format!("a reply is no object: {other}"))),
        }
    }

    /// Outside the envelope.
    ///
    /// # Errors
    /// Where the value cannot be serialized.
    pub fn bare<T: Serialize>(value: &T) -> Result<Self, super::Error> {
        let value = serde_json::to_value(value).map_err(super::Error::internal)?;
        Ok(Self { body: Body::Bare(value), ..Self::default() })
    }

    /// A listing: `{"keys": […]}`, or nothing (404) where there is none.
    pub fn keys(keys: Vec<String>) -> Self {
        if keys.is_empty() {
            return Self::default();
        }
        let keys = keys.into_iter().map(Value::String).collect();
        Self::data(Map::from_iter([("keys".to_owned(), Value::Array(keys))]))
    }

    #[must_use]
    pub fn warn(mut self, warning: impl Into<String>) -> Self {
        self.warnings.push(warning.into());
        self
    }

    pub fn is_empty(&self) -> bool {
        matches!(self.body, Body::Empty)
            && self.auth.is_none()
            && self.lease.is_none()
            && self.wrap_info.is_none()
            && self.warnings.is_empty()
    }
}

/// Vault's two kinds of token.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum TokenType {
    /// Self-contained: nothing is stored, nothing can be revoked.
    Batch,
    #[default]
    Service,
}

/// A token that was just made or renewed. What a login returns has no `client_token` yet: the
/// pipeline makes it, in the same transaction.
#[derive(Clone, Debug, Default)]
pub struct Auth {
    pub client_token: String,
    pub accessor: String,
    /// Token and identity policies together.
    pub policies: Vec<String>,
    pub token_policies: Vec<String>,
    pub identity_policies: Vec<String>,
    pub metadata: BTreeMap<String, String>,
    pub ttl: Duration,
    pub renewable: bool,
    pub entity_id: String,
    pub token_type: TokenType,
    pub orphan: bool,
    /// 0: without limit.
    pub num_uses: u64,
    pub display_name: String,
    pub explicit_max_ttl: Duration,
    /// Of a login that is not periodic: no renewal goes beyond it; zero: the mount's.
    pub max_ttl: Duration,
    /// Of a login: leave out the policy `default`.
    pub no_default_policy: bool,
    /// Zero: not periodic.
    pub period: Duration,
    pub bound_cidrs: Vec<String>,
    /// The name by which the method knows whoever logged in; empty where there is none.
    pub alias_name: String,
    /// What the method knows of that name: kept on the alias, for templates in policies.
    pub alias_metadata: BTreeMap<String, String>,
    /// The method's names of the groups that they are in.
    pub group_aliases: Vec<String>,
}

#[derive(Clone, Debug, Default)]
pub struct Lease {
    /// Empty where nothing is registered, as in KV v1's reply.
    pub id: String,
    pub ttl: Duration,
    pub renewable: bool,
}

#[derive(Clone, Debug)]
pub struct WrapInfo {
    pub token: String,
    pub accessor: String,
    pub ttl: Duration,
    pub creation_time: Timestamp,
    pub creation_path: String,
    pub wrapped_accessor: Option<String>,
}
