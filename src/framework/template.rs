use std::cmp::Ordering;

use serde_json::{Map, Value};

/// A path with captures: `keys/{name}/config`, or `data/{path...}` for all that remains, or
/// `mounts/{path...}/tune` for all up to an end that is told.
///
/// Not a regular expression: templates can be compared, so the order in which routes are declared
/// does not matter, and one that can never be reached is an error at startup.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Template(Vec<Segment>);

/// Declared from the most to the least specific: the derived order is the order of matching.
#[derive(Clone, Debug)]
enum Segment {
    Literal(&'static str),
    Capture(&'static str),
    Rest(&'static str),
}

/// What a table declares and cannot be.
#[derive(Debug, thiserror::Error)]
pub enum Overlap {
    #[error("`{0}` and `{1}` match the same paths")]
    Paths(&'static str, &'static str),
    /// Each node runs it for itself: that it was begun would be written down by none.
    #[error("`{0}` cannot act outside for the cluster, and on the node that was asked")]
    Places(&'static str),
}

impl Template {
    pub fn parse(text: &'static str) -> Self {
        Self(text.split('/').map(Segment::parse).collect())
    }

    /// A trailing slash matters to what remains only: `data/{path...}` captures it.
    pub fn captures(&self, path: &str) -> Option<Map<String, Value>> {
        let mut rest = Some(path);
        let mut captures = Map::new();
        for (at, segment) in self.0.iter().enumerate() {
            if let Segment::Rest(name) = segment {
                let end = self.0.get(at + 1..).unwrap_or_default();
                let middle = before(rest.unwrap_or_default(), end)?;
                captures.insert((*name).into(), middle.into());
                return Some(captures);
            }
            let (head, tail) = match rest?.split_once('/') {
                Some((head, tail)) => (head, Some(tail)),
                None => (rest?, None),
            };
            match segment {
                Segment::Literal(literal) if *literal == head => {}
                Segment::Capture(name) if !head.is_empty() => {
                    captures.insert((*name).into(), head.into());
                }
                _ => return None,
            }
            rest = tail;
        }
        rest.is_none_or(str::is_empty).then_some(captures)
    }

    /// The names captured, in order.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.0.iter().filter_map(|segment| match segment {
            Segment::Capture(name) | Segment::Rest(name) => Some(*name),
            Segment::Literal(_) => None,
        })
    }
}

/// What is left of a path once the segments at its end are taken off; `None` where it does not
/// end so, or nothing is left.
fn before<'p>(path: &'p str, end: &[Segment]) -> Option<&'p str> {
    if end.is_empty() {
        return Some(path);
    }
    let mut left = path.strip_suffix('/').unwrap_or(path);
    for segment in end.iter().rev() {
        let Segment::Literal(literal) = segment else {
            return None;
        };
        left = left.strip_suffix(literal)?.strip_suffix('/')?;
    }
    Some(left)
}

/// The order of matching: segment by segment; then the one that ends there, unless it ends in a
/// rest, which the longer one says more of.
impl Ord for Template {
    fn cmp(&self, other: &Self) -> Ordering {
        let common = self.0.iter().zip(&other.0).map(|(a, b)| a.cmp(b));
        let first = common.into_iter().find(|order| order.is_ne());
        let shorter = if self.0.len() < other.0.len() { self } else { other };
        first.unwrap_or_else(|| match shorter.0.last() {
            Some(Segment::Rest(_)) => other.0.len().cmp(&self.0.len()),
            _ => self.0.len().cmp(&other.0.len()),
        })
    }
}

impl PartialOrd for Template {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Segment {
    fn parse(text: &'static str) -> Self {
        let Some(name) = text.strip_prefix('{').and_then(|text| text.strip_suffix('}')) else {
            return Self::Literal(text);
        };
        name.strip_suffix("...").map_or(Self::Capture(name), Self::Rest)
    }
}

/// A capture's name does not make it another path.
impl Ord for Segment {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Literal(a), Self::Literal(b)) => a.cmp(b),
            (Self::Capture(_), Self::Capture(_)) | (Self::Rest(_), Self::Rest(_)) => {
                Ordering::Equal
            }
            (Self::Literal(_), _) | (_, Self::Rest(_)) => Ordering::Less,
            (_, Self::Literal(_)) | (Self::Rest(_), _) => Ordering::Greater,
        }
    }
}

impl PartialOrd for Segment {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Segment {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Segment {}
