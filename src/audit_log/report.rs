//! What a log tells: who asked for what, when, whether it was allowed, and by which policy.

mod html;
mod kind;
mod text;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use self::kind::Kind;
use crate::clock::Timestamp;

/// What of a log is told.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// From then on.
    pub since: Option<Timestamp>,
    /// Before then.
    pub until: Option<Timestamp>,
    /// A path, and all below it; each `*` is any text.
    pub path: Option<String>,
    /// An entity's id, a display name, or an accessor as the log shows it.
    pub entity: Option<String>,
    pub kind: Option<Kind>,
}

/// What became of a request.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    Allowed,
    /// No valid token, or its policies do not allow it.
    Refused,
    /// It was allowed, and ended with an error.
    Failed,
    /// The log has no response: the server was stopped, or the log ends there.
    Unanswered,
}

/// One request.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// RFC 3339, of the request.
    pub time: String,
    pub kind: Kind,
    pub outcome: Outcome,
    pub operation: String,
    pub path: String,
    /// The display name of the token; empty where there was none.
    pub who: String,
    pub entity: String,
    /// As the log shows it: an HMAC, unless the device was told otherwise.
    pub accessor: String,
    pub remote: String,
    pub namespace: String,
    /// Those that granted it.
    pub policies: Vec<String>,
    /// Of a refusal: why, as the policies have it. Of a failure: the error.
    pub reason: String,
    pub request_id: String,
}

/// Reads a log line by line, and keeps what the filter lets through.
pub struct Report {
    filter: Filter,
    rows: Vec<Row>,
    /// Requests without a response yet, by id.
    open: BTreeMap<String, Row>,
    /// Lines that are no records of requests.
    pub skipped: u64,
    /// Rows that were too many to keep.
    pub left_out: u64,
}

#[derive(Deserialize)]
struct Entry {
    time: String,
    r#type: String,
    #[serde(default)]
    auth: Auth,
    request: Request,
    #[serde(default)]
    response: Option<Response>,
    #[serde(default)]
    error: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Auth {
    accessor: String,
    display_name: String,
    entity_id: String,
    policy_results: Option<PolicyResults>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct PolicyResults {
    allowed: bool,
    granting_policies: Vec<Granting>,
    refusal: String,
}

#[derive(Deserialize)]
struct Granting {
    #[serde(default)]
    name: String,
}

#[derive(Deserialize)]
#[serde(default)]
#[derive(Default)]
struct Request {
    id: String,
    operation: String,
    path: String,
    mount_type: String,
    mount_class: String,
    remote_address: String,
    namespace: Namespace,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Namespace {
    path: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Response {
    auth: Option<serde::de::IgnoredAny>,
}

impl Report {
    pub fn new(filter: Filter) -> Self {
        Self { filter, rows: Vec::new(), open: BTreeMap::new(), skipped: 0, left_out: 0 }
    }

    /// One line, without its newline.
    pub fn line(&mut self, line: &[u8]) {
        // A device may be told to write something before each record.
        let start = line.iter().position(|byte| *byte == b'{').unwrap_or(line.len());
        let Ok(entry) = serde_json::from_slice::<Entry>(line.get(start..).unwrap_or_default())
        else {
            self.skipped += 1;
            return;
        };
        match entry.r#type.as_str() {
            "request" => {
                let id = entry.request.id.clone();
                if self.open.len() >= OPEN_MAX {
                    // So many are not under way at one time: the oldest ids were never answered.
                    self.end_open();
                }
                self.open.insert(id, row(entry));
            }
            "response" => {
                let asked = self.open.remove(&entry.request.id);
                let mut row = row(entry);
                if let Some(asked) = asked {
                    row.time = asked.time;
                    // The response to a login is its new token's; whoever asked had none.
                    if row.policies.is_empty() {
                        row.policies = asked.policies;
                    }
                }
                self.keep(row);
            }
            _ => self.skipped += 1,
        }
    }

    /// Sorted by time.
    pub fn rows(&mut self) -> &[Row] {
        self.end_open();
        self.rows.sort_by(|a, b| (time(a), &a.time).cmp(&(time(b), &b.time)));
        &self.rows
    }

    fn end_open(&mut self) {
        for (_, mut row) in std::mem::take(&mut self.open) {
            if row.outcome != Outcome::Refused {
                row.outcome = Outcome::Unanswered;
            }
            self.keep(row);
        }
    }

    fn keep(&mut self, row: Row) {
        if !self.filter.lets_through(&row) {
            return;
        }
        if self.rows.len() >= ROWS_MAX {
            self.left_out = self.left_out.saturating_add(1);
        } else {
            self.rows.push(row);
        }
    }

    /// As text; a table is for whoever prints tables, see [`Self::table`].
    pub fn csv(&mut self) -> String {
        text::csv(self.rows())
    }

    /// # Errors
    /// Where a row cannot be serialized.
    pub fn json(&mut self) -> serde_json::Result<String> {
        serde_json::to_string_pretty(self.rows())
    }

    /// `made`: when, for the page's head. RFC 3339.
    pub fn html(&mut self, made: &str) -> String {
        let left_out = self.left_out;
        html::page(self.rows(), left_out, made)
    }

    /// A header and the rows.
    pub fn table(&mut self) -> Vec<Vec<String>> {
        text::table(self.rows())
    }
}

impl Filter {
    fn lets_through(&self, row: &Row) -> bool {
        let at = time(row);
        self.since.is_none_or(|since| at.is_some_and(|at| at >= since))
            && self.until.is_none_or(|until| at.is_some_and(|at| at < until))
            && self.path.as_ref().is_none_or(|path| covers(path, &row.path))
            && self.kind.is_none_or(|kind| kind == row.kind)
            && self
                .entity
                .as_ref()
                .is_none_or(|who| [&row.entity, &row.who, &row.accessor].contains(&who))
    }
}

fn row(entry: Entry) -> Row {
    let Entry { time, auth, request, response, error, .. } = entry;
    let results = auth.policy_results.unwrap_or_default();
    let answered_login = response.is_some_and(|response| response.auth.is_some());
    let is_refused = error.contains("permission denied");
    let outcome = match (error.is_empty(), is_refused) {
        (true, _) => Outcome::Allowed,
        (false, true) if !results.allowed => Outcome::Refused,
        (false, _) => Outcome::Failed,
    };
    let reason = if results.refusal.is_empty() { plain(&error) } else { results.refusal };
    Row {
        time,
        kind: kind::of(&request.path, &request.operation, &request.mount_class, answered_login),
        outcome,
        operation: request.operation,
        path: request.path,
        who: auth.display_name,
        entity: auth.entity_id,
        accessor: auth.accessor,
        remote: request.remote_address,
        namespace: request.namespace.path,
        policies: results.granting_policies.into_iter().map(|policy| policy.name).collect(),
        reason,
        request_id: request.id,
    }
}

/// Without the frame that Vault puts around errors.
fn plain(error: &str) -> String {
    let text = error.trim();
    text.strip_prefix("1 error occurred:\n\t* ").unwrap_or(text).trim().to_owned()
}

fn time(row: &Row) -> Option<Timestamp> {
    Timestamp::parse_rfc3339(&row.time)
}

/// Whether a pattern is a path or what is below it.
fn covers(pattern: &str, path: &str) -> bool {
    let pattern = pattern.trim_matches('/');
    let Some((first, rest)) = pattern.split_once('*') else {
        let below = path.strip_prefix(pattern);
        return below.is_some_and(|below| below.is_empty() || below.starts_with('/'));
    };
    let Some(mut left) = path.strip_prefix(first) else {
        return false;
    };
    let mut parts = rest.split('*').peekable();
    while let Some(part) = parts.next() {
        if parts.peek().is_none() && !part.is_empty() {
            return left.ends_with(part);
        }
        match left.find(part).and_then(|at| left.get(at + part.len()..)) {
            Some(after) => left = after,
            None => return false,
        }
    }
    true
}

/// What a report holds in memory.
pub const ROWS_MAX: usize = 1_000_000;

/// Requests that may wait for their response.
const OPEN_MAX: usize = 100_000;

#[cfg(test)]
mod tests;
