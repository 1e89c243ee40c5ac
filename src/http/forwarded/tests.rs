use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};

use super::super::decode::Origin;
use super::super::settings::ForwardedFor;
use super::origin;
use crate::network::Network;

fn network(text: &str) -> Network {
    text.parse().unwrap()
}

fn rule() -> ForwardedFor {
    ForwardedFor {
        authorized: vec![network("10.0.0.0/8")],
        hop_skips: 0,
        reject_not_present: true,
        reject_not_authorized: true,
        client_certificate_header: None,
    }
}

/// The remote that results, or the text of the refusal.
fn remote(rule: &ForwardedFor, peer: &str, sent: &[&str]) -> Result<String, String> {
    let mut headers = HeaderMap::new();
    for value in sent {
        headers.append("x-forwarded-for", HeaderValue::from_str(value).unwrap());
    }
    let own = Origin { remote: Some(peer.parse().unwrap()), client_certificates: Vec::new() };
    origin(rule, &headers, own)
        .map(|origin| origin.remote.unwrap().to_string())
        .map_err(|refusal| format!("{} {}", refusal.status, refusal.errors.concat()))
}

#[test]
fn an_authorized_proxy_is_believed_from_the_right() {
    let proxy = "10.0.0.1:99";
    for (hop_skips, sent, expected) in [
        (0, vec!["192.0.2.1"], Ok("192.0.2.1:99")),
        (0, vec!["6.6.6.6, 192.0.2.1"], Ok("192.0.2.1:99")),
        (0, vec!["6.6.6.6", "192.0.2.1"], Ok("192.0.2.1:99")),
        (1, vec!["6.6.6.6, 192.0.2.1, 10.0.0.2"], Ok("192.0.2.1:99")),
        (0, vec!["2001:db8::1"], Ok("[2001:db8::1]:99")),
        (1, vec!["192.0.2.1"], Err("malformed")),
        (0, vec!["192.0.2.1, unknown"], Err("no address")),
        (0, vec!["192.0.2.1,"], Err("no address")),
    ] {
        let rule = ForwardedFor { hop_skips, ..rule() };
        let result = remote(&rule, proxy, &sent);
        match expected {
            Ok(expected) => assert_eq!(result.as_deref(), Ok(expected), "{sent:?}"),
            Err(_) => assert!(result.unwrap_err().starts_with("400 "), "{sent:?}"),
        }
    }
}

#[test]
fn others_are_refused_or_stand_for_themselves() {
    let (stranger, proxy) = ("192.0.2.9:99", "10.0.0.1:99");
    let lenient =
        ForwardedFor { reject_not_authorized: false, reject_not_present: false, ..rule() };
    assert!(remote(&rule(), stranger, &["192.0.2.1"]).is_err());
    assert!(remote(&rule(), proxy, &[]).is_err());
    assert_eq!(remote(&lenient, stranger, &["192.0.2.1"]).as_deref(), Ok(stranger));
    assert_eq!(remote(&lenient, proxy, &[]).as_deref(), Ok(proxy));
}

#[test]
fn a_proxys_client_certificate_is_taken_in_its_usual_forms() {
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::new([]).unwrap().self_signed(&key).unwrap();
    let (pem, der) = (certificate.pem(), certificate.der().to_vec());
    let percent: String = pem
        .bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' => char::from(byte).to_string(),
            _ => format!("%{byte:02x}"),
        })
        .collect();
    let rule = ForwardedFor {
        client_certificate_header: Some(HeaderName::from_static("x-client-cert")),
        ..rule()
    };
    let chain = |peer: &str, sent: Option<&str>| {
        let mut headers = HeaderMap::new();
        headers.insert("x-forwarded-for", HeaderValue::from_static("192.0.2.1"));
        if let Some(sent) = sent {
            headers.insert("x-client-cert", HeaderValue::from_str(sent).unwrap());
        }
        let own = Origin {
            remote: Some(peer.parse().unwrap()),
            client_certificates: vec![b"the proxy's own".to_vec()],
        };
        let rule = ForwardedFor { reject_not_authorized: false, ..rule.clone() };
        origin(&rule, &headers, own).map(|origin| origin.client_certificates)
    };
    let proxy = "10.0.0.1:99";
    for sent in [percent, pem.replace('\n', " "), STANDARD.encode(&der)] {
        assert_eq!(chain(proxy, Some(&sent)).unwrap(), std::slice::from_ref(&der), "{sent}");
    }
    assert_eq!(chain(proxy, None).unwrap(), Vec::<Vec<u8>>::new());
    assert!(chain(proxy, Some("?")).is_err());
    assert!(chain(proxy, Some("")).is_err());
    // From anyone else the header means nothing.
    let stranger = chain("192.0.2.9:99", Some(&STANDARD.encode(&der))).unwrap();
    assert_eq!(stranger, [b"the proxy's own".to_vec()]);
}
