use super::*;
use crate::store::tests::{hex, unhex};

fn id(index: u64) -> EntryId {
    EntryId { index, term: 3, node: 9 }
}

fn every_record() -> Vec<Record> {
    vec![
        Record::Start(None),
        Record::Start(Some(id(6))),
        Record::Vote(Bytes::from_static(b"vote")),
        Record::Vote(Bytes::new()),
        Record::Entry(Entry { id: id(7), payload: Bytes::from_static(b"payload") }),
        Record::Entry(Entry { id: id(8), payload: Bytes::new() }),
        Record::Truncate(None),
        Record::Truncate(Some(7)),
        Record::Purge(id(5)),
        Record::Committed(id(7)),
    ]
}

fn batch(records: &[Record]) -> Vec<u8> {
    let mut builder = BatchBuilder::new();
    for record in records {
        builder.push(record);
    }
    builder.finish(2, 41, Position { segment: 1, offset: 4096 }).to_vec()
}

#[test]
fn segment_has_the_bytes_it_always_had() {
    let mut segment = encode_segment_header(2)[..64].to_vec();
    segment.extend_from_slice(&batch(&every_record()));
    let golden = include_str!("../../../../tests/golden/log-segment-v1.hex");
    assert_eq!(hex(&segment), golden);
    let segment = unhex(golden);
    assert_eq!(decode_segment_header(&segment).unwrap(), 2);
    let (header, records) = decode_batch(&segment[64..], 2).unwrap();
    assert_eq!(header.number, 41);
    assert_eq!(header.synced, Position { segment: 1, offset: 4096 });
    let records: Vec<Record> = records.into_iter().map(|(record, ..)| record).collect();
    assert_eq!(records, every_record());
}

#[test]
fn record_takes_what_it_says_and_stands_where_it_says() {
    let mut builder = BatchBuilder::new();
    let mut places = Vec::new();
    for record in every_record() {
        let before = builder.bytes();
        let (at, bytes) = builder.push(&record);
        assert_eq!((at as usize, bytes as usize), (before, record.bytes()), "{record:?}");
        assert_eq!(builder.bytes(), before + record.bytes(), "{record:?}");
        places.push((at as usize, record));
    }
    let batch = builder.finish(1, 1, Position::default());
    assert_eq!(batch.len() % ALIGNMENT, 0);
    for (at, record) in places {
        assert_eq!(decode_record(&batch[at..]).unwrap().0, record);
    }
}

#[test]
fn batch_with_any_bit_changed_or_byte_missing_is_not_read() {
    let whole = batch(&every_record());
    let (header, _) = decode_batch(&whole, 2).unwrap();
    let end = BATCH_HEADER_BYTES + header.body_bytes as usize;
    for at in 0..end {
        for bit in 0..8 {
            let mut damaged = whole.clone();
            damaged[at] ^= 1 << bit;
            assert!(decode_batch(&damaged, 2).is_none(), "bit {bit} of byte {at}");
        }
        assert!(decode_batch(&whole[..at], 2).is_none(), "cut at {at}");
    }
}

#[test]
fn what_a_reused_file_held_before_is_not_read() {
    let before = batch(&every_record());
    assert!(decode_batch(&before, 3).is_none(), "another segment's");
    // The header is the new batch's, of equal length; half of the body is still the old one's.
    let mut other = every_record();
    other[4] = Record::Entry(Entry { id: id(7), payload: Bytes::from_static(b"PAYLOAD") });
    let mut torn = batch(&other);
    let middle = torn.len() - 60;
    torn[middle..].copy_from_slice(&before[middle..]);
    assert!(decode_batch(&torn, 2).is_some(), "the change lies before the tear");
    let mut torn = batch(&other);
    torn[BATCH_HEADER_BYTES..middle].copy_from_slice(&before[BATCH_HEADER_BYTES..middle]);
    assert!(decode_batch(&torn, 2).is_none());
}

#[test]
fn segment_header_that_is_not_ours_or_newer_is_refused() {
    let header = encode_segment_header(7);
    let changed = |at: usize, to: u8| {
        let mut changed = header.clone();
        changed[at] = to;
        decode_segment_header(&changed).unwrap_err()
    };
    assert_eq!(changed(0, b'X'), HeaderError::Damaged("not a segment of a log"));
    assert_eq!(changed(8, 9), HeaderError::Newer(9));
    assert_eq!(changed(12, 8), HeaderError::Damaged("segment header fails its checksum"));
    let cut = decode_segment_header(&header[..15]).unwrap_err();
    assert_eq!(cut, HeaderError::Damaged("segment header is cut"));
}
