use super::*;
use crate::record::OriginId;
use crate::store::tests::{hex, unhex};

fn sample() -> Batch {
    Batch {
        header: Header {
            leadership: Leadership { term: 3, node: 7 },
            time: Timestamp(1_700_000_000_123),
            request: Some(RequestId::Numbered { origin: OriginId([6; 16]), number: 9 }),
            step: 1,
            finished: vec![(1, 5), (7, 7)],
        },
        reads: vec![(StoredKey([1; 32]), Revision(5))],
        directories: vec![(StoredDirectory([2; 16]), Revision(6))],
        occupied: vec![StoredDirectory([3; 16])],
        writes: vec![
            Write {
                key: StoredKey([4; 32]),
                value: Some(Ciphertext::from_sealed(Bytes::from_static(b"sealed"))),
            },
            Write { key: StoredKey([5; 32]), value: None },
        ],
        system_reads: vec![(SystemKey::Cluster, Revision::ABSENT)],
        system_writes: vec![(SystemKey::FeatureLevel, Some(Bytes::from_static(b"1")))],
        response: Some(Ciphertext::from_sealed(Bytes::from_static(b"response"))),
        restore: None,
    }
}

#[test]
fn entry_reads_back_as_it_was_written() {
    let batch = sample();
    let encoded = batch.encode();
    let entry = Batch::entry(VERSION_WITHOUT_RESTORE, encoded.clone(), Bytes::from_static(b"mac"));
    let read = Batch::decode_entry(entry).unwrap();
    assert_eq!(read, (batch, encoded, Bytes::from_static(b"mac")));
}

#[test]
fn entry_has_the_bytes_it_always_had() {
    let entry =
        Batch::entry(VERSION_WITHOUT_RESTORE, sample().encode(), Bytes::from_static(b"mac"));
    let golden = include_str!("../../../tests/golden/log-entry-v2.hex");
    assert_eq!(hex(&entry), golden);
    assert_eq!(Batch::decode_entry(unhex(golden).into()).unwrap().0, sample());
}

#[test]
fn request_id_of_the_first_version_says_nothing() {
    let batch = proto::Batch { request_id: Bytes::from_static(b"a text"), ..Default::default() };
    for (version, expected) in [(1, Ok(None)), (2, Err(DecodeError::Malformed("request id")))] {
        let batch = batch.encode_to_vec().into();
        let entry = proto::Entry { version, batch, mac: Bytes::new() };
        let read = Batch::decode_entry(entry.encode_to_vec().into());
        assert_eq!(read.map(|(batch, ..)| batch.header.request), expected, "{version}");
    }
}

#[test]
fn steps_of_a_restore_read_back_in_entries_of_their_own_version() {
    for step in [
        RestoreStep::Begin,
        RestoreStep::Piece { number: 3, bytes: Bytes::from_static(b"piece") },
        RestoreStep::Replace { pieces: 3, sha256: [8; 32] },
        RestoreStep::GiveUp,
    ] {
        let restore = Some(Restore { id: RestoreId([9; 16]), step });
        let batch = Batch { restore, ..sample() };
        assert_eq!(batch.version(), VERSION);
        let entry = Batch::entry(batch.version(), batch.encode(), Bytes::new());
        assert_eq!(Batch::decode_entry(entry).unwrap().0, batch);
    }
    assert_eq!(sample().version(), VERSION_WITHOUT_RESTORE);
}

#[test]
fn request_ids_read_back() {
    for id in [
        RequestId::Numbered { origin: OriginId([7; 16]), number: u64::MAX - 1 },
        RequestId::Proxied { made: Timestamp(1_700_000_000_123), id: [8; 16] },
    ] {
        let encoded = id.encode();
        assert_eq!(RequestId::decode(&encoded), Some(id));
        assert_eq!(RequestId::decode(&encoded[1..]), None);
        assert_eq!(RequestId::decode(&[&encoded[..], &[0]].concat()), None);
    }
    assert_eq!(RequestId::decode(&[3; 25]), None);
}

#[test]
fn entry_of_a_newer_program_is_refused() {
    let entry = proto::Entry { version: VERSION + 1, ..proto::Entry::default() };
    let error = Batch::decode_entry(entry.encode_to_vec().into()).unwrap_err();
    assert_eq!(error, DecodeError::Newer { found: VERSION + 1, supported: VERSION });
}

#[test]
fn entry_that_is_cut_or_has_a_short_key_is_refused() {
    let whole = Batch::entry(VERSION_WITHOUT_RESTORE, sample().encode(), Bytes::new());
    assert!(Batch::decode_entry(whole.slice(..whole.len() - 1)).is_err());
    let short = proto::Batch {
        writes: vec![proto::Write { key: Bytes::from_static(b"short"), value: None }],
        ..proto::Batch::default()
    };
    let entry = Batch::entry(VERSION, short.encode_to_vec().into(), Bytes::new());
    assert_eq!(Batch::decode_entry(entry).unwrap_err(), DecodeError::Malformed("stored key"));
}
