use hyper::header::HeaderValue;

use super::*;

const UUID: &str = "01234567-89ab-cdef-0123-456789abcdef";

fn read(authorized: &[&str], peer: &str, sent: &[&str]) -> Result<Option<RequestId>, u16> {
    let authorized: Vec<Network> = authorized.iter().map(|one| one.parse().unwrap()).collect();
    let mut headers = HeaderMap::new();
    for value in sent {
        headers.append(REQUEST_ID, HeaderValue::from_str(value).unwrap());
    }
    of(&authorized, &headers, Some(peer.parse().unwrap())).map_err(|refusal| refusal.status)
}

#[test]
fn only_an_authorized_proxy_names_requests() {
    let sent = format!("1700000000123-{UUID}");
    let id = 0x0123_4567_89ab_cdef_0123_4567_89ab_cdef_u128.to_be_bytes();
    let named = RequestId::Proxied { made: Timestamp(1_700_000_000_123), id };
    for (authorized, sent, expected) in [
        (["10.0.0.0/8"], vec![sent.as_str()], Some(named)),
        (["10.0.0.0/8"], vec![], None),
        (["192.0.2.0/24"], vec![sent.as_str()], None),
        (["192.0.2.0/24"], vec!["nonsense"], None),
    ] {
        assert_eq!(read(&authorized, "10.0.0.1:99", &sent), Ok(expected), "{sent:?}");
    }
    assert_eq!(read(&[], "10.0.0.1:99", &[&sent]), Ok(None));
}

#[test]
fn what_is_no_id_is_refused() {
    let good = format!("1-{UUID}");
    let too_long = format!("{}-{UUID}", "9".repeat(30));
    for sent in [
        vec![""],
        vec!["1700000000123"],
        vec![UUID],
        vec!["-01234567-89ab-cdef-0123-456789abcdef"],
        vec!["+1-01234567-89ab-cdef-0123-456789abcdef"],
        vec!["1-0123456789abcdef0123456789abcdef"],
        vec!["1-01234567-89ab-cdef-0123-456789abcdeg"],
        vec!["1-01234567-89ab-cdef-0123-+56789abcdef"],
        vec![&too_long],
        vec![&good, &good],
    ] {
        assert_eq!(read(&["10.0.0.0/8"], "10.0.0.1:99", &sent), Err(400), "{sent:?}");
    }
}
