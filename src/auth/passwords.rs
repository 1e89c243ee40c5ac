//! Hashing of passwords on threads of its own, so that logins starve nobody.

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Semaphore;

use crate::crypto::{hash_password, verify_password};
use crate::request::Error;
use crate::rng::Rng;
use crate::secret::Secret;

/// # Errors
/// [`Error::Unavailable`] where too many wait already.
pub async fn hash(rng: &dyn Rng, password: &Secret<String>) -> Result<String, Error> {
    // Drawn here: the generator does not travel to another thread.
    let drawn = Drawn(rng.bytes());
    let password = Secret::new(password.expose().clone());
    costly(move || hash_password(&drawn, password.expose().as_bytes())).await
}

/// # Errors
/// As [`hash`].
pub async fn verify(password: &Secret<String>, hash: &str) -> Result<bool, Error> {
    let (password, hash) = (Secret::new(password.expose().clone()), hash.to_owned());
    costly(move || verify_password(password.expose().as_bytes(), &hash)).await
}

async fn costly<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Error> {
    let _place = Place::take()?;
    let permit = AT_ONCE.acquire().await.map_err(Error::internal)?;
    // Ends by itself within a fraction of a second; the permit goes with it, also where whoever
    // waits has gone.
    let task = tokio::task::spawn_blocking(move || {
        let done = work();
        drop(permit);
        done
    });
    task.await.map_err(Error::internal)
}

/// One of those that wait or are at work.
struct Place;

impl Place {
    fn take() -> Result<Self, Error> {
        if WAITING.fetch_add(1, Ordering::Relaxed) >= WAITING_MAX {
            WAITING.fetch_sub(1, Ordering::Relaxed);
            return Err(Error::Unavailable("too many logins at once: try again".into()));
        }
        Ok(Self)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        WAITING.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Random bytes that were drawn before.
struct Drawn([u8; 16]);

impl Rng for Drawn {
    fn fill(&self, buffer: &mut [u8]) {
        for (to, from) in buffer.iter_mut().zip(self.0) {
            *to = from;
        }
    }
}

/// Each takes a core, and 19 MiB.
static AT_ONCE: Semaphore = Semaphore::const_new(2);

static WAITING: AtomicUsize = AtomicUsize::new(0);

/// At some 40 ms each on two cores, the last waits for 20 s.
const WAITING_MAX: usize = 1024;
