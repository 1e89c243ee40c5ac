//! How a stanza is declared, and read.
//!
//! `stanza!` makes, of one list of keys, the struct, the reading of it and its documentation: they
//! cannot differ. A key is a field with its type, its default as it would be written in a file,
//! and its doc comment.

use std::time::Duration;

use super::problem::{Place, Problem, Warning};
use super::sockaddr::Interface;
use super::syntax::{Entry, Node, Value};

/// One key, as the documentation shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyDoc {
    /// Where the key stands, as in `listener "tcp"`; empty for the top level.
    pub stanza: &'static str,
    pub key: &'static str,
    /// What a value must be.
    pub kind: String,
    pub default: Option<&'static str>,
    /// What it does, or why it does nothing.
    pub help: String,
    /// Whether the key is read at all: the others are Vault's, and only warn.
    pub has_effect: bool,
}

/// Collects what is wrong while values are read.
pub(super) struct Reader<'a> {
    pub(super) interfaces: &'a [Interface],
    /// Keys of `storage "raft"` that the environment sets.
    pub(super) raft_overrides: Vec<Entry>,
    pub(super) problems: Vec<Problem>,
    pub(super) warnings: Vec<Warning>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(interfaces: &'a [Interface], raft_overrides: Vec<Entry>) -> Self {
        Self { interfaces, raft_overrides, problems: Vec::new(), warnings: Vec::new() }
    }

    pub(super) fn problem(&mut self, place: &Place, text: String) {
        self.problems.push(Problem { place: place.clone(), text });
    }

    pub(super) fn warn(&mut self, place: &Place, text: String) {
        self.warnings.push(Warning { place: place.clone(), text });
    }
}

/// What one key was given: every entry of that name, in the order of files and lines.
pub(super) struct Found<'a> {
    pub(super) key: &'a str,
    pub(super) entries: Vec<&'a Entry>,
}

impl<'a> Found<'a> {
    pub(super) fn of(key: &'a str, entries: &'a [Entry]) -> Self {
        Self { key, entries: entries.iter().filter(|entry| entry.key == key).collect() }
    }

    /// The last entry, as in Vault; that it hides earlier ones is worth a warning.
    fn last(&self, reader: &mut Reader<'_>) -> Option<&'a Entry> {
        for pair in self.entries.windows(2) {
            if let [hidden, winner] = pair {
                let text = format!("`{}` overrides the one at {}", self.key, hidden.node.place);
                reader.warn(&winner.node.place, text);
            }
        }
        self.entries.last().copied()
    }

    /// Each block; in JSON and after `=` a list of objects is several.
    pub(super) fn blocks(&self, reader: &mut Reader<'_>) -> Vec<Body<'a>> {
        let mut blocks = Vec::new();
        for entry in &self.entries {
            if let Some(label) = entry.labels.first() {
                reader.problem(
                    &entry.node.place,
                    format!("`{}` takes no label, found {label:?}", self.key),
                );
            }
            objects(self.key, &entry.node, reader, &mut blocks);
        }
        blocks
    }
}

/// The object in a node, or the objects in its list.
pub(super) fn objects<'a>(
    key: &str,
    node: &'a Node,
    reader: &mut Reader<'_>,
    into: &mut Vec<Body<'a>>,
) {
    match &node.value {
        Value::Object(entries) => into.push(Body { place: node.place.clone(), entries }),
        Value::List(nodes) => {
            for node in nodes {
                match &node.value {
                    Value::Object(entries) => {
                        into.push(Body { place: node.place.clone(), entries });
                    }
                    other => reader.problem(&node.place, not_a_block(key, other)),
                }
            }
        }
        other => reader.problem(&node.place, not_a_block(key, other)),
    }
}

fn not_a_block(key: &str, found: &Value) -> String {
    format!("`{key}` must be a block, found {found}")
}

/// The keys inside a block.
#[derive(Clone)]
pub(super) struct Body<'a> {
    pub(super) place: Place,
    pub(super) entries: &'a [Entry],
}

impl Body<'_> {
    /// Where a key was set, or else where its block begins.
    pub(super) fn place_of(&self, key: &str) -> &Place {
        let last = self.entries.iter().rfind(|entry| entry.key == key);
        last.map_or(&self.place, |entry| &entry.node.place)
    }

    /// Warns of every key that is not read.
    pub(super) fn warn_of_others(
        &self,
        stanza: &str,
        known: &[&str],
        no_effect: &[(&str, &str)],
        reader: &mut Reader<'_>,
    ) {
        let inside = if stanza.is_empty() { String::new() } else { format!(" in `{stanza}`") };
        for Entry { key, node, .. } in self.entries {
            if known.contains(&key.as_str()) || (key == "type" && !stanza.is_empty()) {
                continue;
            }
            if let Some((_, reason)) = no_effect.iter().find(|(name, _)| name == key) {
                reader.warn(&node.place, format!("`{key}`{inside} has no effect here: {reason}"));
                continue;
            }
            let near = known.iter().find(|name| is_near(name, key));
            let meant = near.map(|name| format!(": did you mean `{name}`?")).unwrap_or_default();
            reader.warn(&node.place, format!("unknown key `{key}`{inside}{meant}"));
        }
    }
}

/// A type that a key can have.
pub(super) trait Setting: Sized {
    /// What a value must be, in words.
    fn kind() -> String;

    /// `None` when something was wrong, which is then among the reader's problems.
    fn read(found: &Found<'_>, reader: &mut Reader<'_>) -> Option<Self>;

    /// The value of a key that is not given and has no default; `None` if it must be given.
    fn absent() -> Option<Self> {
        None
    }

    /// Adds the keys inside, if it is a stanza.
    fn document(_into: &mut Vec<KeyDoc>) {}
}

/// What a single value is not.
pub(super) enum Wrong {
    /// Not what `Scalar::EXPECTED` says.
    Kind,
    /// Something more particular, as a part of a sentence about the key.
    Because(String),
}

/// A type that is read from one value.
pub(super) trait Scalar: Sized {
    /// What a value must be, as in "must be …".
    const EXPECTED: &'static str;
    /// Whether a wrong value must not be shown.
    const IS_SECRET: bool = false;

    fn parse(value: &Value, reader: &Reader<'_>) -> Result<Self, Wrong>;
}

impl<T: Scalar> Setting for T {
    fn kind() -> String {
        T::EXPECTED.to_owned()
    }

    fn read(found: &Found<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        let entry = found.last(reader)?;
        let (key, value) = (found.key, &entry.node.value);
        match T::parse(value, reader) {
            Ok(value) => Some(value),
            Err(Wrong::Kind) => {
                let shown =
                    if T::IS_SECRET { "another kind".to_owned() } else { value.to_string() };
                let text = format!("`{key}` must be {}, found {shown}", T::EXPECTED);
                reader.problem(&entry.node.place, text);
                None
            }
            Err(Wrong::Because(text)) => {
                reader.problem(&entry.node.place, format!("`{key}` {text}"));
                None
            }
        }
    }
}

/// Absent unless given.
impl<T: Setting> Setting for Option<T> {
    fn kind() -> String {
        T::kind()
    }

    fn read(found: &Found<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        T::read(found, reader).map(Some)
    }

    fn absent() -> Option<Self> {
        Some(None)
    }

    fn document(into: &mut Vec<KeyDoc>) {
        T::document(into);
    }
}

/// A block of a kind that its label tells, as `listener "tcp" { … }` does.
pub(super) struct Labelled<'a> {
    pub(super) label: &'a str,
    pub(super) body: Body<'a>,
}

/// Reads every way to write it: `listener "tcp" { … }`, `listener { tcp { … } }` (which JSON's
/// `{"listener": {"tcp": {…}}}` is), lists of these, and `listener { type = "tcp" … }`.
pub(super) fn labelled<'a>(found: &Found<'a>, reader: &mut Reader<'_>) -> Vec<Labelled<'a>> {
    let mut read = Vec::new();
    for entry in &found.entries {
        let mut bodies = Vec::new();
        objects(found.key, &entry.node, reader, &mut bodies);
        for body in bodies {
            if let Some(label) = entry.labels.first() {
                read.push(Labelled { label, body });
                continue;
            }
            let kind = body.entries.iter().find(|entry| entry.key == "type");
            if let Some(Entry { node: Node { value: Value::Text(label), .. }, .. }) = kind {
                read.push(Labelled { label, body });
                continue;
            }
            for inner in body.entries {
                let mut bodies = Vec::new();
                objects(&inner.key, &inner.node, reader, &mut bodies);
                read.extend(bodies.into_iter().map(|body| Labelled { label: &inner.key, body }));
            }
        }
    }
    read
}

/// What holds between the keys of a stanza.
pub(super) trait Check {
    fn check(&self, _body: &Body<'_>, _reader: &mut Reader<'_>) {}
}

/// For a length of time that would stop everything if it were 0.
pub(super) fn more_than_zero(
    key: &str,
    length: Duration,
    body: &Body<'_>,
    reader: &mut Reader<'_>,
) {
    if length.is_zero() {
        reader.problem(body.place_of(key), format!("`{key}` must be more than 0"));
    }
}

/// One key of a stanza, read. As in Vault, empty text is as good as none: charts write it for
/// what nobody has set.
pub(super) fn read_key<T: Setting>(
    key: &str,
    default: Option<&str>,
    body: &Body<'_>,
    reader: &mut Reader<'_>,
) -> Option<T> {
    let mut found = Found::of(key, body.entries);
    found.entries.retain(|entry| match &entry.node.value {
        Value::Null => false,
        Value::Text(text) => !text.is_empty(),
        _ => true,
    });
    if !found.entries.is_empty() {
        return T::read(&found, reader);
    }
    if let Some(default) = default {
        let value = Value::Text(default.to_owned());
        let node = Node { place: Place::whole("the default"), value };
        let entry = Entry { key: key.to_owned(), labels: Vec::new(), node };
        return T::read(&Found { key, entries: vec![&entry] }, reader);
    }
    let absent = T::absent();
    if absent.is_none() {
        reader.problem(&body.place, format!("`{key}` must be set: {}", T::kind()));
    }
    absent
}

/// The last of several blocks of a kind that may stand once.
pub(super) fn last_block<'a>(found: &Found<'a>, reader: &mut Reader<'_>) -> Option<Body<'a>> {
    let mut blocks = found.blocks(reader);
    let last = blocks.pop()?;
    for hidden in blocks {
        let text = format!("`{}` overrides the one at {}", found.key, hidden.place);
        reader.warn(&last.place, text);
    }
    Some(last)
}

/// Whether one letter put in, left out, replaced or two swapped make the one the other.
fn is_near(known: &str, written: &str) -> bool {
    let (left, right) = (known.as_bytes(), written.as_bytes());
    let same = left.iter().zip(right).take_while(|(a, b)| a == b).count();
    let (left, right) =
        (left.get(same..).unwrap_or_default(), right.get(same..).unwrap_or_default());
    let after = |bytes: &'_ [u8], count: usize| bytes.get(count..).map(<[u8]>::to_vec);
    let swapped = left.len() > 1
        && left.first() == right.get(1)
        && left.get(1) == right.first()
        && after(left, 2) == after(right, 2);
    swapped
        || (left.len() == right.len() && after(left, 1) == after(right, 1))
        || after(left, 1).as_deref() == Some(right)
        || after(right, 1).as_deref() == Some(left)
}

/// Declares a stanza. A default stands as it would in a file; a type that is neither optional nor
/// a list and has no default must be given.
macro_rules! stanza {
    (
        $(#[doc = $about:literal])*
        pub struct $name:ident in $stanza:literal {
            $( $(#[doc = $help:literal])* $field_vis:vis $field:ident: $type:ty $(= $default:literal)?, )*
        }
        no_effect { $( $ignored:ident: $reason:expr, )* }
    ) => {
        $(#[doc = $about])*
        #[derive(Debug)]
        pub struct $name {
            $( $(#[doc = $help])* $field_vis $field: $type, )*
        }

        impl $name {
            /// Reads one block.
            pub(super) fn read_body(
                body: &$crate::config::stanza::Body<'_>,
                reader: &mut $crate::config::stanza::Reader<'_>,
            ) -> Option<Self> {
                body.warn_of_others(
                    $stanza,
                    &[$( stringify!($field) ),*],
                    &[$( (stringify!($ignored), $reason) ),*],
                    reader,
                );
                let before = reader.problems.len();
                $(
                    let $field = $crate::config::stanza::read_key::<$type>(
                        stringify!($field),
                        None $( .or(Some($default)) )?,
                        body,
                        reader,
                    );
                )*
                let read = Self { $( $field: $field?, )* };
                if reader.problems.len() == before {
                    $crate::config::stanza::Check::check(&read, body, reader);
                }
                Some(read)
            }
        }

        impl $crate::config::stanza::Setting for $name {
            fn kind() -> String {
                "a block".to_owned()
            }

            fn read(
                found: &$crate::config::stanza::Found<'_>,
                reader: &mut $crate::config::stanza::Reader<'_>,
            ) -> Option<Self> {
                let body = $crate::config::stanza::last_block(found, reader)?;
                Self::read_body(&body, reader)
            }

            /// With every key at its default, if all have one.
            fn absent() -> Option<Self> {
                let place = $crate::config::problem::Place::whole("the default");
                let body = $crate::config::stanza::Body { place, entries: &[] };
                let mut reader = $crate::config::stanza::Reader::new(&[], Vec::new());
                Self::read_body(&body, &mut reader)
            }

            fn document(into: &mut Vec<$crate::config::stanza::KeyDoc>) {
                $(
                    into.push($crate::config::stanza::KeyDoc {
                        stanza: $stanza,
                        key: stringify!($field),
                        kind: <$type as $crate::config::stanza::Setting>::kind(),
                        default: None $( .or(Some($default)) )?,
                        help: [$( $help ),*].concat().trim().to_owned(),
                        has_effect: true,
                    });
                )*
                $(
                    into.push($crate::config::stanza::KeyDoc {
                        stanza: $stanza,
                        key: stringify!($ignored),
                        kind: String::new(),
                        default: None,
                        help: $reason.to_owned(),
                        has_effect: false,
                    });
                )*
                $( <$type as $crate::config::stanza::Setting>::document(into); )*
            }
        }

        /// A block that may stand several times.
        impl $crate::config::stanza::Setting for Vec<$name> {
            fn kind() -> String {
                "a block, repeatable".to_owned()
            }

            fn read(
                found: &$crate::config::stanza::Found<'_>,
                reader: &mut $crate::config::stanza::Reader<'_>,
            ) -> Option<Self> {
                let blocks = found.blocks(reader);
                let read: Vec<_> =
                    blocks.iter().map(|body| $name::read_body(body, reader)).collect();
                read.into_iter().collect()
            }

            fn absent() -> Option<Self> {
                Some(Self::new())
            }

            fn document(into: &mut Vec<$crate::config::stanza::KeyDoc>) {
                <$name as $crate::config::stanza::Setting>::document(into);
            }
        }
    };
}

pub(super) use stanza;
