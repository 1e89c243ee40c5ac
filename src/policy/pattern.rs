//! What a rule's path matches.

use std::cmp::Reverse;

/// A path of a rule. `*` is a wildcard as the last character only, `+` as a whole segment only.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Pattern {
    pub(super) shape: Shape,
    /// Without the `*` at the end.
    pub(super) text: String,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Shape {
    /// Only the path itself.
    Exact,
    /// What starts so.
    Prefix,
    /// `+` stands for any one segment.
    Segments,
    /// What starts so, where `+` stands for any one segment.
    SegmentsPrefix,
}

/// Among patterns that match one path, the greatest decides.
#[derive(Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct Rank<'a> {
    /// Bytes before the first wildcard, or before the first `+` of whatever kind, as in Vault.
    literal: usize,
    ends: bool,
    plus: Reverse<usize>,
    length: usize,
    text: &'a str,
}

impl Pattern {
    /// `None` where `+*` is in it, which has no meaning.
    pub(super) fn parse(path: &str) -> Option<Self> {
        if path.contains("+*") {
            return None;
        }
        let path = path.strip_prefix('/').unwrap_or(path);
        let (text, prefix) = match path.strip_suffix('*') {
            Some(text) => (text, true),
            None => (path, false),
        };
        // As in Vault, a segment that only begins with `+` makes it one of these, though it stands
        // for nothing but itself. That matters to which rule is chosen.
        let segments = text == "+" || text.starts_with("+/") || text.contains("/+");
        let shape = match (segments, prefix) {
            (false, false) => Shape::Exact,
            (false, true) => Shape::Prefix,
            (true, false) => Shape::Segments,
            (true, true) => Shape::SegmentsPrefix,
        };
        Some(Self { shape, text: text.to_owned() })
    }

    /// The same, for paths below a namespace: empty, or with a trailing slash.
    pub(super) fn below(mut self, namespace: &str) -> Self {
        self.text.insert_str(0, namespace);
        self
    }

    /// Whether it is a pattern of this very path. To look among many, [`super::Acl`] has an index.
    pub(super) fn matches(&self, path: &str) -> bool {
        let open = matches!(self.shape, Shape::Prefix | Shape::SegmentsPrefix);
        if matches!(self.shape, Shape::Exact | Shape::Prefix) {
            return if open { path.starts_with(&self.text) } else { path == self.text };
        }
        let mut segments = path.split('/');
        let mut parts = self.text.split('/').peekable();
        while let Some(part) = parts.next() {
            let Some(segment) = segments.next() else {
                return false;
            };
            let last = parts.peek().is_none();
            let fits =
                part == "+" || part == segment || (last && open && segment.starts_with(part));
            if !fits {
                return false;
            }
        }
        open || segments.next().is_none()
    }

    /// As a policy has it.
    pub(super) fn written(&self) -> String {
        match self.shape {
            Shape::Exact | Shape::Segments => self.text.clone(),
            Shape::Prefix | Shape::SegmentsPrefix => format!("{}*", self.text),
        }
    }
}

impl Shape {
    /// Of the pattern with this shape and this text.
    pub(super) fn rank(self, text: &str) -> Rank<'_> {
        let literal = match self {
            Self::Exact | Self::Prefix => None,
            Self::Segments | Self::SegmentsPrefix => text.find('+'),
        };
        let plus = text.split('/').filter(|segment| *segment == "+").count();
        Rank {
            literal: literal.unwrap_or(text.len()),
            ends: matches!(self, Self::Exact | Self::Segments),
            plus: Reverse(plus),
            length: text.len(),
            text,
        }
    }
}
