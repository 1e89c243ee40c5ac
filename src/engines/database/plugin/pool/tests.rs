use super::*;

fn pool(open: i64, idle: i64, lifetime: u64) -> Pool<u32> {
    let details = Details {
        max_open_connections: open,
        max_idle_connections: idle,
        max_connection_lifetime: lifetime,
        ..Details::default()
    };
    Pool { wait_max: Duration::ZERO, ..Pool::new(&details) }
}

#[tokio::test]
async fn no_more_are_lent_than_may_be_open() {
    for (given, open) in [(0, 4), (1, 1), (7, 7), (-1, 1024), (1 << 40, 1024)] {
        let pool = pool(given, 0, 0);
        let mut places = Vec::new();
        for _ in 0..open {
            places.push(pool.place().await.unwrap());
        }
        let failure = pool.place().await.map(drop).unwrap_err();
        assert_eq!(failure.kind, FailureKind::Unreachable, "{given}");
        places.pop();
        pool.place().await.map(drop).unwrap();
    }
}

#[tokio::test]
async fn some_are_kept_and_those_that_are_old_are_not_used_again() {
    let pool = pool(3, 2, 60);
    let begun = Instant::now();
    let places = [pool.place().await, pool.place().await, pool.place().await];
    for (number, place) in (0..).zip(places) {
        place.unwrap().give_back(number, begun);
    }
    let place = pool.place().await.unwrap();
    let before = begun + Duration::from_secs(59);
    assert_eq!(place.reuse(before).map(|(number, _)| number), Some(1));
    assert_eq!(place.reuse(begun + Duration::from_secs(60)).map(|(number, _)| number), None);
}
