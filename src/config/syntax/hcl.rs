//! HCL version 1.
//!
//! `key = value`, `key { … }` and `key "label" { … }`, where keys may be quoted, commas between
//! entries are optional, and comments begin with `#`, `//` or stand between `/*` and `*/`.
//! `${…}` in a string is plain text: nothing is interpolated in a server's configuration.

use std::sync::Arc;

use super::scan::Scan;
use super::{Entry, Node, Value};
use crate::config::problem::Problem;

pub(super) fn parse(source: &Arc<str>, text: &str) -> Result<Vec<Entry>, Problem> {
    let mut scan = Scan::new(source, text);
    let mut entries = Vec::new();
    loop {
        space(&mut scan)?;
        if scan.peek().is_none() {
            return Ok(entries);
        }
        entries.push(entry(&mut scan)?);
        space(&mut scan)?;
        scan.skip(",");
    }
}

fn entry(scan: &mut Scan<'_>) -> Result<Entry, Problem> {
    let place = scan.place();
    let key = key(scan)?;
    let mut labels = Vec::new();
    loop {
        space(scan)?;
        match scan.peek() {
            Some('=') if labels.is_empty() => {
                scan.next();
                space(scan)?;
                let value = value(scan)?;
                return Ok(Entry { key, labels, node: Node { place, value } });
            }
            Some('{') => {
                let value = Value::Object(object(scan)?);
                return Ok(Entry { key, labels, node: Node { place, value } });
            }
            Some(character) if character == '"' || begins_key(character) => {
                labels.push(self::key(scan)?);
            }
            _ => return Err(scan.expected(&format!("`=` or `{{` after `{key}`"))),
        }
    }
}

fn key(scan: &mut Scan<'_>) -> Result<String, Problem> {
    match scan.peek() {
        Some('"') => string(scan),
        Some(character) if begins_key(character) => Ok(scan
            .take_while(|c| begins_key(c) || c.is_ascii_digit() || matches!(c, '-' | '.'))
            .to_owned()),
        _ => Err(scan.expected("a key")),
    }
}

fn begins_key(character: char) -> bool {
    character.is_alphabetic() || character == '_'
}

fn value(scan: &mut Scan<'_>) -> Result<Value, Problem> {
    match scan.peek() {
        Some('"') => string(scan).map(Value::Text),
        Some('{') => object(scan).map(Value::Object),
        Some('[') => list(scan).map(Value::List),
        Some('<') => heredoc(scan).map(Value::Text),
        Some('-' | '+' | '.' | '0'..='9') => number(scan),
        Some(character) if begins_key(character) => {
            let place = scan.place();
            match key(scan)?.as_str() {
                "true" => Ok(Value::Bool(true)),
                "false" => Ok(Value::Bool(false)),
                word => {
                    Err(Problem { place, text: format!("`{word}` must stand in double quotes") })
                }
            }
        }
        _ => Err(scan.expected("a value")),
    }
}

fn object(scan: &mut Scan<'_>) -> Result<Vec<Entry>, Problem> {
    scan.enter()?;
    let opened = scan.place();
    scan.next();
    let mut entries = Vec::new();
    loop {
        space(scan)?;
        if scan.skip("}") {
            break;
        }
        if scan.peek().is_none() {
            return Err(Problem { place: opened, text: "`{` is never closed".to_owned() });
        }
        entries.push(entry(scan)?);
        space(scan)?;
        scan.skip(",");
    }
    scan.leave();
    Ok(entries)
}

fn list(scan: &mut Scan<'_>) -> Result<Vec<Node>, Problem> {
    scan.enter()?;
    scan.next();
    let mut nodes = Vec::new();
    loop {
        space(scan)?;
        if scan.skip("]") {
            break;
        }
        let place = scan.place();
        nodes.push(Node { place, value: value(scan)? });
        space(scan)?;
        if !scan.skip(",") && scan.peek() != Some(']') {
            return Err(scan.expected("`,` or `]`"));
        }
    }
    scan.leave();
    Ok(nodes)
}

fn number(scan: &mut Scan<'_>) -> Result<Value, Problem> {
    let text = scan.take_while(|c| matches!(c, '-' | '+' | '.') || c.is_ascii_alphanumeric());
    if let Some(digits) = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"))
        && let Ok(number) = u64::from_str_radix(digits, 16)
    {
        return Ok(Value::Number(number.to_string()));
    }
    match text.parse::<f64>() {
        Ok(number) if number.is_finite() => Ok(Value::Number(text.to_owned())),
        _ => Err(scan.wrong(format!("`{text}` is not a number: text must stand in double quotes"))),
    }
}

fn string(scan: &mut Scan<'_>) -> Result<String, Problem> {
    scan.next();
    let mut text = String::new();
    loop {
        match scan.peek() {
            None | Some('\n') => return Err(scan.expected("`\"`")),
            Some('"') => {
                scan.next();
                return Ok(text);
            }
            Some('\\') => {
                scan.next();
                text.push(escape(scan)?);
            }
            Some(character) => {
                scan.next();
                text.push(character);
            }
        }
    }
}

fn escape(scan: &mut Scan<'_>) -> Result<char, Problem> {
    let digits = match scan.peek() {
        Some('x') => 2,
        Some('u') => 4,
        Some('U') => 8,
        Some(character) => {
            let meant = match character {
                '"' | '\\' => character,
                'a' => '\u{7}',
                'b' => '\u{8}',
                'f' => '\u{c}',
                'n' => '\n',
                'r' => '\r',
                't' => '\t',
                'v' => '\u{b}',
                _ => return Err(scan.expected("an escape such as `\\n`")),
            };
            scan.next();
            return Ok(meant);
        }
        None => return Err(scan.expected("an escape such as `\\n`")),
    };
    scan.next();
    let code = scan.hex(digits)?;
    char::from_u32(code).ok_or_else(|| scan.wrong("an escape is no character".to_owned()))
}

/// `<<END` up to a line that holds only `END`. After `<<-END` the indent that every line shares
/// is taken away.
fn heredoc(scan: &mut Scan<'_>) -> Result<String, Problem> {
    let opened = scan.place();
    let indented = scan.skip("<<-");
    if !indented && !scan.skip("<<") {
        return Err(scan.expected("a value"));
    }
    let end = scan.take_while(|c| c.is_alphanumeric() || c == '_').to_owned();
    scan.take_while(|character| matches!(character, ' ' | '\t' | '\r'));
    if end.is_empty() || !scan.skip("\n") {
        return Err(scan.expected("a word that ends the text, such as `<<EOF`"));
    }
    let mut lines = Vec::new();
    loop {
        if scan.rest().is_empty() {
            let text = format!("the text that begins with `<<{end}` never ends");
            return Err(Problem { place: opened, text });
        }
        let line = scan.take_while(|character| character != '\n').trim_end_matches('\r');
        if line.trim() == end {
            break;
        }
        scan.next();
        lines.push(line);
    }
    let indent = if indented { shared_indent(&lines) } else { 0 };
    let mut text = String::new();
    for line in lines {
        text.push_str(line.get(indent..).unwrap_or_default());
        text.push('\n');
    }
    Ok(text)
}

fn shared_indent(lines: &[&str]) -> usize {
    let indents = lines.iter().filter(|line| !line.trim().is_empty());
    indents.map(|line| line.len() - line.trim_start_matches([' ', '\t']).len()).min().unwrap_or(0)
}

/// Steps over white space and comments.
fn space(scan: &mut Scan<'_>) -> Result<(), Problem> {
    loop {
        scan.take_while(char::is_whitespace);
        if scan.rest().starts_with('#') || scan.rest().starts_with("//") {
            scan.take_while(|character| character != '\n');
        } else if scan.rest().starts_with("/*") {
            let opened = scan.place();
            scan.skip("/*");
            while !scan.skip("*/") {
                if scan.next().is_none() {
                    return Err(Problem { place: opened, text: "`/*` is never closed".to_owned() });
                }
            }
        } else {
            return Ok(());
        }
    }
}
