//! Statements as operators write them, and what is put into them.
//!
//! Vault replaces `{{name}}` and its like as text, wherever it stands: the operator's template
//! decides whether it is an identifier, a string or neither, and a name with a quote in it breaks
//! out. Here the place is looked at: within quotes what would end them is doubled, as the
//! database reads it (PostgreSQL, with `standard_conforming_strings`); anywhere else a value must be such that it cannot be more than one word.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::Value;

use super::Password;
use crate::request::Error;

/// What stands for a word in two pairs of braces.
#[derive(Clone, Copy)]
pub(super) enum Filler<'v> {
    /// A name or a password: quoted as its place demands.
    Text(&'v str),
    /// Made by this program, of characters that no quotes end at.
    Plain(&'v str),
}

/// A field that takes one text or a list of texts. Unlike other lists it is not split at commas:
/// statements have their own.
///
/// # Errors
/// [`Error::BadRequest`] with the field's name.
pub(super) fn read(field: &str, value: Option<Value>) -> Result<Option<Vec<String>>, Error> {
    let refuse = || {
        Error::BadRequest(format!(
            "Field validation failed: error converting input for field {field:?}: expected a \
             statement, or a list of statements"
        ))
    };
    let list = match value {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::String(text)) if text.is_empty() => Vec::new(),
        Some(Value::String(text)) => vec![text],
        Some(Value::Array(items)) => items
            .into_iter()
            .map(|item| match item {
                Value::String(text) => Ok(text),
                _ => Err(refuse()),
            })
            .collect::<Result<Vec<_>, _>>()?,
        Some(_) => return Err(refuse()),
    };
    let bytes: usize = list.iter().map(String::len).sum();
    if list.len() > STATEMENTS_MAX || bytes > STATEMENTS_BYTES_MAX {
        return Err(Error::BadRequest(format!(
            "{field:?} has more than {STATEMENTS_MAX} statements, or more than \
             {STATEMENTS_BYTES_MAX} bytes"
        )));
    }
    Ok(Some(list))
}

/// Each text may be a statement, several with semicolons, a list in JSON, or base64 of these.
pub(super) fn expand(statements: &[String]) -> Vec<String> {
    let mut expanded = Vec::new();
    for text in statements {
        let decoded = decode(text);
        let text = decoded.as_deref().unwrap_or(text).trim();
        match serde_json::from_str::<Vec<String>>(text) {
            Ok(list) => expanded.extend(list),
            Err(_) => expanded.push(text.to_owned()),
        }
    }
    expanded.retain(|text| !text.trim().trim_matches(';').trim().is_empty());
    expanded
}

/// A statement has blanks; base64 has none.
fn decode(text: &str) -> Option<String> {
    let compact: String = text.split(['\r', '\n']).collect();
    let compact = compact.trim();
    if compact.is_empty() || compact.contains(' ') {
        return None;
    }
    let decoded = String::from_utf8(BASE64.decode(compact).ok()?).ok()?;
    decoded.contains(' ').then_some(decoded)
}

/// A statement with what it is told.
///
/// # Errors
/// [`Error::Failed`] where a value cannot stand where it is to. The value is not told.
pub(super) fn fill(template: &str, fillers: &[(&str, Filler<'_>)]) -> Result<Password, Error> {
    let mut filled = String::with_capacity(template.len() + 64);
    let mut place = Place::Plain;
    let mut rest = template;
    while let Some(letter) = rest.chars().next() {
        if let Some((name, filler, after)) = filler_at(rest, fillers) {
            match filler {
                Filler::Plain(text) => filled.push_str(text),
                Filler::Text(text) => place.put(name, text, &mut filled)?,
            }
            rest = after;
            continue;
        }
        let taken = place.advance(rest, letter);
        filled.push_str(rest.get(..taken).unwrap_or(rest));
        rest = rest.get(taken..).unwrap_or_default();
    }
    Ok(Password::new(filled))
}

fn filler_at<'r, 'v>(
    rest: &'r str,
    fillers: &[(&'v str, Filler<'v>)],
) -> Option<(&'v str, Filler<'v>, &'r str)> {
    let inner = rest.strip_prefix("{{")?;
    fillers.iter().find_map(|(name, filler)| {
        let after = inner.strip_prefix(name)?.strip_prefix("}}")?;
        Some((*name, *filler, after))
    })
}

/// Where in a statement something stands.
#[derive(Clone, Debug, Eq, PartialEq)]
enum Place {
    Plain,
    /// Within these quotes; whether a backslash has a meaning there.
    Quoted(char, Escapes),
    /// PostgreSQL's `$tag$ … $tag$`, with what ends it.
    Dollar(String),
    Line,
    Block,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Escapes {
    No,
    Backslash,
}

impl Place {
    /// Moves over the first letter, or what belongs to it; how many bytes that was.
    fn advance(&mut self, rest: &str, letter: char) -> usize {
        let one = letter.len_utf8();
        match self {
            Self::Plain => return self.enter(rest, letter),
            Self::Quoted(_, Escapes::Backslash) if letter == '\\' => {
                let next = rest.chars().nth(1).filter(|next| *next != '{');
                return one + next.map_or(0, char::len_utf8);
            }
            // A doubled one ends and begins again: the same.
            Self::Quoted(quote, _) if letter == *quote => *self = Self::Plain,
            Self::Dollar(end) if rest.starts_with(end.as_str()) => {
                let length = end.len();
                *self = Self::Plain;
                return length;
            }
            Self::Line if letter == '\n' => *self = Self::Plain,
            Self::Block if rest.starts_with("*/") => {
                *self = Self::Plain;
                return 2;
            }
            Self::Quoted(..) | Self::Dollar(_) | Self::Line | Self::Block => {}
        }
        one
    }

    fn enter(&mut self, rest: &str, letter: char) -> usize {
        match letter {
            'e' | 'E' if rest.get(1..2) == Some("'") => {
                *self = Self::Quoted('\'', Escapes::Backslash);
                return 2;
            }
            '\'' | '"' => *self = Self::Quoted(letter, Escapes::No),
            '-' if rest.starts_with("--") => {
                *self = Self::Line;
                return 2;
            }
            '/' if rest.starts_with("/*") => {
                *self = Self::Block;
                return 2;
            }
            '$' => {
                let tag = rest.get(1..).and_then(|inner| inner.split_once('$'));
                let tag = tag.map(|(tag, _)| tag).filter(|tag| is_tag(tag));
                if let Some(tag) = tag {
                    *self = Self::Dollar(format!("${tag}$"));
                    return tag.len() + 2;
                }
            }
            _ => {}
        }
        letter.len_utf8()
    }

    fn put(&self, name: &str, text: &str, filled: &mut String) -> Result<(), Error> {
        let refuse = |what: &str| {
            Error::Failed(format!(
                "the value of {{{{{name}}}}} {what}: write quotes around it in the statement, or \
                 change what makes it"
            ))
        };
        if text.chars().any(char::is_control) {
            return Err(refuse("has control characters"));
        }
        let is_word = |text: &str| {
            text.chars().all(|letter| letter.is_ascii_alphanumeric() || "_.@-".contains(letter))
        };
        match self {
            Self::Quoted(quote, escapes) => {
                let backslashes = filled.chars().rev().take_while(|letter| *letter == '\\').count();
                if *escapes == Escapes::Backslash && backslashes % 2 == 1 {
                    return Err(refuse("stands behind a backslash"));
                }
                for letter in text.chars() {
                    if letter == *quote || (letter == '\\' && *escapes == Escapes::Backslash) {
                        filled.push(letter);
                    }
                    filled.push(letter);
                }
            }
            Self::Plain if text.contains("--") => {
                return Err(refuse("would begin a comment outside of quotes"));
            }
            Self::Plain | Self::Dollar(_) | Self::Line | Self::Block => {
                if !is_word(text) {
                    return Err(refuse("has characters that are not safe outside of quotes"));
                }
                filled.push_str(text);
            }
        }
        Ok(())
    }
}

/// Also the empty one.
fn is_tag(tag: &str) -> bool {
    tag.chars().all(|letter| letter.is_alphanumeric() || letter == '_')
        && !tag.starts_with(|letter: char| letter.is_ascii_digit())
}

/// What a database says of a statement, without what was secret in it, in part or in whole.
pub(super) fn redact(text: &str, secrets: &[&str]) -> String {
    let letters: Vec<char> = text.chars().collect();
    let mut hidden = vec![false; letters.len()];
    for secret in secrets {
        let secret: Vec<char> = secret.chars().collect();
        let window = secret.len().min(WINDOW);
        if window == 0 {
            continue;
        }
        for part in secret.windows(window) {
            for (start, found) in letters.windows(window).enumerate() {
                if found == part {
                    hidden.iter_mut().skip(start).take(window).for_each(|hide| *hide = true);
                }
            }
        }
    }
    let mut shown = String::with_capacity(text.len());
    let mut before = false;
    for (letter, hide) in letters.into_iter().zip(hidden) {
        if !hide {
            shown.push(letter);
        } else if !before {
            shown.push_str("***");
        }
        before = hide;
    }
    shown
}

/// So many letters of a secret in a row are not shown.
const WINDOW: usize = 4;

const STATEMENTS_MAX: usize = 256;

const STATEMENTS_BYTES_MAX: usize = 256 * 1024;

#[cfg(test)]
mod tests;
