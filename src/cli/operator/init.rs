//! `operator init`

use serde_json::{Map, Value, json};

use super::given::pgp_keys;
use crate::cli::failure::{Failure, LOCAL, REMOTE};
use crate::cli::format::Format;
use crate::cli::go_text;
use crate::cli::session::Session;
use crate::cli::status::object;
use crate::client::{GET, Request};

/// Make the unseal keys and the first token of a new server
///
/// They are shown once. Keep each key with another person: whoever holds enough of them can
/// unseal the server.
#[derive(clap::Args)]
pub(in crate::cli) struct Args {
    /// Only print whether it is initialized; exits with 0 if so, 2 if not, 1 on an error.
    #[arg(long)]
    status: bool,
    /// How many unseal keys to make.
    #[arg(long, visible_alias = "n", default_value_t = 5)]
    key_shares: u32,
    /// How many of them unseal the server.
    #[arg(long, visible_alias = "t", default_value_t = 3)]
    key_threshold: u32,
    /// PGP keys to encrypt the unseal keys for: files, or `keybase:` names.
    #[arg(long, value_name = "FILE", value_delimiter = ',')]
    pgp_keys: Vec<String>,
    /// A PGP key to encrypt the root token for.
    #[arg(long, value_name = "FILE")]
    root_token_pgp_key: Option<String>,
    /// How many recovery keys to make, where the seal opens by itself.
    #[arg(long)]
    recovery_shares: Option<u32>,
    /// How many of them are needed.
    #[arg(long)]
    recovery_threshold: Option<u32>,
    /// PGP keys to encrypt the recovery keys for.
    #[arg(long, value_name = "FILE", value_delimiter = ',')]
    recovery_pgp_keys: Vec<String>,
    /// Where the seal opens by itself, how many of its keys to store; kept for older scripts.
    #[arg(long)]
    stored_shares: Option<u32>,
}

pub(in crate::cli) async fn run(session: &mut Session<'_, '_>, args: &Args) -> Result<(), Failure> {
    session.refuse_raw()?;
    if args.status {
        return print_status(session).await;
    }
    let failed = |error| Failure::during("Error initializing", error);
    let status = Request::new(GET, "sys/seal-status").always_sent();
    let status = session.client()?.send(&status).await.map_err(failed)?;
    let opens_itself = status.json().map_err(failed)?.get("recovery_seal") == Some(&json!(true));
    let body = Value::Object(body(args, opens_itself)?);
    let request = Request::write("sys/init", &body);
    let response = session.client()?.send(&request).await.map_err(failed)?;
    let made = object(response.json().map_err(failed)?);
    let body = object(body);
    let made = Made::new(&made, &body, opens_itself);
    if let Some(field) = session.global.field.clone() {
        let value = made.to_value();
        return session.print_field(value.get(&field), &field, "map");
    }
    match session.format {
        Format::Table => {
            let text = made.to_text(session.program, opens_itself);
            session.io.print(&text)
        }
        _ => session.print_value(&made.to_value()),
    }
}

async fn print_status(session: &mut Session<'_, '_>) -> Result<(), Failure> {
    let failed = |error| Failure::during("Error checking initialization status", error).exit(LOCAL);
    let response = session.client()?.send(&Request::new(GET, "sys/init")).await.map_err(failed)?;
    let is_initialized =
        response.json().map_err(failed)?.get("initialized") == Some(&Value::Bool(true));
    let word = if is_initialized { "is" } else { "is not" };
    match session.format {
        Format::Table => session.io.print(&format!("Vault {word} initialized"))?,
        _ => session.print_value(&json!({ "initialized": is_initialized }))?,
    }
    if is_initialized { Ok(()) } else { Err(Failure::silent(REMOTE)) }
}

fn body(args: &Args, opens_itself: bool) -> Result<Map<String, Value>, Failure> {
    let mut body = Map::new();
    if opens_itself {
        // Such a seal keeps its own key: what is made are keys for emergencies.
        body.insert("recovery_shares".into(), json!(args.recovery_shares.unwrap_or(5)));
        body.insert("recovery_threshold".into(), json!(args.recovery_threshold.unwrap_or(3)));
        if !args.recovery_pgp_keys.is_empty() {
            body.insert("recovery_pgp_keys".into(), json!(pgp_keys(&args.recovery_pgp_keys)?));
        }
        if let Some(count) = args.stored_shares {
            body.insert("stored_shares".into(), json!(count));
        }
    } else {
        body.insert("secret_shares".into(), json!(args.key_shares));
        body.insert("secret_threshold".into(), json!(args.key_threshold));
        if !args.pgp_keys.is_empty() {
            body.insert("pgp_keys".into(), json!(pgp_keys(&args.pgp_keys)?));
        }
    }
    if let Some(key) = &args.root_token_pgp_key {
        let keys = pgp_keys(std::slice::from_ref(key))?;
        body.insert("root_token_pgp_key".into(), json!(keys.first()));
    }
    Ok(body)
}

/// What the server made.
struct Made {
    unseal: Keys,
    recovery: Keys,
    root_token: Value,
}

#[derive(Default)]
struct Keys {
    base64: Vec<Value>,
    hex: Vec<Value>,
    shares: Value,
    threshold: Value,
}

impl Made {
    fn new(made: &Map<String, Value>, asked: &Map<String, Value>, opens_itself: bool) -> Self {
        let list =
            |name: &str| made.get(name).and_then(Value::as_array).cloned().unwrap_or_default();
        let count = |name: &str| asked.get(name).cloned().unwrap_or_else(|| json!(0));
        Self {
            unseal: Keys {
                base64: list("keys_base64"),
                hex: list("keys"),
                // As in Vault: a seal that opens itself counts as one share.
                shares: if opens_itself { json!(1) } else { count("secret_shares") },
                threshold: if opens_itself { json!(1) } else { count("secret_threshold") },
            },
            recovery: Keys {
                base64: list("recovery_keys_base64"),
                hex: list("recovery_keys"),
                shares: count("recovery_shares"),
                threshold: count("recovery_threshold"),
            },
            root_token: made.get("root_token").cloned().unwrap_or_default(),
        }
    }

    /// With the names of Vault's command line, which differ from the server's.
    fn to_value(&self) -> Value {
        let or_null = |keys: &[Value]| if keys.is_empty() { Value::Null } else { json!(keys) };
        json!({
            "unseal_keys_b64": self.unseal.base64,
            "unseal_keys_hex": self.unseal.hex,
            "unseal_shares": self.unseal.shares,
            "unseal_threshold": self.unseal.threshold,
            "recovery_keys_b64": or_null(&self.recovery.base64),
            "recovery_keys_hex": or_null(&self.recovery.hex),
            "recovery_keys_shares": self.recovery.shares,
            "recovery_keys_threshold": self.recovery.threshold,
            "root_token": self.root_token,
        })
    }

    /// Scripts read the lines of the keys and the token.
    fn to_text(&self, program: &str, opens_itself: bool) -> String {
        let mut lines = Vec::new();
        for (kind, keys) in [("Unseal", &self.unseal), ("Recovery", &self.recovery)] {
            for (index, key) in keys.base64.iter().enumerate() {
                lines.push(format!("{kind} Key {}: {}", index + 1, go_text::text(key)));
            }
        }
        if !lines.is_empty() {
            lines.push(String::new());
        }
        lines.push(format!("Initial Root Token: {}", go_text::text(&self.root_token)));
        lines.push(String::new());
        if opens_itself {
            lines.push("Success! Vault is initialized".into());
            lines.push(String::new());
            lines.push(format!(
                "It unseals by itself. {} of the {} recovery keys together can make a new root\n\
                 token: give each to another person.",
                go_text::text(&self.recovery.threshold),
                go_text::text(&self.recovery.shares)
            ));
        } else {
            let (shares, threshold) =
                (go_text::text(&self.unseal.shares), go_text::text(&self.unseal.threshold));
            lines.push(format!(
                "Vault initialized with {shares} key shares and a key threshold of {threshold}. \
                 They are shown\nonly here: give each to another person. After every start or \
                 seal, {threshold} of\nthem are needed (`{program} operator unseal`); without \
                 them, all data are lost.\n\nRevoke the root token once there are others: \
                 `{program} token revoke -self`."
            ));
        }
        lines.join("\n")
    }
}

#[cfg(test)]
mod tests;
