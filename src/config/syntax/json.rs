//! JSON (RFC 8259), with lines. A key given twice is two entries, as in HCL.

use std::sync::Arc;

use super::scan::Scan;
use super::{Entry, Node, Value};
use crate::config::problem::Problem;

pub(super) fn parse(source: &Arc<str>, text: &str) -> Result<Vec<Entry>, Problem> {
    let mut scan = Scan::new(source, text);
    space(&mut scan);
    let entries = object(&mut scan)?;
    space(&mut scan);
    if scan.peek().is_some() {
        return Err(scan.expected("the end of the file"));
    }
    Ok(entries)
}

fn value(scan: &mut Scan<'_>) -> Result<Node, Problem> {
    let place = scan.place();
    let value = match scan.peek() {
        Some('{') => Value::Object(object(scan)?),
        Some('[') => Value::List(list(scan)?),
        Some('"') => Value::Text(string(scan)?),
        Some('-' | '0'..='9') => Value::Number(number(scan)?),
        _ if scan.skip("true") => Value::Bool(true),
        _ if scan.skip("false") => Value::Bool(false),
        _ if scan.skip("null") => Value::Null,
        _ => return Err(scan.expected("a value")),
    };
    Ok(Node { place, value })
}

fn object(scan: &mut Scan<'_>) -> Result<Vec<Entry>, Problem> {
    scan.enter()?;
    scan.next();
    let mut entries = Vec::new();
    space(scan);
    if !scan.skip("}") {
        loop {
            space(scan);
            if scan.peek() != Some('"') {
                return Err(scan.expected("a key in quotes"));
            }
            let place = scan.place();
            let key = string(scan)?;
            space(scan);
            if !scan.skip(":") {
                return Err(scan.expected("`:` after the key"));
            }
            space(scan);
            let value = value(scan)?.value;
            entries.push(Entry { key, labels: Vec::new(), node: Node { place, value } });
            space(scan);
            if scan.skip("}") {
                break;
            }
            if !scan.skip(",") {
                return Err(scan.expected("`,` or `}`"));
            }
        }
    }
    scan.leave();
    Ok(entries)
}

fn list(scan: &mut Scan<'_>) -> Result<Vec<Node>, Problem> {
    scan.enter()?;
    scan.next();
    let mut nodes = Vec::new();
    space(scan);
    if !scan.skip("]") {
        loop {
            space(scan);
            nodes.push(value(scan)?);
            space(scan);
            if scan.skip("]") {
                break;
            }
            if !scan.skip(",") {
                return Err(scan.expected("`,` or `]`"));
            }
        }
    }
    scan.leave();
    Ok(nodes)
}

fn number(scan: &mut Scan<'_>) -> Result<String, Problem> {
    let text = scan.take_while(|c| matches!(c, '-' | '+' | '.' | 'e' | 'E') || c.is_ascii_digit());
    match text.parse::<f64>() {
        Ok(number) if number.is_finite() => Ok(text.to_owned()),
        _ => Err(scan.wrong(format!("`{text}` is not a number"))),
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
    let character = match scan.peek() {
        Some(same @ ('"' | '\\' | '/')) => same,
        Some('b') => '\u{8}',
        Some('f') => '\u{c}',
        Some('n') => '\n',
        Some('r') => '\r',
        Some('t') => '\t',
        Some('u') => {
            scan.next();
            return unicode(scan);
        }
        _ => return Err(scan.expected("an escape such as `\\n`")),
    };
    scan.next();
    Ok(character)
}

/// Four digits, or eight in two escapes (a surrogate pair).
fn unicode(scan: &mut Scan<'_>) -> Result<char, Problem> {
    let first = scan.hex(4)?;
    let code = if (0xd800..0xdc00).contains(&first) && scan.skip("\\u") {
        let second = scan.hex(4)?;
        match second.checked_sub(0xdc00) {
            Some(low) if low < 0x400 => 0x10000 + ((first - 0xd800) << 10) + low,
            _ => first,
        }
    } else {
        first
    };
    char::from_u32(code).ok_or_else(|| scan.wrong("a `\\u` escape is no character".to_owned()))
}

fn space(scan: &mut Scan<'_>) {
    scan.take_while(|character| matches!(character, ' ' | '\t' | '\r' | '\n'));
}
