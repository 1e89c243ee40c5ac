//! What a node answers for itself: `init`, `seal-status`, `unseal`, `seal`, `health`, `leader`,
//! `step-down`.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::{Init, Node, Unseal};
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
        Route::new("unseal", "Give this node one share of the key.").local().write(unseal),
        Route::new("seal", "Seal this node.").sudo().on_this_node().acts_outside().write(seal),
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
    let init = input.validate()?;
    let made = call.state.init(init).await?;
    let keys: Vec<&str> = made.shares.iter().map(|share| share.hex.expose().as_str()).collect();
    let keys_base64: Vec<&str> =
        made.shares.iter().map(|share| share.base64.expose().as_str()).collect();
    let root_token = made.root_token.expose();
    Reply::bare(&json!({ "keys": keys, "keys_base64": keys_base64, "root_token": root_token }))
}

impl WriteInit {
    fn validate(&self) -> Result<Init, Error> {
        if self.recovery_shares > 0 || self.recovery_threshold > 0 || self.stored_shares > 0 {
            return Err(Error::bad_request(
                "recovery and stored shares belong to auto-unseal: this cluster's seal is shamir",
            ));
        }
        if !self.pgp_keys.is_empty()
            || !self.recovery_pgp_keys.is_empty()
            || !self.root_token_pgp_key.is_empty()
        {
            return Err(Error::bad_request("PGP encryption of shares is not supported yet"));
        }
        let fits = |number: i64| u8::try_from(number).ok().filter(|number| *number > 0);
        let shares = fits(self.secret_shares)
            .ok_or_else(|| Error::bad_request("secret_shares must be from 1 to 255"))?;
        let threshold = fits(self.secret_threshold)
            .ok_or_else(|| Error::bad_request("secret_threshold must be from 1 to 255"))?;
        if threshold > shares {
            return Err(Error::bad_request("secret_threshold must be at most secret_shares"));
        }
        if threshold == 1 && shares > 1 {
            return Err(Error::bad_request(
                "secret_threshold must be at least 2 where there is more than one share",
            ));
        }
        Ok(Init { shares, threshold })
    }
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
    if input.migrate {
        return Err(Error::bad_request("no seal migration is under way"));
    }
    let unseal = match input.key {
        _ if input.reset => Unseal::Reset,
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
