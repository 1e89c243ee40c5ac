//! What a node answers for itself: `init`, `seal-status`, `unseal`, `seal`, `health`, `leader`,
//! `step-down`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::{Init, Node, RootTokenText, Unseal};
use crate::clock::Timestamp;
use crate::crypto::PgpKey;
use crate::framework::{Call, NoParams, Route};
use crate::request::{Error, Reply};
use crate::secret::Secret;

pub(super) fn routes() -> Vec<Route<Node>> {
    vec![
        Route::new("init", "Whether the cluster is initialised; initialise it.")
            .local()
            .read(read_init)
            .write(write_init),
        Route::new("seal-status", "Whether this node is sealed.").local().read(seal_status),
        Route::new("seal-backend-status", "Whether the seals of this node answer.")
            .local()
            .read(seal_backends),
        Route::new("unseal", "Give this node one share of the key.").local().write(unseal),
        Route::new("seal", "Seal this node.").sudo().on_this_node().write(seal),
        Route::new("health", "Whether this node is up, for load balancers.")
            .local()
            .read(health)
            .header(health),
        Route::new("leader", "Which node is active.").local().read(leader),
        Route::new("ha-status", "The cluster's nodes, and when each was last heard of.")
            .read(ha_status),
        Route::new("step-down", "Make the active node hand over.")
            .sudo()
            .acts_outside()
            .write(step_down),
    ]
}

async fn read_init(call: &mut Call<'_, Node>, _: NoParams) -> Result<Reply, Error> {
    Reply::bare(&json!({ "initialized": call.state.is_initialized().await? }))
}

#[derive(Deserialize, JsonSchema)]
struct WriteInit {
    /// Shares that the key is split into.
    #[serde(default)]
    secret_shares: i64,
    /// Shares that are needed to unseal.
    #[serde(default)]
    secret_threshold: i64,
    /// Of auto-unseal.
    #[serde(default)]
    recovery_shares: i64,
    /// Of auto-unseal.
    #[serde(default)]
    recovery_threshold: i64,
    /// Of auto-unseal.
    #[serde(default)]
    stored_shares: i64,
    /// One public key for each share.
    #[serde(default)]
    pgp_keys: Vec<String>,
    /// One public key for each recovery share.
    #[serde(default)]
    recovery_pgp_keys: Vec<String>,
    /// The public key that the root token is encrypted with.
    #[serde(default)]
    root_token_pgp_key: String,
}

async fn write_init(call: &mut Call<'_, Node>, input: WriteInit) -> Result<Reply, Error> {
    let init = input.parse(call).await?;
    let made = call.state.init(init).await?;
    let keys: Vec<&str> = made.shares.iter().map(|share| share.hex.expose().as_str()).collect();
    let keys_base64: Vec<&str> =
        made.shares.iter().map(|share| share.base64.expose().as_str()).collect();
    let root_token = match &made.root_token_text {
        RootTokenText::Plain => made.root_token.expose().clone(),
        RootTokenText::Pgp(message) => STANDARD.encode(message),
    };
    if made.is_recovery {
        return Reply::bare(&json!({
            "keys": [],
            "keys_base64": [],
            "recovery_keys": keys,
            "recovery_keys_base64": keys_base64,
            "root_token": root_token,
        }));
    }
    Reply::bare(&json!({ "keys": keys, "keys_base64": keys_base64, "root_token": root_token }))
}

impl WriteInit {
    async fn parse(&self, call: &Call<'_, Node>) -> Result<Init, Error> {
        let fields = [&self.pgp_keys, &self.recovery_pgp_keys];
        // To read keys costs time: not for whoever asks an initialised cluster.
        let has_keys =
            fields.iter().any(|texts| !texts.is_empty()) || !self.root_token_pgp_key.is_empty();
        if has_keys && call.state.is_initialized().await? {
            return Err(Error::bad_request(ALREADY));
        }
        if fields.iter().any(|texts| texts.len() > SHARES_MAX) {
            return Err(Error::bad_request("there are more PGP keys than there can be shares"));
        }
        let one = |text: &String| if text.is_empty() { Vec::new() } else { vec![text.clone()] };
        let mut root = keys(call.now, "root_token_pgp_key", one(&self.root_token_pgp_key)).await?;
        Ok(Init {
            secret_shares: self.secret_shares,
            secret_threshold: self.secret_threshold,
            recovery_shares: self.recovery_shares,
            recovery_threshold: self.recovery_threshold,
            stored_shares: self.stored_shares,
            pgp_keys: keys(call.now, "pgp_keys", self.pgp_keys.clone()).await?,
            recovery_pgp_keys: keys(call.now, "recovery_pgp_keys", self.recovery_pgp_keys.clone())
                .await?,
            root_token_pgp_key: root.pop(),
        })
    }
}

async fn keys(now: Timestamp, field: &str, texts: Vec<String>) -> Result<Vec<PgpKey>, Error> {
    let parsed = PgpKey::parse_all(texts, now.seconds()).await;
    parsed.map_err(|(_, error)| Error::BadRequest(format!("`{field}`: {error}")))
}

const ALREADY: &str = "Vault is already initialized";

const SHARES_MAX: usize = 255;

/// Of this node's configuration, as they answered when they were last asked.
async fn seal_backends(call: &mut Call<'_, Node>, _: NoParams) -> Result<Reply, Error> {
    let backends = call.state.seal_backends().await;
    let healthy = backends.iter().all(|backend| backend.healthy);
    Reply::of(&json!({ "healthy": healthy, "backends": backends }))
}

async fn seal_status(call: &mut Call<'_, Node>, _: NoParams) -> Result<Reply, Error> {
    Reply::bare(&call.state.seal_status().await?)
}

#[derive(Deserialize, JsonSchema)]
struct WriteUnseal {
    /// One share, in hexadecimal or base64.
    key: Option<Secret<String>>,
    /// Forget the shares given so far.
    #[serde(default)]
    reset: bool,
    /// Of a seal migration.
    #[serde(default)]
    migrate: bool,
}

async fn unseal(call: &mut Call<'_, Node>, input: WriteUnseal) -> Result<Reply, Error> {
    let unseal = match input.key {
        _ if input.reset => Unseal::Reset,
        Some(share) if !share.expose().is_empty() && input.migrate => Unseal::Migrate(share),
        Some(share) if !share.expose().is_empty() => Unseal::Share(share),
        _ => {
            return Err(Error::bad_request(
                "'key' must be specified in request body as JSON, or 'reset' set to true",
            ));
        }
    };
    Reply::bare(&call.state.unseal(unseal).await?)
}

async fn seal(call: &mut Call<'_, Node>, _: NoParams) -> Result<Reply, Error> {
    call.state.seal().await?;
    Ok(Reply::default())
}

async fn step_down(call: &mut Call<'_, Node>, _: NoParams) -> Result<Reply, Error> {
    call.state.step_down().await?;
    Ok(Reply::default())
}

async fn leader(call: &mut Call<'_, Node>, _: NoParams) -> Result<Reply, Error> {
    Reply::bare(&call.state.leader().await?)
}

/// Of the active node: only it hears of the others.
async fn ha_status(call: &mut Call<'_, Node>, _: NoParams) -> Result<Reply, Error> {
    Reply::of(&json!({ "nodes": call.state.ha_status()? }))
}

/// The statuses that load balancers want instead of Vault's.
#[derive(Deserialize, JsonSchema)]
struct ReadHealth {
    /// A standby answers as the active node does.
    #[serde(default)]
    standbyok: bool,
    activecode: Option<u16>,
    standbycode: Option<u16>,
    sealedcode: Option<u16>,
    uninitcode: Option<u16>,
    removedcode: Option<u16>,
}

async fn health(call: &mut Call<'_, Node>, input: ReadHealth) -> Result<Reply, Error> {
    let health = call.state.health().await?;
    let status = if !health.initialized {
        input.uninitcode.unwrap_or(501)
    } else if health.removed {
        input.removedcode.unwrap_or(530)
    } else if health.sealed {
        input.sealedcode.unwrap_or(503)
    } else if health.standby && !input.standbyok {
        input.standbycode.unwrap_or(429)
    } else {
        input.activecode.unwrap_or(200)
    };
    let mut reply = Reply::bare(&health)?;
    reply.status = Some(status);
    Ok(reply)
}
