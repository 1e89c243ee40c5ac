//! Paths, from what a client sent to what policies are matched against. Everything is cleaned or
//! refused here, before anyone compares it with a rule.

use crate::text::{PATH_KEPT, percent_encode};

/// What becomes of a request by its path alone.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Route {
    /// Decoded, without `/v1/`.
    Api(String),
    /// 307 to this path: it held empty or dotted segments.
    Redirect(String),
    /// 400, with this text.
    Refused(&'static str),
    Robots,
    Unknown,
}

/// Whether characters that cannot be printed are refused.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Printable {
    Any,
    Only,
}

/// `raw` is the path as sent, percent-encoded.
pub(super) fn route(raw: &str, printable: Printable) -> Route {
    let Some(decoded) = decode(raw) else {
        return Route::Refused("path is not UTF-8");
    };
    if printable == Printable::Only && decoded.chars().any(is_unprintable) {
        return Route::Refused("path has characters that cannot be printed");
    }
    if let Some(clean) = cleaned(raw) {
        return Route::Redirect(clean);
    }
    // Only what was encoded can still hold such segments: `%2e%2e`, `a%2f..%2fb`.
    if decoded.split('/').any(|segment| segment == "." || segment == "..") {
        return Route::Refused("relative paths not supported");
    }
    if let Some(clean) = cleaned(&decoded) {
        let mut location = String::with_capacity(clean.len());
        percent_encode(&clean, PATH_KEPT, &mut location);
        return Route::Redirect(location);
    }
    match decoded.strip_prefix("/v1/") {
        Some(path) => Route::Api(path.to_owned()),
        None if decoded == "/robots.txt" => Route::Robots,
        None => Route::Unknown,
    }
}

/// The path without empty, `.` and `..` segments; `None` where it has none. A trailing slash
/// stays.
fn cleaned(path: &str) -> Option<String> {
    let mut kept: Vec<&str> = Vec::new();
    let body = path.strip_prefix('/')?;
    let mut changed = false;
    let mut segments = body.split('/').peekable();
    let mut slash = false;
    while let Some(segment) = segments.next() {
        let is_last = segments.peek().is_none();
        slash = false;
        match segment {
            "" if is_last => slash = true,
            "" => changed = true,
            "." | ".." => {
                changed = true;
                slash = is_last;
                if segment == ".." {
                    kept.pop();
                }
            }
            _ => kept.push(segment),
        }
    }
    if !changed {
        return None;
    }
    let slash = if slash && !kept.is_empty() { "/" } else { "" };
    Some(format!("/{}{slash}", kept.join("/")))
}

/// `None` where the encoding is broken or what it holds is not UTF-8.
pub(super) fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let high = char::from(rest.next()?).to_digit(16)?;
            let low = char::from(rest.next()?).to_digit(16)?;
            bytes.push(u8::try_from(high * 16 + low).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

/// Query or form: `a=1&b=2`, in order. `None` where an encoding is broken.
pub(super) fn pairs(text: &str) -> Option<Vec<(String, String)>> {
    text.split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Some((decode(&name.replace('+', " "))?, decode(&value.replace('+', " "))?))
        })
        .collect()
}

/// Controls, spaces but U+0020, format characters and private use: what makes two paths look
/// alike, or a log line look like two.
fn is_unprintable(c: char) -> bool {
    c.is_control()
        || (c.is_whitespace() && c != ' ')
        || matches!(
            c,
            '\u{ad}'
                | '\u{600}'..='\u{605}'
                | '\u{61c}'
                | '\u{6dd}'
                | '\u{70f}'
                | '\u{180e}'
                | '\u{200b}'..='\u{200f}'
                | '\u{202a}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{e000}'..='\u{f8ff}'
                | '\u{fdd0}'..='\u{fdef}'
                | '\u{feff}'
                | '\u{fff0}'..='\u{fffb}'
                | '\u{fffe}'..='\u{ffff}'
                | '\u{1bca0}'..='\u{1bca3}'
                | '\u{e0000}'..='\u{e00ff}'
                | '\u{f0000}'..
        )
}

#[cfg(test)]
mod tests;
