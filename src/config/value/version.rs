use std::fmt;

use super::super::stanza::{Reader, Scalar, Wrong};
use super::super::syntax::Value;

/// A semantic version (semver.org), such as `1.19.0` or `1.19.0+ent`. Clients parse it, and some
/// stop working where they cannot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version(String);

impl Version {
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// `None` where the text is no semantic version.
    pub fn parse(text: &str) -> Option<Self> {
        let (rest, build) = match text.split_once('+') {
            Some((rest, build)) => (rest, Some(build)),
            None => (text, None),
        };
        let (core, before_release) = match rest.split_once('-') {
            Some((core, identifiers)) => (core, Some(identifiers)),
            None => (rest, None),
        };
        let is_version = core.split('.').count() == 3
            && core.split('.').all(is_number)
            && build.is_none_or(|identifiers| identifiers.split('.').all(is_identifier))
            && before_release.is_none_or(|identifiers| {
                let is_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
                let is_good = |part| is_identifier(part) && (!is_digits(part) || is_number(part));
                identifiers.split('.').all(is_good)
            });
        (is_version && text.len() <= BYTES_MAX).then(|| Self(text.to_owned()))
    }
}

/// The one that this program behaves like.
impl Default for Version {
    fn default() -> Self {
        Self("1.19.0".to_owned())
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Scalar for Version {
    const EXPECTED: &'static str = "a version such as \"1.19.0\"";

    fn parse(value: &Value, _: &Reader<'_>) -> Result<Self, Wrong> {
        match value {
            Value::Text(text) => Self::parse(text.trim()).ok_or(Wrong::Kind),
            _ => Err(Wrong::Kind),
        }
    }
}

/// That fits into 64 bits, without zeros before it.
fn is_number(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
        && text.parse::<u64>().is_ok()
        && (text == "0" || !text.starts_with('0'))
}

fn is_identifier(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

/// It is part of many replies.
const BYTES_MAX: usize = 64;
