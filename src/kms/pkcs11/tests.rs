use super::*;

#[test]
fn the_name_of_a_key_is_read_as_it_was_written() {
    let all = [
        Key { label: Some("a".into()), id: None },
        Key { label: Some("label=,id=00".into()), id: None },
        Key { label: None, id: Some(vec![0, 0xff]) },
        Key { label: Some("b,label=c".into()), id: Some(vec![1]) },
    ];
    for key in all {
        assert_eq!(Key::read(&key.to_string()), Some(key));
    }
    for text in ["", "x", "id=", "id=0", "id=zz", "id=0,label=a"] {
        assert_eq!(Key::read(text), None, "{text}");
    }
}

#[test]
fn mechanisms_have_names_and_numbers() {
    for (text, expected) in [
        ("CKM_AES_GCM", Wrapping::AesGcm),
        ("0x1087", Wrapping::AesGcm),
        ("4231", Wrapping::AesGcm),
        ("CKM_RSA_PKCS_OAEP", Wrapping::RsaOaep),
        ("0x0009", Wrapping::RsaOaep),
        ("9", Wrapping::RsaOaep),
    ] {
        assert_eq!(Wrapping::read(text), Ok(expected), "{text}");
        assert_eq!(Wrapping::of_number(expected.number()), Some(expected));
    }
    for text in ["", "CKM_AES_CBC_PAD", "0x1085", "0x"] {
        assert!(Wrapping::read(text).unwrap_err().contains("CKM_AES_GCM"), "{text}");
    }
    for (hash, name, number) in OaepHash::ALL {
        assert_eq!((OaepHash::read(name), OaepHash::of_number(number)), (Ok(hash), Some(hash)));
        assert_eq!(hash.number(), number);
    }
    assert!(OaepHash::read("md5").is_err());
}

#[test]
fn a_library_that_is_none_is_told() {
    let options = |library: &str| Pkcs11Options {
        library: library.into(),
        token: Pkcs11Token::Slot(0),
        pin: Secret::new("1234".into()),
        key_label: Some("k".into()),
        key_id: None,
        mechanism: None,
        oaep_hash: "sha256".into(),
    };
    let told = Pkcs11Seal::new(options("/nowhere/module.so")).err().unwrap();
    assert!(told.contains("`lib`: /nowhere/module.so cannot be loaded"), "{told}");
}
