//! Work that keeps a core busy for long, on threads of its own: bounded, so that it starves
//! nobody.

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Semaphore;

use crate::request::Error;

/// Hashing passwords: a core and 19 MiB for some 40 ms each, so that on two cores the last waits
/// for 20 s.
pub static PASSWORDS: Costly = Costly::new(2, 1024, "too many logins at once: try again");

/// Making RSA keys: a core for a second or more each. Apart from the passwords, so that logins
/// do not wait for them.
pub static KEYS: Costly = Costly::new(2, 32, "too many RSA keys are made at once: try again");

/// One kind of such work.
pub struct Costly {
    at_once: Semaphore,
    /// Those at work too.
    waiting: AtomicUsize,
    waiting_max: usize,
    refusal: &'static str,
}

impl Costly {
    const fn new(at_once: usize, waiting_max: usize, refusal: &'static str) -> Self {
        let (at_once, waiting) = (Semaphore::const_new(at_once), AtomicUsize::new(0));
        Self { at_once, waiting, waiting_max, refusal }
    }

    /// # Errors
    /// [`Error::Unavailable`] where too many wait already.
    pub async fn run<T: Send + 'static>(
        &'static self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Error> {
        let _place = Place::take(self)?;
        let permit = self.at_once.acquire().await.map_err(Error::internal)?;
        // Ends by itself; the permit goes with it, also where whoever waits has gone.
        let task = tokio::task::spawn_blocking(move || {
            let done = work();
            drop(permit);
            done
        });
        task.await.map_err(Error::internal)
    }
}

/// One of those that wait or are at work.
struct Place(&'static Costly);

impl Place {
    fn take(of: &'static Costly) -> Result<Self, Error> {
        if of.waiting.fetch_add(1, Ordering::Relaxed) >= of.waiting_max {
            of.waiting.fetch_sub(1, Ordering::Relaxed);
            return Err(Error::Unavailable(of.refusal.into()));
        }
        Ok(Self(of))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests;
