use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::net::TcpListener;
use std::os::unix::net::UnixDatagram;
use std::path::Path;

use super::*;
use crate::audit::Side;
use crate::audit_log::{Verdict, Verifier};
use crate::clock::SystemClock;
use crate::request::{Operation, Request};
use crate::rng::SystemRng;

fn start(kind: &str, options: &[(&str, &str)]) -> Device {
    let options: BTreeMap<String, String> =
        options.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
    let (options, unknown) = Options::read(kind, &options, true).unwrap();
    assert!(unknown.is_empty());
    let around =
        Surroundings { clock: Arc::new(SystemClock), rng: Arc::new(SystemRng), node: "n1".into() };
    let hasher = hasher();
    Device::start("dev/".into(), options, hasher, Arc::default(), &around).unwrap()
}

fn hasher() -> Hasher {
    use base64::Engine as _;
    Hasher::of_stored(&base64::engine::general_purpose::STANDARD.encode([7; 32])).unwrap()
}

fn submit(
    device: &Device,
    id: &str,
) -> impl Future<Output = Result<(), Unwritable>> + Send + use<> {
    let request = Request { id: id.into(), path: "secret/a".into(), ..Request::default() };
    device.submit(&Record {
        request: &request,
        operation: Operation::Read,
        caller: None,
        mount: None,
        policies: None,
        is_repeated: false,
        side: Side::Request(None),
    })
}

fn verify(texts: &[String]) -> Verdict {
    let mut verifier = Verifier::new(vec![ChainKey::of_salt(hasher().salt())], Vec::new());
    for (at, text) in texts.iter().enumerate() {
        for (number, line) in text.lines().enumerate() {
            verifier.line(&format!("file {at}"), number as u64 + 1, line.as_bytes());
        }
    }
    verifier.end()
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap()
}

#[tokio::test]
async fn records_are_written_in_order_and_chained_over_restarts_rotation_and_reopening() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.log");
    let file = path.to_str().unwrap();
    for start_number in 0..3 {
        let device = start("file", &[("file_path", file), ("rotate_bytes", "3000")]);
        for number in 0..10 {
            submit(&device, &format!("{start_number}-{number}")).await.unwrap();
        }
        assert_eq!(device.counters().read(), [10, 0, 0, 0]);
    }
    let mut names: Vec<_> =
        fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().path()).collect();
    // The one that is written on sorts before those put aside: `a-1.log`, `a.log`.
    names.sort();
    assert!(names.len() > 3, "{names:?}");
    let texts: Vec<String> = names.iter().map(|path| read(path)).collect();
    let verdict = verify(&texts);
    assert!(verdict.is_whole(), "{:?}", verdict.findings);
    // A file that was put aside on a start begins a segment, so at least three.
    assert_eq!(verdict.records, 30 + verdict.segments);
    for number in 0..10 {
        let id = format!("\"id\":\"1-{number}\"");
        assert_eq!(texts.concat().matches(&id).count(), 1);
    }
    fs::rename(&path, folder.path().join("moved")).unwrap();
    let device = start("file", &[("file_path", file)]);
    submit(&device, "before").await.unwrap();
    fs::rename(&path, folder.path().join("aside")).unwrap();
    submit(&device, "still").await.unwrap();
    device.reopen();
    submit(&device, "after").await.unwrap();
    let verdict = verify(&[read(&folder.path().join("aside")), read(&path)]);
    assert!(verdict.is_whole(), "{:?}", verdict.findings);
    assert_eq!(verdict.segments, 1, "the chain goes on in the next file");
    assert_eq!(verdict.last, device.head());
    assert!(read(&path).contains("after") && !read(&path).contains("still"));
}

#[tokio::test]
async fn a_torn_line_is_ended_and_told_of() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.log");
    let file = path.to_str().unwrap();
    submit(&start("file", &[("file_path", file)]), "1").await.unwrap();
    let whole = read(&path);
    fs::write(&path, format!("{whole}{{\"type\":\"resp")).unwrap();
    submit(&start("file", &[("file_path", file)]), "2").await.unwrap();
    let verdict = verify(&[read(&path)]);
    assert!(verdict.is_whole(), "{:?}", verdict.findings);
    assert_eq!((verdict.torn, verdict.segments), (1, 2));
}

#[tokio::test]
async fn a_device_that_recovers_goes_on_with_a_segment_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("below/a.log");
    let device = start("file", &[("file_path", path.to_str().unwrap())]);
    submit(&device, "1").await.unwrap();
    fs::remove_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path.parent().unwrap(), "in the way").unwrap();
    let error = submit(&device, "2").await.unwrap_err().to_string();
    assert!(error.contains("Not a directory") || error.contains("exists"), "{error}");
    assert_eq!(device.counters().read(), [1, 0, 1, 0]);
    fs::remove_file(path.parent().unwrap()).unwrap();
    submit(&device, "3").await.unwrap();
    assert!(verify(&[read(&path)]).is_whole());
}

#[tokio::test]
async fn a_pipe_that_nobody_reads_is_an_error_and_never_hangs() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pipe");
    let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
    rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    let device = start("file", &[("file_path", path.to_str().unwrap())]);
    assert!(matches!(submit(&device, "1").await, Err(Unwritable::Open(_))));
    // Open at the other end, and not read.
    let flags = rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::NONBLOCK;
    let reader = rustix::fs::open(&path, flags, rustix::fs::Mode::empty()).unwrap();
    let mut written = 0;
    let error = loop {
        match submit(&device, &"x".repeat(4096)).await {
            Ok(()) => written += 1,
            Err(error) => break error,
        }
    };
    assert!(written > 5 && written < 50, "{written}");
    assert!(error.to_string().contains("no room"), "{error}");
    // Once it is read, records are taken again.
    let mut pipe = fs::File::from(reader);
    let mut buffer = vec![0; 1 << 20];
    assert!(pipe.read(&mut buffer).unwrap() > 0);
    submit(&device, "read again").await.unwrap();
}

#[tokio::test]
async fn a_connection_that_was_lost_is_made_anew() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let device = start("socket", &[("address", &address)]);
    submit(&device, "1").await.unwrap();
    let (first, _) = listener.accept().unwrap();
    drop(first);
    // Whether the loss shows at once depends on when its end is heard of.
    let written = submit(&device, "2");
    let (mut second, _) =
        tokio::task::spawn_blocking(move || listener.accept().unwrap()).await.unwrap();
    written.await.unwrap();
    drop(device);
    let mut text = String::new();
    second.read_to_string(&mut text).unwrap();
    assert!(text.contains("\"id\":\"2\""), "{text}");
    assert!(verify(&[text]).is_whole());
}

#[tokio::test]
async fn a_socket_that_does_not_read_ends_within_its_time() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let device = start("socket", &[("address", &address), ("write_timeout", "1s")]);
    let long = "x".repeat(4 << 20);
    let mut outcome = Ok(());
    for _ in 0..20 {
        outcome = submit(&device, &long).await;
        if outcome.is_err() {
            break;
        }
    }
    assert!(outcome.is_err(), "its buffers are bounded");
}

#[tokio::test]
async fn the_systems_log_gets_a_datagram_for_each_record() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    let log = UnixDatagram::bind(&path).unwrap();
    let address = path.to_str().unwrap();
    let device = start("syslog", &[("address", address), ("facility", "LOCAL0"), ("tag", "sr")]);
    submit(&device, "1").await.unwrap();
    let mut buffer = vec![0; 65536];
    let mut received = Vec::new();
    for _ in 0..2 {
        let count = log.recv(&mut buffer).unwrap();
        received.push(String::from_utf8(buffer[..count].to_vec()).unwrap());
    }
    // 16 << 3 | 6
    assert!(received.iter().all(|text| text.starts_with("<134>")), "{received:?}");
    let start = format!(" sr[{}]: {{\"time\":", std::process::id());
    assert!(received.iter().all(|text| text.contains(&start)), "{received:?}");
    let lines: Vec<&str> = received.iter().map(|text| &text[text.find('{').unwrap()..]).collect();
    assert!(verify(&[lines.join("\n")]).is_whole());
}

#[tokio::test]
async fn records_of_a_future_that_is_dropped_are_written_all_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.log");
    let device = start("file", &[("file_path", path.to_str().unwrap())]);
    drop(submit(&device, "dropped"));
    submit(&device, "awaited").await.unwrap();
    assert!(read(&path).contains("\"id\":\"dropped\""));
}

#[tokio::test]
async fn jsonx_is_chained_too() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.log");
    let options = [("file_path", path.to_str().unwrap()), ("format", "jsonx"), ("prefix", "p ")];
    let device = start("file", &options);
    submit(&device, "1").await.unwrap();
    submit(&start("file", &options), "2").await.unwrap();
    let text = read(&path);
    assert!(text.lines().all(|line| line.starts_with("p <json:object ")), "{text}");
    let verdict = verify(&[text]);
    assert!(verdict.is_whole(), "{:?}", verdict.findings);
    assert_eq!(verdict.segments, 2);
}
