use std::collections::BTreeMap;

use super::Numbers;

/// A set of numbers that fills up from below, kept as ranges. Of what is too scattered the lowest
/// numbers between two ranges are taken for members, too.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct NumberSet {
    /// First and last of each; between two there is a gap.
    ranges: BTreeMap<u64, u64>,
}

impl NumberSet {
    pub fn contains(&self, number: u64) -> bool {
        self.ranges.range(..=number).next_back().is_some_and(|(_, last)| number <= *last)
    }

    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// All numbers from `first` to `last`; nothing where there is none.
    pub fn add(&mut self, (first, last): Numbers) {
        if first > last {
            return;
        }
        let (mut first, mut last) = (first, last);
        // Those that overlap it, end just before it or begin just after it, become one with it.
        while let Some((begin, end)) = self.last_up_to(last.saturating_add(1))
            && end.saturating_add(1) >= first
        {
            first = first.min(begin);
            last = last.max(end);
            self.ranges.remove(&begin);
        }
        self.ranges.insert(first, last);
        while self.ranges.len() > RANGES_MAX {
            self.fill_lowest_gap();
        }
    }

    pub fn iter(&self) -> impl ExactSizeIterator<Item = Numbers> {
        self.ranges.iter().map(|(first, last)| (*first, *last))
    }

    /// Takes at most `count` ranges out, the lowest first.
    pub fn take(&mut self, count: usize) -> Vec<Numbers> {
        std::iter::from_fn(|| self.ranges.pop_first()).take(count).collect()
    }

    fn last_up_to(&self, number: u64) -> Option<Numbers> {
        self.ranges.range(..=number).next_back().map(|(first, last)| (*first, *last))
    }

    fn fill_lowest_gap(&mut self) {
        if let (Some((first, end)), Some((_, last))) =
            (self.ranges.pop_first(), self.ranges.pop_first())
        {
            self.ranges.insert(first, last.max(end));
        }
    }
}

/// More than an origin has requests under way.
const RANGES_MAX: usize = 8192;

#[cfg(test)]
mod tests;
