use super::*;

const HEX: &str = "fffefdfcfbfaf9f8f7f6f5f4f3f2f1f0efeeedecebeae9e8e7e6e5e4e3e2e1e0df";

#[test]
fn a_share_is_read_in_every_way_people_write_it() {
    let bytes: Vec<u8> = (0xdf..=0xff).rev().collect();
    let key = &bytes[..32];
    for (text, expected) in [
        (HEX, bytes.as_slice()),
        (&HEX.to_uppercase(), &bytes),
        (&HEX[..64], key),
        ("//79/Pv6+fj39vX08/Lx8O/u7ezr6uno5+bl5OPi4eDf", &bytes),
        ("__79_Pv6-fj39vX08_Lx8O_u7ezr6uno5-bl5OPi4eDf", &bytes),
        ("//79/Pv6+fj39vX08/Lx8O/u7ezr6uno5+bl5OPi4eA=", key),
        ("//79/Pv6+fj39vX08/Lx8O/u7ezr6uno5+bl5OPi4eA", key),
    ] {
        assert_eq!(Share::parse(text).map(|share| share.bytes().to_vec()).unwrap(), expected);
    }
}

#[test]
fn what_is_neither_hex_nor_base64_is_refused() {
    for text in ["", "00", "zz!!", "//79/Pv6+f_4", " 0g ", "=", "\u{e4}\u{e4}", &format!("{HEX} ")]
    {
        assert_eq!(Share::parse(text).err(), Some(ShareError::Text).filter(|_| text != "00"));
    }
}

#[test]
fn a_share_is_written_as_in_vault() {
    let share = Share::parse(HEX).unwrap();
    assert_eq!(share.hex().expose(), HEX);
    assert_eq!(share.base64().expose(), "//79/Pv6+fj39vX08/Lx8O/u7ezr6uno5+bl5OPi4eDf");
}

#[test]
fn a_slip_of_the_pen_is_told() {
    let share = |bytes: usize, last: u8| {
        let mut share = vec![1; bytes];
        share[bytes - 1] = last;
        Share::new(&share)
    };
    for (bytes, last, threshold, expected) in [
        (33, 1, 2, None),
        (33, 255, 255, None),
        (32, 1, 1, None),
        (32, 0, 1, None),
        (32, 1, 2, Some("invalid key: key is shorter than minimum 33 bytes")),
        (34, 1, 2, Some("invalid key: key is longer than maximum 33 bytes")),
        (31, 1, 1, Some("invalid key: key is shorter than minimum 32 bytes")),
        (33, 1, 1, Some("invalid key: key is longer than maximum 32 bytes")),
        (33, 0, 2, Some("invalid key: its last byte is 0, which no share ends with")),
    ] {
        let error = share(bytes, last).check(threshold).err().map(|error| error.to_string());
        assert_eq!(error.as_deref(), expected, "{bytes} {last} {threshold}");
    }
}

#[test]
fn the_same_share_is_known_however_written() {
    let share = Share::parse(HEX).unwrap();
    assert!(share.is_same(&Share::parse(share.base64().expose()).unwrap()));
    assert!(!share.is_same(&Share::parse(&HEX.replace("df", "de")).unwrap()));
    assert!(!share.is_same(&Share::parse(&HEX[..64]).unwrap()));
}
