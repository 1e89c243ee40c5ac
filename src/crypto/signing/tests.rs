use super::{SigningAlgorithm, SigningKey};

#[test]
fn every_algorithm_verifies_its_own_signature_and_no_other() {
    for algorithm in SigningAlgorithm::ALL {
        let pkcs8 = algorithm.generate().unwrap();
        let key = SigningKey::from_pkcs8(algorithm, pkcs8.expose()).unwrap();
        let signature = key.sign(b"message").unwrap();
        let public = key.public().unwrap();
        assert!(algorithm.verify(&public, b"message", &signature), "{algorithm:?}");
        assert!(!algorithm.verify(&public, b"massage", &signature), "{algorithm:?}");
        let mut changed = signature.clone();
        changed[3] ^= 1;
        assert!(!algorithm.verify(&public, b"message", &changed), "{algorithm:?}");
        let other = algorithm.generate().unwrap();
        let other = SigningKey::from_pkcs8(algorithm, other.expose()).unwrap();
        assert!(!algorithm.verify(&other.public().unwrap(), b"message", &signature));
    }
}

#[test]
fn a_name_is_read_as_it_is_written() {
    for algorithm in SigningAlgorithm::ALL {
        assert_eq!(SigningAlgorithm::parse(algorithm.name()), Some(algorithm));
    }
    assert_eq!(SigningAlgorithm::parse("none"), None);
    assert_eq!(SigningAlgorithm::parse("HS256"), None);
}

#[test]
fn a_key_of_another_kind_is_refused() {
    let pkcs8 = SigningAlgorithm::Es256.generate().unwrap();
    for other in [SigningAlgorithm::Rs256, SigningAlgorithm::Es384, SigningAlgorithm::EdDsa] {
        assert!(SigningKey::from_pkcs8(other, pkcs8.expose()).is_err(), "{other:?}");
    }
}
