//! `rekey/…`, `rekey-recovery-key/…`, and OpenBao's names for the same, which need a token.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::Node;
use super::authority::share;
use super::rekey::{Gave, Given, Target, Wanted};
use crate::crypto::PgpKey;
use crate::framework::{Call, NoParams, Route};
use crate::request::{Error, Reply};
use crate::seal::Division;
use crate::secret::Secret;

pub(super) fn routes() -> Vec<Route<Node>> {
    let init = |route: Route<Node>| route.read(read).write(begin).delete(cancel);
    let update = |route: Route<Node>| route.write(update);
    let verify = |route: Route<Node>| {
        route.read(read_verification).write(verify).delete(cancel_verification)
    };
    vec![
        init(Route::new("rekey/init", INIT).unauthenticated()),
        update(Route::new("rekey/update", UPDATE).unauthenticated()),
        verify(Route::new("rekey/verify", VERIFY).unauthenticated()),
        init(Route::new("rekey-recovery-key/init", INIT_RECOVERY).unauthenticated()),
        update(Route::new("rekey-recovery-key/update", UPDATE).unauthenticated()),
        verify(Route::new("rekey-recovery-key/verify", VERIFY).unauthenticated()),
        init(Route::new("rotate/root/init", INIT)),
        update(Route::new("rotate/root/update", UPDATE)),
        verify(Route::new("rotate/root/verify", VERIFY)),
        init(Route::new("rotate/recovery/init", INIT_RECOVERY)),
        update(Route::new("rotate/recovery/update", UPDATE)),
        verify(Route::new("rotate/recovery/verify", VERIFY)),
        Route::new("rotate/root", "Renew the root key, where the seal opens by itself.")
            .sudo()
            .write(rotate_root),
    ]
}

#[derive(Deserialize, JsonSchema)]
struct Begin {
    /// New shares to make.
    #[serde(default)]
    secret_shares: i64,
    /// How many of them are needed.
    #[serde(default)]
    secret_threshold: i64,
    /// A public key for each share, in base64.
    #[serde(default)]
    pgp_keys: Vec<String>,
    /// Keep the shares as encrypted for PGP.
    #[serde(default)]
    backup: bool,
    /// Let the old shares hold until enough of the new ones were given back.
    #[serde(default)]
    require_verification: bool,
}

async fn begin(call: &mut Call<'_, Node>, input: Begin) -> Result<Reply, Error> {
    if input.backup && input.pgp_keys.is_empty() {
        return Err(Error::bad_request(
            "cannot request a backup of the new keys without providing PGP keys for encryption",
        ));
    }
    let target = target(call);
    call.state.keys().check_no_rekey(&mut call.storage, target)?;
    let division = Division::new(input.secret_shares, input.secret_threshold)
        .map_err(|error| Error::BadRequest(format!("invalid rekey seal configuration: {error}")))?;
    let count = usize::from(division.shares());
    if !input.pgp_keys.is_empty() && input.pgp_keys.len() != count {
        return Err(Error::bad_request("incorrect number of PGP keys for rekey"));
    }
    let pgp_keys = PgpKey::parse_all(input.pgp_keys, call.now.seconds()).await;
    let pgp_keys = pgp_keys.map_err(|(index, error)| {
        Error::BadRequest(format!("invalid rekey seal configuration: pgp_keys[{index}]: {error}"))
    })?;
    let (backup, verification) = (input.backup, input.require_verification);
    let wanted = Wanted { division, pgp_keys, backup, verification };
    let status = call.state.keys().begin_rekey(&mut call.storage, call.rng, target, wanted)?;
    reply(call, status)
}

async fn read(call: &mut Call<'_, Node>, _: NoParams) -> Result<Reply, Error> {
    let target = target(call);
    let status = call.state.keys().rekey_status(&mut call.storage, target)?;
    reply(call, status)
}

#[derive(Deserialize, JsonSchema)]
struct Cancel {
    /// Of what is to be cancelled; needed without a token, once keys were given for it.
    #[serde(default)]
    nonce: String,
}

async fn cancel(call: &mut Call<'_, Node>, input: Cancel) -> Result<Reply, Error> {
    let (target, has_token) = (target(call), call.caller.is_some());
    call.state.keys().cancel_rekey(&mut call.storage, target, &input.nonce, has_token)?;
    Ok(Reply::default())
}

#[derive(Deserialize, JsonSchema)]
struct Update {
    /// One share, in hexadecimal or base64.
    key: Option<Secret<String>>,
    /// What `init` answered.
    #[serde(default)]
    nonce: String,
}

async fn update(call: &mut Call<'_, Node>, input: Update) -> Result<Reply, Error> {
    let (target, keys) = (target(call), call.state.keys());
    let mut wrapped = None;
    loop {
        let share = share(input.key.as_ref())?;
        let nonce = &input.nonce;
        let given = Given { target, nonce, share, rng: call.rng, wrapped: wrapped.take() };
        match keys.give_rekey(&mut call.storage, given)? {
            Gave::Answer(answer) => return reply(call, answer),
            // Key services are asked for nobody who has not shown enough keys.
            Gave::Opened => wrapped = Some(keys.fresh().await?),
        }
    }
}

async fn read_verification(call: &mut Call<'_, Node>, _: NoParams) -> Result<Reply, Error> {
    let target = target(call);
    let status = call.state.keys().verification_status(&mut call.storage, target)?;
    reply(call, status)
}

async fn cancel_verification(call: &mut Call<'_, Node>, input: Cancel) -> Result<Reply, Error> {
    let (target, has_token) = (target(call), call.caller.is_some());
    let keys = call.state.keys();
    let (storage, nonce) = (&mut call.storage, &input.nonce);
    let status = keys.cancel_verification(storage, target, call.rng, nonce, has_token)?;
    reply(call, status)
}

async fn verify(call: &mut Call<'_, Node>, input: Update) -> Result<Reply, Error> {
    let share = share(input.key.as_ref())?;
    let given =
        Given { target: target(call), nonce: &input.nonce, share, rng: call.rng, wrapped: None };
    let answer = call.state.keys().verify_rekey(&mut call.storage, given)?;
    reply(call, answer)
}

async fn rotate_root(call: &mut Call<'_, Node>, _: NoParams) -> Result<Reply, Error> {
    let keys = call.state.keys();
    if !keys.kind(&mut call.storage)?.opens_itself() {
        return Err(Error::bad_request(
            "the root key is wrapped by a key that exists only as shares: renew it with them, by \
             sys/rekey/init",
        ));
    }
    let fresh = keys.fresh().await?;
    keys.rotate_root(&mut call.storage, call.rng, fresh)?;
    Ok(Reply::default())
}

fn target(call: &Call<'_, Node>) -> Target {
    if call.request.path.contains("recovery") { Target::Recovery } else { Target::Barrier }
}

/// Without a token, as Vault's clients read it: outside the envelope.
fn reply(call: &Call<'_, Node>, answer: Map<String, Value>) -> Result<Reply, Error> {
    if call.request.path.contains("rotate/") {
        return Ok(Reply::data(answer));
    }
    Reply::bare(&answer)
}

const INIT: &str = "Begin to make new unseal keys, see how far it is, or give up.";
const INIT_RECOVERY: &str = "Begin to make new recovery keys, see how far it is, or give up.";
const UPDATE: &str = "Give one of the present keys.";
const VERIFY: &str = "Give one of the new keys back, see how many were, or begin that again.";
