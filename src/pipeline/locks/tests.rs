use std::time::Duration;

use super::*;

fn soon() -> Instant {
    Instant::now() + Duration::from_millis(20)
}

fn later() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

#[tokio::test]
async fn a_name_is_had_by_one_at_a_time_and_others_are_free() {
    let locks = Locks::default();
    let first = locks.lock("a", later()).await.unwrap();
    assert!(locks.lock("a", soon()).await.is_none());
    assert!(locks.lock("b", soon()).await.is_some());
    let (second, ()) = tokio::join!(locks.lock("a", later()), async { drop(first) });
    assert!(second.is_some());
}

#[tokio::test]
async fn no_name_is_left_behind() {
    let locks = Locks::default();
    let names = || locks.0.lock().unwrap().len();
    let first = locks.lock("a", later()).await.unwrap();
    assert!(locks.lock("a", soon()).await.is_none());
    // One that is dropped while it waits.
    assert!(tokio::time::timeout_at(soon(), locks.lock("a", later())).await.is_err());
    assert_eq!(names(), 1);
    // One that gives up after the first has gone is the last to look.
    let waiting = tokio::time::timeout_at(soon(), locks.lock("a", later()));
    let (waited, ()) = tokio::join!(waiting, async {
        tokio::task::yield_now().await;
        drop(first);
    });
    assert_eq!(names(), 1);
    drop(waited);
    assert_eq!(names(), 0);
}
