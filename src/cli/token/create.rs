//! `token create`

use serde_json::{Map, Value, json};

use crate::cli::args;
use crate::cli::failure::Failure;
use crate::cli::session::Session;
use crate::client::{POST, Request};

/// Make a token
#[derive(clap::Args)]
pub(in crate::cli) struct Args {
    /// The token itself, instead of a random one; needs sudo.
    #[arg(long)]
    id: Option<String>,
    /// A name for its leases and the audit log.
    #[arg(long)]
    display_name: Option<String>,
    /// How long it lives at first.
    #[arg(long, value_name = "DURATION", value_parser = args::duration)]
    ttl: Option<String>,
    /// How long it lives at most.
    #[arg(long, value_name = "DURATION", value_parser = args::duration)]
    explicit_max_ttl: Option<String>,
    /// How long each renewal lets it live, without end; needs sudo.
    #[arg(long, value_name = "DURATION", value_parser = args::duration)]
    period: Option<String>,
    /// Whether it may be renewed.
    #[arg(
        long, value_name = "BOOL", num_args = 0..=1, require_equals = true,
        default_value = "true", default_missing_value = "true", value_parser = args::go_bool,
        action = clap::ArgAction::Set
    )]
    renewable: bool,
    /// Let it outlive its parent; needs sudo.
    #[arg(long)]
    orphan: bool,
    /// Leave out the policy `default`.
    #[arg(long)]
    no_default_policy: bool,
    /// How many requests it may make; 0 is without limit.
    #[arg(long, default_value_t = 0, hide_default_value = true)]
    use_limit: i64,
    /// The type: service or batch.
    #[arg(long = "type", default_value = "service")]
    kind: String,
    /// Metadata for the audit log, as key=value; may be repeated.
    #[arg(long, value_name = "KEY=VALUE", value_parser = args::pair)]
    metadata: Vec<(String, String)>,
    /// A policy; may be repeated.
    #[arg(long)]
    policy: Vec<String>,
    /// The role to make it by.
    #[arg(long)]
    role: Option<String>,
    /// An alias that the role allows.
    #[arg(long)]
    entity_alias: Option<String>,
}

pub(in crate::cli) async fn run(session: &mut Session<'_, '_>, args: &Args) -> Result<(), Failure> {
    let path = match &args.role {
        Some(role) => format!("auth/token/create/{role}"),
        None => "auth/token/create".to_owned(),
    };
    let failed = |error| Failure::during("Error creating token", error);
    let request = Request::new(POST, &path).json(&Value::Object(body(args)));
    let response = session.client()?.send(&request).await.map_err(failed)?;
    let envelope = response.envelope().map_err(failed)?.unwrap_or_default();
    session.print_envelope(&envelope)
}

fn body(args: &Args) -> Map<String, Value> {
    let mut body = Map::new();
    for (name, value) in [
        ("id", &args.id),
        ("display_name", &args.display_name),
        ("ttl", &args.ttl),
        ("explicit_max_ttl", &args.explicit_max_ttl),
        ("period", &args.period),
        ("entity_alias", &args.entity_alias),
    ] {
        if let Some(value) = value {
            body.insert(name.into(), json!(value));
        }
    }
    if !args.policy.is_empty() {
        body.insert("policies".into(), json!(args.policy));
    }
    if !args.metadata.is_empty() {
        let metadata: Map<String, Value> =
            args.metadata.iter().map(|(key, value)| (key.clone(), json!(value))).collect();
        body.insert("meta".into(), Value::Object(metadata));
    }
    body.insert("renewable".into(), json!(args.renewable));
    body.insert("no_parent".into(), json!(args.orphan));
    body.insert("no_default_policy".into(), json!(args.no_default_policy));
    body.insert("num_uses".into(), json!(args.use_limit));
    body.insert("type".into(), json!(args.kind));
    body
}
