//! The documentation of every key, from the tables that read them.

use std::fmt::Write as _;

use super::env::{PREFIXES, Reads, VARIABLES};
use super::settings::Settings;
use super::stanza::{KeyDoc, Setting as _};

/// Every key, the top level first, then block by block.
pub fn keys() -> Vec<KeyDoc> {
    let mut keys = Vec::new();
    Settings::document(&mut keys);
    keys
}

/// What to write instead, of a problem or a warning; `None` where its text has said all.
pub fn advice(text: &str) -> Option<String> {
    let named: Vec<&str> = text.split('`').skip(1).step_by(2).collect();
    let key = named.first()?;
    if text.contains("unknown key") {
        return Some(match named.last().filter(|_| text.contains("did you mean")) {
            Some(meant) => format!("Write `{meant}`, or remove the line."),
            None => "Remove the line, or see which keys there are: deploy/config/KEYS.md.".into(),
        });
    }
    if text.contains("has no effect") {
        return Some("Remove the line, or leave it: it changes nothing.".into());
    }
    let keys = keys();
    let of_key = || keys.iter().filter(|doc| doc.key == *key && doc.has_effect);
    let inside = named.get(1).and_then(|stanza| of_key().find(|doc| doc.stanza == *stanza));
    let doc = inside.or_else(|| of_key().next())?;
    let default = doc.default.filter(|default| !default.is_empty());
    let default = default.map(|text| format!(" Not set, it is {text}.")).unwrap_or_default();
    Some(format!("`{key}` takes {}: {}{default}", doc.kind, doc.help))
}

/// The same as Markdown: a table for each block, the keys without effect below it, and the
/// environment at the end.
pub fn markdown() -> String {
    let keys = keys();
    let mut stanzas: Vec<&str> = Vec::new();
    for key in &keys {
        if !stanzas.contains(&key.stanza) {
            stanzas.push(key.stanza);
        }
    }
    let mut text = String::new();
    for stanza in stanzas {
        let inside = || keys.iter().filter(|key| key.stanza == stanza);
        let title = if stanza.is_empty() { "Top level".to_owned() } else { format!("`{stanza}`") };
        push(&mut text, format_args!("### {title}\n\n"));
        if inside().any(|key| key.has_effect) {
            push(
                &mut text,
                format_args!("| Key | Value | Default | Meaning |\n|---|---|---|---|\n"),
            );
        }
        for key in inside().filter(|key| key.has_effect) {
            let default = key.default.filter(|text| !text.is_empty());
            let default = default.map(|text| format!("`{text}`")).unwrap_or_default();
            push(
                &mut text,
                format_args!("| `{}` | {} | {default} | {} |\n", key.key, key.kind, key.help),
            );
        }
        let mut ignored = inside().filter(|key| !key.has_effect).peekable();
        if ignored.peek().is_some() {
            push(&mut text, format_args!("\nKnown, but without effect:\n\n"));
        }
        for key in ignored {
            push(&mut text, format_args!("- `{}`: {}\n", key.key, key.help));
        }
        text.push('\n');
    }
    variables(&mut text);
    text
}

fn variables(text: &mut String) {
    for (reads, title) in [
        (Reads::Server, "Environment of the server"),
        (Reads::Client, "Environment of the command line"),
    ] {
        push(text, format_args!("### {title}\n\n| Variable | Meaning |\n|---|---|\n"));
        for variable in VARIABLES.iter().filter(|variable| variable.reads == reads) {
            push(text, format_args!("| `VAULT_{}` | {} |\n", variable.suffix, variable.help));
        }
        text.push('\n');
    }
    let prefixes = PREFIXES.map(|prefix| format!("`{prefix}`")).join(", then ");
    push(text, format_args!("Each is looked up with the prefix {prefixes}.\n"));
}

#[expect(clippy::expect_used, reason = "writing to a String does not fail")]
fn push(text: &mut String, line: std::fmt::Arguments<'_>) {
    text.write_fmt(line).expect("a String takes any text");
}
