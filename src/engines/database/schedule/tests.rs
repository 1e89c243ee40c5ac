use super::*;

fn after(schedule: &str, moment: &str) -> String {
    let moment = Timestamp::parse_rfc3339(moment).unwrap();
    match Schedule::parse(schedule) {
        Ok(schedule) => schedule.after(moment).unwrap().rfc3339(),
        Err(error) => format!("! {error}"),
    }
}

#[test]
fn the_next_moment_is_found() {
    let table = [
        ("* * * * *", "2026-11-24T07:51:00Z", "2026-11-24T07:52:00Z"),
        ("* * * * *", "2026-11-24T07:51:59.5Z", "2026-11-24T07:52:00Z"),
        ("0 * * * *", "2026-11-24T07:51:00Z", "2026-11-24T08:00:00Z"),
        ("*/15 0-5/2 * * *", "2026-11-24T04:45:00Z", "2026-11-25T00:00:00Z"),
        ("30 3 * * SAT", "2026-11-24T04:45:00Z", "2026-11-28T03:30:00Z"),
        ("30 3 * * 7", "2026-11-24T04:45:00Z", "2026-11-29T03:30:00Z"),
        ("0 0 1 jan *", "2026-11-24T04:45:00Z", "2027-01-01T00:00:00Z"),
        ("0 0 31 * *", "2026-11-24T04:45:00Z", "2026-12-31T00:00:00Z"),
        ("0 0 29 2 *", "2026-11-24T04:45:00Z", "2028-02-29T00:00:00Z"),
        ("0 0 13 * fri", "2026-11-24T04:45:00Z", "2026-11-27T00:00:00Z"),
        ("0 0 * * mon-wed", "2026-11-24T04:45:00Z", "2026-11-25T00:00:00Z"),
        ("0,20,40 12 * * *", "2026-11-24T12:20:00Z", "2026-11-24T12:40:00Z"),
        ("5/20 * * * *", "2026-11-24T12:20:00Z", "2026-11-24T12:25:00Z"),
        ("59 23 31 12 *", "2026-12-31T23:59:00Z", "2027-12-31T23:59:00Z"),
    ];
    for (schedule, moment, expected) in table {
        assert_eq!(after(schedule, moment), expected, "{schedule} after {moment}");
    }
}

#[test]
fn what_is_no_schedule_is_refused() {
    let table = [
        ("", "expected exactly 5 fields, found 0: \"\""),
        ("* * * *", "expected exactly 5 fields, found 4: \"* * * *\""),
        ("60 * * * *", "\"60\" is not within 0 to 59"),
        ("* * 0 * *", "\"0\" is not within 1 to 31"),
        ("5-1 * * * *", "\"5-1\" is not within 0 to 59"),
        ("*/0 * * * *", "\"*/0\" has no step above 0"),
        ("a * * * *", "\"a\" is no number"),
        ("@daily", "expected exactly 5 fields, found 1: \"@daily\""),
        ("0 0 31 2 *", "there is no such day: \"0 0 31 2 *\""),
        ("* * * * 8", "\"8\" is not within 0 to 7"),
        (", * * * *", "\"\" is no number"),
    ];
    for (schedule, expected) in table {
        assert_eq!(after(schedule, "2026-11-24T00:00:00Z"), format!("! {expected}"));
    }
}
