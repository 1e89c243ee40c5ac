//! Walks over characters and counts lines: what both readers share.

use std::sync::Arc;

use super::DEPTH_MAX;
use crate::config::problem::{Place, Problem};

pub(super) struct Scan<'a> {
    source: &'a Arc<str>,
    rest: &'a str,
    line: u32,
    depth: usize,
}

impl<'a> Scan<'a> {
    pub(super) fn new(source: &'a Arc<str>, text: &'a str) -> Self {
        Self { source, rest: text, line: 1, depth: 0 }
    }

    pub(super) fn place(&self) -> Place {
        Place::line(self.source, self.line)
    }

    pub(super) fn rest(&self) -> &'a str {
        self.rest
    }

    pub(super) fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    pub(super) fn next(&mut self) -> Option<char> {
        let mut characters = self.rest.chars();
        let character = characters.next()?;
        self.rest = characters.as_str();
        if character == '\n' {
            self.line += 1;
        }
        Some(character)
    }

    /// Steps over `text` if it stands here.
    pub(super) fn skip(&mut self, text: &str) -> bool {
        let here = self.rest.starts_with(text);
        if here {
            for _ in text.chars() {
                self.next();
            }
        }
        here
    }

    pub(super) fn take_while(&mut self, wanted: impl Fn(char) -> bool) -> &'a str {
        let start = self.rest;
        while self.peek().is_some_and(&wanted) {
            self.next();
        }
        start.get(..start.len() - self.rest.len()).unwrap_or_default()
    }

    pub(super) fn enter(&mut self) -> Result<(), Problem> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(self.wrong(format!("is nested deeper than {DEPTH_MAX} levels")));
        }
        Ok(())
    }

    pub(super) fn leave(&mut self) {
        self.depth -= 1;
    }

    pub(super) fn wrong(&self, text: String) -> Problem {
        Problem { place: self.place(), text }
    }

    /// "expected …, found …", of what stands here.
    pub(super) fn expected(&self, what: &str) -> Problem {
        match self.peek() {
            None => self.wrong(format!("expected {what}, found the end of the file")),
            Some('\n') => self.wrong(format!("expected {what}, found the end of the line")),
            Some(character) => self.wrong(format!("expected {what}, found `{character}`")),
        }
    }

    /// Exactly `digits` hexadecimal digits.
    pub(super) fn hex(&mut self, digits: u32) -> Result<u32, Problem> {
        let mut code = 0;
        for _ in 0..digits {
            let Some(digit) = self.peek().and_then(|character| character.to_digit(16)) else {
                return Err(self.expected("a hexadecimal digit"));
            };
            code = code * 16 + digit;
            self.next();
        }
        Ok(code)
    }
}
