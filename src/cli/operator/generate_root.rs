//! `operator generate-root`

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use serde_json::{Map, Value, json};

use super::given::{pgp_keys, unseal_key};
use crate::cli::failure::Failure;
use crate::cli::format::Format;
use crate::cli::session::Session;
use crate::cli::{go_text, status, table};
use crate::client::{DELETE, GET, Request};
use crate::rng::{Rng, SystemRng};
use crate::secret::Secret;

/// Make a new root token with enough of the unseal keys
///
/// Begin with -init and keep the one-time password that it prints. Then each holder of an unseal
/// key gives it, with the nonce that -init printed. The last one gets the token, encoded: read it
/// with -decode and -otp.
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
    /// Read this encoded token, with -otp.
    #[arg(long, value_name = "TOKEN")]
    decode: Option<String>,
    /// Print a one-time password for -init and -decode.
    #[arg(long)]
    generate_otp: bool,
    /// The one-time password; without it, -init makes one.
    #[arg(long)]
    otp: Option<String>,
    /// A PGP key to encrypt the token for, instead of a one-time password.
    #[arg(long, value_name = "FILE")]
    pgp_key: Option<String>,
    /// The nonce that -init printed; -cancel needs it once keys were given.
    #[arg(long)]
    nonce: Option<String>,
    /// Make a token for a server in recovery mode.
    #[arg(long)]
    recovery_token: bool,
}

impl Args {
    fn path(&self) -> &'static str {
        if self.recovery_token { "sys/generate-recovery-token" } else { "sys/generate-root" }
    }
}

pub(in crate::cli) async fn run(session: &mut Session<'_, '_>, args: &Args) -> Result<(), Failure> {
    session.refuse_raw()?;
    if let Some(encoded) = &args.decode {
        return print_decoded(session, encoded, args.otp.as_deref());
    }
    if args.generate_otp {
        return print_otp(session, args).await;
    }
    if args.cancel {
        let failed = |error| Failure::during("Error canceling root token generation", error);
        let mut request = Request::new(DELETE, &format!("{}/attempt", args.path()));
        if let Some(nonce) = &args.nonce {
            request = request.query("nonce", nonce.trim());
        }
        session.client()?.send(&request).await.map_err(failed)?;
        return session.success("Success! Root token generation canceled (if it was started)");
    }
    let state = if args.init {
        begin(session, args).await?
    } else if args.status {
        read(session, args).await?
    } else {
        give(session, args).await?
    };
    print(session, state)
}

async fn read(session: &Session<'_, '_>, args: &Args) -> Result<Map<String, Value>, Failure> {
    let failed = |error| Failure::during("Error getting root generation status", error);
    let request = Request::new(GET, &format!("{}/attempt", args.path())).always_sent();
    let response = session.client()?.send(&request).await.map_err(failed)?;
    Ok(status::object(response.json().map_err(failed)?))
}

async fn begin(session: &Session<'_, '_>, args: &Args) -> Result<Map<String, Value>, Failure> {
    let mut body = Map::new();
    match (&args.otp, &args.pgp_key) {
        (Some(_), Some(_)) => {
            return Err(Failure::local("Error initializing: cannot use both -otp and -pgp-key"));
        }
        (Some(otp), None) => drop(body.insert("otp".into(), json!(otp))),
        (None, Some(key)) => {
            let keys = pgp_keys(std::slice::from_ref(key))?;
            body.insert("pgp_key".into(), json!(keys.first()));
        }
        (None, None) => {}
    }
    let failed = |error| Failure::during("Error initializing root generation", error);
    let request = Request::write(&format!("{}/attempt", args.path()), &Value::Object(body));
    let response = session.client()?.send(&request).await.map_err(failed)?;
    Ok(status::object(response.json().map_err(failed)?))
}

async fn give(session: &mut Session<'_, '_>, args: &Args) -> Result<Map<String, Value>, Failure> {
    let state = read(session, args).await?;
    if state.get("started") != Some(&Value::Bool(true)) {
        return Err(Failure::local("No root generation is in progress.")
            .hint("operator generate-root -init", "begins one"));
    }
    let nonce = match (&args.nonce, &args.key) {
        (Some(nonce), _) => nonce.trim().to_owned(),
        (None, Some(_)) => {
            return Err(Failure::local("Missing nonce value: specify it via the -nonce flag"));
        }
        // Whoever types the key can compare it with what the others see.
        (None, None) => {
            let nonce = state.get("nonce").map(go_text::text).unwrap_or_default();
            session.io.warn(&format!("Operation nonce: {nonce}"));
            nonce
        }
    };
    let instead = format!("operator generate-root -nonce={nonce} -");
    let key = unseal_key(session, args.key.as_deref(), &instead)?;
    let failed = |error| Failure::during("Error posting unseal key", error);
    let body = json!({ "key": key.expose(), "nonce": nonce });
    let request = Request::write(&format!("{}/update", args.path()), &body);
    let response = session.client()?.send(&request).await.map_err(failed)?;
    Ok(status::object(response.json().map_err(failed)?))
}

async fn print_otp(session: &mut Session<'_, '_>, args: &Args) -> Result<(), Failure> {
    let state = read(session, args).await?;
    let length = state.get("otp_length").and_then(Value::as_u64).filter(|length| *length > 0);
    let length = length.and_then(|length| usize::try_from(length.min(1024)).ok());
    let rng: &dyn Rng = &SystemRng;
    let otp = Secret::new(rng.base62(length.unwrap_or(OTP_LENGTH_DEFAULT)));
    match session.format {
        Format::Table => session.io.print_raw(otp.expose().as_bytes()),
        _ => session.print_value(&json!({ "otp": otp.expose(), "otp_length": otp.expose().len() })),
    }
}

fn print_decoded(
    session: &mut Session<'_, '_>,
    encoded: &str,
    otp: Option<&str>,
) -> Result<(), Failure> {
    let otp = otp.ok_or_else(|| Failure::local("Missing otp: use -otp to supply it"))?;
    let token = decoded(encoded.trim(), otp.trim())
        .map_err(|reason| Failure::local(format!("Error decoding root token: {reason}")))?;
    match session.format {
        Format::Table => session.io.print_raw(token.expose().as_bytes()),
        _ => session.print_value(&json!({ "token": token.expose() })),
    }
}

/// Each byte of the token was combined with one of the password.
fn decoded(encoded: &str, otp: &str) -> Result<Secret<String>, &'static str> {
    let bytes = STANDARD_NO_PAD
        .decode(encoded)
        .or_else(|_| STANDARD.decode(encoded))
        .map_err(|_| "it is not base64")?;
    if bytes.len() != otp.len() {
        return Err("the one-time password has another length");
    }
    let token = bytes.iter().zip(otp.bytes()).map(|(byte, pad)| byte ^ pad).collect();
    String::from_utf8(token).map(Secret::new).map_err(|_| "the one-time password is another one")
}

fn print(session: &mut Session<'_, '_>, state: Map<String, Value>) -> Result<(), Failure> {
    if session.format != Format::Table {
        return session.print_value(&Value::Object(state));
    }
    let text = |name: &str| state.get(name).map(go_text::text).unwrap_or_default();
    let mut rows = vec![
        vec!["Nonce".to_owned(), text("nonce")],
        vec!["Started".to_owned(), text("started")],
        vec!["Progress".to_owned(), format!("{}/{}", text("progress"), text("required"))],
        vec!["Complete".to_owned(), text("complete")],
    ];
    let mut optional = |title: &str, value: String| {
        if !matches!(value.as_str(), "" | "0" | "<nil>") {
            rows.push(vec![title.to_owned(), value]);
        }
    };
    optional("PGP Fingerprint", text("pgp_fingerprint"));
    match text("encoded_token") {
        token if token.is_empty() => optional("Encoded Root Token", text("encoded_root_token")),
        token => optional("Encoded Token", token),
    }
    optional("OTP", text("otp"));
    optional("OTP Length", text("otp_length"));
    if !text("otp").is_empty() {
        session.io.warn("Keep the one-time password (OTP): the new token is read with it.\n");
    }
    session.io.print(&table::plain(&rows))
}

/// The length of a token: `hvs.` and 24 characters.
const OTP_LENGTH_DEFAULT: usize = 28;

#[cfg(test)]
mod tests;
