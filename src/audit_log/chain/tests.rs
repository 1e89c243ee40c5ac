use super::*;

fn chain() -> Chain {
    Chain::begin(ChainKey::of_salt(b"salt"), [0xab; 8])
}

#[test]
fn a_sealed_line_is_json_with_the_chain_last_and_reads_back() {
    for (style, line) in [
        (Style::Json, r#"{"time":"t","own":{"chain":{"own":1}},"data":{"a":",\"chain\":{"}}"#),
        (Style::Json, r#"prefix {"time":"t"}"#),
        (
            Style::Jsonx,
            "<json:object xmlns:json=\"x\"><json:null name=\"a\"></json:null></json:object>",
        ),
    ] {
        let mut chain = chain();
        let mut sealed = line.to_owned();
        chain.seal(&mut sealed, style);
        let read = Sealed::read(sealed.as_bytes()).unwrap_or_else(|| panic!("{sealed}"));
        assert!(read.is_unchanged(), "{sealed}");
        assert!(read.is_by(&ChainKey::of_salt(b"salt")), "{sealed}");
        assert!(!read.is_by(&ChainKey::of_salt(b"other")), "{sealed}");
        assert_eq!(Some(read.head.clone()), chain.head());
        assert_eq!(read.head.number, 1);
        if style == Style::Json {
            let start = sealed.find('{').unwrap();
            let value: serde_json::Value = serde_json::from_str(&sealed[start..]).unwrap();
            let members = value.as_object().unwrap();
            assert_eq!(members.keys().next_back().unwrap(), "chain");
            assert_eq!(members["chain"]["seq"], 1);
        }
    }
}

#[test]
fn every_changed_byte_shows() {
    let mut chain = chain();
    let mut line = r#"{"time":"t","path":"secret/a"}"#.to_owned();
    chain.seal(&mut line, Style::Json);
    let key = ChainKey::of_salt(b"salt");
    for at in 0..line.len() {
        for flip in [1, 0x20] {
            let mut bytes = line.clone().into_bytes();
            bytes[at] ^= flip;
            let read = Sealed::read(&bytes);
            // A hexadecimal digit in capitals is the same digit.
            let same = read.as_ref().is_some_and(|read| {
                read.is_unchanged()
                    && read.is_by(&key)
                    && read.head.hash != chain.head().unwrap().hash
            });
            let good = read.is_some_and(|read| read.is_unchanged() && read.is_by(&key));
            assert!(!good || same || flip == 0x20, "byte {at} of {line}");
        }
    }
}

#[test]
fn links_read_back_in_either_style_and_nothing_else_is_one() {
    let link = Link {
        device: "a \"quoted\" & more/".into(),
        node: "n1".into(),
        previous: Some(Head { segment: "0011223344556677".into(), number: 7, hash: hex(&[1; 32]) }),
        torn: 3,
    };
    for style in [Style::Json, Style::Jsonx] {
        for prefix in ["", "p: "] {
            let mut line = link.line("2026-11-24T00:00:00Z", prefix, style);
            chain().seal(&mut line, style);
            let read = Sealed::read(line.as_bytes()).unwrap_or_else(|| panic!("{line}"));
            assert_eq!(read.link().as_ref(), Some(&link), "{line}");
        }
    }
    let mut line =
        r#"{"type":"request","link":{"device":"","node":"","previous":null}}"#.to_owned();
    chain().seal(&mut line, Style::Json);
    assert_eq!(Sealed::read(line.as_bytes()).unwrap().link(), None);
}

#[test]
fn heads_and_keys_are_text_and_back() {
    let head = Head { segment: "0011223344556677".into(), number: 7, hash: hex(&[1; 32]) };
    assert_eq!(head.to_string().parse(), Ok(head));
    let key = ChainKey::of_salt(b"x");
    assert_eq!(key.text().parse::<ChainKey>().unwrap().text(), key.text());
    for wrong in ["", "a", "a:b:c", "a:1:00", "a:1:zz:1"] {
        assert!(wrong.parse::<Head>().is_err(), "{wrong}");
        assert!(wrong.parse::<ChainKey>().is_err(), "{wrong}");
    }
    assert!(!format!("{key:?}").contains(&key.text()));
}

#[test]
fn what_is_no_record_is_none() {
    for line in [
        "",
        "{}",
        "}}",
        "{\"a\":1,\"chain\":{}}",
        "{\"a\":1,\"chain\":{\"segment\":\"x\",\"seq\":1,\"prev\":\"\",\"hash\":\"\",\"mac\":\"\"}}",
        "<json:object name=\"chain\">",
    ] {
        assert!(Sealed::read(line.as_bytes()).is_none(), "{line}");
    }
    assert!(Sealed::read(&[0xff, 0xfe]).is_none());
}

proptest::proptest! {
    #[test]
    fn no_line_panics(line in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
        if let Some(sealed) = Sealed::read(&line) {
            drop(sealed.link());
        }
    }

    #[test]
    fn no_line_with_marks_panics(text in "[{}\",:a-f0-9]{0,40}") {
        for line in [format!("{text},\"chain\":{{{text}}}}}"), format!("<json:object name=\"chain\">{text}")] {
            if let Some(sealed) = Sealed::read(line.as_bytes()) {
                drop(sealed.link());
            }
        }
    }
}
