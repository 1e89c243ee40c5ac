//! `sys/leases`: leases as clients and operators see them. Tokens are among them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::Node;
use crate::auth::token::{TokenEntry, TokenStore, mark_prefix};
use crate::clock::Timestamp;
use crate::framework::{Call, NoParams, Route, Seconds};
use crate::job::{Job, JobKind};
use crate::lease::{
    Force, LeaseEntry, LeaseStore, MountPlaces, State, is_token_name, path_and_name,
};
use crate::request::{Error, Reply, Then};
use crate::text::{as_name, of_name};

pub(super) fn routes() -> Vec<Route<Node>> {
    let (renew, revoke) = ("Let a lease live longer.", "End a lease.");
    vec![
        Route::new("leases", "Leases that cannot be ended.").sudo().read(list_stuck),
        Route::new("leases/count", "How many leases cannot be ended.").read(count_stuck),
        Route::new("leases/lookup", "What is known of a lease; the paths that have some.")
            .write(lookup)
            .list(list_sudo),
        Route::new("leases/lookup/{prefix...}", "The leases below a path.").sudo().list(list),
        Route::new("leases/renew", renew).write(renew_lease),
        Route::new("leases/renew/{url_lease_id...}", renew).write(renew_lease),
        Route::new("renew", renew).write(renew_lease),
        Route::new("renew/{url_lease_id...}", renew).write(renew_lease),
        Route::new("leases/revoke", revoke).write(revoke_lease),
        Route::new("leases/revoke/{url_lease_id...}", revoke).write(revoke_lease),
        Route::new("revoke", revoke).write(revoke_lease),
        Route::new("revoke/{url_lease_id...}", revoke).write(revoke_lease),
        Route::new("leases/revoke-prefix/{prefix...}", "End all leases below a path.")
            .sudo()
            .write(revoke_prefix),
        Route::new("revoke-prefix/{prefix...}", "End all leases below a path.")
            .sudo()
            .write(revoke_prefix),
        Route::new("leases/revoke-force/{prefix...}", FORCE).sudo().write(revoke_force),
        Route::new("revoke-force/{prefix...}", FORCE).sudo().write(revoke_force),
        Route::new("leases/tidy", "Look for what leases are found by and leads to none.")
            .write(tidy),
    ]
}

#[derive(Deserialize, JsonSchema)]
struct OfLease {
    /// The lease's id.
    #[serde(default)]
    lease_id: String,
    /// The lease's id, in the path.
    #[serde(default)]
    url_lease_id: String,
}

fn id_of(in_body: String, in_path: String) -> Result<String, Error> {
    let id = [in_body, in_path].into_iter().find(|id| !id.is_empty());
    id.ok_or_else(|| Error::bad_request("lease_id must be specified"))
}

#[derive(Deserialize, JsonSchema)]
struct Renew {
    /// The lease's id.
    #[serde(default)]
    lease_id: String,
    /// The lease's id, in the path.
    #[serde(default)]
    url_lease_id: String,
    /// How long it is to live from now on.
    #[serde(default)]
    increment: Seconds,
}

#[derive(Deserialize, JsonSchema)]
struct Revoke {
    /// The lease's id.
    #[serde(default)]
    lease_id: String,
    /// The lease's id, in the path.
    #[serde(default)]
    url_lease_id: String,
    /// Answer once it has ended.
    #[serde(default = "yes")]
    sync: bool,
}

#[derive(Deserialize, JsonSchema)]
struct Prefix {
    /// How the ids begin: whole segments.
    #[serde(default)]
    prefix: String,
    /// Answer once all have ended.
    #[serde(default = "yes")]
    sync: bool,
}

#[derive(Deserialize, JsonSchema)]
struct Stuck {
    /// `irrevocable`, the only type there is.
    #[serde(default)]
    r#type: String,
    /// How many to show at most, or `none`.
    #[serde(default)]
    limit: String,
}

fn yes() -> bool {
    true
}

async fn lookup(call: &mut Call<'_, Node>, input: OfLease) -> Result<Reply, Error> {
    let id = id_of(input.lease_id, input.url_lease_id)?;
    if let Some((token, path)) = token_of(call, &id)? {
        let lease = LeaseEntry {
            issued: token.created,
            renewable: token.renewable,
            last_renewal: token.last_renewal,
            ..LeaseEntry::default()
        };
        let expires = token.expires.map(|expires| (expires, token.ttl_left(call.now)));
        return describe(&id, &path, &lease, expires);
    }
    let found = LeaseStore::new(&mut call.storage).find(&id)?;
    let (_, _, lease) = found.ok_or_else(|| Error::bad_request("invalid lease"))?;
    let path = path_and_name(&id).map_or("", |(path, _)| path);
    let expires = Some((lease.expires, lease.ttl_left(call.now)));
    describe(&id, path, &lease, expires)
}

fn describe(
    id: &str,
    path: &str,
    lease: &LeaseEntry,
    expires: Option<(Timestamp, u64)>,
) -> Result<Reply, Error> {
    let mut data = json!({
        "expire_time": expires.map(|(expires, _)| expires.rfc3339()),
        "id": id,
        "issue_time": lease.issued.rfc3339(),
        "last_renewal": lease.last_renewal.map(Timestamp::rfc3339),
        "path": path,
        "renewable": lease.renewable,
        "ttl": expires.map_or(0, |(_, ttl)| ttl),
    });
    // Only of one that is in trouble, for whoever is to help.
    if lease.attempts > 0
        && let Some(data) = data.as_object_mut()
    {
        data.insert("revocation_attempts".into(), lease.attempts.into());
        data.insert("revocation_error".into(), lease.error.clone().into());
    }
    Reply::of(&data)
}

#[derive(Deserialize, JsonSchema)]
struct Below {
    /// How the ids begin: whole segments.
    #[serde(default)]
    prefix: String,
}

/// The one listing on a path that others may write to.
async fn list_sudo(call: &mut Call<'_, Node>, _: NoParams) -> Result<Reply, Error> {
    if !call.caller.is_some_and(|caller| caller.has_sudo) {
        return Err(Error::Denied);
    }
    list_below(call, "").await
}

async fn list(call: &mut Call<'_, Node>, input: Below) -> Result<Reply, Error> {
    list_below(call, &input.prefix).await
}

async fn list_below(call: &mut Call<'_, Node>, prefix: &str) -> Result<Reply, Error> {
    let prefix = match prefix.trim_matches('/') {
        "" => String::new(),
        prefix => format!("{prefix}/"),
    };
    // As stored: an id is made text again for what is shown alone.
    let (stored, slash) = (as_name(&prefix), as_name("/"));
    let (mut keys, mut looked_at) = (BTreeSet::new(), 0);
    for mount in MountPlaces::new(&mut call.storage).under(&prefix)? {
        for state in State::ALL {
            let mut after = None;
            loop {
                let mut leases = LeaseStore::new(&mut call.storage);
                let page = leases.page(state, &mount, after.as_deref(), PAGE_LEASES)?;
                for file in &page.names {
                    if let Some(below) = file.strip_prefix(stored.as_str()) {
                        let key = match below.split_once(slash.as_str()) {
                            Some((first, _)) => format!("{}/", of_name(first)),
                            None => of_name(below),
                        };
                        keys.insert(key);
                    }
                }
                looked_at += page.names.len();
                check_listed(keys.len(), looked_at)?;
                if page.is_last {
                    break;
                }
                after = page.names.into_iter().next_back();
                // Others are to have their turn.
                tokio::task::yield_now().await;
            }
        }
    }
    Ok(Reply::keys(keys.into_iter().collect()))
}

/// # Errors
/// Where a listing would hold, or has to look at, more than one may.
fn check_listed(keys: usize, looked_at: usize) -> Result<(), Error> {
    if keys > LISTED_MAX {
        return Err(Error::BadRequest(format!(
            "more than {LISTED_MAX} leases are below this path: list a longer one"
        )));
    }
    if looked_at > LOOKED_AT_MAX {
        return Err(Error::BadRequest(format!(
            "the mounts at this path have more than {LOOKED_AT_MAX} leases, too many to look \
             through: look up single ones, or revoke by prefix"
        )));
    }
    Ok(())
}

async fn renew_lease(call: &mut Call<'_, Node>, input: Renew) -> Result<Reply, Error> {
    let id = id_of(input.lease_id, input.url_lease_id)?;
    if input.increment.0 < 0 {
        return Err(Error::BadRequest(format!(
            "Field validation failed: error converting input for field \"increment\": cannot \
             provide negative value '{}'",
            input.increment.0
        )));
    }
    if let Some((token, _)) = token_of(call, &id)? {
        let text = if token.renewable {
            "tokens cannot be renewed through this endpoint"
        } else {
            "lease is not renewable"
        };
        return Err(Error::bad_request(text));
    }
    let found = LeaseStore::new(&mut call.storage).find(&id)?;
    let (mount, state, lease) = found.ok_or_else(|| Error::bad_request("lease not found"))?;
    if state != State::Live || call.now >= lease.expires {
        return Err(Error::bad_request("lease expired"));
    }
    if !lease.renewable {
        return Err(Error::bad_request("lease is not renewable"));
    }
    let increment = input.increment.unsigned();
    Ok(Reply { then: Some(Then::RenewLease { mount, id, increment }), ..Reply::default() })
}

async fn revoke_lease(call: &mut Call<'_, Node>, input: Revoke) -> Result<Reply, Error> {
    let id = id_of(input.lease_id, input.url_lease_id)?;
    Ok(end(call, &id, input.sync)?.unwrap_or_default())
}

/// `None` where there is no such lease.
fn end(call: &mut Call<'_, Node>, id: &str, sync: bool) -> Result<Option<Reply>, Error> {
    let accepted = || Reply { status: Some(202), ..Reply::default() };
    if let Some((path, name)) = path_and_name(id)
        && token_of(call, id)?.is_some_and(|(_, token_path)| token_path == path)
    {
        TokenStore::new(&mut call.storage).revoke(name)?;
        return Ok(Some(if sync { Reply::default() } else { accepted() }));
    }
    let Some((mount, _, lease)) = LeaseStore::new(&mut call.storage).find(id)? else {
        return Ok(None);
    };
    let now = call.now;
    LeaseStore::new(&mut call.storage).end(&mount, id, now, Force::No)?;
    Ok(Some(match (sync, lease.acts) {
        (true, false) => Reply::default(),
        (true, true) => {
            let then = Then::AwaitLease { mount, id: id.to_owned() };
            Reply { then: Some(then), ..Reply::default() }
        }
        (false, _) => accepted(),
    }))
}

async fn revoke_prefix(call: &mut Call<'_, Node>, input: Prefix) -> Result<Reply, Error> {
    check_prefix(call, &input.prefix)?;
    // As in Vault: a whole id is one lease.
    if !input.prefix.ends_with('/')
        && let Some(reply) = end(call, &input.prefix, input.sync)?
    {
        return Ok(reply);
    }
    mark(call, &input.prefix, Force::No, input.sync)
}

/// As in Vault, answered once all have ended.
async fn revoke_force(call: &mut Call<'_, Node>, input: Below) -> Result<Reply, Error> {
    check_prefix(call, &input.prefix)?;
    mark(call, &input.prefix, Force::Yes, true)
}

fn check_prefix(call: &Call<'_, Node>, prefix: &str) -> Result<(), Error> {
    if !prefix.trim_matches('/').is_empty() {
        return Ok(());
    }
    if call.request.path.ends_with('/') {
        return Err(Error::bad_request("cannot write to a path ending in '/'"));
    }
    Err(Error::UnsupportedPath)
}

fn mark(call: &mut Call<'_, Node>, prefix: &str, force: Force, sync: bool) -> Result<Reply, Error> {
    let prefix = format!("{}/", prefix.trim_matches('/'));
    let job = format!("revoke-prefix-{}", call.rng.base62(24));
    mark_prefix(&mut call.storage, &job, &prefix, force)?;
    if !sync {
        return Ok(Reply { status: Some(202), ..Reply::default() });
    }
    Ok(Reply { then: Some(Then::AwaitPrefix { job, prefix }), ..Reply::default() })
}

async fn tidy(call: &mut Call<'_, Node>, _: NoParams) -> Result<Reply, Error> {
    let job = Job { kind: JobKind::TidyLeases { after: None } };
    job.file("tidy-leases", &mut call.storage)?;
    let reply = Reply::default().warn(
        "Tidy operation successfully started. Any information from the operation will be printed \
         to the server's logs.",
    );
    Ok(Reply { status: Some(202), ..reply })
}

async fn count_stuck(call: &mut Call<'_, Node>, input: Stuck) -> Result<Reply, Error> {
    if input.r#type != "irrevocable" {
        return Err(Error::NotFound);
    }
    let mut leases = LeaseStore::new(&mut call.storage);
    let mut counts = BTreeMap::new();
    for mount in leases.mounts(State::Irrevocable)? {
        let count = leases.count(State::Irrevocable, &mount)?;
        counts.insert(mount, count);
    }
    Reply::of(&json!({ "counts": counts, "lease_count": counts.values().sum::<u64>() }))
}

async fn list_stuck(call: &mut Call<'_, Node>, input: Stuck) -> Result<Reply, Error> {
    if input.r#type != "irrevocable" {
        return Err(Error::NotFound);
    }
    let limit = match input.limit.as_str() {
        "" => STUCK_SHOWN,
        "none" => LISTED_MAX,
        text => text
            .parse()
            .ok()
            .filter(|limit| *limit > 0)
            .ok_or_else(|| Error::bad_request("limit must be 'none' or a positive integer"))?,
    };
    let (mut shown, mut total) = (Vec::new(), 0);
    for mount in LeaseStore::new(&mut call.storage).mounts(State::Irrevocable)? {
        let mut leases = LeaseStore::new(&mut call.storage);
        total += leases.count(State::Irrevocable, &mount)?;
        let left = limit.min(LISTED_MAX).saturating_sub(shown.len());
        for file in leases.page(State::Irrevocable, &mount, None, left)?.names {
            let id = of_name(&file);
            if let Some(lease) = leases.get_in(State::Irrevocable, &mount, &id)? {
                shown.push(json!({ "lease_id": id, "error": lease.error }));
            }
        }
    }
    let is_cut = shown.len() < usize::try_from(total).unwrap_or(usize::MAX);
    let data = Map::from_iter([
        ("lease_count".to_owned(), Value::from(total)),
        ("leases".to_owned(), Value::Array(shown)),
    ]);
    let mut reply = Reply::data(data);
    if is_cut {
        reply =
            reply.warn(format!("showing {limit} of {total} leases: use limit=none to show more"));
    }
    Ok(reply)
}

/// The token that an id names, and the path it was made at.
fn token_of(
    call: &mut Call<'_, Node>,
    id: &str,
) -> Result<Option<(Arc<TokenEntry>, String)>, Error> {
    let Some((path, name)) = path_and_name(id).filter(|(_, name)| is_token_name(name)) else {
        return Ok(None);
    };
    let now = call.now;
    let mut tokens = TokenStore::new(&mut call.storage);
    let Some(entry) = tokens.get(name)?.filter(|entry| entry.path == path) else {
        return Ok(None);
    };
    let is_leased = entry.leased_by().is_some() && tokens.is_live(&entry, now)?;
    Ok(is_leased.then(|| (entry, path.to_owned())))
}

const FORCE: &str = "End all leases below a path, also those whose engine fails to end them.";

/// Read at once for a listing.
const PAGE_LEASES: usize = 4096;

/// As many as Vault warns of.
const LISTED_MAX: usize = 262_144;

/// Of a mount all leases are looked at, whatever the path: a few seconds for so many.
const LOOKED_AT_MAX: usize = 1 << 20;

/// Without a limit, as in Vault.
const STUCK_SHOWN: usize = 10_000;

#[cfg(test)]
mod tests;
