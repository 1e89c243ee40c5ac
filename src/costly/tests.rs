use std::sync::mpsc;

use tokio::sync::oneshot;

use super::Costly;
use crate::request::Error;

/// One is at work, the rest wait; who goes while it waits gives up its place, who goes while it is
/// at work keeps the thread until that is done.
#[tokio::test]
async fn as_many_as_may_are_at_work_or_wait_and_no_more() {
    static COSTLY: Costly = Costly::new(1, 2, "too many");
    let (end, ended) = mpsc::channel::<()>();
    let (begun, is_begun) = oneshot::channel();
    let first = COSTLY.run(move || {
        begun.send(()).ok();
        ended.recv().is_ok()
    });
    let mut first = Box::pin(first);
    tokio::select! {
        biased;
        _ = &mut first => panic!("it cannot be done"),
        begun = is_begun => begun.unwrap(),
    }
    let mut second = Box::pin(COSTLY.run(|| 2));
    assert!(futures_util::poll!(&mut second).is_pending());
    let third = COSTLY.run(|| 3).await;
    assert!(matches!(third, Err(Error::Unavailable(why)) if why == "too many"));
    drop(second);
    let mut second = Box::pin(COSTLY.run(|| 2));
    assert!(futures_util::poll!(&mut second).is_pending());
    drop(first);
    assert!(futures_util::poll!(&mut second).is_pending());
    end.send(()).unwrap();
    assert_eq!(second.await.unwrap(), 2);
}
