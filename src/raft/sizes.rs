//! How many bytes the log's entries take: large ones must not fill the disk before there are
//! many of them.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

/// Counts what is applied. After a restart it begins anew, so that for a while up to twice as
/// much is kept.
#[derive(Default)]
pub(super) struct Sizes(Mutex<Marks>);

#[derive(Default)]
struct Marks {
    total: u64,
    /// Indexes, and the total up to and with them.
    marks: VecDeque<(u64, u64)>,
}

impl Sizes {
    pub(super) fn add(&self, index: u64, bytes: usize) {
        let mut sizes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        sizes.total = sizes.total.saturating_add(bytes as u64);
        let last = sizes.marks.back().map_or(0, |(_, total)| *total);
        if sizes.total.saturating_sub(last) >= MARK_BYTES {
            let mark = (index, sizes.total);
            sizes.marks.push_back(mark);
        }
    }

    /// Bytes of the entries after `index`, to a mark's exactness.
    pub(super) fn after(&self, index: u64) -> u64 {
        let sizes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let before = sizes.marks.iter().rev().find(|(mark, _)| *mark <= index);
        sizes.total.saturating_sub(before.map_or(0, |(_, total)| *total))
    }

    /// The entry up to which the log may go, of those up to `limit`, so that it keeps no more
    /// than so many bytes; what it names is forgotten.
    pub(super) fn excess(&self, kept: u64, limit: u64) -> Option<u64> {
        let mut sizes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut found = None;
        while let Some((index, total)) = sizes.marks.front().copied()
            && index <= limit
            && sizes.total.saturating_sub(total) >= kept
        {
            sizes.marks.pop_front();
            found = Some(index);
        }
        found
    }
}

const MARK_BYTES: u64 = 1024 * 1024;

#[cfg(test)]
mod tests;
