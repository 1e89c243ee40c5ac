//! Finds the one pattern that decides, without looking at all of them.

use std::collections::BTreeMap;
use std::ops::Bound;

use super::super::pattern::{Pattern, Rank, Shape};

/// By pattern. Sorted maps stand in for a trie: what starts with a text is one range of them, and
/// an entry costs no more than its text.
#[derive(Debug)]
pub(super) struct Index<T> {
    exact: BTreeMap<String, T>,
    prefix: BTreeMap<String, T>,
    segments: BTreeMap<String, T>,
    segments_prefix: BTreeMap<String, T>,
}

impl<T> Default for Index<T> {
    fn default() -> Self {
        Self {
            exact: BTreeMap::new(),
            prefix: BTreeMap::new(),
            segments: BTreeMap::new(),
            segments_prefix: BTreeMap::new(),
        }
    }
}

impl<T> Index<T> {
    pub(super) fn get_mut(&mut self, pattern: &Pattern) -> Option<&mut T> {
        self.map_mut(pattern.shape).get_mut(&pattern.text)
    }

    pub(super) fn insert(&mut self, pattern: Pattern, value: T) {
        self.map_mut(pattern.shape).insert(pattern.text, value);
    }

    /// Sorted by text within a shape.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Shape, &str, &T)> {
        [
            (Shape::Exact, &self.exact),
            (Shape::Prefix, &self.prefix),
            (Shape::Segments, &self.segments),
            (Shape::SegmentsPrefix, &self.segments_prefix),
        ]
        .into_iter()
        .flat_map(|(shape, map)| map.iter().map(move |(text, value)| (shape, text.as_str(), value)))
    }

    pub(super) fn find_exact(&self, path: &str) -> Option<&T> {
        self.exact.get(path)
    }

    /// The greatest in rank of all patterns with wildcards that match.
    pub(super) fn find_wild(&self, path: &str) -> Option<&T> {
        let mut best = Best(None);
        best.offer(Shape::Prefix, longest_prefix(&self.prefix, path));
        self.walk(path, |stems, segment, last| {
            for stem in stems {
                let longer = format!("{stem}{segment}");
                let prefix = longest_prefix(&self.segments_prefix, &longer);
                // A shorter one was found at an earlier segment.
                let prefix = prefix.filter(|(text, _)| text.len() >= stem.len());
                best.offer(Shape::SegmentsPrefix, prefix);
                if last {
                    best.offer(Shape::Segments, self.segments.get_key_value(&longer));
                    let any = self.segments.get_key_value(&format!("{stem}+"));
                    best.offer(Shape::Segments, any);
                }
            }
        });
        best.0.map(|(_, value)| value)
    }

    /// Whether the test holds for some pattern that matches a path below `folder`, which ends in
    /// a slash. Patterns with wildcards that reach the folder itself are [`Self::find_wild`]'s.
    pub(super) fn any_below(&self, folder: &str, test: impl Fn(&T) -> bool) -> bool {
        if [&self.exact, &self.prefix].iter().any(|map| below(map, folder).any(&test)) {
            return true;
        }
        let mut found = false;
        self.walk(folder, |stems, _, last| {
            found |= last
                && stems.iter().any(|stem| {
                    below(&self.segments, stem).any(&test)
                        || below(&self.segments_prefix, stem).any(&test)
                });
        });
        found
    }

    /// Calls for each segment of the path, with all that patterns with `+` may have before it and
    /// still match, and whether it is the last.
    fn walk(&self, path: &str, mut step: impl FnMut(&[String], &str, bool)) {
        let known = |stem: &str| {
            below(&self.segments, stem).next().is_some()
                || below(&self.segments_prefix, stem).next().is_some()
        };
        let mut stems = vec![String::new()];
        let mut segments = path.split('/').peekable();
        while let Some(segment) = segments.next() {
            let last = segments.peek().is_none();
            stems.retain(|stem| known(stem));
            if stems.is_empty() {
                return;
            }
            step(&stems, segment, last);
            let literal = (segment != "+").then_some(segment);
            stems = stems
                .iter()
                .flat_map(|stem| {
                    literal.into_iter().chain(["+"]).map(move |part| format!("{stem}{part}/"))
                })
                .collect();
        }
    }

    fn map_mut(&mut self, shape: Shape) -> &mut BTreeMap<String, T> {
        match shape {
            Shape::Exact => &mut self.exact,
            Shape::Prefix => &mut self.prefix,
            Shape::Segments => &mut self.segments,
            Shape::SegmentsPrefix => &mut self.segments_prefix,
        }
    }
}

struct Best<'a, T>(Option<(Rank<'a>, &'a T)>);

impl<'a, T> Best<'a, T> {
    fn offer(&mut self, shape: Shape, candidate: Option<(&'a String, &'a T)>) {
        let Some((text, value)) = candidate else { return };
        let rank = shape.rank(text);
        if self.0.as_ref().is_none_or(|(best, _)| rank > *best) {
            self.0 = Some((rank, value));
        }
    }
}

/// The longest key that the path starts with.
fn longest_prefix<'m, T>(map: &'m BTreeMap<String, T>, path: &str) -> Option<(&'m String, &'m T)> {
    let mut bound = path;
    loop {
        // Of keys that are no prefix, the greatest below the bound differs from it as late as
        // any: a prefix of the path can only be as long as what the two share.
        let range = (Bound::Unbounded, Bound::Included(bound));
        let (key, value) = map.range::<str, _>(range).next_back()?;
        if path.starts_with(key.as_str()) {
            return Some((key, value));
        }
        let shared = key.bytes().zip(bound.bytes()).take_while(|(one, other)| one == other).count();
        bound = bound.get(..bound.floor_char_boundary(shared))?;
    }
}

/// Values of the keys that start so.
fn below<'m, T>(map: &'m BTreeMap<String, T>, start: &str) -> impl Iterator<Item = &'m T> {
    let range = (Bound::Included(start), Bound::Unbounded);
    let start = start.to_owned();
    map.range::<str, _>(range).take_while(move |(key, _)| key.starts_with(&start)).map(|(_, v)| v)
}
