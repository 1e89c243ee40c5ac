use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

use super::{Activity, Deadline, Watched};

const HEAD: Option<Duration> = Some(Duration::from_secs(1));
const IDLE: Option<Duration> = Some(Duration::from_secs(100));

#[tokio::test]
async fn a_client_that_reads_no_answer_does_not_hold_it_forever() {
    let (_client, server) = duplex(16);
    let time = Some(Duration::from_millis(20));
    let mut stream = Watched::new(server, Activity::new(), time);
    let error = stream.write_all(&[0; 64]).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::TimedOut);
}

#[tokio::test]
async fn what_is_put_back_is_read_first_and_in_order() {
    let (mut client, server) = duplex(16);
    client.write_all(b"cd").await.unwrap();
    drop(client);
    let mut stream = Watched::new(server, Activity::new(), None);
    assert_eq!(stream.peek().await.unwrap(), Some(b'c'));
    stream.put_back(b"ab".to_vec());
    assert_eq!(stream.read_u8().await.unwrap(), b'a');
    let mut rest = String::new();
    stream.read_to_string(&mut rest).await.unwrap();
    assert_eq!(rest, "bcd");
    assert_eq!(stream.peek().await.unwrap(), None);
}

#[tokio::test]
async fn each_state_of_a_connection_has_its_deadline() {
    let activity = Activity::new();
    let deadline = || activity.deadline(HEAD, IDLE);
    assert!(matches!(deadline(), Deadline::Head(_)), "nothing has come yet");
    let first = activity.begin();
    let second = activity.begin();
    assert_eq!(deadline(), Deadline::None);
    drop(first);
    assert_eq!(deadline(), Deadline::None, "one is at work");
    drop(second);
    assert!(matches!(deadline(), Deadline::Idle(_)));
    activity.received();
    assert!(matches!(deadline(), Deadline::Head(_)));
    assert_eq!(activity.deadline(None, IDLE), Deadline::None);
    activity.multiplexed();
    assert!(!matches!(deadline(), Deadline::Head(_)), "a frame is no head");
    drop(activity.begin());
    activity.received();
    assert!(matches!(deadline(), Deadline::Idle(_)));
}
