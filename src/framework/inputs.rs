//! Vault's loose inputs as types, so that no handler parses text.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, Serialize};

use crate::request::Params;

/// A duration in whole seconds: an integer, or text such as `90`, `1h30m` or `7d`. May be
/// negative where a route gives that a meaning.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(transparent)]
pub struct Seconds(pub i64);

impl Seconds {
    /// Negative counts as none.
    pub fn unsigned(self) -> u64 {
        u64::try_from(self.0).unwrap_or_default()
    }
}

impl<'de> Deserialize<'de> for Seconds {
    /// The framework has made an integer of it already.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        i64::deserialize(deserializer).map(Self)
    }
}

impl JsonSchema for Seconds {
    fn schema_name() -> Cow<'static, str> {
        "Seconds".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        schemars::json_schema!({ "type": "integer", "format": "duration" })
    }
}

/// Whatever the client sent, unread: KV v1's body.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub struct AnyParams(pub Params);

impl JsonSchema for AnyParams {
    fn schema_name() -> Cow<'static, str> {
        "AnyParams".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        schemars::json_schema!({ "type": "object", "additionalProperties": true })
    }
}

/// Of a route that takes none.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct NoParams {}
