use std::os::unix::fs::PermissionsExt as _;

use super::*;
use crate::clock::{Clock as _, SystemClock};
use crate::cluster::{Authority, renew_at, validity};
use crate::rng::SystemRng;

fn name(node: u64) -> NodeName {
    NodeName { cluster: "cluster".into(), node }
}

fn issue(authority: &Authority, identity: &Identity, node: u64) -> CertificateDer<'static> {
    let request = identity.request().unwrap();
    authority.issue(&request, &name(node), SystemClock.now(), &SystemRng).unwrap()
}

#[test]
fn a_node_is_who_it_was_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let first = Identity::open(folder.path(), &SystemRng).unwrap();
    assert_eq!(first.issued(), None);
    let authority = Authority::generate("cluster", SystemClock.now(), &SystemRng).unwrap();
    let certificate = issue(&authority, &first, first.id());
    first.install(certificate.clone(), vec![authority.certificate().clone()]).unwrap();
    let again = Identity::open(folder.path(), &SystemRng).unwrap();
    assert_eq!(again.id(), first.id());
    let issued = again.issued().unwrap();
    assert_eq!(issued.certificate, certificate);
    assert_eq!(issued.name, name(first.id()));
    assert_eq!(issued.authorities, [authority.certificate().clone()]);
    for entry in fs::read_dir(folder.path()).unwrap() {
        let entry = entry.unwrap();
        let mode = entry.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{:?}", entry.file_name());
    }
    let elsewhere = tempfile::tempdir().unwrap();
    assert_ne!(Identity::open(elsewhere.path(), &SystemRng).unwrap().id(), first.id());
}

#[test]
fn a_certificate_of_another_is_not_taken() {
    let [one, two] = [(), ()].map(|()| tempfile::tempdir().unwrap());
    let own = Identity::open(one.path(), &SystemRng).unwrap();
    let other = Identity::open(two.path(), &SystemRng).unwrap();
    let authority = Authority::generate("cluster", SystemClock.now(), &SystemRng).unwrap();
    let authorities = vec![authority.certificate().clone()];
    for (certificate, why) in [
        (issue(&authority, &own, own.id() ^ 1), "of another id"),
        (issue(&authority, &other, own.id()), "of another key"),
    ] {
        let refused = own.install(certificate, authorities.clone());
        assert!(matches!(refused, Err(IdentityError::Foreign)), "{why}: {refused:?}");
    }
    let without = own.install(issue(&authority, &own, own.id()), vec![]);
    assert!(matches!(without, Err(IdentityError::Foreign)), "{without:?}");
    own.install(issue(&authority, &own, own.id()), authorities.clone()).unwrap();
    let request = own.request().unwrap();
    let moved = NodeName { cluster: "elsewhere".into(), node: own.id() };
    let moved = authority.issue(&request, &moved, SystemClock.now(), &SystemRng).unwrap();
    let refused = own.install(moved, authorities);
    assert!(matches!(refused, Err(IdentityError::Foreign)), "another cluster: {refused:?}");
}

#[test]
fn damaged_files_are_not_replaced() {
    for (file, text) in [
        (ID_FILE, Some("0\n")),
        (ID_FILE, Some("x")),
        (KEY_FILE, Some("-----BEGIN")),
        (KEY_FILE, None),
        (CERTIFICATE_FILE, Some("-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n")),
        (CERTIFICATE_FILE, Some("")),
    ] {
        let folder = tempfile::tempdir().unwrap();
        Identity::open(folder.path(), &SystemRng).unwrap();
        let path = folder.path().join(file);
        match text {
            Some(text) => fs::write(&path, text).unwrap(),
            None => fs::remove_file(&path).unwrap(),
        }
        assert!(Identity::open(folder.path(), &SystemRng).is_err(), "{file} {text:?}");
    }
}

#[test]
fn an_authority_comes_back_from_its_texts_and_signs_within_its_dates() {
    let folder = tempfile::tempdir().unwrap();
    let identity = Identity::open(folder.path(), &SystemRng).unwrap();
    let now = SystemClock.now();
    let made = Authority::generate("cluster", now, &SystemRng).unwrap();
    let authority = Authority::from_pem(&made.certificate_pem(), &made.key_pem()).unwrap();
    assert_eq!(authority.fingerprint(), made.fingerprint());
    assert_eq!(authority.certificate(), made.certificate());
    let request = identity.request().unwrap();
    let whole = validity(authority.certificate()).unwrap();
    for time in [0, now.0, u64::MAX / 2] {
        let time = crate::clock::Timestamp(time);
        let node = name(identity.id());
        let certificate = authority.issue(&request, &node, time, &SystemRng).unwrap();
        let (begin, end) = validity(&certificate).unwrap();
        assert!(whole.0 <= begin && begin <= end && end <= whole.1, "{time:?}");
        let renew = renew_at(&certificate).unwrap();
        assert!(begin <= renew && renew <= end);
    }
    let mut changed = request;
    *changed.last_mut().unwrap() ^= 1;
    let refused = authority.issue(&changed, &name(1), now, &SystemRng);
    assert!(matches!(refused, Err(CertificateError::Request)), "not signed by its key");
}
