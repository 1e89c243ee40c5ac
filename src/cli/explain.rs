//! `explain`

use serde_json::{Map, Value, json};

use super::failure::{Failure, REMOTE};
use super::format::Format;
use super::go_text;
use super::session::{Session, trimmed_path};
use super::{args, table};
use crate::client::Request;

/// Tell why a token may, or may not, do something at a path
#[derive(clap::Args)]
pub(super) struct Args {
    /// What is asked about; a list's path may end in a slash.
    path: String,
    /// What would be done: create, read, update, patch, delete or list.
    #[arg(long, default_value = "read")]
    operation: String,
    /// The token that is asked about, instead of the one in use.
    #[arg(long)]
    of_token: Option<String>,
    /// The accessor of the token that is asked about.
    #[arg(long)]
    accessor: Option<String>,
    /// The name of a policy, instead of a token's; may be repeated.
    #[arg(long)]
    policy: Vec<String>,
    /// What the request would send, as key=value; may be repeated.
    #[arg(long, value_name = "KEY=VALUE", value_parser = args::pair)]
    parameter: Vec<(String, String)>,
}

/// Exit code 2 where it is refused.
pub(super) async fn run(session: &mut Session<'_, '_>, args: &Args) -> Result<(), Failure> {
    session.refuse_raw()?;
    let path = trimmed_path(&args.path);
    let mut body = json!({ "path": path, "operation": args.operation });
    if let Some(body) = body.as_object_mut() {
        for (name, value) in [("token", &args.of_token), ("accessor", &args.accessor)] {
            if let Some(value) = value {
                body.insert(name.into(), json!(value));
            }
        }
        if !args.policy.is_empty() {
            body.insert("policies".into(), json!(args.policy));
        }
        if !args.parameter.is_empty() {
            let parameters = args.parameter.iter();
            let parameters: Map<String, Value> =
                parameters.map(|(name, value)| (name.clone(), json!(value))).collect();
            body.insert("parameters".into(), Value::Object(parameters));
        }
    }
    let failed = |error| Failure::during(format_args!("Error explaining {path}"), error);
    let request = Request::write("sys/policies/explain", &body);
    let response = session.client()?.send(&request).await.map_err(failed)?;
    let envelope = response.envelope().map_err(failed)?.unwrap_or_default();
    let data = envelope.data().cloned().unwrap_or_default();
    if session.global.field.is_some() || session.format != Format::Table {
        session.print_map(&data, &[])?;
    } else {
        session.io.print(&told(&data))?;
    }
    let allowed = data.get("allowed").and_then(Value::as_bool).unwrap_or_default();
    if allowed { Ok(()) } else { Err(Failure::silent(REMOTE)) }
}

fn told(data: &Map<String, Value>) -> String {
    let text = |name: &str| match data.get(name) {
        None | Some(Value::Null) => "n/a".to_owned(),
        Some(Value::Array(list)) => list.iter().map(go_text::text).collect::<Vec<_>>().join(", "),
        Some(value) => go_text::text(value),
    };
    let rows = [
        ("Allowed", "allowed"),
        ("Reason", "reason"),
        ("Path", "path"),
        ("Operation", "operation"),
        ("Policies", "policies"),
        ("Deciding Pattern", "pattern"),
        ("Missing Capability", "missing_capability"),
        ("Parameter", "parameter"),
        ("Sudo Required", "sudo_required"),
        ("Mount", "mount"),
    ];
    let rows: Vec<(String, String)> =
        rows.into_iter().map(|(title, name)| (title.to_owned(), text(name))).collect();
    let mut told = table::of_pairs(&rows);
    for (title, name) in [
        ("The rule", "rules"),
        ("Less specific, so without effect", "outranked_rules"),
        ("Without effect: expired, or a template has no value", "dropped_rules"),
    ] {
        let rules = data.get(name).and_then(Value::as_array);
        let Some(rules) = rules.filter(|rules| !rules.is_empty()) else { continue };
        told.push_str(&format!("\n\n{title}:"));
        for rule in rules {
            let of = |name: &str| rule.get(name).map(go_text::text).unwrap_or_default();
            let body = of("text").replace('\n', "\n    ");
            told.push_str(&format!("\n\n  {} line {}\n    {body}", of("policy"), of("line")));
        }
    }
    told
}
