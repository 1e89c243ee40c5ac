//! Lengths of time as Vault's users write them.

use std::time::Duration;

/// Seconds (`90`, `"90"`), or Go's notation with days (`"90s"`, `"1h30m"`, `"1.5h"`, `"7d"`).
/// `None` for anything else, for what is negative, and for what passes `MAX`.
pub fn parse_duration(text: &str) -> Option<Duration> {
    let text = text.trim();
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        let length = Duration::from_secs(text.parse().ok()?);
        return (length <= MAX).then_some(length);
    }
    let mut total = Duration::ZERO;
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !(c.is_ascii_digit() || c == '.'))?;
        let (number, after) = rest.split_at_checked(end)?;
        let (unit_nanos, after) = unit(after)?;
        total = total.checked_add(Duration::from_nanos(times(number, unit_nanos)?))?;
        rest = after;
    }
    (total <= MAX).then_some(total)
}

fn unit(text: &str) -> Option<(u64, &str)> {
    let known = UNITS.iter().find(|(name, _)| text.starts_with(name))?;
    Some((known.1, text.strip_prefix(known.0)?))
}

/// `number` of `unit` in nanoseconds, without the error of floating point.
fn times(number: &str, unit: u64) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let mut nanos = whole.checked_mul(unit)?;
    let mut part = unit;
    for digit in fraction.chars() {
        part /= 10;
        nanos = nanos.checked_add(part.checked_mul(u64::from(digit.to_digit(10)?))?)?;
    }
    Some(nanos)
}

/// A century: longer can only be a mistake, and would overflow sums with the present time.
const MAX: Duration = Duration::from_secs(100 * 366 * 24 * 60 * 60);

/// `ms` stands before `m`: the first that fits is taken.
const UNITS: &[(&str, u64)] = &[
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
    ("d", 86_400_000_000_000),
];
