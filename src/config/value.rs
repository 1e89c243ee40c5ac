//! The types that values have, and how leniently they are read: as Vault does, `true`, `"true"`
//! and `1` are the same, and a number of seconds may be a number, `"90"`, `"90s"` or `"1h30m"`.

mod address;
mod version;

#[cfg(test)]
mod tests;

pub use address::{ClusterEndpoint, Endpoint, Scheme};
pub use version::Version;

use std::path::PathBuf;
use std::time::Duration;

use super::stanza::{Reader, Scalar, Wrong};
use super::syntax::{Node, Value};
use crate::duration::SignedDuration;
use crate::network::Network;
use crate::secret::Secret;

/// Declares an enum of words; the first word of each is the one to use, the others are synonyms.
macro_rules! choice {
    (
        $(#[doc = $about:literal])*
        pub enum $name:ident: $expected:literal {
            $( $(#[doc = $help:literal])* $variant:ident = $($word:literal)|+, )*
        }
    ) => {
        $(#[doc = $about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum $name {
            $( $(#[doc = $help])* $variant, )*
        }

        impl $crate::config::stanza::Scalar for $name {
            const EXPECTED: &'static str = $expected;

            fn parse(
                value: &$crate::config::syntax::Value,
                _: &$crate::config::stanza::Reader<'_>,
            ) -> Result<Self, $crate::config::stanza::Wrong> {
                let $crate::config::syntax::Value::Text(text) = value else {
                    return Err($crate::config::stanza::Wrong::Kind);
                };
                Self::from_word(text).ok_or($crate::config::stanza::Wrong::Kind)
            }
        }

        impl $name {
            /// `None` where it is none of the words.
            pub fn from_word(text: &str) -> Option<Self> {
                match text.trim().to_ascii_lowercase().as_str() {
                    $( $($word)|+ => Some(Self::$variant), )*
                    _ => None,
                }
            }
        }
    };
}

pub(super) use choice;

impl Scalar for bool {
    const EXPECTED: &'static str = "true or false";

    fn parse(value: &Value, _: &Reader<'_>) -> Result<Self, Wrong> {
        match value {
            Value::Bool(value) => Ok(*value),
            Value::Number(text) if text == "1" => Ok(true),
            Value::Number(text) if text == "0" => Ok(false),
            // The words of Go's `strconv.ParseBool`, through which Vault reads them.
            Value::Text(text) => match text.trim() {
                "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
                "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
                _ => Err(Wrong::Kind),
            },
            _ => Err(Wrong::Kind),
        }
    }
}

impl Scalar for String {
    const EXPECTED: &'static str = "text";

    fn parse(value: &Value, _: &Reader<'_>) -> Result<Self, Wrong> {
        match value {
            Value::Text(text) | Value::Number(text) => Ok(text.clone()),
            _ => Err(Wrong::Kind),
        }
    }
}

impl Scalar for Secret<String> {
    const EXPECTED: &'static str = "text";
    const IS_SECRET: bool = true;

    fn parse(value: &Value, reader: &Reader<'_>) -> Result<Self, Wrong> {
        String::parse(value, reader).map(Self::new)
    }
}

impl Scalar for PathBuf {
    const EXPECTED: &'static str = "a path";

    fn parse(value: &Value, _: &Reader<'_>) -> Result<Self, Wrong> {
        match value {
            Value::Text(text) if !text.is_empty() => Ok(Self::from(text)),
            _ => Err(Wrong::Kind),
        }
    }
}

impl Scalar for u32 {
    const EXPECTED: &'static str = "a whole number of 0 or more";

    fn parse(value: &Value, _: &Reader<'_>) -> Result<Self, Wrong> {
        match value {
            Value::Number(text) | Value::Text(text) => text.trim().parse().map_err(|_| Wrong::Kind),
            _ => Err(Wrong::Kind),
        }
    }
}

impl Scalar for u64 {
    const EXPECTED: &'static str = "a whole number of 0 or more";

    fn parse(value: &Value, _: &Reader<'_>) -> Result<Self, Wrong> {
        match value {
            Value::Number(text) | Value::Text(text) => text.trim().parse().map_err(|_| Wrong::Kind),
            _ => Err(Wrong::Kind),
        }
    }
}

impl Scalar for i64 {
    const EXPECTED: &'static str = "a whole number";

    fn parse(value: &Value, _: &Reader<'_>) -> Result<Self, Wrong> {
        match value {
            Value::Number(text) | Value::Text(text) => text.trim().parse().map_err(|_| Wrong::Kind),
            _ => Err(Wrong::Kind),
        }
    }
}

/// A century: longer can only be a mistake, and would overflow sums with the present time.
const DURATION_MAX: Duration = Duration::from_secs(100 * 366 * 24 * 60 * 60);

impl Scalar for Duration {
    const EXPECTED: &'static str = "a duration such as 90, \"90s\", \"1h30m\" or \"7d\"";

    fn parse(value: &Value, _: &Reader<'_>) -> Result<Self, Wrong> {
        match value {
            Value::Number(text) | Value::Text(text) => SignedDuration::parse(text)
                .ok()
                .and_then(SignedDuration::unsigned)
                .filter(|length| *length <= DURATION_MAX)
                .ok_or(Wrong::Kind),
            _ => Err(Wrong::Kind),
        }
    }
}

/// A number of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(pub u64);

impl Scalar for Size {
    const EXPECTED: &'static str = "a number of bytes such as 1048576 or \"1MiB\"";

    fn parse(value: &Value, _: &Reader<'_>) -> Result<Self, Wrong> {
        match value {
            Value::Number(text) | Value::Text(text) => bytes(text).map(Self).ok_or(Wrong::Kind),
            _ => Err(Wrong::Kind),
        }
    }
}

/// A largest number of bytes, if there is one: a negative number sets none, as in Vault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SizeLimit(pub Option<u64>);

impl Scalar for SizeLimit {
    const EXPECTED: &'static str =
        "a number of bytes such as 33554432 or \"32MiB\", or -1 for no limit";

    fn parse(value: &Value, reader: &Reader<'_>) -> Result<Self, Wrong> {
        if let Value::Number(text) | Value::Text(text) = value
            && text.trim().parse::<i64>().is_ok_and(i64::is_negative)
        {
            return Ok(Self(None));
        }
        match Size::parse(value, reader)? {
            Size(0) => Err(Wrong::Kind),
            Size(bytes) => Ok(Self(Some(bytes))),
        }
    }
}

/// A list, or words with commas between.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Words(pub Vec<String>);

impl Scalar for Words {
    const EXPECTED: &'static str = "a list of text";

    fn parse(value: &Value, _: &Reader<'_>) -> Result<Self, Wrong> {
        let words = match value {
            Value::Text(text) => {
                text.split(',').map(|word| word.trim().to_owned()).collect::<Vec<_>>()
            }
            Value::List(nodes) => nodes.iter().map(word).collect::<Result<_, _>>()?,
            _ => return Err(Wrong::Kind),
        };
        Ok(Self(words.into_iter().filter(|word| !word.is_empty()).collect()))
    }
}

/// Addresses and networks from which something is believed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Networks(pub Vec<Network>);

impl Scalar for Networks {
    const EXPECTED: &'static str = "a list of addresses and networks such as \"10.0.0.0/8\"";

    fn parse(value: &Value, reader: &Reader<'_>) -> Result<Self, Wrong> {
        let Words(words) = Words::parse(value, reader).map_err(|_| Wrong::Kind)?;
        let networks = words.iter().map(|word| {
            word.parse()
                .map_err(|_| Wrong::Because(format!("must be {}, found {word:?}", Self::EXPECTED)))
        });
        networks.collect::<Result<_, _>>().map(Self)
    }
}

/// Permissions of a file, in octal: `"0660"`, `"660"`, or 660.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mode(pub u32);

impl Scalar for Mode {
    const EXPECTED: &'static str = "permissions in octal such as \"660\"";

    fn parse(value: &Value, _: &Reader<'_>) -> Result<Self, Wrong> {
        let (Value::Text(text) | Value::Number(text)) = value else {
            return Err(Wrong::Kind);
        };
        match u32::from_str_radix(text, 8) {
            Ok(mode) if mode <= 0o777 => Ok(Self(mode)),
            _ => Err(Wrong::Kind),
        }
    }
}

fn word(node: &Node) -> Result<String, Wrong> {
    match &node.value {
        Value::Text(text) | Value::Number(text) => Ok(text.clone()),
        _ => Err(Wrong::Kind),
    }
}

fn bytes(text: &str) -> Option<u64> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(end)?;
    let factor: u64 = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "kb" => 1000,
        "kib" => 1 << 10,
        "mb" => 1_000_000,
        "mib" => 1 << 20,
        "gb" => 1_000_000_000,
        "gib" => 1 << 30,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(factor)
}
