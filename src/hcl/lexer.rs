//! Text to tokens. One token of look-ahead is the parser's; nothing here grows with the text.

use serde_json::Number;

use super::SyntaxError;

/// Which of the two forms the text is in. They share a grammar but for `:` and the escapes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Dialect {
    Hcl,
    Json,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Kind {
    Word(String),
    Text(String),
    Number(Number),
    LeftBrace,
    RightBrace,
    LeftBracket,
    RightBracket,
    Comma,
    /// `=`, or `:` in JSON.
    Assign,
    Comment,
    End,
}

#[derive(Clone, Debug)]
pub(super) struct Token<'a> {
    pub(super) kind: Kind,
    /// As it stands in the text.
    pub(super) raw: &'a str,
    /// Where it starts, from 1.
    pub(super) line: usize,
    /// Line ends between the token before and this one.
    pub(super) line_ends: usize,
}

pub(super) struct Lexer<'a> {
    dialect: Dialect,
    text: &'a str,
    at: usize,
    line: usize,
}

impl<'a> Lexer<'a> {
    pub(super) fn new(dialect: Dialect, text: &'a str) -> Self {
        Self { dialect, text, at: 0, line: 1 }
    }

    pub(super) fn token(&mut self) -> Result<Token<'a>, SyntaxError> {
        let before = self.line;
        while self.peek().is_some_and(char::is_whitespace) {
            self.bump();
        }
        let (start, line) = (self.at, self.line);
        let kind = self.kind(line)?;
        let raw = self.text.get(start..self.at).unwrap_or_default();
        Ok(Token { kind, raw, line, line_ends: line - before })
    }

    fn kind(&mut self, line: usize) -> Result<Kind, SyntaxError> {
        let hcl = self.dialect == Dialect::Hcl;
        let Some(first) = self.bump() else { return Ok(Kind::End) };
        Ok(match first {
            '{' => Kind::LeftBrace,
            '}' => Kind::RightBrace,
            '[' => Kind::LeftBracket,
            ']' => Kind::RightBracket,
            ',' => Kind::Comma,
            '=' if hcl => Kind::Assign,
            ':' if !hcl => Kind::Assign,
            '#' if hcl => self.line_comment(),
            '/' if hcl && self.peek() == Some('/') => self.line_comment(),
            '/' if hcl && self.peek() == Some('*') => self.block_comment(line)?,
            '"' => Kind::Text(self.quoted(line)?),
            '<' if hcl && self.rest().starts_with('<') => Kind::Text(self.heredoc(line)?),
            '-' | '0'..='9' => Kind::Number(self.number(line)?),
            '.' if hcl => Kind::Number(self.number(line)?),
            first if first.is_alphabetic() || first == '_' => {
                let start = self.at - first.len_utf8();
                while self
                    .peek()
                    .is_some_and(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.'))
                {
                    self.bump();
                }
                Kind::Word(self.text.get(start..self.at).unwrap_or_default().to_owned())
            }
            other => {
                return Err(SyntaxError::at(line, format!("unexpected character {other:?}")));
            }
        })
    }

    fn line_comment(&mut self) -> Kind {
        while self.peek().is_some_and(|c| c != '\n') {
            self.bump();
        }
        Kind::Comment
    }

    fn block_comment(&mut self, line: usize) -> Result<Kind, SyntaxError> {
        self.bump();
        let Some(length) = self.rest().find("*/") else {
            return Err(SyntaxError::at(line, "a comment lacks its `*/`"));
        };
        self.skip(length + 2);
        Ok(Kind::Comment)
    }

    /// HCL 1 lets quotes stand between `${` and its `}`, and leaves all of it as it is: nothing
    /// is ever evaluated.
    fn quoted(&mut self, line: usize) -> Result<String, SyntaxError> {
        let hcl = self.dialect == Dialect::Hcl;
        let mut text = String::new();
        let mut braces = 0_usize;
        let mut before = '"';
        loop {
            let Some(c) = self.bump() else { return Err(unterminated(line)) };
            let opens = c == '{' && (braces > 0 || (hcl && before == '$'));
            before = c;
            match c {
                '"' if braces == 0 => return Ok(text),
                '\n' if braces == 0 => return Err(unterminated(line)),
                '\\' if braces == 0 => {
                    let escaped = self.escape(line)?;
                    text.push(escaped);
                    continue;
                }
                '\\' => {
                    text.push(c);
                    text.extend(self.bump());
                    continue;
                }
                '{' if opens => braces += 1,
                '}' if braces > 0 => braces -= 1,
                _ => {}
            }
            text.push(c);
        }
    }

    fn escape(&mut self, line: usize) -> Result<char, SyntaxError> {
        let hcl = self.dialect == Dialect::Hcl;
        let Some(c) = self.bump() else { return Err(unterminated(line)) };
        let code = match c {
            '"' | '\\' => return Ok(c),
            '/' if !hcl => return Ok('/'),
            'n' => return Ok('\n'),
            'r' => return Ok('\r'),
            't' => return Ok('\t'),
            'b' => return Ok('\u{8}'),
            'f' => return Ok('\u{c}'),
            'a' if hcl => return Ok('\u{7}'),
            'v' if hcl => return Ok('\u{b}'),
            'x' if hcl => self.digits(2, 16),
            'u' => self.digits(4, 16),
            'U' if hcl => self.digits(8, 16),
            '0'..='7' if hcl => {
                self.at -= 1;
                self.digits(3, 8)
            }
            _ => None,
        };
        let code = match code {
            // The first half of a pair: JSON's way to write what is beyond U+FFFF.
            Some(high @ 0xd800..0xdc00) if self.rest().starts_with("\\u") => {
                self.skip(2);
                self.digits(4, 16)
                    .filter(|low| (0xdc00..0xe000).contains(low))
                    .map(|low| 0x1_0000 + ((high - 0xd800) << 10) + (low - 0xdc00))
            }
            code => code,
        };
        code.and_then(char::from_u32)
            .ok_or_else(|| SyntaxError::at(line, format!("unknown escape `\\{c}` in a string")))
    }

    fn digits(&mut self, count: usize, radix: u32) -> Option<u32> {
        let digits = self.rest().get(..count)?;
        if !digits.chars().all(|c| c.is_digit(radix)) {
            return None;
        }
        let code = u32::from_str_radix(digits, radix).ok()?;
        self.skip(count);
        Some(code)
    }

    /// `<<WORD` or `<<-WORD`, lines, and a line with the word alone. With the dash, the
    /// indentation of that last line is taken off every line, where every line has it.
    fn heredoc(&mut self, line: usize) -> Result<String, SyntaxError> {
        self.bump();
        let dash = self.peek() == Some('-');
        if dash {
            self.bump();
        }
        let (anchor, length) = match self.rest().split_once('\n') {
            Some((first, _)) => (first.trim_end_matches('\r'), first.len() + 1),
            None => ("", 0),
        };
        if anchor.is_empty() || !anchor.chars().all(|c| c.is_alphanumeric() || c == '_') {
            return Err(SyntaxError::at(line, "expected a word and a line end after `<<`"));
        }
        self.skip(length);
        let mut lines = Vec::new();
        loop {
            let rest = self.rest();
            if rest.is_empty() {
                return Err(SyntaxError::at(line, format!("a heredoc lacks its `{anchor}`")));
            }
            let (content, length) = match rest.split_once('\n') {
                Some((content, _)) => (content, content.len() + 1),
                None => (rest, rest.len()),
            };
            // An indented end is taken without the dash too, as HCL 1 does.
            if content.trim() == anchor {
                // The line end stays: it parts this token from the next.
                self.skip(content.len());
                let indent = content.split(anchor).next().unwrap_or_default();
                return Ok(joined(&lines, if dash { indent } else { "" }));
            }
            lines.push(content);
            self.skip(length);
        }
    }

    fn number(&mut self, line: usize) -> Result<Number, SyntaxError> {
        let start = self.at - 1;
        while self.peek().is_some_and(|c| c.is_ascii_alphanumeric() || c == '.')
            || (matches!(self.peek(), Some('+' | '-'))
                && self.text.get(start..self.at).is_some_and(|text| text.ends_with(['e', 'E'])))
        {
            self.bump();
        }
        let text = self.text.get(start..self.at).unwrap_or_default();
        let (sign, digits) = match text.strip_prefix('-') {
            Some(digits) => (-1, digits),
            None => (1, text),
        };
        let radix = |digits, radix| i64::from_str_radix(digits, radix).ok().map(|n| sign * n);
        let integer = if let Some(hex) = digits.strip_prefix("0x").or(digits.strip_prefix("0X")) {
            radix(hex, 16)
        } else if digits.len() > 1 && digits.starts_with('0') && !digits.contains(['.', 'e', 'E']) {
            radix(digits, 8)
        } else {
            None
        };
        integer
            .map(Number::from)
            .or_else(|| match text.strip_prefix('.') {
                Some(fraction) => serde_json::from_str(&format!("0.{fraction}")).ok(),
                None => serde_json::from_str(text).ok(),
            })
            .ok_or_else(|| {
                let hint = if self.dialect == Dialect::Hcl { " (strings need quotes)" } else { "" };
                SyntaxError::at(line, format!("`{text}` is not a number{hint}"))
            })
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn bump(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += c.len_utf8();
        self.line += usize::from(c == '\n');
        Some(c)
    }

    /// Over that many bytes, which end at a character's end.
    fn skip(&mut self, bytes: usize) {
        let skipped = self.rest().get(..bytes).unwrap_or_default();
        self.line += skipped.matches('\n').count();
        self.at += skipped.len();
    }

    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }
}

fn joined(lines: &[&str], indent: &str) -> String {
    let all_have_it = lines.iter().all(|line| line.starts_with(indent));
    let mut text = String::new();
    for line in lines {
        text.push_str(match line.strip_prefix(indent) {
            Some(shorter) if all_have_it => shorter,
            _ => line,
        });
        text.push('\n');
    }
    text
}

fn unterminated(line: usize) -> SyntaxError {
    SyntaxError::at(line, "a string lacks its closing `\"`")
}
