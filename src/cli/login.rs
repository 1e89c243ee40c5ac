//! `login`

use serde_json::{Map, Value, json};

use super::failure::{Failure, REMOTE};
use super::format::Format;
use super::session::{Session, trimmed_path};
use super::token_helper::TokenHelper;
use super::{data, oidc};
use crate::client::{AuthBlock, Envelope, GET, Request};
use crate::config::env;
use crate::secret::Secret;

/// Log in, and keep the token for later commands
///
/// Without -method the argument is a token: as it is, as token=TOKEN, or - for standard input.
/// What a method needs is given as key=value; what is missing is asked for.
#[derive(clap::Args)]
pub(super) struct Args {
    #[arg(value_name = "TOKEN|KEY=VALUE")]
    auth: Vec<String>,
    /// The auth method: token, userpass, approle, jwt and so on.
    #[arg(long, default_value = "token")]
    method: String,
    /// Where the method is mounted; the default is its name.
    #[arg(long)]
    path: Option<String>,
    /// Do not keep the token.
    #[arg(long)]
    no_store: bool,
    /// Print nothing.
    #[arg(long)]
    no_print: bool,
    /// Print the token alone, and do not keep it.
    #[arg(long)]
    token_only: bool,
}

pub(super) async fn run(session: &mut Session<'_, '_>, args: &Args) -> Result<(), Failure> {
    let envelope = match args.method.as_str() {
        "token" => with_token(session, args).await?,
        method => with_method(session, args, method).await?,
    };
    if envelope.auth.as_ref().is_some_and(|auth| auth.mfa_requirement.is_object()) {
        return report_second_factor(session, &envelope);
    }
    if envelope.wrap_info.is_some() {
        return session.print_envelope(&envelope);
    }
    let auth = envelope.auth.as_ref().filter(|auth| !auth.client_token.is_empty());
    let auth = auth.ok_or_else(|| Failure::remote("Server returned no auth info"))?;
    let token = Secret::new(auth.client_token.clone());
    if args.token_only {
        return session.io.print_raw(token.expose().as_bytes());
    }
    if !args.no_store {
        TokenHelper::find(session.env)?.store(&token)?;
    }
    if args.no_print {
        return Ok(());
    }
    if session.global.field.is_none() && session.format == Format::Table {
        report_kept(session, args)?;
    }
    session.print_envelope(&envelope)
}

fn report_kept(session: &mut Session<'_, '_>, args: &Args) -> Result<(), Failure> {
    session.io.print("Success! You are now authenticated.")?;
    let program = session.program;
    if args.no_store {
        session.io.warn("The token was not stored. Give it to later commands with VAULT_TOKEN.\n");
    } else {
        session.io.print(&format!(
            "The token below is stored: later {program} commands use it by themselves."
        ))?;
        if session.env.get(env::TOKEN).is_some() {
            session.io.warn(
                "WARNING! VAULT_TOKEN is set, and wins over the stored token: unset it to use \
                 this login.\n",
            );
        }
    }
    session.io.print("")
}

fn report_second_factor(session: &mut Session<'_, '_>, envelope: &Envelope) -> Result<(), Failure> {
    session.print_envelope(envelope)?;
    session.io.warn(
        "\nThe login waits for a second factor. Give it with -mfa=METHOD:PASSCODE, or write \
         mfa_request_id\nand mfa_payload to sys/mfa/validate.",
    );
    Err(Failure::silent(REMOTE))
}

async fn with_token(session: &mut Session<'_, '_>, args: &Args) -> Result<Envelope, Failure> {
    let token = given_token(session, args)?;
    let failed = |error| Failure::during("Error authenticating: error looking up token", error);
    let request = Request::new(GET, "auth/token/lookup-self").with_token(token_copy(&token));
    let response = session.client()?.send(&request).await.map_err(failed)?;
    let found = response.envelope().map_err(failed)?.unwrap_or_default();
    if found.wrap_info.is_some() {
        return Ok(found);
    }
    Ok(Envelope { auth: Some(auth_of_lookup(&token, &found)), ..Envelope::default() })
}

fn given_token(session: &mut Session<'_, '_>, args: &Args) -> Result<Secret<String>, Failure> {
    let token = match args.auth.as_slice() {
        [] => ask_hidden(session, "Token", "login -")?,
        [given] if given == "-" => Secret::new(text_of(session.io.read_input()?)?),
        [given] if !given.starts_with("token=") => Secret::new(given.clone()),
        given => {
            let data = data::read_text(session.io, given)?;
            let token = data.get("token").and_then(Value::as_str).unwrap_or_default();
            Secret::new(token.to_owned())
        }
    };
    let trimmed = Secret::new(token.expose().trim().to_owned());
    if trimmed.expose().is_empty() {
        return Err(Failure::remote("Error authenticating: a token must be given"));
    }
    Ok(trimmed)
}

fn text_of(bytes: Vec<u8>) -> Result<String, Failure> {
    String::from_utf8(bytes).map_err(|_| Failure::local("standard input is not UTF-8"))
}

fn token_copy(token: &Secret<String>) -> Secret<String> {
    Secret::new(token.expose().clone())
}

/// The token that was looked up, in the shape of a login's answer.
fn auth_of_lookup(token: &Secret<String>, found: &Envelope) -> AuthBlock {
    let empty = Map::new();
    let data = found.data().unwrap_or(&empty);
    let texts = |name: &str| {
        let values = data.get(name).and_then(Value::as_array)?;
        Some(values.iter().filter_map(Value::as_str).map(str::to_owned).collect::<Vec<_>>())
    };
    let text = |name: &str| data.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let is = |name: &str| data.get(name) == Some(&Value::Bool(true));
    let token_policies = texts("policies");
    let identity_policies = texts("identity_policies").filter(|policies| !policies.is_empty());
    let mut policies = token_policies.clone().unwrap_or_default();
    policies.extend(identity_policies.clone().unwrap_or_default());
    policies.sort();
    policies.dedup();
    AuthBlock {
        client_token: token.expose().clone(),
        accessor: text("accessor"),
        policies: Some(policies),
        token_policies,
        identity_policies,
        metadata: data.get("meta").cloned().unwrap_or_default(),
        orphan: is("orphan"),
        entity_id: text("entity_id"),
        lease_duration: data.get("ttl").and_then(Value::as_u64).unwrap_or_default(),
        renewable: is("renewable"),
        mfa_requirement: Value::Null,
    }
}

async fn with_method(
    session: &mut Session<'_, '_>,
    args: &Args,
    method: &str,
) -> Result<Envelope, Failure> {
    let mount = trimmed_path(args.path.as_deref().unwrap_or(method)).to_owned();
    let mut data = data::read_text(session.io, &args.auth)?;
    if method == "oidc" {
        return oidc::log_in(session, &mount, &data).await;
    }
    let path = if HAS_USERNAME.contains(&method) {
        let username = take_username(session, &mut data)?;
        if data.get("password").is_none() {
            let instead = format!("login -method={method} username={username} password=-");
            let password = ask_hidden(session, "Password", &instead)?;
            data.insert("password".into(), json!(password.expose()));
        }
        format!("auth/{mount}/login/{username}")
    } else {
        format!("auth/{mount}/login")
    };
    let failed = |error| Failure::during("Error authenticating", error);
    let request = Request::write(&path, &Value::Object(data)).without_token();
    let response = session.client()?.send(&request).await.map_err(failed)?;
    Ok(response.envelope().map_err(failed)?.unwrap_or_default())
}

fn take_username(
    session: &mut Session<'_, '_>,
    data: &mut Map<String, Value>,
) -> Result<String, Failure> {
    if let Some(username) = data.remove("username").as_ref().and_then(Value::as_str) {
        return Ok(username.to_owned());
    }
    // As in Vault: whoever is at the keyboard.
    let user = ["LOGNAME", "USER"].iter().find_map(|name| session.env.plain(name));
    match user {
        Some(user) => Ok(user.to_owned()),
        None => Err(Failure::remote("Error authenticating: 'username' must be given")),
    }
}

fn ask_hidden(
    session: &mut Session<'_, '_>,
    label: &str,
    instead: &str,
) -> Result<Secret<String>, Failure> {
    if session.global.non_interactive {
        return Err(Failure::remote(format!("Error authenticating: no {label} was given")));
    }
    session.io.prompt_hidden(label, instead).map_err(|mut failure| {
        failure.message = format!("Error authenticating: {}", failure.message);
        failure.exit(REMOTE)
    })
}

/// Methods whose path holds the user's name.
const HAS_USERNAME: &[&str] = &["userpass", "ldap", "radius", "okta"];
