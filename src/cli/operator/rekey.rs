//! `operator rekey`

use serde_json::{Map, Value, json};

use super::given::{pgp_keys, unseal_key};
use crate::cli::failure::Failure;
use crate::cli::format::Format;
use crate::cli::session::Session;
use crate::cli::{go_text, status, table};
use crate::client::{DELETE, GET, Request};

/// Make new unseal keys with enough of the old ones
///
/// Begin with -init. Then each holder of an old key gives it, with the nonce that -init printed.
/// The last one gets the new keys. With -verify, the old keys stay valid until as many new ones
/// as unseal the server were given back.
#[derive(clap::Args)]
pub(in crate::cli) struct Args {
    /// An unseal key; without it, it is asked for, and with - it is read from standard input.
    #[arg(value_name = "KEY")]
    key: Option<String>,
    /// Begin.
    #[arg(long)]
    init: bool,
    /// Give up, and forget the keys that were given.
    #[arg(long)]
    cancel: bool,
    /// Print how far it is.
    #[arg(long)]
    status: bool,
    /// With -init, let the new keys be given back; without, give one of them back.
    #[arg(long)]
    verify: bool,
    /// How many new keys to make.
    #[arg(long, visible_alias = "n", default_value_t = 5)]
    key_shares: u32,
    /// How many of them unseal the server.
    #[arg(long, visible_alias = "t", default_value_t = 3)]
    key_threshold: u32,
    /// The nonce that -init printed; -cancel needs it once keys were given.
    #[arg(long)]
    nonce: Option<String>,
    /// Which keys: barrier or recovery.
    #[arg(long, default_value = "barrier")]
    target: String,
    /// PGP keys to encrypt the new keys for.
    #[arg(long, value_name = "FILE", value_delimiter = ',')]
    pgp_keys: Vec<String>,
    /// Let the server keep the keys as encrypted for PGP.
    #[arg(long)]
    backup: bool,
    /// Print what it kept so.
    #[arg(long)]
    backup_retrieve: bool,
    /// Delete what it kept so.
    #[arg(long)]
    backup_delete: bool,
}

impl Args {
    /// The API of the keys that are meant, and that of their backup.
    fn paths(&self) -> Result<(&'static str, &'static str), Failure> {
        match self.target.trim().to_ascii_lowercase().as_str() {
            "barrier" => Ok(("sys/rekey", "sys/rekey/backup")),
            "recovery" => Ok(("sys/rekey-recovery-key", "sys/rekey/recovery-key-backup")),
            target => Err(Failure::local(format!("Unknown target: {target}"))),
        }
    }

    /// The part of the API that a key is given to.
    fn step(&self) -> &'static str {
        if self.verify { "verify" } else { "init" }
    }
}

pub(in crate::cli) async fn run(session: &mut Session<'_, '_>, args: &Args) -> Result<(), Failure> {
    session.refuse_raw()?;
    let (path, backup) = args.paths()?;
    if args.backup_retrieve {
        let failed = |error| Failure::during("Error retrieving rekey stored keys", error);
        let response = session.client()?.send(&Request::read(backup)).await.map_err(failed)?;
        let kept = response.envelope().map_err(failed)?;
        let kept = kept.ok_or_else(|| Failure::remote("No stored keys were found"))?;
        return session.print_envelope(&kept);
    }
    if args.backup_delete {
        let failed = |error| Failure::during("Error deleting rekey stored keys", error);
        session.client()?.send(&Request::delete(backup)).await.map_err(failed)?;
        return session.success("Success! Delete stored keys (if they existed)");
    }
    if args.cancel {
        let failed = |error| Failure::during("Error canceling rekey", error);
        // Of a verification, this cancels the verification alone.
        let mut request = Request::new(DELETE, &format!("{path}/{}", args.step()));
        if let Some(nonce) = &args.nonce {
            request = request.query("nonce", nonce.trim());
        }
        session.client()?.send(&request).await.map_err(failed)?;
        return session.success("Success! Canceled rekeying (if it was started)");
    }
    if args.init {
        let state = begin(session, args, path).await?;
        return print_state(session, state);
    }
    let state = read(session, args, path).await?;
    if args.status { print_state(session, state) } else { give(session, args, path, &state).await }
}

async fn read(
    session: &Session<'_, '_>,
    args: &Args,
    path: &str,
) -> Result<Map<String, Value>, Failure> {
    let failed = |error| Failure::during("Error reading rekey status", error);
    let request = Request::new(GET, &format!("{path}/{}", args.step())).always_sent();
    let response = session.client()?.send(&request).await.map_err(failed)?;
    Ok(status::object(response.json().map_err(failed)?))
}

async fn begin(
    session: &mut Session<'_, '_>,
    args: &Args,
    path: &str,
) -> Result<Map<String, Value>, Failure> {
    let mut body = Map::new();
    body.insert("secret_shares".into(), json!(args.key_shares));
    body.insert("secret_threshold".into(), json!(args.key_threshold));
    body.insert("backup".into(), json!(args.backup));
    body.insert("require_verification".into(), json!(args.verify));
    if !args.pgp_keys.is_empty() {
        body.insert("pgp_keys".into(), json!(pgp_keys(&args.pgp_keys)?));
    }
    let failed = |error| Failure::during("Error initializing rekey", error);
    let request = Request::write(&format!("{path}/init"), &Value::Object(body));
    let response = session.client()?.send(&request).await.map_err(failed)?;
    let state = status::object(response.json().map_err(failed)?);
    if !args.verify && args.pgp_keys.is_empty() {
        session.io.warn(
            "WARNING! The new keys are shown once, and the old ones end with that. -verify lets \
             the old ones\nlive until the new ones are known to be kept.\n",
        );
    }
    Ok(state)
}

async fn give(
    session: &mut Session<'_, '_>,
    args: &Args,
    path: &str,
    state: &Map<String, Value>,
) -> Result<(), Failure> {
    if state.get("started") != Some(&Value::Bool(true)) {
        return Err(
            Failure::local("No rekey is in progress.").hint("operator rekey -init", "begins one")
        );
    }
    let nonce = match (&args.nonce, &args.key) {
        (Some(nonce), _) => nonce.trim().to_owned(),
        (None, Some(_)) => {
            return Err(Failure::local("Missing nonce value: specify it via the -nonce flag"));
        }
        (None, None) => {
            let nonce = state.get("nonce").map(go_text::text).unwrap_or_default();
            session.io.warn(&format!("Rekey operation nonce: {nonce}"));
            nonce
        }
    };
    let instead = format!("operator rekey -nonce={nonce} -");
    let key = unseal_key(session, args.key.as_deref(), &instead)?;
    let step = if args.verify { "verify" } else { "update" };
    let failed = |error| Failure::during("Error posting unseal key", error);
    let body = json!({ "key": key.expose(), "nonce": nonce });
    let request = Request::write(&format!("{path}/{step}"), &body);
    let response = session.client()?.send(&request).await.map_err(failed)?;
    let answer = status::object(response.json().map_err(failed)?);
    if answer.get("complete") != Some(&Value::Bool(true)) {
        // An update answers the state, a verification only its own part of it.
        let state = if args.verify { read(session, args, path).await? } else { answer };
        return print_state(session, state);
    }
    if session.format != Format::Table {
        return session.print_value(&Value::Object(answer));
    }
    if args.verify {
        return session.success("Success! The new keys are verified, and the old ones have ended.");
    }
    let text = keys_text(&answer, state, session.program);
    session.io.print(&text)
}

/// Scripts read the lines of the keys.
fn keys_text(answer: &Map<String, Value>, state: &Map<String, Value>, program: &str) -> String {
    let list = |name: &str| answer.get(name).and_then(Value::as_array).into_iter().flatten();
    let text = |map: &Map<String, Value>, name: &str| map.get(name).map(go_text::text);
    let fingerprints: Vec<String> = list("pgp_fingerprints").map(go_text::text).collect();
    let mut lines = vec![String::new()];
    for (index, key) in list("keys_base64").map(go_text::text).enumerate() {
        let number = index + 1;
        lines.push(match fingerprints.get(index) {
            Some(print) => format!("Key {number} fingerprint: {print}; value: {key}"),
            None => format!("Key {number}: {key}"),
        });
    }
    lines.push(String::new());
    lines.push(format!("Operation nonce: {}", text(answer, "nonce").unwrap_or_default()));
    lines.push(String::new());
    let shares = text(state, "n").unwrap_or_default();
    let threshold = text(state, "t").unwrap_or_default();
    if answer.get("verification_required") == Some(&Value::Bool(true)) {
        let nonce = text(answer, "verification_nonce").unwrap_or_default();
        lines.push(format!(
            "The old keys are still the valid ones. Give {threshold} of these {shares} back:\n\
             `{program} operator rekey -verify -nonce={nonce}`"
        ));
    } else {
        lines.push(format!(
            "Vault unseal keys rekeyed to {shares} key shares and a key threshold of \
             {threshold}. Give each\nto another person: the old ones have ended."
        ));
    }
    lines.join("\n")
}

fn print_state(session: &mut Session<'_, '_>, state: Map<String, Value>) -> Result<(), Failure> {
    if session.format != Format::Table {
        return session.print_value(&Value::Object(state));
    }
    let text = |name: &str| state.get(name).map(go_text::text).unwrap_or_default();
    let mut rows = vec![("Nonce", text("nonce")), ("Started", text("started"))];
    if state.get("started") == Some(&Value::Bool(true)) {
        // A verification has no count of keys that it needs, but the threshold.
        let required = state.get("required").or_else(|| state.get("t")).map(go_text::text);
        rows.push(("Progress", format!("{}/{}", text("progress"), required.unwrap_or_default())));
        rows.push(("New Shares", text("n")));
        rows.push(("New Threshold", text("t")));
        if state.contains_key("verification_required") {
            rows.push(("Verification Required", text("verification_required")));
        }
        if !text("verification_nonce").is_empty() {
            rows.push(("Verification Nonce", text("verification_nonce")));
        }
    }
    if let Some(Value::Array(prints)) = state.get("pgp_fingerprints") {
        let prints: Vec<String> = prints.iter().map(go_text::text).collect();
        rows.push(("PGP Fingerprints", go_text::quoted(Some(&prints))));
        rows.push(("Backup", text("backup")));
    }
    let rows: Vec<_> = rows.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
    session.io.print(&table::of_pairs(&rows))
}
