//! The canonical form: one item a line, two spaces a level, `=` aligned within a run of items.

use serde_json::Value;

use super::{Body, Element, Item, Key, List, Node, Scalar, Style, SyntaxError};

/// As HCL, whatever it was parsed from. Ends in a line end, unless there is nothing.
///
/// # Errors
/// Where JSON has a `null`, with its line: HCL has no word for it.
pub fn print(body: &Body) -> Result<String, SyntaxError> {
    if let Some(line) = null_in(body) {
        return Err(SyntaxError::at(line, "HCL has no `null`: leave the key out"));
    }
    let mut out = String::new();
    print_body(&mut out, body, 0);
    Ok(out)
}

/// The line of the first `null`, or of the key whose value it is.
fn null_in(body: &Body) -> Option<usize> {
    body.items.iter().find_map(|item| null_at(&item.node, item.line))
}

fn null_at(node: &Node, line: usize) -> Option<usize> {
    match node {
        Node::Scalar(scalar) => (scalar.value == Value::Null).then_some(line),
        Node::List(list) => {
            list.elements.iter().find_map(|element| null_at(&element.node, element.line))
        }
        Node::Object(body) => null_in(body),
    }
}

fn print_body(out: &mut String, body: &Body, depth: usize) {
    let mut rest = body.items.as_slice();
    let mut before: Option<&Item> = None;
    while !rest.is_empty() {
        // A long item is parted from both neighbours, so that it is a run of its own.
        let together = |pair: &&[Item]| matches!(pair, [left, right] if !parts(left, right));
        let length = 1 + rest.windows(2).take_while(together).count();
        let (run, others) = rest.split_at(length.min(rest.len()));
        let width = run.iter().map(key_width).max().unwrap_or(0);
        for item in run {
            if before.is_some_and(|before| parts(before, item)) {
                out.push('\n');
            }
            print_item(out, item, depth, width);
            before = Some(item);
        }
        rest = others;
    }
    if !body.comments.is_empty() && before.is_some() {
        out.push('\n');
    }
    print_comments(out, &body.comments, depth);
}

fn print_item(out: &mut String, item: &Item, depth: usize, width: usize) {
    print_comments(out, &item.style.comments, depth);
    indent(out, depth);
    let keys = print_keys(item);
    out.push_str(&keys);
    if item.assigned {
        out.extend(std::iter::repeat_n(' ', width.saturating_sub(keys.chars().count())));
        out.push_str(" =");
    }
    out.push(' ');
    print_node(out, &item.node, depth);
    finish(out, &item.style);
}

fn print_node(out: &mut String, node: &Node, depth: usize) {
    match node {
        Node::Scalar(Scalar { raw: Some(raw), .. }) => out.push_str(raw),
        Node::Scalar(Scalar { value, .. }) => match value.as_str() {
            Some(text) => out.push_str(&quote(text)),
            None => out.push_str(&value.to_string()),
        },
        Node::Object(body) if body.items.is_empty() && body.comments.is_empty() => {
            out.push_str("{}");
        }
        Node::Object(body) => {
            out.push_str("{\n");
            print_body(out, body, depth + 1);
            indent(out, depth);
            out.push('}');
        }
        Node::List(list) => print_list(out, list, depth),
    }
}

fn print_list(out: &mut String, list: &List, depth: usize) {
    if list_is_short(list) {
        out.push('[');
        for (index, element) in list.elements.iter().enumerate() {
            if index > 0 {
                out.push_str(", ");
            }
            print_node(out, &element.node, depth);
        }
        out.push(']');
        return;
    }
    out.push_str("[\n");
    for (index, Element { node, style, .. }) in list.elements.iter().enumerate() {
        if index > 0 && !style.comments.is_empty() {
            out.push('\n');
        }
        print_comments(out, &style.comments, depth + 1);
        indent(out, depth + 1);
        print_node(out, node, depth + 1);
        if node.is_heredoc() {
            // The end of a heredoc must stand alone on its line.
            out.push('\n');
            indent(out, depth + 1);
        }
        out.push(',');
        finish(out, style);
    }
    print_comments(out, &list.comments, depth + 1);
    indent(out, depth);
    out.push(']');
}

fn finish(out: &mut String, style: &Style) {
    if let Some(comment) = &style.trailing {
        out.push(' ');
        out.push_str(comment);
    }
    out.push('\n');
}

fn print_comments(out: &mut String, comments: &[String], depth: usize) {
    for comment in comments {
        if !comment.is_empty() {
            indent(out, depth);
            out.push_str(comment);
        }
        out.push('\n');
    }
}

/// Whether an empty line belongs between the two.
fn parts(before: &Item, item: &Item) -> bool {
    is_long(before) || is_long(item) || item.style.parted || !item.style.comments.is_empty()
}

/// Takes more than one line.
fn is_long(item: &Item) -> bool {
    match &item.node {
        Node::Scalar(_) => item.node.is_heredoc(),
        Node::List(list) => !list_is_short(list),
        Node::Object(body) => {
            item.keys.len() > 1 || !body.items.is_empty() || !body.comments.is_empty()
        }
    }
}

fn list_is_short(list: &List) -> bool {
    let plain = |element: &Element| {
        let short = match &element.node {
            Node::Scalar(_) => !element.node.is_heredoc(),
            Node::List(list) => list_is_short(list),
            Node::Object(body) => body.items.is_empty() && body.comments.is_empty(),
        };
        short && element.style.comments.is_empty() && element.style.trailing.is_none()
    };
    !list.spread && list.comments.is_empty() && list.elements.iter().all(plain)
}

fn key_width(item: &Item) -> usize {
    print_keys(item).chars().count()
}

fn print_keys(item: &Item) -> String {
    let mut keys = String::new();
    for Key { text, raw } in &item.keys {
        let first = keys.is_empty();
        if !first {
            keys.push(' ');
        }
        match raw {
            Some(raw) => keys.push_str(raw),
            // Labels are quoted by custom.
            None if first && is_word(text) => keys.push_str(text),
            None => keys.push_str(&quote(text)),
        }
    }
    keys
}

fn is_word(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'))
}

fn indent(out: &mut String, depth: usize) {
    out.extend(std::iter::repeat_n("  ", depth));
}

/// In HCL 1 what stands between `${` and `}` is not unescaped, so that a `$` before a brace is
/// itself written as an escape.
fn quote(text: &str) -> String {
    let mut quoted = String::from("\"");
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            '$' if rest.peek() == Some(&'{') => quoted.push_str("\\x24"),
            c if c.is_control() => quoted.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}
