//! Lengths of time as Vault's users write them, read in one way everywhere.

use std::time::Duration;

/// A length of time with a sign: some routes give a negative one a meaning.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct SignedDuration {
    length: Duration,
    is_negative: bool,
}

/// Words it as Go does, which clients may look for.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum DurationError {
    #[error("time: invalid duration \"{text}\"")]
    Invalid { text: String },
    #[error("time: missing unit in duration \"{text}\"")]
    NoUnit { text: String },
    #[error("time: unknown unit \"{unit}\" in duration \"{text}\"")]
    Unit { unit: String, text: String },
}

impl SignedDuration {
    /// Reads seconds (`90`) or Go's notation (`1h30m`, `1.5s`, `250ms`), with `d` for 24 hours. A
    /// sign may stand before the whole. Exact to the nanosecond; what is finer is dropped.
    ///
    /// # Errors
    /// Empty text too: what that means is the caller's to say.
    pub fn parse(text: &str) -> Result<Self, DurationError> {
        let invalid = || DurationError::Invalid { text: text.to_owned() };
        let trimmed = text.trim();
        let (unsigned, is_negative) = match trimmed.strip_prefix('-') {
            Some(rest) => (rest, true),
            None => (trimmed.strip_prefix('+').unwrap_or(trimmed), false),
        };
        if !unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
            return Err(invalid());
        }
        let length = if unsigned.bytes().all(|byte| byte.is_ascii_digit()) {
            Duration::from_secs(unsigned.parse().map_err(|_| invalid())?)
        } else {
            sum_of_units(text, unsigned)?
        };
        // As many seconds as a signed integer holds: `whole_seconds` relies on it.
        if i64::try_from(length.as_secs()).is_err() {
            return Err(invalid());
        }
        Ok(Self { length, is_negative: is_negative && !length.is_zero() })
    }

    /// `None` where it is negative.
    pub fn unsigned(self) -> Option<Duration> {
        (!self.is_negative).then_some(self.length)
    }

    /// Parts of a second are dropped.
    pub fn whole_seconds(self) -> i64 {
        let seconds = i64::try_from(self.length.as_secs()).unwrap_or(i64::MAX);
        if self.is_negative { -seconds } else { seconds }
    }
}

fn sum_of_units(text: &str, unsigned: &str) -> Result<Duration, DurationError> {
    let invalid = || DurationError::Invalid { text: text.to_owned() };
    let mut total = Duration::ZERO;
    let mut rest = unsigned;
    while !rest.is_empty() {
        let digits_end = rest
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .ok_or_else(|| DurationError::NoUnit { text: text.to_owned() })?;
        let (digits, tail) = rest.split_at(digits_end);
        let unit_end = tail.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit_end);
        let (_, nanoseconds) = UNITS
            .iter()
            .find(|(name, _)| *name == unit)
            .ok_or_else(|| DurationError::Unit { unit: unit.to_owned(), text: text.to_owned() })?;
        let part = times(digits, *nanoseconds).ok_or_else(invalid)?;
        total = total.checked_add(part).ok_or_else(invalid)?;
        rest = tail;
    }
    Ok(total)
}

/// `digits`, with a point or without, of `unit` nanoseconds.
fn times(digits: &str, unit: u64) -> Option<Duration> {
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
        return None;
    }
    let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    // What stands further behind the point is far below a nanosecond.
    let fraction = fraction.get(..FRACTION_DIGITS_MAX).unwrap_or(fraction);
    let mut numerator = 0_u128;
    let mut denominator = 1_u128;
    for digit in fraction.bytes() {
        numerator = numerator * 10 + u128::from(digit.checked_sub(b'0')?);
        denominator *= 10;
    }
    let unit = u128::from(unit);
    let nanoseconds = u128::from(whole) * unit + numerator * unit / denominator;
    let seconds = u64::try_from(nanoseconds / NANOSECONDS_IN_SECOND).ok()?;
    let rest = u32::try_from(nanoseconds % NANOSECONDS_IN_SECOND).ok()?;
    Some(Duration::new(seconds, rest))
}

const UNITS: &[(&str, u64)] = &[
    ("ns", 1),
    ("us", 1_000),
    ("\u{b5}s", 1_000),
    ("\u{3bc}s", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
    ("d", 86_400_000_000_000),
];

/// With these and the longest unit a product stays within 128 bits.
const FRACTION_DIGITS_MAX: usize = 18;

const NANOSECONDS_IN_SECOND: u128 = 1_000_000_000;

#[cfg(test)]
mod tests;
