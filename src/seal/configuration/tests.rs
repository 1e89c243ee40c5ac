use super::*;
use crate::seal::share::Share;

#[test]
fn only_numbers_that_make_sense_are_taken() {
    for (shares, threshold, expected) in [
        (1, 1, Ok((1, 1))),
        (5, 3, Ok((5, 3))),
        (255, 255, Ok((255, 255))),
        (255, 2, Ok((255, 2))),
        (0, 0, Err("shares must be at least one")),
        (-1, 3, Err("shares must be at least one")),
        (i64::MIN, i64::MIN, Err("shares must be at least one")),
        (5, 0, Err("threshold must be at least one")),
        (5, -257, Err("threshold must be at least one")),
        (1, 2, Err("threshold cannot be larger than shares")),
        (2, 1, Err("threshold must be greater than one for multiple shares")),
        (256, 3, Err("shares must be less than 256")),
        (257, 257, Err("shares must be less than 256")),
        (i64::MAX, i64::MAX, Err("shares must be less than 256")),
    ] {
        let made = SealConfiguration::new(shares, threshold)
            .map(|made| (made.shares(), made.threshold()))
            .map_err(|error| error.to_string());
        assert_eq!(made, expected.map_err(str::to_owned), "{shares} {threshold}");
    }
}

#[test]
fn every_rekey_has_a_generation_of_its_own() {
    let first = SealConfiguration::new(5, 3).unwrap();
    let second = first.next(3, 2).unwrap();
    assert_eq!((first.generation(), second.generation()), (1, 2));
    assert_eq!((second.shares(), second.threshold()), (3, 2));
    assert_eq!(first.next(2, 1), Err(ConfigurationError::ThresholdOfOne));
}

#[test]
fn what_is_written_is_read_back() {
    let written = SealConfiguration::new(5, 3).unwrap().next(255, 200).unwrap();
    assert_eq!(SealConfiguration::decode(&written.encode()), Ok(written));
}

#[test]
fn the_format_is_the_checked_in_one() {
    let configuration = SealConfiguration::new(5, 3).unwrap();
    let golden = include_str!("../../../tests/golden/seal_configuration.hex");
    assert_eq!(Share::new(&configuration.encode()).hex().expose(), golden.trim_end());
    let read = SealConfiguration::decode(Share::parse(golden.trim_end()).unwrap().bytes());
    assert_eq!(read, Ok(configuration));
}

#[test]
fn records_of_newer_versions_and_damaged_ones_are_refused() {
    let good = wire::SealConfiguration {
        version: 1,
        seal_type: "shamir".into(),
        shares: 5,
        threshold: 3,
        generation: 1,
        ..wire::SealConfiguration::default()
    };
    let of = |change: fn(&mut wire::SealConfiguration)| {
        let mut message = good.clone();
        change(&mut message);
        SealConfiguration::decode(&message.encode_to_vec()).err()
    };
    assert_eq!(of(|_| {}), None);
    assert_eq!(of(|message| message.version = 3), Some(RecordError::Newer { version: 3 }));
    assert_eq!(of(|message| message.version = 0), Some(RecordError::Malformed));
    assert_eq!(of(|message| message.seal_type = "awskms".into()), Some(RecordError::Malformed));
    assert_eq!(of(|message| message.threshold = 6), Some(RecordError::Malformed));
    assert_eq!(of(|message| message.shares = 300), Some(RecordError::Malformed));
    assert_eq!(SealConfiguration::decode(b"\xff\xff"), Err(RecordError::Malformed));
    assert_eq!(SealConfiguration::decode(b""), Err(RecordError::Malformed));
}
