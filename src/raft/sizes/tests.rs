use super::*;

#[test]
fn the_log_goes_as_far_as_bytes_and_snapshot_allow() {
    let sizes = Sizes::default();
    let mebibyte = 1024 * 1024;
    for index in 1..=10 {
        sizes.add(index, mebibyte);
    }
    let mebibytes = |count: u64| count * mebibyte as u64;
    assert_eq!(sizes.after(0), mebibytes(10));
    assert_eq!(sizes.after(7), mebibytes(3));
    assert_eq!(sizes.excess(mebibytes(10), 10), None, "all of it fits");
    assert_eq!(sizes.excess(mebibytes(4), 3), Some(3), "no further than the snapshot");
    assert_eq!(sizes.excess(mebibytes(4), 10), Some(6));
    assert_eq!(sizes.excess(mebibytes(4), 10), None, "it has gone already");
    assert_eq!(sizes.after(9), mebibytes(1));
}

#[test]
fn small_entries_take_no_memory() {
    let sizes = Sizes::default();
    for index in 0..100_000 {
        sizes.add(index, 100);
    }
    assert_eq!(sizes.0.lock().unwrap().marks.len(), 9);
}
