//! Which records a device takes: a small part of the language that Vault Enterprise filters with
//! (go-bexpr). `mount_type == "kv" and not (operation in "read list" or path matches "^sys/")`

use std::fmt;

use regex_lite::Regex;

use super::Record;

/// An expression over five facts of a request.
#[derive(Debug)]
pub(super) struct Filter(Expression);

#[derive(Debug)]
enum Expression {
    All(Vec<Self>),
    Any(Vec<Self>),
    Not(Box<Self>),
    Is(Fact, Test),
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Fact {
    MountPoint,
    MountType,
    Namespace,
    Operation,
    Path,
}

#[derive(Debug)]
enum Test {
    Contains(String),
    Empty,
    Equals(String),
    Matches(Regex),
}

/// Why a text is no filter.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub(super) enum Wrong {
    #[error("is longer than {TEXT_BYTES_MAX} bytes")]
    TooLong,
    #[error("is nested deeper than {DEPTH_MAX}, or has more than {TESTS_MAX} comparisons")]
    TooMuch,
    #[error("expected {0}, found {1}")]
    Unexpected(&'static str, String),
    #[error("{0:?} is none of mount_point, mount_type, namespace, operation and path")]
    NoFact(String),
    #[error("{0:?} is no regular expression: {1}")]
    NoPattern(String, String),
    #[error("a quoted text does not end")]
    Unended,
}

impl Filter {
    pub(super) fn parse(text: &str) -> Result<Self, Wrong> {
        if text.len() > TEXT_BYTES_MAX {
            return Err(Wrong::TooLong);
        }
        let mut parser = Parser { words: words(text)?, at: 0, tests: 0 };
        let expression = parser.any(0)?;
        match parser.next() {
            None => Ok(Self(expression)),
            Some(word) => Err(Wrong::Unexpected("`and` or `or`", word.to_string())),
        }
    }

    pub(super) fn takes(&self, record: &Record<'_>) -> bool {
        self.0.holds(record)
    }
}

impl Expression {
    fn holds(&self, record: &Record<'_>) -> bool {
        match self {
            Self::All(parts) => parts.iter().all(|part| part.holds(record)),
            Self::Any(parts) => parts.iter().any(|part| part.holds(record)),
            Self::Not(part) => !part.holds(record),
            Self::Is(fact, test) => fact.of(record, |text| test.holds(text)),
        }
    }
}

impl Fact {
    fn named(name: &str) -> Result<Self, Wrong> {
        Ok(match name {
            "mount_point" => Self::MountPoint,
            "mount_type" => Self::MountType,
            "namespace" => Self::Namespace,
            "operation" => Self::Operation,
            "path" => Self::Path,
            other => return Err(Wrong::NoFact(other.into())),
        })
    }

    fn of(self, record: &Record<'_>, then: impl Fn(&str) -> bool) -> bool {
        match self {
            Self::MountPoint => {
                then(&record.mount.map(crate::mount::MountEntry::api_path).unwrap_or_default())
            }
            Self::MountType => then(record.mount.map_or("", |mount| mount.kind.as_str())),
            Self::Namespace => then(&record.request.namespace),
            Self::Operation => then(record.operation.name()),
            Self::Path => then(&record.request.path),
        }
    }
}

impl Test {
    fn holds(&self, text: &str) -> bool {
        match self {
            Self::Contains(part) => text.contains(part.as_str()),
            Self::Empty => text.is_empty(),
            Self::Equals(other) => text == other,
            Self::Matches(pattern) => pattern.is_match(text),
        }
    }
}

#[derive(Clone, Debug, Eq, PartialEq)]
enum Word {
    Bare(String),
    Quoted(String),
    Open,
    Close,
    Equals,
    Differs,
}

impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bare(text) => write!(f, "`{text}`"),
            Self::Quoted(text) => write!(f, "{text:?}"),
            Self::Open => f.write_str("`(`"),
            Self::Close => f.write_str("`)`"),
            Self::Equals => f.write_str("`==`"),
            Self::Differs => f.write_str("`!=`"),
        }
    }
}

fn words(text: &str) -> Result<Vec<Word>, Wrong> {
    let mut words = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let (word, length) = match first {
            '(' => (Word::Open, 1),
            ')' => (Word::Close, 1),
            '=' if rest.starts_with("==") => (Word::Equals, 2),
            '!' if rest.starts_with("!=") => (Word::Differs, 2),
            '"' | '`' => quoted(rest, first)?,
            _ => {
                let end = rest.find(|c: char| c.is_whitespace() || "()=!\"`".contains(c));
                let end = end.unwrap_or(rest.len());
                let bare = rest.get(..end).filter(|bare| !bare.is_empty());
                let bare = bare.ok_or_else(|| Wrong::Unexpected("a word", first.to_string()))?;
                (Word::Bare(bare.to_owned()), end)
            }
        };
        words.push(word);
        rest = rest.get(length..).unwrap_or_default().trim_start();
    }
    Ok(words)
}

/// Within `"` a backslash takes the next character as it is; within backquotes it is one.
fn quoted(text: &str, quote: char) -> Result<(Word, usize), Wrong> {
    let mut content = String::new();
    let mut characters = text.char_indices().skip(1);
    while let Some((at, c)) = characters.next() {
        if c == quote {
            return Ok((Word::Quoted(content), at + c.len_utf8()));
        }
        if c == '\\' && quote == '"' {
            let (_, escaped) = characters.next().ok_or(Wrong::Unended)?;
            if !matches!(escaped, '"' | '\\') {
                // Regular expressions are written with single backslashes.
                content.push('\\');
            }
            content.push(escaped);
        } else {
            content.push(c);
        }
    }
    Err(Wrong::Unended)
}

struct Parser {
    words: Vec<Word>,
    at: usize,
    tests: usize,
}

impl Parser {
    fn next(&mut self) -> Option<Word> {
        let word = self.words.get(self.at).cloned();
        self.at += usize::from(word.is_some());
        word
    }

    fn takes_bare(&mut self, text: &str) -> bool {
        let found = matches!(self.words.get(self.at), Some(Word::Bare(bare)) if bare == text);
        self.at += usize::from(found);
        found
    }

    fn any(&mut self, depth: usize) -> Result<Expression, Wrong> {
        let mut parts = vec![self.all(depth)?];
        while self.takes_bare("or") {
            parts.push(self.all(depth)?);
        }
        Ok(Expression::Any(parts))
    }

    fn all(&mut self, depth: usize) -> Result<Expression, Wrong> {
        let mut parts = vec![self.one(depth)?];
        while self.takes_bare("and") {
            parts.push(self.one(depth)?);
        }
        Ok(Expression::All(parts))
    }

    fn one(&mut self, depth: usize) -> Result<Expression, Wrong> {
        if depth > DEPTH_MAX {
            return Err(Wrong::TooMuch);
        }
        if self.takes_bare("not") {
            return Ok(Expression::Not(Box::new(self.one(depth + 1)?)));
        }
        match self.next() {
            Some(Word::Open) => {
                let inner = self.any(depth + 1)?;
                match self.next() {
                    Some(Word::Close) => Ok(inner),
                    other => Err(unexpected("`)`", other)),
                }
            }
            Some(Word::Quoted(value)) => self.value_first(value),
            Some(Word::Bare(name)) => {
                // `kv in mount_type`: a bare word may stand for a text.
                let is_in =
                    matches!(self.words.get(self.at), Some(Word::Bare(next)) if next == "in");
                let negated = matches!(
                    (self.words.get(self.at), self.words.get(self.at + 1)),
                    (Some(Word::Bare(not)), Some(Word::Bare(next))) if not == "not" && next == "in"
                );
                if is_in || negated {
                    return self.value_first(name);
                }
                let fact = Fact::named(&name)?;
                self.test(fact)
            }
            other => Err(unexpected("a comparison", other)),
        }
    }

    /// `"x" in path`, `"x" not in path`.
    fn value_first(&mut self, value: String) -> Result<Expression, Wrong> {
        let negated = self.takes_bare("not");
        if !self.takes_bare("in") {
            let found = self.next();
            return Err(unexpected("`in`", found));
        }
        let fact = match self.next() {
            Some(Word::Bare(name)) => Fact::named(&name)?,
            other => return Err(unexpected("a fact such as `path`", other)),
        };
        self.is(fact, Test::Contains(value), negated)
    }

    fn test(&mut self, fact: Fact) -> Result<Expression, Wrong> {
        match self.next() {
            Some(Word::Equals) => {
                let value = self.value()?;
                self.is(fact, Test::Equals(value), false)
            }
            Some(Word::Differs) => {
                let value = self.value()?;
                self.is(fact, Test::Equals(value), true)
            }
            Some(Word::Bare(word)) if word == "is" => {
                let negated = self.takes_bare("not");
                if !self.takes_bare("empty") {
                    let found = self.next();
                    return Err(unexpected("`empty`", found));
                }
                self.is(fact, Test::Empty, negated)
            }
            Some(Word::Bare(word)) if word == "not" => {
                let found = self.next();
                self.named_test(fact, found, true)
            }
            found => self.named_test(fact, found, false),
        }
    }

    fn named_test(
        &mut self,
        fact: Fact,
        found: Option<Word>,
        negated: bool,
    ) -> Result<Expression, Wrong> {
        let test = match &found {
            Some(Word::Bare(word)) if word == "contains" => Test::Contains(self.value()?),
            Some(Word::Bare(word)) if word == "matches" => {
                let value = self.value()?;
                let pattern = Regex::new(&value);
                Test::Matches(pattern.map_err(|error| Wrong::NoPattern(value, error.to_string()))?)
            }
            _ => return Err(unexpected("`==`, `!=`, `contains`, `matches` or `is empty`", found)),
        };
        self.is(fact, test, negated)
    }

    fn value(&mut self) -> Result<String, Wrong> {
        match self.next() {
            Some(Word::Bare(value) | Word::Quoted(value)) => Ok(value),
            other => Err(unexpected("a text", other)),
        }
    }

    fn is(&mut self, fact: Fact, test: Test, negated: bool) -> Result<Expression, Wrong> {
        self.tests += 1;
        if self.tests > TESTS_MAX {
            return Err(Wrong::TooMuch);
        }
        let is = Expression::Is(fact, test);
        Ok(if negated { Expression::Not(Box::new(is)) } else { is })
    }
}

fn unexpected(wanted: &'static str, found: Option<Word>) -> Wrong {
    Wrong::Unexpected(wanted, found.map_or_else(|| "the end".into(), |word| word.to_string()))
}

const TEXT_BYTES_MAX: usize = 4096;

const DEPTH_MAX: usize = 32;

const TESTS_MAX: usize = 64;

#[cfg(test)]
mod tests;
