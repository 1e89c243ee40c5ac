use super::*;

fn sample() -> Batch {
    Batch {
        header: Header {
            leadership: Leadership { term: 3, node: 7 },
            time: Timestamp(1_700_000_000_123),
            request_id: Bytes::from_static(b"request"),
            step: 1,
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
    }
}

#[test]
fn entry_reads_back_as_it_was_written() {
    let batch = sample();
    let encoded = batch.encode();
    let entry = Batch::entry(encoded.clone(), Bytes::from_static(b"mac"));
    let read = Batch::decode_entry(entry).unwrap();
    assert_eq!(read, (batch, encoded, Bytes::from_static(b"mac")));
}

#[test]
fn entry_of_a_newer_program_is_refused() {
    let entry = proto::Entry { version: VERSION + 1, ..proto::Entry::default() };
    let error = Batch::decode_entry(entry.encode_to_vec().into()).unwrap_err();
    assert_eq!(error, DecodeError::Newer { found: VERSION + 1, supported: VERSION });
}

#[test]
fn entry_that_is_cut_or_has_a_short_key_is_refused() {
    let whole = Batch::entry(sample().encode(), Bytes::new());
    assert!(Batch::decode_entry(whole.slice(..whole.len() - 1)).is_err());
    let short = proto::Batch {
        writes: vec![proto::Write { key: Bytes::from_static(b"short"), value: None }],
        ..proto::Batch::default()
    };
    let entry = Batch::entry(short.encode_to_vec().into(), Bytes::new());
    assert_eq!(Batch::decode_entry(entry).unwrap_err(), DecodeError::Malformed("stored key"));
}
