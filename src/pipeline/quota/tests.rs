use std::net::{IpAddr, SocketAddr};

use super::{CLIENTS_MAX, Clients, Taken, client};
use crate::clock::Timestamp;
use crate::quota::RateLimit;
use crate::request::Request;

fn limit(rate: f64, interval: u64, block_interval: u64) -> RateLimit {
    RateLimit { name: "q".into(), rate, interval, block_interval, ..RateLimit::default() }
}

fn tell(taken: &Taken) -> String {
    match taken {
        Taken::Granted { left, reset } => format!("{left} left, {} ms", reset.as_millis()),
        Taken::Refused { wait, reset } => {
            format!("refused for {} ms, {} ms", wait.as_millis(), reset.as_millis())
        }
        Taken::Blocked { wait } => format!("blocked for {} ms", wait.as_millis()),
    }
}

#[test]
fn a_window_begins_with_the_first_request() {
    let mut clients = Clients::default();
    let limit = limit(1.5, 3, 0);
    let address: IpAddr = "192.0.2.1".parse().unwrap();
    for (time, expected) in [
        (1000, "1 left, 3000 ms"),
        (2000, "0 left, 2000 ms"),
        (2500, "refused for 1500 ms, 1500 ms"),
        (3999, "refused for 1 ms, 1 ms"),
        (4000, "1 left, 3000 ms"),
        (60_000, "1 left, 3000 ms"),
    ] {
        let taken = clients.take(&limit, address, Timestamp(time));
        assert_eq!(tell(&taken), expected, "{time}");
    }
}

#[test]
fn whoever_is_over_is_blocked_for_a_time() {
    let mut clients = Clients::default();
    let limit = limit(1.0, 1, 10);
    let address: IpAddr = "192.0.2.1".parse().unwrap();
    for (time, expected) in [
        (0, "0 left, 1000 ms"),
        (100, "refused for 10000 ms, 900 ms"),
        (5000, "blocked for 5100 ms"),
        (10_099, "blocked for 1 ms"),
        (10_100, "0 left, 1000 ms"),
    ] {
        let taken = clients.take(&limit, address, Timestamp(time));
        assert_eq!(tell(&taken), expected, "{time}");
    }
    // Another address is another client.
    let other = clients.take(&limit, "192.0.2.2".parse().unwrap(), Timestamp(200));
    assert!(matches!(other, Taken::Granted { .. }));
}

#[test]
fn memory_is_bounded_whoever_asks() {
    let mut clients = Clients::default();
    let limit = limit(1.0, 1000, 0);
    for number in 0..u32::try_from(CLIENTS_MAX).unwrap() + 1000 {
        clients.take(&limit, IpAddr::V4(number.into()), Timestamp(5));
    }
    assert_eq!(clients.by_key.len(), CLIENTS_MAX);
    // Those that are over go first.
    clients.take(&limit, "::1".parse().unwrap(), Timestamp(2_000_000));
    assert_eq!(clients.by_key.len(), 1);
}

#[test]
fn a_network_of_ipv6_is_one_client() {
    let of = |text: &str| {
        let remote = text.parse::<SocketAddr>().unwrap();
        client(&Request { remote: Some(remote), ..Request::default() }).to_string()
    };
    for (remote, expected) in [
        ("192.0.2.1:5", "192.0.2.1"),
        ("[::ffff:192.0.2.1]:5", "192.0.2.1"),
        ("[2001:db8:1:2:3:4:5:6]:7", "2001:db8:1:2::"),
        ("[2001:db8:1:2::]:7", "2001:db8:1:2::"),
        ("[2001:db8:1:3::1]:7", "2001:db8:1:3::"),
    ] {
        assert_eq!(of(remote), expected);
    }
}
