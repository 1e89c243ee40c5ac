use std::time::Duration;

/// Reads a duration as Vault's headers and fields have it: whole seconds (`90`), or Go's notation
/// (`1h30m`, `1.5s`), with `d` for 24 hours. Empty is zero. A sign is kept apart: the second value
/// says whether it was negative.
///
/// # Errors
/// The text to show, as Go words it.
pub fn parse_duration(text: &str) -> Result<(Duration, bool), String> {
    let trimmed = text.trim();
    if trimmed.is_empty() {
        return Ok((Duration::ZERO, false));
    }
    let (unsigned, negative) = match trimmed.strip_prefix('-') {
        Some(rest) => (rest, true),
        None => (trimmed.strip_prefix('+').unwrap_or(trimmed), false),
    };
    let invalid = || format!("time: invalid duration \"{text}\"");
    if unsigned.bytes().all(|byte| byte.is_ascii_digit()) {
        let seconds = unsigned.parse().map_err(|_| invalid())?;
        return bounded(Duration::from_secs(seconds), negative).ok_or_else(invalid);
    }
    if !unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return Err(invalid());
    }
    let mut total = Duration::ZERO;
    let mut rest = unsigned;
    while !rest.is_empty() {
        let number = rest
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .ok_or_else(|| format!("time: missing unit in duration \"{text}\""))?;
        let (digits, tail) = rest.split_at(number);
        let unit_end = tail.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit_end);
        let unit = unit_nanoseconds(unit)
            .ok_or_else(|| format!("time: unknown unit \"{unit}\" in duration \"{text}\""))?;
        let part = scaled(digits, unit).ok_or_else(invalid)?;
        total = total.checked_add(part).ok_or_else(invalid)?;
        rest = tail;
    }
    bounded(total, negative).ok_or_else(invalid)
}

/// `digits` times `unit` nanoseconds, exactly; the fraction is cut where it is below one.
fn scaled(digits: &str, unit: u64) -> Option<Duration> {
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
        return None;
    }
    let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let mut nanoseconds = u128::from(whole).checked_mul(u128::from(unit))?;
    let mut scale = u128::from(unit);
    for digit in fraction.bytes() {
        scale /= 10;
        nanoseconds += u128::from(digit.checked_sub(b'0')?) * scale;
    }
    let seconds = u64::try_from(nanoseconds / 1_000_000_000).ok()?;
    let rest = u32::try_from(nanoseconds % 1_000_000_000).ok()?;
    Some(Duration::new(seconds, rest))
}

/// Go counts nanoseconds in 63 bits; what lies beyond would fail in clients.
fn bounded(duration: Duration, negative: bool) -> Option<(Duration, bool)> {
    i64::try_from(duration.as_nanos()).ok()?;
    Some((duration, negative && !duration.is_zero()))
}

fn unit_nanoseconds(unit: &str) -> Option<u64> {
    Some(match unit {
        "ns" => 1,
        "us" | "\u{b5}s" | "\u{3bc}s" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        "d" => 86_400_000_000_000,
        _ => return None,
    })
}

#[cfg(test)]
mod tests;
