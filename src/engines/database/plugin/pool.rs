//! So many connections at a time, and some kept for the next who asks.
//!
//! Nothing runs for a connection that is not in use: whoever takes it finds out whether it still
//! works.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;

use super::{Details, Failure, FailureKind};

pub(super) struct Pool<C> {
    places: Semaphore,
    idle: Mutex<Vec<Kept<C>>>,
    idle_max: usize,
    lifetime: Option<Duration>,
    wait_max: Duration,
}

struct Kept<C> {
    connection: C,
    made: Instant,
}

/// The right to one connection. Given back, or dropped with it.
pub(super) struct Place<'p, C> {
    pool: &'p Pool<C>,
    _permit: SemaphorePermit<'p>,
}

impl<C> Pool<C> {
    pub(super) fn new(details: &Details) -> Self {
        let open_max = match details.max_open_connections {
            0 => OPEN_USUAL,
            given => usize::try_from(given).unwrap_or(OPEN_MAX).min(OPEN_MAX),
        };
        let idle_max = match details.max_idle_connections {
            0 => open_max,
            given => usize::try_from(given).unwrap_or_default().min(open_max),
        };
        let lifetime = details.max_connection_lifetime;
        Self {
            places: Semaphore::new(open_max),
            idle: Mutex::default(),
            idle_max,
            lifetime: (lifetime > 0).then(|| Duration::from_secs(lifetime)),
            wait_max: WAIT_MAX,
        }
    }

    /// # Errors
    /// Where none is free for long.
    pub(super) async fn place(&self) -> Result<Place<'_, C>, Failure> {
        match tokio::time::timeout(self.wait_max, self.places.acquire()).await {
            Ok(Ok(permit)) => Ok(Place { pool: self, _permit: permit }),
            Ok(Err(_)) | Err(_) => Err(Failure::new(
                FailureKind::Unreachable,
                "all connections to the database are in use: raise `max_open_connections`, or \
                 try again",
            )),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Kept<C>>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<C> Place<'_, C> {
    /// One that was used before, and when it was made; the youngest first. Those that are too old
    /// go.
    pub(super) fn reuse(&self, now: Instant) -> Option<(C, Instant)> {
        let lifetime = self.pool.lifetime;
        let mut idle = self.pool.lock();
        let old: Vec<_> = match lifetime {
            Some(lifetime) => idle.extract_if(.., |kept| now - kept.made >= lifetime).collect(),
            None => Vec::new(),
        };
        let kept = idle.pop();
        drop(idle);
        drop(old);
        kept.map(|kept| (kept.connection, kept.made))
    }

    pub(super) fn give_back(self, connection: C, made: Instant) {
        let mut idle = self.pool.lock();
        if idle.len() < self.pool.idle_max {
            idle.push(Kept { connection, made });
        }
    }
}

/// As in Vault.
const OPEN_USUAL: usize = 4;

/// What Vault calls without limit has this one.
const OPEN_MAX: usize = 1024;

const WAIT_MAX: Duration = Duration::from_secs(20);

#[cfg(test)]
mod tests;
