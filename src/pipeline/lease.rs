//! Leases in the request's own transaction: registered with what the handler answered, renewed
//! with what the lease's engine says.

use std::sync::Arc;
use std::time::Duration;

use super::revocation::{ACT_TIME_MAX, BUSY, deadline};
use super::{Commit, Known, Pipeline};
use crate::auth::token::{TokenEntry, TokenStore, auth_of, home};
use crate::clock::Timestamp;
use crate::framework::{Context, Leased, Login, LoginTerms, Mount, TtlTerms};
use crate::identity::IdentityStore;
use crate::lease::{LeaseEntry, LeaseStore, MountPlaces, State};
use crate::mount::MountEntry;
use crate::request::{Error, Lease, Reply, Request, Then, TokenType};
use crate::router::Target;
use crate::txn::{Txn, place_of};

impl Pipeline {
    /// Makes a lease of what a handler answered, where it says so. The token's record is noted:
    /// one that is revoked meanwhile makes the entry conflict, and there is no lease without a
    /// token that ends it.
    pub(super) fn register(
        &self,
        txn: &mut Txn,
        request: &Request,
        known: &Known,
        target: &Target,
        reply: &mut Reply,
    ) -> Result<(), Error> {
        let Some(lease) = reply.lease.as_mut().filter(|lease| !lease.kind.is_empty()) else {
            return Ok(());
        };
        let facts = target.mount.secret_kind(lease.kind).ok_or_else(|| {
            Error::internal(format!("the engine declares no secret {:?}", lease.kind))
        })?;
        let limits = self.ttl.of(&target.entry.config);
        let now = txn.now();
        let mut core = txn.core();
        let (owner, expires_at_most) = owner(&mut TokenStore::new(&mut core), request, known)?;
        let terms = TtlTerms {
            usual: lease.ttl.as_secs(),
            max: lease.max_ttl.as_secs(),
            ..TtlTerms::default()
        };
        let granted = limits.grant(&terms, now, now);
        let granted =
            granted.ok_or_else(|| Error::bad_request("the max TTL leaves no time to live"))?;
        let ttl = match expires_at_most {
            Some(end) => granted.ttl.min(end.since(now).as_secs()),
            None => granted.ttl,
        };
        if ttl == 0 {
            return Err(Error::bad_request("the token leaves the lease no time to live"));
        }
        let path = request.path.trim_end_matches('/');
        lease.id = format!("{path}/{}", self.rng.base62(24));
        if !request.namespace_id.is_empty() {
            lease.id = format!("{}.{}", lease.id, request.namespace_id);
        }
        lease.ttl = Duration::from_secs(ttl);
        let entry = LeaseEntry {
            kind: lease.kind.to_owned(),
            internal: std::mem::take(&mut lease.internal),
            issued: now,
            expires: now.plus(lease.ttl),
            ttl,
            max_ttl: lease.max_ttl.as_secs(),
            renewable: lease.renewable,
            acts: facts.acts_on_revoke,
            token: owner,
            expires_at_most,
            quota: known.place.mark(),
            ..LeaseEntry::default()
        };
        LeaseStore::new(&mut core).register(&target.entry.accessor, &lease.id, entry)?;
        reply.warnings.extend(granted.warning);
        Ok(())
    }

    /// One more, where the request that was just committed made one.
    pub(super) fn count_lease(
        &self,
        commit: &Commit,
        known: &Known,
        target: Option<&Target>,
        outcome: &Result<Reply, Error>,
    ) {
        let (Commit::Stands, Some(mount), Ok(reply)) = (commit, &known.mount, outcome) else {
            return;
        };
        let is_login = reply.auth.is_some()
            && target.and_then(|target| target.found).is_some_and(|found| found.login);
        if is_login || reply.lease.as_ref().is_some_and(|lease| !lease.kind.is_empty()) {
            self.leases.counts.issued(&mount.accessor);
        }
    }

    /// What a handler has left to do within the transaction.
    pub(super) async fn follow(
        &self,
        txn: &mut Txn,
        request: &Request,
        reply: Reply,
    ) -> Result<Reply, Error> {
        match &reply.then {
            Some(Then::RenewLease { mount, id, increment }) => {
                self.renew_lease(txn, request, mount, id, *increment).await
            }
            Some(Then::RenewToken { name, token, increment }) => {
                // Its method is its namespace's, which may be one above.
                let (here, of) = (txn.place().to_owned(), home::of_name(txn.core().home(), name));
                let bare = name.split_once('@').map_or(name.as_str(), |(bare, _)| bare);
                txn.enter(&place_of(&of));
                let renewed = self.renew_token(txn, request, bare, token, *increment).await;
                txn.enter(&here);
                renewed
            }
            Some(Then::AwaitLease { .. } | Then::AwaitPrefix { .. }) | None => Ok(reply),
        }
    }

    /// No revocation of it acts at the same time. One that is decided meanwhile makes this entry
    /// conflict, and acts afterwards.
    async fn renew_lease(
        &self,
        txn: &mut Txn,
        request: &Request,
        mount: &str,
        id: &str,
        increment: u64,
    ) -> Result<Reply, Error> {
        let wait = tokio::time::Instant::now() + ACT_TIME_MAX;
        let lock = self.leases.locks.lock(id.to_owned(), wait).await;
        let _one_at_a_time = lock.ok_or_else(|| Error::Unavailable(BUSY.into()))?;
        let lease = LeaseStore::new(&mut txn.core()).get_in(State::Live, mount, id)?;
        let lease = lease.ok_or_else(|| Error::bad_request("lease expired"))?;
        let (entry, engine) = self.mount_of(txn, mount)?;
        let now = txn.now();
        let leased = Leased {
            id: id.to_owned(),
            internal: lease.internal.clone(),
            issued: lease.issued,
            expires: lease.expires,
            increment,
            attempts: 0,
        };
        let prefix = format!("{}{}", txn.place(), entry.storage_prefix());
        let context = self.of_mount(txn, &prefix, &entry, request);
        let renewal = deadline(engine.renew_lease(context, &lease.kind, leased)).await?;
        let or = |first: u64, second: u64| if first > 0 { first } else { second };
        let terms = TtlTerms {
            requested: increment,
            usual: or(renewal.ttl, lease.ttl),
            max: or(renewal.max_ttl, lease.max_ttl),
            ..TtlTerms::default()
        };
        let granted = self.ttl.of(&entry.config).grant(&terms, lease.issued, now);
        let granted = granted.ok_or_else(past_max)?;
        let ttl = match lease.expires_at_most {
            Some(end) => granted.ttl.min(end.since(now).as_secs()),
            None => granted.ttl,
        };
        if ttl == 0 {
            return Err(past_max());
        }
        let mut core = txn.core();
        let lease = LeaseStore::new(&mut core).extend(mount, id, lease, ttl, now)?;
        let told = Lease {
            id: id.to_owned(),
            ttl: Duration::from_secs(ttl),
            renewable: lease.renewable,
            ..Lease::default()
        };
        let warnings = granted.warning.into_iter().collect();
        Ok(Reply { lease: Some(told), warnings, ..Reply::default() })
    }

    /// A token that an auth method made: by the method's rules as they are now, and the limits
    /// of its mount.
    async fn renew_token(
        &self,
        txn: &mut Txn,
        request: &Request,
        name: &str,
        token: &str,
        increment: u64,
    ) -> Result<Reply, Error> {
        let found = TokenStore::new(&mut txn.core()).get(name)?;
        let found = found.ok_or_else(|| Error::bad_request("token not found"))?;
        let (entry, method) = self.mount_of(txn, &found.mount_accessor)?;
        let now = txn.now();
        let login = Login {
            internal: found.internal.clone(),
            policies: found.policies.clone(),
            metadata: found.meta.clone(),
            entity_id: found.entity_id.clone(),
            issued: found.created,
            increment,
        };
        let prefix = format!("{}{}", txn.place(), entry.storage_prefix());
        let context = self.of_mount(txn, &prefix, &entry, request);
        let last = if found.ttl_renewed > 0 { found.ttl_renewed } else { found.ttl };
        let own = LoginTerms { ttl: last, period: found.period, ..LoginTerms::default() };
        let said = deadline(method.renew_login(context, login)).await?.unwrap_or(own);
        let terms = TtlTerms {
            requested: increment,
            usual: said.ttl,
            max: said.max_ttl,
            explicit_max: found.explicit_max_ttl,
            period: said.period,
        };
        let granted = self.ttl.of(&entry.config).grant(&terms, found.created, now);
        let granted = granted.ok_or_else(past_max)?;
        let mut core = txn.core();
        let mut renewed = TokenEntry::clone(&found);
        renewed.period = said.period;
        let renewed = TokenStore::new(&mut core).extend(name, &renewed, granted.ttl, now)?;
        let mut auth = auth_of(&renewed, token.to_owned(), granted.ttl);
        let mut identities = IdentityStore::new(&mut core);
        if let Some(names) = &said.group_aliases
            && let Some(entity) = identities.entity_or_successor(&found.entity_id)?
        {
            identities.refresh_groups(&entity.id, &found.mount_accessor, names)?;
        }
        identities.tell(&mut auth)?;
        let warnings = granted.warning.into_iter().collect();
        Ok(Reply { auth: Some(auth), warnings, ..Reply::default() })
    }

    /// By accessor; also one that is gone, as long as it has leases.
    pub(super) fn mount_of(
        &self,
        txn: &mut Txn,
        accessor: &str,
    ) -> Result<(Arc<MountEntry>, Arc<dyn Mount>), Error> {
        let entry = MountPlaces::new(&mut txn.core()).by_accessor(accessor)?;
        let entry = entry.ok_or_else(|| Error::Failed("its mount is gone".into()))?;
        let mount = self.router.mount(txn.core().home(), &entry)?;
        Ok((entry, mount))
    }

    /// For what a mount is asked besides requests to it.
    pub(super) fn of_mount<'c>(
        &'c self,
        txn: &'c mut Txn,
        prefix: &'c str,
        entry: &'c MountEntry,
        request: &'c Request,
    ) -> Context<'c> {
        Context {
            txn,
            prefix,
            namespace: prefix
                .strip_suffix(entry.storage_prefix().as_str())
                .filter(|_| entry.reaches_namespace()),
            rng: self.rng.as_ref(),
            mount: entry,
            ttl: self.ttl.of(&entry.config),
            caller: None,
            request,
            intent: None,
            answers: None,
        }
    }
}

/// The token whose end is to end the lease, and the time that a batch token leaves it.
fn owner(
    tokens: &mut TokenStore<'_, '_>,
    request: &Request,
    known: &Known,
) -> Result<(String, Option<Timestamp>), Error> {
    if known.spends_last {
        return Err(last_use());
    }
    let token = request.token.as_ref().filter(|_| known.caller.is_some());
    let token = token.ok_or_else(|| Error::internal("a lease needs a token that ends it"))?;
    let now = tokens.now();
    let (name, entry) = tokens.lookup(token, now)?.ok_or(Error::Denied)?;
    match entry.token_type {
        TokenType::Batch => Ok((home::below(&name, &entry.parent), entry.expires)),
        TokenType::Service => Ok((name, None)),
    }
}

/// As in Vault: the secret would end before anyone could use it.
pub(super) fn last_use() -> Error {
    Error::bad_request(
        "Secret cannot be returned; token had one use left, so leased credentials were \
         immediately revoked.",
    )
}

fn past_max() -> Error {
    Error::bad_request("past the max TTL, cannot renew")
}
