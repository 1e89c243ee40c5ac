//! `auth tune`

use serde_json::{Map, Value, json};

use crate::cli::args;
use crate::cli::failure::Failure;
use crate::cli::mount::Tuning;
use crate::cli::session::{Session, mount_path, trimmed_path};
use crate::client::{POST, Request};

/// Change the settings of an auth method
#[derive(clap::Args)]
pub(in crate::cli) struct Args {
    path: String,
    /// Words for people.
    #[arg(long)]
    description: Option<String>,
    /// The type of its tokens: service, batch, default-service or default-batch.
    #[arg(long)]
    token_type: Option<String>,
    /// How many failed logins lock a user out.
    #[arg(long, value_name = "COUNT")]
    user_lockout_threshold: Option<u64>,
    /// For how long.
    #[arg(long, value_name = "DURATION", value_parser = args::duration)]
    user_lockout_duration: Option<String>,
    /// After which time without failures the count starts again.
    #[arg(long, value_name = "DURATION", value_parser = args::duration)]
    user_lockout_counter_reset_duration: Option<String>,
    /// Lock nobody out.
    #[arg(
        long, value_name = "BOOL", num_args = 0..=1, require_equals = true,
        default_missing_value = "true", value_parser = args::go_bool
    )]
    user_lockout_disable: Option<bool>,
    #[command(flatten)]
    tuning: Tuning,
}

pub(in crate::cli) async fn run(session: &mut Session<'_, '_>, args: &Args) -> Result<(), Failure> {
    let mount = mount_path(&args.path);
    let failed = |error| Failure::during(format_args!("Error tuning auth method {mount}"), error);
    let request = Request::new(POST, &format!("sys/auth/{}/tune", trimmed_path(&args.path)))
        .json(&Value::Object(body(args)));
    session.client()?.send(&request).await.map_err(failed)?;
    session.success(&format!("Success! Tuned the auth method at: {mount}"))
}

fn body(args: &Args) -> Map<String, Value> {
    let mut body = args.tuning.config();
    let options = args.tuning.options(None);
    if !options.is_empty() {
        body.insert("options".into(), Value::Object(options));
    }
    if let Some(description) = &args.description {
        body.insert("description".into(), json!(description));
    }
    if let Some(token_type) = &args.token_type {
        body.insert("token_type".into(), json!(token_type));
    }
    let mut lockout = Map::new();
    if let Some(count) = args.user_lockout_threshold {
        lockout.insert("lockout_threshold".into(), json!(count.to_string()));
    }
    if let Some(duration) = &args.user_lockout_duration {
        lockout.insert("lockout_duration".into(), json!(duration));
    }
    if let Some(duration) = &args.user_lockout_counter_reset_duration {
        lockout.insert("lockout_counter_reset_duration".into(), json!(duration));
    }
    if let Some(is_disabled) = args.user_lockout_disable {
        lockout.insert("lockout_disable".into(), json!(is_disabled));
    }
    if !lockout.is_empty() {
        body.insert("user_lockout_config".into(), Value::Object(lockout));
    }
    body
}
