use std::sync::mpsc;
use std::time::Duration;

use super::Tasks;

#[tokio::test]
async fn tasks_that_wait_or_have_ended_are_alive() {
    let tasks = Tasks::default();
    tasks.spawn("ended", async {});
    tasks.spawn("waits", std::future::pending());
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    assert_eq!(tasks.pulses().fault(Duration::ZERO), None);
    assert_eq!(tasks.pulses().0.lock().unwrap().len(), 1, "one that ended is forgotten");
}

#[tokio::test]
async fn a_task_that_panicked_is_a_fault_for_good() {
    let tasks = Tasks::default();
    tasks.spawn("breaks", async { panic!("on purpose") });
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    for _ in 0..2 {
        let fault = tasks.pulses().fault(Duration::MAX);
        assert_eq!(fault.as_deref(), Some("the task `breaks` has panicked"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_that_does_not_give_its_thread_back_is_a_fault_while_it_lasts() {
    let tasks = Tasks::default();
    let (inside, is_inside) = mpsc::channel();
    let (release, released) = mpsc::channel::<()>();
    tasks.spawn("stuck", async move {
        inside.send(()).unwrap();
        // As with a lock that is never let go.
        let _closed = released.recv();
        std::future::pending::<()>().await;
    });
    is_inside.recv().unwrap();
    let pulses = tasks.pulses();
    let fault = loop {
        if let Some(fault) = pulses.fault(Duration::from_millis(20)) {
            break fault;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    };
    assert!(fault.starts_with("the task `stuck` has kept its thread for "), "{fault}");
    drop(release);
    while pulses.fault(Duration::from_millis(20)).is_some() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}
