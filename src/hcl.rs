//! HCL 1, as policies and configurations are written in it, and JSON, with one parser.
//!
//! HCL 2 parsers refuse what HCL 1 took for ten years: commas between attributes, several of them
//! on a line, attributes that repeat, `${` as plain text. Files in use have them all. JSON readers
//! forget lines, and refuse what HCL 1's own reader of JSON lets pass: commas may lack or trail.
//!
//! **Invariant:** memory is bounded by the text's length, recursion by [`DEPTH_MAX`].

mod lexer;
mod print;
#[cfg(test)]
mod tests;

use serde_json::{Number, Value};

use lexer::{Dialect, Kind, Lexer, Token};

pub use print::print;

/// Objects and lists in one another.
pub const DEPTH_MAX: usize = 32;

#[derive(Debug, Eq, PartialEq, thiserror::Error)]
#[error("line {line}: {message}")]
pub struct SyntaxError {
    /// From 1.
    pub line: usize,
    pub message: String,
}

impl SyntaxError {
    fn at(line: usize, message: impl Into<String>) -> Self {
        Self { line, message: message.into() }
    }
}

/// What is between braces, or the whole text.
#[derive(Debug, Default)]
pub struct Body {
    pub items: Vec<Item>,
    /// After the last item.
    comments: Vec<String>,
}

/// `key "label" { … }` or `key = value`.
#[derive(Debug)]
pub struct Item {
    /// Never empty: the key, then the labels.
    pub keys: Vec<Key>,
    pub node: Node,
    /// Where it starts, from 1.
    pub line: usize,
    /// `=` stood before the value.
    assigned: bool,
    style: Style,
}

#[derive(Debug)]
pub struct Key {
    pub text: String,
    /// As written. `None` where that was JSON's way.
    raw: Option<String>,
}

#[derive(Debug)]
pub enum Node {
    Scalar(Scalar),
    List(List),
    Object(Body),
}

#[derive(Debug)]
pub struct Scalar {
    pub value: Value,
    /// As written. `None` where that was JSON's way.
    raw: Option<String>,
}

#[derive(Debug)]
pub struct List {
    pub elements: Vec<Element>,
    comments: Vec<String>,
    /// It had a line end between its brackets.
    spread: bool,
}

#[derive(Debug)]
pub struct Element {
    pub node: Node,
    /// Where it starts, from 1.
    pub line: usize,
    style: Style,
}

/// What has no meaning, and should be kept when printed.
#[derive(Debug, Default)]
struct Style {
    /// On the lines before; empty for an empty line.
    comments: Vec<String>,
    /// On the same line, after.
    trailing: Option<String>,
    /// An empty line stood before.
    parted: bool,
}

impl Body {
    /// What a key is given; of several the last.
    pub fn get(&self, key: &str) -> Option<&Node> {
        let is_it = |item: &&Item| matches!(item.keys.as_slice(), [only] if only.text == key);
        self.items.iter().rfind(is_it).map(|item| &item.node)
    }
}

impl Scalar {
    /// As it stands in the text; `None` in JSON.
    pub fn raw(&self) -> Option<&str> {
        self.raw.as_deref()
    }
}

impl Item {
    /// A block `key "label" { … }`, made of an object that was written in another way.
    pub fn block(key: &str, label: String, body: Body, line: usize) -> Self {
        let keys = vec![
            Key { text: key.to_owned(), raw: Some(key.to_owned()) },
            Key { text: label, raw: None },
        ];
        let style = Style { parted: true, ..Style::default() };
        Self { keys, node: Node::Object(body), line, assigned: false, style }
    }
}

impl Node {
    /// As JSON. An object whose keys repeat keeps the last of each.
    pub fn to_json(&self) -> Value {
        match self {
            Self::Scalar(scalar) => scalar.value.clone(),
            Self::List(list) => {
                Value::Array(list.elements.iter().map(|element| element.node.to_json()).collect())
            }
            Self::Object(body) => {
                let items = body.items.iter().filter_map(|item| {
                    Some((item.keys.first()?.text.clone(), item.node.to_json()))
                });
                Value::Object(items.collect())
            }
        }
    }

    fn is_heredoc(&self) -> bool {
        matches!(self, Self::Scalar(Scalar { raw: Some(raw), .. }) if raw.starts_with('<'))
    }

    /// As said in errors.
    pub fn describe(&self) -> &'static str {
        match self {
            Self::Scalar(Scalar { value: Value::String(_), .. }) => "a string",
            Self::Scalar(Scalar { value: Value::Number(_), .. }) => "a number",
            Self::Scalar(Scalar { value: Value::Bool(_), .. }) => "a boolean",
            Self::Scalar(_) => "null",
            Self::List(_) => "a list",
            Self::Object(_) => "an object",
        }
    }
}

/// Whether it is JSON: no HCL starts with a brace.
pub fn is_json(text: &str) -> bool {
    text.trim_start_matches(BYTE_ORDER_MARK).trim_start().starts_with('{')
}

/// HCL, or JSON.
///
/// # Errors
/// With the line, and what was expected there.
pub fn parse(text: &str) -> Result<Body, SyntaxError> {
    let text = text.trim_start_matches(BYTE_ORDER_MARK);
    let json = is_json(text);
    let dialect = if json { Dialect::Json } else { Dialect::Hcl };
    let mut lexer = Lexer::new(dialect, text);
    let next = lexer.token()?;
    let mut parser = Parser { dialect, lexer, next, comments: Vec::new(), comment_parted: false };
    if !json {
        return parser.body(0, 1, &Kind::End);
    }
    let line = parser.next.line;
    parser.advance()?;
    let body = parser.body(1, line, &Kind::RightBrace)?;
    match parser.next.kind {
        Kind::End => Ok(body),
        _ => Err(parser.expected("nothing after the closing `}`")),
    }
}

struct Parser<'a> {
    dialect: Dialect,
    lexer: Lexer<'a>,
    /// Never a comment once [`Self::gather`] ran.
    next: Token<'a>,
    /// Passed over, and not given to an item yet.
    comments: Vec<String>,
    /// An empty line stood before the first of them.
    comment_parted: bool,
}

impl Parser<'_> {
    /// `line` is that of the opening brace.
    fn body(&mut self, depth: usize, line: usize, end: &Kind) -> Result<Body, SyntaxError> {
        self.bound(depth)?;
        let mut body = Body::default();
        loop {
            self.gather()?;
            if self.next.kind == *end {
                body.comments = std::mem::take(&mut self.comments);
                self.advance()?;
                return Ok(body);
            }
            if self.next.kind == Kind::End {
                return Err(SyntaxError::at(line, "`{` is never closed"));
            }
            let item = self.item(depth)?;
            body.items.push(item);
        }
    }

    fn item(&mut self, depth: usize) -> Result<Item, SyntaxError> {
        let (mut style, line) = (self.style(), self.next.line);
        let mut keys = Vec::new();
        loop {
            let hcl = self.dialect == Dialect::Hcl;
            let text = match &self.next.kind {
                Kind::Word(text) if hcl => text.clone(),
                Kind::Text(text) if !self.next.raw.starts_with('<') => text.clone(),
                _ => break,
            };
            keys.push(Key { text, raw: hcl.then(|| self.next.raw.to_owned()) });
            self.advance()?;
            self.gather()?;
        }
        let (node, assigned) = match (&self.next.kind, keys.len()) {
            (Kind::Assign, 1) => {
                self.advance()?;
                self.gather()?;
                (self.value(depth)?, true)
            }
            (Kind::LeftBrace, 1..) if self.dialect == Dialect::Hcl => (self.value(depth)?, false),
            (_, 0) if depth == 0 => return Err(self.expected("a key")),
            (_, 0) => return Err(self.expected("a key or `}`")),
            (_, 1) if self.dialect == Dialect::Json => return Err(self.expected("`:`")),
            (_, 1) => return Err(self.expected("`=`, `{` or a name")),
            (_, _) => return Err(self.expected("`{`")),
        };
        self.finish(&mut style)?;
        if node.is_heredoc() {
            // Nothing may stand on the line that ends a heredoc, so that what followed its comma
            // is printed as a comment of what comes next.
            self.comments.extend(style.trailing.take());
        }
        Ok(Item { keys, node, line, assigned, style })
    }

    fn value(&mut self, depth: usize) -> Result<Node, SyntaxError> {
        let json = self.dialect == Dialect::Json;
        let value = match &self.next.kind {
            Kind::LeftBrace => {
                let line = self.next.line;
                self.advance()?;
                return self.body(depth + 1, line, &Kind::RightBrace).map(Node::Object);
            }
            Kind::LeftBracket => return self.list(depth + 1).map(Node::List),
            Kind::Text(text) => Value::String(text.clone()),
            Kind::Number(number) => Value::Number(Number::clone(number)),
            Kind::Word(word) => match word.as_str() {
                "true" => Value::Bool(true),
                "false" => Value::Bool(false),
                "null" if json => Value::Null,
                _ => return Err(self.expected("a value (strings need quotes)")),
            },
            _ => return Err(self.expected("a value")),
        };
        let raw = (!json).then(|| self.next.raw.to_owned());
        self.advance()?;
        Ok(Node::Scalar(Scalar { value, raw }))
    }

    fn list(&mut self, depth: usize) -> Result<List, SyntaxError> {
        self.bound(depth)?;
        let start = self.next.line;
        self.advance()?;
        let mut list = List { elements: Vec::new(), comments: Vec::new(), spread: false };
        loop {
            self.gather()?;
            if self.next.kind == Kind::RightBracket {
                list.comments = std::mem::take(&mut self.comments);
                list.spread = self.next.line > start;
                self.advance()?;
                return Ok(list);
            }
            let (mut style, line) = (self.style(), self.next.line);
            let node = self.value(depth)?;
            let comma = self.finish(&mut style)?;
            list.elements.push(Element { node, line, style });
            self.gather()?;
            if !comma && self.next.kind != Kind::RightBracket {
                return Err(self.expected("`,` or `]`"));
            }
        }
    }

    /// A comma, if any, and the comment on the same line. Says whether there was a comma.
    fn finish(&mut self, style: &mut Style) -> Result<bool, SyntaxError> {
        self.trail(style)?;
        self.gather()?;
        let comma = self.next.kind == Kind::Comma;
        if comma {
            self.advance()?;
            self.trail(style)?;
        }
        Ok(comma)
    }

    fn trail(&mut self, style: &mut Style) -> Result<(), SyntaxError> {
        if self.next.kind == Kind::Comment && self.next.line_ends == 0 && style.trailing.is_none() {
            style.trailing = Some(self.next.raw.trim_end().to_owned());
            self.advance()?;
        }
        Ok(())
    }

    /// Passes over comments.
    fn gather(&mut self) -> Result<(), SyntaxError> {
        while self.next.kind == Kind::Comment {
            let parted = self.next.line_ends > 1;
            if self.comments.is_empty() {
                self.comment_parted = parted;
            } else if parted {
                self.comments.push(String::new());
            }
            self.comments.push(self.next.raw.trim_end().to_owned());
            self.advance()?;
        }
        Ok(())
    }

    fn style(&mut self) -> Style {
        let mut comments = std::mem::take(&mut self.comments);
        let mut parted = self.next.line_ends > 1;
        if !comments.is_empty() {
            if parted {
                comments.push(String::new());
            }
            parted = self.comment_parted;
        }
        Style { comments, trailing: None, parted }
    }

    fn advance(&mut self) -> Result<(), SyntaxError> {
        self.next = self.lexer.token()?;
        Ok(())
    }

    fn bound(&self, depth: usize) -> Result<(), SyntaxError> {
        if depth > DEPTH_MAX {
            let message = format!("more than {DEPTH_MAX} levels of nesting");
            return Err(SyntaxError::at(self.next.line, message));
        }
        Ok(())
    }

    fn expected(&self, what: &str) -> SyntaxError {
        let found = match &self.next.kind {
            Kind::End => "the end of the text".to_owned(),
            _ => {
                let shown: String = self.next.raw.chars().take(SHOWN_MAX).collect();
                format!("`{}`", shown.lines().next().unwrap_or_default())
            }
        };
        SyntaxError::at(self.next.line, format!("expected {what}, found {found}"))
    }
}

/// What some editors put before the text.
const BYTE_ORDER_MARK: char = '\u{feff}';

/// Characters of the text that an error repeats.
const SHOWN_MAX: usize = 40;
