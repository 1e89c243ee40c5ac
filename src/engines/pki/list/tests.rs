use std::sync::Arc;

use super::{COMPACTED_MAX, Change, ENTRIES_MAX, Entry, Piece};
use crate::clock::Timestamp;

fn piece(number: u64, ends: &[u64]) -> (u64, Arc<Piece>) {
    let entry = |end: &u64| Entry::new(&[1], Timestamp(0), Timestamp(*end));
    (number, Arc::new(Piece::try_from(ends.iter().map(entry).collect::<Vec<_>>()).unwrap()))
}

/// By piece, when its entries end.
fn ends(change: &Change) -> Vec<(u64, Vec<u64>)> {
    let of = |piece: &Piece| piece.entries.iter().map(|entry| entry.until.0).collect();
    change.pieces.iter().map(|(number, piece)| (*number, of(piece))).collect()
}

#[test]
fn what_is_over_goes_and_what_is_left_moves_together() {
    let over = Timestamp(5);
    for (pieces, left, written, gone) in [
        (vec![piece(0, &[5, 9])], vec![(0, vec![5, 9])], vec![], vec![]),
        (vec![piece(0, &[4, 9])], vec![(0, vec![9])], vec![0], vec![]),
        (vec![piece(0, &[4])], vec![], vec![], vec![0]),
        (
            vec![piece(0, &[9]), piece(1, &[1, 2]), piece(2, &[3, 8])],
            vec![(0, vec![9, 8])],
            vec![0],
            vec![1, 2],
        ),
        (
            vec![piece(3, &[7; ENTRIES_MAX]), piece(1, &[1, 8])],
            vec![(3, vec![7; ENTRIES_MAX]), (1, vec![8])],
            vec![1],
            vec![],
        ),
    ] {
        let change = Change::compact(pieces, over).unwrap();
        assert_eq!(ends(&change), left);
        assert_eq!(change.written.into_iter().collect::<Vec<u64>>(), written);
        assert_eq!(change.gone, gone);
    }
}

#[test]
fn one_signing_writes_a_bounded_number_of_pieces() {
    let all = || (0..100).map(|number| piece(number, &[1, 9])).collect::<Vec<_>>();
    let mut change = Change::compact(all(), Timestamp(5)).unwrap();
    let mut rounds = 1;
    while change.pieces.iter().any(|(_, piece)| piece.entries.iter().any(|one| one.until.0 == 1)) {
        assert!(change.written.len() + change.gone.len() <= COMPACTED_MAX + 1);
        change = Change::compact(change.pieces, Timestamp(5)).unwrap();
        rounds += 1;
    }
    assert!((4..20).contains(&rounds), "{rounds}");
    assert_eq!(change.pieces.iter().map(|(_, piece)| piece.entries.len()).sum::<usize>(), 100);
}

#[test]
fn an_entry_more_goes_to_the_last_piece_until_that_is_full() {
    let mut change = Change::compact(vec![piece(7, &[9; ENTRIES_MAX - 1])], Timestamp(0)).unwrap();
    let entry = || Entry::new(&[2], Timestamp(3), Timestamp(1));
    assert!(!change.add(entry(), 8).unwrap());
    assert!(change.add(entry(), 8).unwrap());
    assert!(!change.add(entry(), 9).unwrap());
    let (_, last) = ends(&change).pop().unwrap();
    // Revoked after its end.
    assert_eq!(last, [3, 3]);
    let der = change.ders().concat();
    assert_eq!(der.len() % (ENTRIES_MAX + 2), 0);
}
