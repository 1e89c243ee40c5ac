//! Schedules as cron writes them, in UTC: minute, hour, day of the month, month, day of the week.

use time::{Duration, OffsetDateTime, Time};

use crate::clock::Timestamp;

/// Each field as a set of bits.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Schedule {
    minutes: u64,
    hours: u64,
    days: u64,
    months: u64,
    weekdays: u64,
    /// As in cron: where both kinds of day are limited, one of them is enough.
    either_day: bool,
}

impl Schedule {
    /// # Errors
    /// With a text for whoever wrote it.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let fields: Vec<&str> = text.split_whitespace().collect();
        let [minutes, hours, days, months, weekdays] = fields.as_slice() else {
            return Err(format!("expected exactly 5 fields, found {}: {text:?}", fields.len()));
        };
        let of_week = set(weekdays, 0, 7, &WEEKDAYS)?;
        let schedule = Self {
            minutes: set(minutes, 0, 59, &[])?,
            hours: set(hours, 0, 23, &[])?,
            days: set(days, 1, 31, &[])?,
            months: set(months, 1, 12, &MONTHS)?,
            // Sunday is 0, and 7 too.
            weekdays: (of_week | (of_week >> 7)) & 0x7f,
            either_day: !is_any(days) && !is_any(weekdays),
        };
        if schedule.after(Timestamp::ZERO).is_none() {
            return Err(format!("there is no such day: {text:?}"));
        }
        Ok(schedule)
    }

    /// The first moment after this one; `None` where there is none within years.
    pub(super) fn after(&self, moment: Timestamp) -> Option<Timestamp> {
        let seconds = i64::try_from(moment.seconds()).ok()?;
        let start = OffsetDateTime::from_unix_timestamp(seconds / 60 * 60).ok()?;
        let mut time = start.checked_add(Duration::minutes(1))?;
        let last = start.checked_add(Duration::days(DAYS_LOOKED_AT))?;
        while time < last {
            if !self.is_on(time) {
                let next = time.date().next_day()?;
                time = next.with_time(Time::MIDNIGHT).assume_utc();
            } else if !has(self.hours, time.hour()) {
                let into = Duration::minutes(time.minute().into());
                time = time.checked_add(Duration::hours(1) - into)?;
            } else if has(self.minutes, time.minute()) {
                return u64::try_from(time.unix_timestamp()).ok().map(Timestamp::from_seconds);
            } else {
                time = time.checked_add(Duration::minutes(1))?;
            }
        }
        None
    }

    fn is_on(&self, time: OffsetDateTime) -> bool {
        let month = u8::from(time.month());
        let day = has(self.days, time.day());
        let weekday = has(self.weekdays, time.weekday().number_days_from_sunday());
        let is_day = if self.either_day { day || weekday } else { day && weekday };
        has(self.months, month) && is_day
    }
}

fn has(set: u64, number: u8) -> bool {
    set & (1 << number) != 0
}

fn is_any(field: &str) -> bool {
    field.split(',').any(|part| part.starts_with(['*', '?']))
}

/// `*`, `5`, `1-5`, `*/15`, `10-40/10`, `mon`, or several with commas.
fn set(field: &str, first: u8, last: u8, names: &[&str]) -> Result<u64, String> {
    let mut set = 0;
    for part in field.split(',') {
        let (range, step) = match part.split_once('/') {
            Some((range, step)) => {
                let step = step.parse::<usize>().ok().filter(|step| *step > 0);
                (range, step.ok_or_else(|| format!("{part:?} has no step above 0"))?)
            }
            None => (part, 1),
        };
        let (low, high) = if matches!(range, "*" | "?") {
            // Of the week both ends are Sunday.
            (first, if last == 7 { 6 } else { last })
        } else if let Some((low, high)) = range.split_once('-') {
            (number(low, names, first)?, number(high, names, first)?)
        } else {
            let only = number(range, names, first)?;
            (only, if part.contains('/') { last } else { only })
        };
        if low < first || high > last || low > high {
            return Err(format!("{part:?} is not within {first} to {last}"));
        }
        for at in (low..=high).step_by(step) {
            set |= 1_u64 << at;
        }
    }
    Ok(set)
}

fn number(text: &str, names: &[&str], first: u8) -> Result<u8, String> {
    let lower = text.to_ascii_lowercase();
    if let Some(at) = names.iter().position(|name| *name == lower) {
        return Ok(first.saturating_add(u8::try_from(at).unwrap_or_default()));
    }
    text.parse().map_err(|_| format!("{text:?} is no number"))
}

const MONTHS: [&str; 12] =
    ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];

const WEEKDAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

/// The 29th of February may be eight years away.
const DAYS_LOOKED_AT: i64 = 366 * 9;

#[cfg(test)]
mod tests;
