use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use super::Notify;

fn of(pairs: &[(&str, &str)]) -> Result<Notify, String> {
    Notify::of(&|name| {
        let found = pairs.iter().find(|(key, _)| *key == name);
        found.map(|(_, value)| (*value).to_owned())
    })
}

fn heard(socket: &UnixDatagram) -> String {
    let mut buffer = [0; 512];
    let length = socket.recv(&mut buffer).unwrap();
    String::from_utf8(buffer[..length].to_vec()).unwrap()
}

#[test]
fn a_manager_is_told_over_a_path_or_an_abstract_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notify");
    let name = format!("strongroom-test-{}-{}", std::process::id(), path.display());
    let named = SocketAddr::from_abstract_name(&name).unwrap();
    for (socket, variable) in [
        (UnixDatagram::bind(&path).unwrap(), path.display().to_string()),
        (UnixDatagram::bind_addr(&named).unwrap(), format!("@{name}")),
    ] {
        let notify = of(&[("NOTIFY_SOCKET", &variable)]).unwrap();
        assert!(notify.is_wanted());
        notify.ready();
        assert_eq!(heard(&socket), "READY=1");
        notify.status("two\nlines");
        assert_eq!(heard(&socket), "STATUS=two lines");
        notify.reloading();
        let text = heard(&socket);
        let time = text.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").unwrap();
        assert!(time.parse::<u64>().unwrap() > 0, "{text}");
        notify.stopping();
        assert!(heard(&socket).starts_with("STOPPING=1\nSTATUS="));
    }
}

#[test]
fn without_a_manager_nothing_is_sent_and_a_lost_one_hurts_nobody() {
    let nobody = of(&[("WATCHDOG_USEC", "1000000"), ("NOTIFY_SOCKET", "")]).unwrap();
    assert!(!nobody.is_wanted());
    assert_eq!(nobody.watchdog, None);
    nobody.ready();
    let lost = of(&[("NOTIFY_SOCKET", "/no/such/socket")]).unwrap();
    lost.ready();
    assert!(lost.has_failed.load(super::Ordering::Relaxed));
}

#[test]
fn a_watchdog_is_heeded_where_it_is_for_this_process() {
    let socket = ("NOTIFY_SOCKET", "@strongroom-test");
    let own = std::process::id().to_string();
    for (id, expected) in [
        (Some(own.as_str()), Some(Duration::from_secs(30))),
        (None, Some(Duration::from_secs(30))),
        (Some("1"), None),
    ] {
        let mut pairs = vec![socket, ("WATCHDOG_USEC", "30000000")];
        pairs.extend(id.map(|id| ("WATCHDOG_PID", id)));
        assert_eq!(of(&pairs).unwrap().watchdog, expected, "{id:?}");
    }
}

#[test]
fn variables_that_cannot_be_used_are_named() {
    for (pairs, expected) in [
        (vec![("NOTIFY_SOCKET", "notify")], "NOTIFY_SOCKET, \"notify\": neither a path"),
        (vec![("NOTIFY_SOCKET", "/a"), ("WATCHDOG_USEC", "0")], "WATCHDOG_USEC, \"0\": no time"),
        (vec![("NOTIFY_SOCKET", "/a"), ("WATCHDOG_USEC", "-1")], "WATCHDOG_USEC, \"-1\""),
    ] {
        let error = of(&pairs).unwrap_err();
        assert!(error.contains(expected), "{error}");
    }
    let long = format!("/{}", "a".repeat(200));
    assert!(of(&[("NOTIFY_SOCKET", &long)]).unwrap_err().contains("NOTIFY_SOCKET"));
}
