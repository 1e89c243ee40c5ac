use proptest::prelude::*;

use super::*;

const HOUR: u64 = 3600;
const LIMITS: TtlLimits = TtlLimits { default: 768 * HOUR, max: 768 * HOUR };

#[test]
fn what_is_granted_and_what_is_said_of_it() {
    let capped = |name: &str, asked: &str, most: &str| {
        Some(format!(
            "{name} of \"{asked}\" exceeded the effective max_ttl of \"{most}\"; {} value is \
             capped accordingly",
            name
        ))
    };
    let none = TtlTerms::default();
    for (terms, age, granted) in [
        (none, 0, Some((768 * HOUR, None))),
        (TtlTerms { requested: 60, ..none }, 0, Some((60, None))),
        (TtlTerms { usual: 70, ..none }, 0, Some((70, None))),
        (
            TtlTerms { requested: 10_000 * HOUR, ..none },
            0,
            Some((768 * HOUR, capped("TTL", "10000h", "768h"))),
        ),
        (TtlTerms { explicit_max: HOUR, ..none }, 0, Some((HOUR, capped("TTL", "768h", "1h")))),
        (
            TtlTerms { requested: 2 * HOUR, max: 5400, ..none },
            0,
            Some((5400, capped("TTL", "2h", "1h30m"))),
        ),
        (
            TtlTerms { period: 10_000 * HOUR, ..none },
            0,
            Some((768 * HOUR, capped("period", "10000h", "768h"))),
        ),
        (TtlTerms { period: HOUR, max: 60, ..none }, 10_000 * HOUR, Some((HOUR, None))),
        (
            TtlTerms { period: HOUR, explicit_max: 1800, ..none },
            0,
            Some((1800, capped("period", "1h", "30m"))),
        ),
        (TtlTerms { period: HOUR, explicit_max: 1800, ..none }, 1800, None),
        (
            TtlTerms { requested: HOUR, ..none },
            768 * HOUR - 61,
            Some((61, capped("TTL", "1h", "1m1s"))),
        ),
        (TtlTerms { requested: HOUR, ..none }, 768 * HOUR, None),
    ] {
        let issued = Timestamp(1_700_000_000_000);
        let now = Timestamp(issued.0 + age * 1000);
        let granted = granted.map(|(ttl, warning)| Granted { ttl, warning });
        assert_eq!(LIMITS.grant(&terms, issued, now), granted, "{terms:?} at {age} s");
    }
}

#[test]
fn part_of_a_second_of_age_counts_as_one() {
    let terms = TtlTerms { requested: 100, explicit_max: 100, ..TtlTerms::default() };
    let granted = LIMITS.grant(&terms, Timestamp(1000), Timestamp(1001));
    assert_eq!(granted.map(|granted| granted.ttl), Some(99));
}

#[test]
fn durations_read_as_people_write_them() {
    for (seconds, text) in
        [(0, "0s"), (45, "45s"), (60, "1m"), (3661, "1h1m1s"), (5400, "1h30m"), (3600, "1h")]
    {
        assert_eq!(duration_text(seconds), text);
    }
}

/// As the algorithm is told in prose: moments, not lengths of time.
fn naive(limits: TtlLimits, terms: &TtlTerms, issued: u64, now: u64) -> Option<u64> {
    let mut ends = Vec::new();
    if terms.period > 0 {
        ends.push(now + terms.period);
        ends.push(now + limits.max);
    } else {
        ends.push(
            now + [terms.requested, terms.usual, limits.default]
                .into_iter()
                .find(|ttl| *ttl > 0)
                .unwrap(),
        );
        ends.push(issued + limits.max);
        if terms.max > 0 {
            ends.push(issued + terms.max);
        }
    }
    if terms.explicit_max > 0 {
        ends.push(issued + terms.explicit_max);
    }
    let end = ends.into_iter().min().unwrap();
    (end > now).then(|| end - now)
}

proptest! {
    #[test]
    fn grant_is_the_earliest_of_all_ends(
        (default, max) in (1_u64..500, 1_u64..500),
        (requested, usual, role) in (0_u64..600, 0_u64..600, 0_u64..600),
        (explicit_max, period) in (0_u64..600, 0_u64..600),
        (issued, age) in (0_u64..1000, 0_u64..800),
        (periodic, explicit, bounded) in (any::<bool>(), any::<bool>(), any::<bool>()),
    ) {
        let limits = TtlLimits { default, max };
        let terms = TtlTerms {
            requested,
            usual,
            max: if bounded { role } else { 0 },
            explicit_max: if explicit { explicit_max } else { 0 },
            period: if periodic { period } else { 0 },
        };
        let at = Timestamp::from_seconds;
        let granted = limits.grant(&terms, at(issued), at(issued + age));
        prop_assert_eq!(
            granted.as_ref().map(|granted| granted.ttl),
            naive(limits, &terms, issued, issued + age)
        );
        if let Some(granted) = granted {
            let asked = if terms.period > 0 {
                terms.period
            } else {
                [requested, usual, default].into_iter().find(|ttl| *ttl > 0).unwrap()
            };
            prop_assert_eq!(granted.warning.is_some(), granted.ttl < asked);
        }
    }
}
