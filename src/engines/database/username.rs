//! Names of new users, by a template: the part of Go's `text/template` that Vault's have.

use time::OffsetDateTime;

use super::template_time::go_time;
use crate::clock::Timestamp;
use crate::crypto::{Algorithm, sha256};
use crate::rng::Rng;
use crate::text::hex;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

/// A template that was understood.
#[derive(Clone, Debug)]
pub(super) struct Template(Vec<Part>);

/// What a template may ask for.
#[derive(Clone, Copy)]
pub(super) struct About<'a> {
    pub(super) display_name: &'a str,
    pub(super) role_name: &'a str,
    pub(super) now: Timestamp,
    pub(super) rng: &'a dyn Rng,
}

#[derive(Clone, Debug)]
enum Part {
    Text(String),
    Pipeline(Vec<Command>),
}

/// Operands; the first may be a function.
type Command = Vec<Operand>;

#[derive(Clone, Debug)]
enum Operand {
    Pipeline(Vec<Command>),
    Text(String),
    Number(i64),
    Field(String),
    Function(String),
}

#[derive(Clone, Debug)]
enum Value {
    Text(String),
    Number(i64),
}

impl Template {
    /// # Errors
    /// With a text for its writer.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        if text.len() > TEXT_BYTES_MAX {
            return Err(format!("more than {TEXT_BYTES_MAX} bytes"));
        }
        let mut parts = Vec::new();
        let mut rest = text;
        let mut trims = false;
        while let Some((before, after)) = rest.split_once("{{") {
            let (after, trims_left) = match after.strip_prefix("- ") {
                Some(after) => (after, true),
                None => (after, false),
            };
            let before = if trims { before.trim_start() } else { before };
            let before = if trims_left { before.trim_end() } else { before };
            parts.push(Part::Text(before.to_owned()));
            let mut words = Words { rest: after };
            parts.push(Part::Pipeline(words.pipeline(0)?));
            let after = words.rest.trim_start();
            (rest, trims) = match after.strip_prefix("}}") {
                Some(after) => (after, false),
                None => (after.strip_prefix("-}}").ok_or("unclosed action")?, true),
            };
        }
        let rest = if trims { rest.trim_start() } else { rest };
        parts.push(Part::Text(rest.to_owned()));
        Ok(Self(parts))
    }

    /// # Errors
    /// With a text for its writer: what it asks of a function is not possible.
    pub(super) fn render(&self, about: About<'_>) -> Result<String, String> {
        let mut name = String::new();
        for part in &self.0 {
            match part {
                Part::Text(text) => name.push_str(text),
                Part::Pipeline(commands) => name.push_str(&evaluate(commands, about)?.text()),
            }
            if name.len() > NAME_BYTES_MAX {
                return Err(format!("the name has more than {NAME_BYTES_MAX} bytes"));
            }
        }
        Ok(name)
    }
}

struct Words<'t> {
    rest: &'t str,
}

impl Words<'_> {
    fn pipeline(&mut self, depth: usize) -> Result<Vec<Command>, String> {
        if depth > DEPTH_MAX {
            return Err(format!("more than {DEPTH_MAX} parentheses within each other"));
        }
        let mut commands = vec![self.command(depth)?];
        while self.eat('|') {
            commands.push(self.command(depth)?);
        }
        Ok(commands)
    }

    fn eat(&mut self, letter: char) -> bool {
        self.rest = self.rest.trim_start();
        match self.rest.strip_prefix(letter) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn command(&mut self, depth: usize) -> Result<Command, String> {
        let mut operands = Vec::new();
        loop {
            self.rest = self.rest.trim_start();
            let Some(letter) = self.rest.chars().next() else {
                return Err("unclosed action".into());
            };
            match letter {
                '|' | ')' | '}' => break,
                '-' if self.rest.starts_with("-}}") => break,
                _ => operands.push(self.operand(letter, depth)?),
            }
        }
        match operands.first() {
            None => Err("missing value for command".into()),
            Some(Operand::Function(name)) if !FUNCTIONS.contains(&name.as_str()) => {
                Err(format!("function {name:?} not defined"))
            }
            Some(Operand::Function(_)) => Ok(operands),
            Some(_) if operands.len() > 1 => Err("can't give argument to non-function".into()),
            Some(_) => Ok(operands),
        }
    }

    fn operand(&mut self, letter: char, depth: usize) -> Result<Operand, String> {
        match letter {
            '(' => {
                self.eat('(');
                let inner = self.pipeline(depth + 1)?;
                if !self.eat(')') {
                    return Err("unclosed left paren".into());
                }
                Ok(Operand::Pipeline(inner))
            }
            '"' => self.quoted().map(Operand::Text),
            '`' => {
                let inner = self.rest.get(1..).unwrap_or_default();
                let (text, rest) = inner.split_once('`').ok_or("unterminated raw quoted string")?;
                self.rest = rest;
                Ok(Operand::Text(text.to_owned()))
            }
            _ => self.word(letter),
        }
    }

    fn word(&mut self, letter: char) -> Result<Operand, String> {
        let skipped = usize::from(letter == '.' || letter == '-');
        let tail = self.rest.get(skipped..).unwrap_or_default();
        let length = tail
            .find(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_')
            .unwrap_or(tail.len());
        let (word, rest) = self.rest.split_at(skipped + length);
        if length == 0 {
            return Err(format!("unexpected {letter:?}"));
        }
        self.rest = rest;
        if let Some(field) = word.strip_prefix('.') {
            if !matches!(field, "DisplayName" | "RoleName") {
                return Err(format!("there is no field {field:?}: take .DisplayName or .RoleName"));
            }
            return Ok(Operand::Field(field.to_owned()));
        }
        if letter == '-' || letter.is_ascii_digit() {
            let number = word.parse().map_err(|_| format!("bad number syntax: {word:?}"))?;
            return Ok(Operand::Number(number));
        }
        Ok(Operand::Function(word.to_owned()))
    }

    fn quoted(&mut self) -> Result<String, String> {
        let mut text = String::new();
        let mut letters = self.rest.char_indices().skip(1);
        while let Some((at, letter)) = letters.next() {
            match letter {
                '"' => {
                    self.rest = self.rest.get(at + 1..).unwrap_or_default();
                    return Ok(text);
                }
                '\\' => match letters.next().map(|(_, letter)| letter) {
                    Some('n') => text.push('\n'),
                    Some('t') => text.push('\t'),
                    Some(letter @ ('"' | '\\')) => text.push(letter),
                    _ => return Err("bad escape in a string".into()),
                },
                letter => text.push(letter),
            }
        }
        Err("unterminated quoted string".into())
    }
}

impl Value {
    fn text(self) -> String {
        match self {
            Self::Text(text) => text,
            Self::Number(number) => number.to_string(),
        }
    }
}

fn evaluate(commands: &[Command], about: About<'_>) -> Result<Value, String> {
    let mut piped = None;
    for command in commands {
        let (first, others) = command.split_first().ok_or("missing value for command")?;
        if let Operand::Function(name) = first {
            let mut arguments = Vec::new();
            for operand in others {
                arguments.push(value(operand, about)?);
            }
            arguments.extend(piped.take());
            piped = Some(call(name, arguments, about)?);
        } else if piped.is_some() {
            return Err("a value cannot take what is piped into it".into());
        } else {
            piped = Some(value(first, about)?);
        }
    }
    piped.ok_or_else(|| "missing value for command".into())
}

fn value(operand: &Operand, about: About<'_>) -> Result<Value, String> {
    Ok(match operand {
        Operand::Pipeline(commands) => evaluate(commands, about)?,
        Operand::Text(text) => Value::Text(text.clone()),
        Operand::Number(number) => Value::Number(*number),
        Operand::Field(name) if name == "DisplayName" => Value::Text(about.display_name.into()),
        Operand::Field(_) => Value::Text(about.role_name.into()),
        Operand::Function(name) => call(name, Vec::new(), about)?,
    })
}

/// What comes in, taken one after the other.
struct Arguments<'n> {
    name: &'n str,
    values: std::vec::IntoIter<Value>,
}

impl Arguments<'_> {
    fn next(&mut self) -> Result<Value, String> {
        self.values.next().ok_or_else(|| format!("not enough arguments for {}", self.name))
    }

    fn text(&mut self) -> Result<String, String> {
        match self.next()? {
            Value::Text(text) => Ok(text),
            Value::Number(_) => Err(format!("{} needs a text, not a number", self.name)),
        }
    }

    fn number(&mut self) -> Result<i64, String> {
        match self.next()? {
            Value::Number(number) => Ok(number),
            Value::Text(_) => Err(format!("{} needs a number, not a text", self.name)),
        }
    }
}

fn call(name: &str, arguments: Vec<Value>, about: About<'_>) -> Result<Value, String> {
    let mut given = Arguments { name, values: arguments.into_iter() };
    let made = match name {
        "random" => {
            let length = usize::try_from(given.number()?).ok();
            let length = length.filter(|length| (1..=RANDOM_MAX).contains(length));
            about.rng.base62(length.ok_or(format!("random makes 1 to {RANDOM_MAX} characters"))?)
        }
        "truncate" => {
            let length = length_of(given.number()?, 0)?;
            cut(&given.text()?, length).to_owned()
        }
        "truncate_sha256" => {
            let length = length_of(given.number()?, HASH_CHARACTERS)?;
            let text = given.text()?;
            let kept = cut(&text, length - HASH_CHARACTERS);
            let rest = text.get(kept.len()..).unwrap_or_default();
            if text.len() <= length {
                text
            } else {
                format!("{kept}{}", cut(&hex(&sha256(&[rest.as_bytes()])), HASH_CHARACTERS))
            }
        }
        "uppercase" => given.text()?.to_uppercase(),
        "lowercase" => given.text()?.to_lowercase(),
        "replace" => {
            let (old, new) = (given.text()?, given.text()?);
            given.text()?.replace(&old, &new)
        }
        "sha256" => hex(&Algorithm::Sha2_256.digest(given.text()?.as_bytes())),
        "base64" => BASE64.encode(given.text()?),
        "unix_time" => about.now.seconds().to_string(),
        "unix_time_millis" => about.now.0.to_string(),
        "uuid" => about.rng.uuid(),
        "timestamp" => {
            let seconds = i64::try_from(about.now.seconds()).unwrap_or_default();
            let time = OffsetDateTime::from_unix_timestamp(seconds).map_err(|e| e.to_string())?;
            go_time(&given.text()?, time)
        }
        _ => printf(&mut given)?,
    };
    if given.values.next().is_some() {
        return Err(format!("too many arguments for {name}"));
    }
    if made.len() > NAME_BYTES_MAX {
        return Err(format!("{name} makes more than {NAME_BYTES_MAX} bytes"));
    }
    Ok(Value::Text(made))
}

fn length_of(number: i64, above: usize) -> Result<usize, String> {
    let length = usize::try_from(number).ok().filter(|length| *length > above);
    length.ok_or_else(|| format!("max length must be > {above} but was {number}"))
}

/// At most so many bytes, and no part of a character.
fn cut(text: &str, length: usize) -> &str {
    let mut end = length.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default()
}

fn printf(given: &mut Arguments<'_>) -> Result<String, String> {
    let format = given.text()?;
    let mut text = String::new();
    let mut letters = format.chars();
    while let Some(letter) = letters.next() {
        if letter != '%' {
            text.push(letter);
            continue;
        }
        match letters.next() {
            Some('%') => text.push('%'),
            Some('s' | 'v') => text.push_str(&given.next()?.text()),
            Some('d') => text.push_str(&given.number()?.to_string()),
            other => {
                let other = other.map(String::from).unwrap_or_default();
                return Err(format!("printf knows %s, %v, %d and %%, not %{other}"));
            }
        }
    }
    Ok(text)
}

const FUNCTIONS: [&str; 13] = [
    "base64",
    "lowercase",
    "printf",
    "random",
    "replace",
    "sha256",
    "timestamp",
    "truncate",
    "truncate_sha256",
    "unix_time",
    "unix_time_millis",
    "uppercase",
    "uuid",
];

/// Of a hash, where it stands for what was cut off.
const HASH_CHARACTERS: usize = 8;

const RANDOM_MAX: usize = 1024;

const NAME_BYTES_MAX: usize = 4096;

const TEXT_BYTES_MAX: usize = 4096;

const DEPTH_MAX: usize = 16;

#[cfg(test)]
mod tests;
