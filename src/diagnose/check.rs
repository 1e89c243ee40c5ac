//! What was looked at, and what was found: a tree, shown as Vault shows it.

use serde_json::{Map, Value, json};

#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Status {
    Skipped,
    Ok,
    Warn,
    Fail,
}

#[derive(Debug)]
pub(super) struct Check {
    name: String,
    /// Its own; that of its parts may be worse.
    status: Status,
    message: String,
    /// What to do; empty where nothing is to be done.
    advice: String,
    parts: Vec<Self>,
}

impl Check {
    fn new(status: Status, name: &str, message: &str, advice: &str) -> Self {
        let [name, message, advice] = [name, message, advice].map(str::to_owned);
        Self { name, status, message, advice, parts: Vec::new() }
    }

    pub(super) fn ok(name: &str, message: &str) -> Self {
        Self::new(Status::Ok, name, message, "")
    }

    pub(super) fn skipped(name: &str, message: &str) -> Self {
        Self::new(Status::Skipped, name, message, "")
    }

    pub(super) fn warn(name: &str, message: &str, advice: &str) -> Self {
        Self::new(Status::Warn, name, message, advice)
    }

    pub(super) fn fail(name: &str, message: &str, advice: &str) -> Self {
        Self::new(Status::Fail, name, message, advice)
    }

    pub(super) fn group(name: &str, parts: impl IntoIterator<Item = Self>) -> Self {
        let mut group = Self::new(Status::Skipped, name, "", "");
        group.parts = parts.into_iter().collect();
        group
    }

    /// The worst of its own and its parts'.
    pub(super) fn status(&self) -> Status {
        self.parts.iter().map(Self::status).fold(self.status, Status::max)
    }

    pub(super) fn json(&self, time: &str) -> Value {
        let mut shown = Map::new();
        shown.insert("time".into(), json!(time));
        shown.insert("name".into(), json!(self.name));
        let status = self.status();
        shown.insert("status".into(), json!(status.word()));
        if !self.message.is_empty() {
            // As in Vault: what a warning says is in a list of its own.
            match self.status {
                Status::Warn => shown.insert("warnings".into(), json!([self.message])),
                _ => shown.insert("message".into(), json!(self.message)),
            };
        }
        if !self.advice.is_empty() {
            shown.insert("advice".into(), json!(self.advice));
        }
        if !self.parts.is_empty() {
            let parts: Vec<Value> = self.parts.iter().map(|part| part.json(time)).collect();
            shown.insert("children".into(), json!(parts));
        }
        Value::Object(shown)
    }

    /// A line each, below its group; advice on a line of its own.
    pub(super) fn text(&self, colours: bool) -> String {
        let mut text = String::new();
        self.write(&mut text, 0, colours);
        text
    }

    fn write(&self, text: &mut String, depth: usize, colours: bool) {
        let space = "  ".repeat(depth);
        let status = self.status();
        let label = match colours {
            true => format!("\u{1b}[{}m{}\u{1b}[0m", status.colour(), status.label()),
            false => status.label().to_owned(),
        };
        let message = match self.message.is_empty() {
            true => String::new(),
            false => format!(": {}", self.message),
        };
        text.push_str(&format!("{space}{label} {}{message}\n", self.name));
        if !self.advice.is_empty() {
            text.push_str(&format!("{space}  {}\n", self.advice));
        }
        for part in &self.parts {
            part.write(text, depth + 1, colours);
        }
    }
}

impl Status {
    fn word(self) -> &'static str {
        match self {
            Self::Skipped => "skipped",
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "fail",
        }
    }

    fn label(self) -> &'static str {
        match self {
            Self::Skipped => "[ skipped ]",
            Self::Ok => "[ success ]",
            Self::Warn => "[ warning ]",
            Self::Fail => "[ failure ]",
        }
    }

    fn colour(self) -> u8 {
        match self {
            Self::Skipped => 90,
            Self::Ok => 32,
            Self::Warn => 33,
            Self::Fail => 31,
        }
    }
}
