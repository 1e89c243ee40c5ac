//! Times as Go's layouts write them.

use time::OffsetDateTime;

/// A time by a layout: the moment that Go's layouts are written with, `2006-01-02 15:04:05`.
pub(super) fn go_time(layout: &str, time: OffsetDateTime) -> String {
    let mut text = String::new();
    let mut rest = layout;
    while let Some(letter) = rest.chars().next() {
        let found = TOKENS.iter().find(|(token, _)| rest.starts_with(token));
        match found {
            Some((token, token_kind)) => {
                text.push_str(&written(*token_kind, time));
                rest = rest.get(token.len()..).unwrap_or_default();
            }
            None => {
                text.push(letter);
                rest = rest.get(letter.len_utf8()..).unwrap_or_default();
            }
        }
    }
    text
}

/// As a database is told when a password ends, in UTC.
pub(super) fn expiration(seconds: u64) -> String {
    let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
    let time = OffsetDateTime::from_unix_timestamp(seconds.min(LAST_SECOND)).ok();
    time.map_or_else(String::new, |time| go_time("2006-01-02 15:04:05-0700", time))
}

#[derive(Clone, Copy)]
enum Token {
    Year,
    YearShort,
    MonthName,
    MonthShort,
    Month,
    MonthBare,
    Day,
    DayBlank,
    DayBare,
    Hour,
    HourTwelve,
    HourTwelveBare,
    Minute,
    MinuteBare,
    Second,
    SecondBare,
    Half,
    WeekdayName,
    WeekdayShort,
    Zone,
    ZoneColon,
    ZoneName,
}

fn written(token: Token, time: OffsetDateTime) -> String {
    let twelve = (time.hour() + 11) % 12 + 1;
    let month = time.month().to_string();
    let weekday = time.weekday().to_string();
    let short = |name: &str| name.chars().take(3).collect::<String>();
    match token {
        Token::Year => format!("{:04}", time.year()),
        Token::YearShort => format!("{:02}", time.year().rem_euclid(100)),
        Token::MonthName => month,
        Token::MonthShort => short(&month),
        Token::Month => format!("{:02}", u8::from(time.month())),
        Token::MonthBare => u8::from(time.month()).to_string(),
        Token::Day => format!("{:02}", time.day()),
        Token::DayBlank => format!("{:2}", time.day()),
        Token::DayBare => time.day().to_string(),
        Token::Hour => format!("{:02}", time.hour()),
        Token::HourTwelve => format!("{twelve:02}"),
        Token::HourTwelveBare => twelve.to_string(),
        Token::Minute => format!("{:02}", time.minute()),
        Token::MinuteBare => time.minute().to_string(),
        Token::Second => format!("{:02}", time.second()),
        Token::SecondBare => time.second().to_string(),
        Token::Half => if time.hour() < 12 { "AM" } else { "PM" }.into(),
        Token::WeekdayName => weekday,
        Token::WeekdayShort => short(&weekday),
        Token::Zone => "+0000".into(),
        Token::ZoneColon => "+00:00".into(),
        Token::ZoneName => "UTC".into(),
    }
}

/// The end of the year 9999: beyond it is as good as never.
const LAST_SECOND: i64 = 253_402_300_799;

/// The longer before what it begins with.
const TOKENS: [(&str, Token); 22] = [
    ("2006", Token::Year),
    ("06", Token::YearShort),
    ("January", Token::MonthName),
    ("Jan", Token::MonthShort),
    ("Monday", Token::WeekdayName),
    ("Mon", Token::WeekdayShort),
    ("MST", Token::ZoneName),
    ("-07:00", Token::ZoneColon),
    ("-0700", Token::Zone),
    ("01", Token::Month),
    ("02", Token::Day),
    ("03", Token::HourTwelve),
    ("04", Token::Minute),
    ("05", Token::Second),
    ("15", Token::Hour),
    ("_2", Token::DayBlank),
    ("PM", Token::Half),
    ("1", Token::MonthBare),
    ("2", Token::DayBare),
    ("3", Token::HourTwelveBare),
    ("4", Token::MinuteBare),
    ("5", Token::SecondBare),
];
