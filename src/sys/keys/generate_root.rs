//! A root token from shares: `generate-root/…`, and OpenBao's names for the same, which need a
//! token.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::authority::{CORE, Sealing, refused, share};
use super::rekey::NONCE_NEEDED;
use super::{Keys, Node};
use crate::auth::token::TokenStore;
use crate::clock::Timestamp;
use crate::crypto::PgpKey;
use crate::framework::{Call, NoParams, Route};
use crate::record::Leadership;
use crate::request::{Error, Reply};
use crate::seal::{Quorum, Share};
use crate::secret::Secret;
use crate::sys::first::root_token;
use crate::txn::Scope;

pub(super) fn routes() -> Vec<Route<Node>> {
    let attempt = |route: Route<Node>| route.read(read).write(begin).delete(cancel);
    let help = "Begin to make a root token from shares, see how far it is, or give up.";
    let give = "Give one share.";
    vec![
        attempt(Route::new("generate-root/attempt", help).unauthenticated()),
        Route::new("generate-root/update", give).unauthenticated().write(update),
        attempt(Route::new("generate-root-token/attempt", help)),
        Route::new("generate-root-token/update", give).write(update),
    ]
}

/// A root token that is being made.
pub(super) struct GenerateRoot {
    nonce: String,
    encoding: Encoding,
    leadership: Leadership,
    quorum: Quorum,
}

/// So that only whoever began it reads the token.
enum Encoding {
    OneTimePassword(Secret<String>),
    Pgp(Box<PgpKey>),
}

/// By which it is known which was the last to be done.
#[derive(Default, Deserialize, Serialize)]
struct Done {
    nonce: String,
}

#[derive(Deserialize, JsonSchema)]
struct Begin {
    /// As long as a token; the server draws one where this and `pgp_key` are missing.
    #[serde(default)]
    otp: Option<Secret<String>>,
    /// The public key that the token is encrypted for, in base64.
    #[serde(default)]
    pgp_key: String,
}

async fn begin(call: &mut Call<'_, Node>, input: Begin) -> Result<Reply, Error> {
    let keys = call.state.keys();
    let done = done(&mut call.storage)?;
    let leadership = call.storage.leadership();
    if live(&mut keys.state().root, leadership, &done).is_some() {
        return Err(Error::bad_request(IN_PROGRESS));
    }
    let given = input.otp.filter(|otp| !otp.expose().is_empty());
    let (encoding, drawn) = match given {
        Some(otp) if otp.expose().len() != TOKEN_LENGTH => {
            return Err(Error::BadRequest(format!(
                "OTP string has incorrect length: it must have {TOKEN_LENGTH} bytes, as a token"
            )));
        }
        Some(otp) => (Encoding::OneTimePassword(otp), None),
        None if !input.pgp_key.is_empty() => {
            let keys = PgpKey::parse_all(vec![input.pgp_key], call.now.seconds()).await;
            let mut keys = keys.map_err(|(_, error)| {
                Error::BadRequest(format!("error parsing PGP key: {error}"))
            })?;
            let key = keys.pop().ok_or_else(|| Error::internal("a PGP key was not read"))?;
            (Encoding::Pgp(Box::new(key)), None)
        }
        None => {
            let otp = call.rng.base62(TOKEN_LENGTH);
            (Encoding::OneTimePassword(Secret::new(otp.clone())), Some(otp))
        }
    };
    let sealing = keys.sealing(&mut call.storage)?;
    let required = sealing.guard()?.threshold();
    let mut state = keys.state();
    if live(&mut state.root, leadership, &done).is_some() {
        return Err(Error::bad_request(IN_PROGRESS));
    }
    let nonce = call.rng.uuid();
    let began = nonce.clone();
    let root = GenerateRoot { nonce, encoding, leadership, quorum: Quorum::default() };
    let otp = drawn.as_deref().unwrap_or("");
    let reply = status(Some(&root), required, otp);
    state.root = Some(root);
    drop(state);
    keys.afterwards(&mut call.storage, move |state, stands| {
        if stands.is_none() && state.root.as_ref().is_some_and(|root| root.nonce == began) {
            state.root = None;
        }
    });
    answer(call, &reply)
}

async fn read(call: &mut Call<'_, Node>, _: NoParams) -> Result<Reply, Error> {
    let keys = call.state.keys();
    let sealing = keys.sealing(&mut call.storage)?;
    // A cluster without a recovery key answers too: clients look here before they begin.
    let required = sealing.guard().map_or(0, |guard| guard.threshold());
    let done = done(&mut call.storage)?;
    let leadership = call.storage.leadership();
    let status = status(live(&mut keys.state().root, leadership, &done).as_deref(), required, "");
    answer(call, &status)
}

#[derive(Deserialize, JsonSchema)]
struct Cancel {
    /// Of what is to be cancelled; needed without a token, once keys were given for it.
    #[serde(default)]
    nonce: String,
}

async fn cancel(call: &mut Call<'_, Node>, input: Cancel) -> Result<Reply, Error> {
    let done = done(&mut call.storage)?;
    let leadership = call.storage.leadership();
    let keys = call.state.keys();
    let mut state = keys.state();
    let Some(root) = live(&mut state.root, leadership, &done) else {
        return Ok(Reply::default());
    };
    if input.nonce.is_empty() && call.caller.is_none() && root.quorum.progress() > 0 {
        return Err(Error::bad_request(NONCE_NEEDED));
    }
    if !input.nonce.is_empty() && input.nonce != root.nonce {
        return Err(wrong_nonce());
    }
    let taken = state.root.take();
    drop(state);
    keys.afterwards(&mut call.storage, move |state, stands| {
        if stands.is_none() && state.root.is_none() {
            state.root = taken;
        }
    });
    Ok(Reply::default())
}

#[derive(Deserialize, JsonSchema)]
struct Update {
    /// One share, in hexadecimal or base64.
    key: Option<Secret<String>>,
    /// What `attempt` answered.
    #[serde(default)]
    nonce: String,
}

async fn update(call: &mut Call<'_, Node>, input: Update) -> Result<Reply, Error> {
    let share = share(input.key.as_ref())?;
    let keys = call.state.keys();
    let sealing = keys.sealing(&mut call.storage)?;
    let required = sealing.guard()?.threshold();
    let reply = match keys.give_root(call, &sealing, share, &input.nonce)? {
        Given::Progress(status) => status,
        Given::Complete(mut status, encoding) => {
            let (token, entry) = {
                let (rng, now) = (call.rng, call.now);
                call.storage
                    .beside(CORE, |core| TokenStore::new(core).create(rng, now, root_token(None)))?
            };
            drop(entry);
            if token.expose().len() != TOKEN_LENGTH {
                return Err(Error::internal("a root token has another length than it should"));
            }
            let encoded = match encoding {
                Encoded::Pad(otp) => STANDARD_NO_PAD.encode(padded(&token, &otp).expose()),
                Encoded::Pgp(key) => {
                    let message = key.encrypt(call.rng, token.expose().as_bytes());
                    STANDARD.encode(message.map_err(|error| Error::BadRequest(error.to_string()))?)
                }
            };
            let done = Done { nonce: input.nonce };
            call.storage.beside(CORE, |core| core.put(DONE, &done))?;
            if let Some(status) = status.as_object_mut() {
                status.insert("progress".into(), json!(required));
                status.insert("complete".into(), json!(true));
                status.insert("encoded_token".into(), json!(encoded));
                status.insert("encoded_root_token".into(), json!(encoded));
            }
            status
        }
    };
    answer(call, &reply)
}

enum Given {
    Progress(Value),
    Complete(Value, Encoded),
}

/// A copy of what the lock guards.
enum Encoded {
    Pad(Secret<String>),
    Pgp(Box<PgpKey>),
}

impl Keys {
    fn give_root(
        &self,
        call: &mut Call<'_, Node>,
        sealing: &Sealing,
        share: Share,
        nonce: &str,
    ) -> Result<Given, Error> {
        let guard = sealing.guard()?;
        let done = done(&mut call.storage)?;
        let leadership = call.storage.leadership();
        let mut state = self.state();
        let root = live(&mut state.root, leadership, &done).ok_or_else(none)?;
        if root.nonce != nonce {
            return Err(wrong_nonce());
        }
        let opened = root.quorum.offer(call.rng, &guard, share).map_err(|error| refused(&error))?;
        let mut status = status(Some(root), guard.threshold(), "");
        if let Some(status) = status.as_object_mut() {
            // As in Vault: told before shares are given, not after.
            status.insert("otp_length".into(), json!(0));
        }
        let Some(opened) = opened else {
            return Ok(Given::Progress(status));
        };
        let encoding = match &root.encoding {
            Encoding::OneTimePassword(otp) => Encoded::Pad(Secret::new(otp.expose().clone())),
            Encoding::Pgp(key) => Encoded::Pgp(key.clone()),
        };
        if sealing.shows_new_shares(&opened) {
            state.given = Some((opened.generation, Timestamp(0)));
        }
        Ok(Given::Complete(status, encoding))
    }
}

/// Forgets what another leader began, or what is done.
fn live<'a>(
    slot: &'a mut Option<GenerateRoot>,
    leadership: Leadership,
    done: &Done,
) -> Option<&'a mut GenerateRoot> {
    if slot.as_ref().is_some_and(|root| root.leadership != leadership || root.nonce == done.nonce) {
        *slot = None;
    }
    slot.as_mut()
}

fn done(storage: &mut Scope<'_>) -> Result<Done, Error> {
    Ok(storage.beside(CORE, |core| core.get(DONE))?.unwrap_or_default())
}

/// Each byte of the token is combined with one of the password.
fn padded(token: &Secret<String>, otp: &Secret<String>) -> Secret<Vec<u8>> {
    let pairs = token.expose().bytes().zip(otp.expose().bytes());
    Secret::new(pairs.map(|(byte, pad)| byte ^ pad).collect())
}

fn status(root: Option<&GenerateRoot>, required: u8, otp: &str) -> Value {
    let fingerprint = match root.map(|root| &root.encoding) {
        Some(Encoding::Pgp(key)) => key.fingerprint(),
        _ => String::new(),
    };
    json!({
        "nonce": root.map_or("", |root| root.nonce.as_str()),
        "started": root.is_some(),
        "progress": root.map_or(0, |root| root.quorum.progress()),
        "required": required,
        "complete": false,
        "encoded_token": "",
        "encoded_root_token": "",
        "pgp_fingerprint": fingerprint,
        "otp": otp,
        "otp_length": TOKEN_LENGTH,
    })
}

/// Without a token, as Vault's clients read it: outside the envelope.
fn answer(call: &Call<'_, Node>, status: &Value) -> Result<Reply, Error> {
    if call.request.path.contains("generate-root-token/") {
        return Reply::of(status);
    }
    Reply::bare(status)
}

fn none() -> Error {
    Error::bad_request(
        "no root generation in progress: it was not begun, or was cancelled, or is done, or \
         another node has become active since; begin again with sys/generate-root/attempt",
    )
}

/// It is told to whoever asks for it, and not in errors, which end up in logs.
fn wrong_nonce() -> Error {
    Error::bad_request(
        "incorrect nonce supplied: it is not that of the root generation operation under way",
    )
}

const IN_PROGRESS: &str = "root generation already in progress";

/// `hvs.` and 24 characters.
const TOKEN_LENGTH: usize = 28;

const DONE: &str = "generate-root";
