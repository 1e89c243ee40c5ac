//! What is wrong with a configuration, and where.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

/// Where something was written: a file and its line (from 1), or an environment variable.
///
/// Ordered by file and line; what concerns a file as a whole comes first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    source: Arc<str>,
    line: Option<u32>,
}

impl Place {
    pub fn line(source: &Arc<str>, line: u32) -> Self {
        Self { source: Arc::clone(source), line: Some(line) }
    }

    /// The file, or what else stands in for one.
    pub fn source(&self) -> &str {
        &self.source
    }

    pub fn line_number(&self) -> Option<u32> {
        self.line
    }

    /// A whole file, an environment variable, or the table of defaults.
    pub fn whole(source: &str) -> Self {
        Self { source: source.into(), line: None }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}:{line}", self.source),
            None => f.write_str(&self.source),
        }
    }
}

/// A value that stops the start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    pub place: Place,
    pub text: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.text)
    }
}

/// What the operator should know, though the server starts: unknown keys, keys without effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    pub place: Place,
    pub text: String,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.text)
    }
}

/// Every wrong value of a configuration, by file and line; never empty.
#[derive(Debug)]
pub struct ConfigErrors(pub Vec<Problem>);

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            let line_break = if index == 0 { "" } else { "\n" };
            write!(f, "{line_break}{problem}")?;
        }
        Ok(())
    }
}

impl Error for ConfigErrors {}
