//! Rate-limit quotas: asked before the token is, in memory, on the active node.
//!
//! **Invariant:** what is kept of clients is bounded by [`CLIENTS_MAX`], whoever they are.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::{CORE, Known, Pipeline};
use crate::audit::Side;
use crate::clock::Timestamp;
use crate::quota::{QuotaStore, Quotas, RateLimit};
use crate::record::Revision;
use crate::request::{Error, Reply, Request};
use crate::router::Target;
use crate::txn::Txn;

/// What was asked of quotas, and what is left.
#[derive(Default)]
pub(super) struct Limiter {
    compiled: Mutex<Option<(Revision, Arc<Quotas>)>>,
    clients: Mutex<Clients>,
}

/// Headers that tell a client where it stands; none unless they are switched on.
pub(super) type Headers = BTreeMap<String, String>;

impl Pipeline {
    /// Whether a request may go on, as far as its client's rate is concerned. It is asked once,
    /// however often the request is tried.
    pub(super) async fn admit(
        &self,
        txn: &mut Txn,
        request: &Request,
        known: &mut Known,
        target: Option<&Target>,
    ) -> Result<(), Error> {
        if known.rate_headers.is_some() {
            return Ok(());
        }
        known.rate_headers = Some(Headers::new());
        let Some(quotas) = self.limiter.quotas(txn)? else {
            return Ok(());
        };
        match self.limiter.judge(&quotas, request, target, txn.now()) {
            Ok(headers) => {
                known.rate_headers = Some(headers);
                Ok(())
            }
            Err(refused) => {
                if quotas.config.enable_rate_limit_audit_logging {
                    self.record(request, known, Side::Request(Some(&refused))).await?;
                    known.audited = true;
                }
                Err(refused)
            }
        }
    }
}

/// Tells a client in the reply where it stands.
pub(super) fn with_headers(
    outcome: Result<Reply, Error>,
    headers: Option<Headers>,
) -> Result<Reply, Error> {
    let headers = headers.unwrap_or_default();
    match outcome {
        Ok(mut reply) => {
            reply.headers.extend(headers);
            Ok(reply)
        }
        Err(Error::NotFoundWith(mut reply)) => {
            reply.headers.extend(headers);
            Err(Error::NotFoundWith(reply))
        }
        Err(error) => Err(error),
    }
}

impl Limiter {
    /// Forgets clients and what was compiled: on seal, and when leadership ends.
    pub(super) fn clear(&self) {
        *self.lock_compiled() = None;
        self.clients.lock().unwrap_or_else(PoisonError::into_inner).by_key.clear();
    }

    /// `None` where there are no quotas: that costs one look at a revision.
    pub(super) fn quotas(&self, txn: &mut Txn) -> Result<Option<Arc<Quotas>>, Error> {
        let mut scope = txn.scope(CORE);
        let mut store = QuotaStore::new(&mut scope);
        let revision = store.revision()?;
        if revision == Revision::ABSENT {
            return Ok(None);
        }
        let cached = self.lock_compiled().clone();
        let quotas = match cached {
            Some((at, quotas)) if at == revision => quotas,
            _ => {
                let quotas = Arc::new(store.compile()?);
                *self.lock_compiled() = Some((revision, quotas.clone()));
                // Counted under other limits.
                self.clients.lock().unwrap_or_else(PoisonError::into_inner).by_key.clear();
                quotas
            }
        };
        Ok(Some(quotas).filter(|quotas| !quotas.is_empty()))
    }

    fn judge(
        &self,
        quotas: &Quotas,
        request: &Request,
        target: Option<&Target>,
        now: Timestamp,
    ) -> Result<Headers, Error> {
        if quotas.config.exempts(&request.path) {
            return Ok(Headers::new());
        }
        let mount = target.map(|target| target.entry.api_path()).unwrap_or_default();
        let logs_in = target.and_then(|target| target.found).is_some_and(|found| found.login);
        let role = request.params.get("role").and_then(|role| role.as_str());
        let Some(limit) = quotas.of(&request.path, &mount, role.filter(|_| logs_in)) else {
            return Ok(Headers::new());
        };
        let taken = self.clients.lock().unwrap_or_else(PoisonError::into_inner).take(
            limit,
            client(request),
            now,
        );
        let shows = quotas.config.enable_rate_limit_response_headers;
        let mut headers = if shows { taken.headers(limit) } else { Headers::new() };
        match taken {
            Taken::Granted { .. } => Ok(headers),
            Taken::Refused { wait, .. } | Taken::Blocked { wait } => {
                headers.insert("retry-after".into(), seconds(wait).to_string());
                // As in Vault: scripts look for it.
                let text = format!("request path {:?}: rate limit quota exceeded", request.path);
                Err(Error::TooManyWith { text, headers })
            }
        }
    }

    fn lock_compiled(&self) -> MutexGuard<'_, Option<(Revision, Arc<Quotas>)>> {
        self.compiled.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whoever has one address of IPv6 has all of its network (RFC 6177): they count as one.
fn client(request: &Request) -> IpAddr {
    match request.remote.map(|remote| remote.ip().to_canonical()) {
        Some(IpAddr::V6(address)) => {
            IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)))
        }
        Some(address) => address,
        None => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
    }
}

/// What each client has left, by the quota's name and the client.
#[derive(Default)]
struct Clients {
    by_key: BTreeMap<(String, IpAddr), Bucket>,
    /// When those that are over were last thrown out.
    swept: Timestamp,
}

/// A window of one interval, which begins with a client's first request.
struct Bucket {
    left: u64,
    ends: Timestamp,
    blocked_until: Option<Timestamp>,
}

/// What came of one request.
enum Taken {
    Granted {
        left: u64,
        reset: Duration,
    },
    Refused {
        wait: Duration,
        reset: Duration,
    },
    /// It was over the rate before.
    Blocked {
        wait: Duration,
    },
}

impl Clients {
    fn take(&mut self, limit: &RateLimit, client: IpAddr, now: Timestamp) -> Taken {
        let key = (limit.name.clone(), client);
        if !self.by_key.contains_key(&key) {
            self.make_room(now);
        }
        let interval = Duration::from_secs(limit.interval);
        let fresh = || Bucket { left: most(limit), ends: now.plus(interval), blocked_until: None };
        let bucket = self.by_key.entry(key).or_insert_with(fresh);
        if let Some(until) = bucket.blocked_until {
            if now < until {
                return Taken::Blocked { wait: until.since(now) };
            }
            *bucket = fresh();
        }
        if bucket.ends <= now {
            *bucket = fresh();
        }
        let reset = bucket.ends.since(now);
        if bucket.left > 0 {
            bucket.left -= 1;
            return Taken::Granted { left: bucket.left, reset };
        }
        if limit.block_interval == 0 {
            return Taken::Refused { wait: reset, reset };
        }
        let wait = Duration::from_secs(limit.block_interval);
        bucket.blocked_until = Some(now.plus(wait));
        Taken::Refused { wait, reset }
    }

    fn make_room(&mut self, now: Timestamp) {
        if self.by_key.len() < CLIENTS_MAX {
            return;
        }
        if self.swept.plus(SWEEP_PAUSE) <= now {
            self.swept = now;
            self.by_key.retain(|_, bucket| {
                now < bucket.ends || bucket.blocked_until.is_some_and(|until| now < until)
            });
        }
        // Who comes from so many addresses is not stopped by a limit for each.
        while self.by_key.len() >= CLIENTS_MAX {
            self.by_key.pop_first();
        }
    }
}

impl Taken {
    fn headers(&self, limit: &RateLimit) -> Headers {
        let (left, reset) = match self {
            Self::Granted { left, reset } => (*left, *reset),
            Self::Refused { reset, .. } => (0, *reset),
            Self::Blocked { .. } => return Headers::new(),
        };
        Headers::from_iter([
            ("x-ratelimit-limit".to_owned(), most(limit).to_string()),
            ("x-ratelimit-remaining".to_owned(), left.to_string()),
            ("x-ratelimit-reset".to_owned(), seconds(reset).to_string()),
        ])
    }
}

/// Requests in one interval: a part of one counts as one, as in Vault.
fn most(limit: &RateLimit) -> u64 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates")]
    let most = limit.rate.ceil() as u64;
    most.max(1)
}

/// Rounded up: whoever waits so long is served.
fn seconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis().div_ceil(1000)).unwrap_or(u64::MAX)
}

/// Clients that are counted at one time, some 100 bytes each.
const CLIENTS_MAX: usize = 65_536;

const SWEEP_PAUSE: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests;
