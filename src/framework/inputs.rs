//! Vault's loose inputs as types, so that no handler parses text.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer};

use crate::request::Params;

/// A duration in whole seconds: an integer, or text such as `90`, `1h30m` or `7d`. May be
/// negative where a route gives that a meaning.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
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

/// Whole seconds of Go's duration text (`1h30m`, `1.5h`, `500ms`), of a bare number, or of days
/// (`7d`), as Vault reads them. `None` where it is none of these.
pub fn parse_duration(text: &str) -> Option<i64> {
    let text = text.trim();
    let (negative, unsigned) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let seconds = if unsigned.bytes().all(|byte| byte.is_ascii_digit()) {
        unsigned.parse::<i64>().ok()?
    } else {
        sum_of_units(unsigned)?
    };
    Some(if negative { -seconds } else { seconds })
}

fn sum_of_units(text: &str) -> Option<i64> {
    let mut total = 0.0;
    let mut rest = text;
    while !rest.is_empty() {
        let number_length = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, after) = rest.split_at_checked(number_length)?;
        let unit_length =
            after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        let (unit, next) = after.split_at_checked(unit_length)?;
        let seconds = match unit {
            "ns" => 1e-9,
            "us" | "µs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            "d" => 86_400.0,
            _ => return None,
        };
        total += number.parse::<f64>().ok()? * seconds;
        rest = next;
    }
    #[expect(clippy::cast_possible_truncation, reason = "checked: as many seconds as i64 holds")]
    (total < 9e18).then_some(total as i64)
}
