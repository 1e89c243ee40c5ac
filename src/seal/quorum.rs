//! A threshold of shares, given one after the other, and what they open.

use bytes::Bytes;

use super::configuration::{Division, SealConfiguration};
use super::records::{KeyringRecord, UnsealError, root_key_context};
use super::shamir;
use super::share::{Share, ShareError};
use crate::crypto::{LockedKey, aead_open, equal, hmac_sha256};
use crate::rng::Rng;

/// What shares are given for. Between a rekey and the proof that its new shares have reached
/// someone, there are two sets of shares that open.
pub struct Guard {
    /// Shares of before another are forgotten.
    generation: u64,
    locks: Vec<Lock>,
}

struct Lock {
    threshold: u8,
    opens: Opens,
}

enum Opens {
    /// The root key, sealed by the key that the shares combine to.
    RootKey { generation: u64, sealed: Bytes },
    /// Nothing: the key itself is asked for, by what [`key_check`] makes of it.
    Known([u8; 32]),
}

impl Guard {
    /// The root key of a cluster that shares open.
    pub fn of_root_key(configuration: &SealConfiguration, record: &KeyringRecord) -> Self {
        let lock = |threshold, generation, sealed: &Bytes| Lock {
            threshold,
            opens: Opens::RootKey { generation, sealed: sealed.clone() },
        };
        let mut locks =
            vec![lock(configuration.threshold(), record.generation(), record.sealed_root_key())];
        if let Some(previous) = record.previous() {
            locks.push(lock(
                previous.division.threshold(),
                previous.generation,
                &previous.root_key,
            ));
        }
        Self { generation: record.generation(), locks }
    }

    /// A key of which only [`key_check`] is known: the recovery key, or one that was just made.
    pub fn of_key(division: Division, generation: u64, check: [u8; 32]) -> Self {
        let lock = Lock { threshold: division.threshold(), opens: Opens::Known(check) };
        Self { generation, locks: vec![lock] }
    }

    /// Different shares that are needed.
    pub fn threshold(&self) -> u8 {
        self.locks.first().map_or(0, |lock| lock.threshold)
    }
}

/// What a threshold of shares has come to.
pub struct Opened {
    /// What the shares combine to.
    pub key: LockedKey,
    /// `None` where the guard was of a key.
    pub root_key: Option<LockedKey>,
    /// Which shares they were: as in [`SealConfiguration::generation`].
    pub generation: u64,
}

/// Shares so far, for whatever they authorise. They are kept until it is done, so that what lost
/// to another request can run again; [`Quorum::reset`] forgets them.
#[derive(Default)]
pub struct Quorum {
    nonce: String,
    shares: Vec<Share>,
    generation: u64,
    is_complete: bool,
}

impl Quorum {
    /// Takes one more share. `None` until there are enough. A share that is there already changes
    /// nothing; once there are enough, only those that were given are taken again.
    ///
    /// # Errors
    /// A share that cannot be one is refused and the others are kept. Where as many as are
    /// needed do not open, all are forgotten.
    pub fn offer(
        &mut self,
        rng: &dyn Rng,
        guard: &Guard,
        share: Share,
    ) -> Result<Option<Opened>, UnsealError> {
        if self.generation != guard.generation {
            self.reset();
            self.generation = guard.generation;
        }
        check(guard, &share)?;
        let is_new = !self.has(&share);
        if self.is_complete && is_new {
            return Err(UnsealError::TooMany);
        }
        if !self.is_complete && !is_new {
            return Ok(None);
        }
        if is_new {
            if self.shares.is_empty() {
                self.nonce = rng.uuid();
            }
            self.shares.push(share);
        }
        let mut failed = None;
        for lock in guard.locks.iter().filter(|lock| self.progress() == usize::from(lock.threshold))
        {
            match open(lock, guard.generation, &self.shares) {
                Ok(opened) => {
                    self.is_complete = true;
                    return Ok(Some(opened));
                }
                Err(error) => failed = Some(error),
            }
        }
        let most = guard.locks.iter().map(|lock| lock.threshold).max().unwrap_or(0);
        match failed {
            Some(error) if self.progress() >= usize::from(most) => {
                self.reset();
                Err(error)
            }
            _ => Ok(None),
        }
    }

    pub fn has(&self, share: &Share) -> bool {
        self.shares.iter().any(|known| known.is_same(share))
    }

    pub fn reset(&mut self) {
        self.nonce.clear();
        self.shares.clear();
        self.is_complete = false;
    }

    /// Different shares so far.
    pub fn progress(&self) -> usize {
        self.shares.len()
    }

    /// A UUID, made with the first share; empty while there is none.
    pub fn nonce(&self) -> &str {
        &self.nonce
    }
}

/// By this a key is known again, and nobody learns it from this.
pub fn key_check(key: &LockedKey) -> [u8; 32] {
    hmac_sha256(key.expose(), &[CHECK_TAG])
}

fn check(guard: &Guard, share: &Share) -> Result<(), ShareError> {
    let mut outcome = Ok(());
    for lock in guard.locks.iter().rev() {
        outcome = share.check(lock.threshold);
        if outcome.is_ok() {
            break;
        }
    }
    outcome
}

fn open(lock: &Lock, generation: u64, shares: &[Share]) -> Result<Opened, UnsealError> {
    let key = shamir::combine(shares)?;
    match &lock.opens {
        Opens::RootKey { generation, sealed } => {
            let opened = aead_open(&key, &root_key_context(*generation), sealed)
                .map_err(|_| UnsealError::WrongShares)?;
            let root_key = LockedKey::from_slice(opened.expose());
            let root_key = Some(root_key.ok_or(UnsealError::WrongShares)?);
            Ok(Opened { key, root_key, generation: *generation })
        }
        Opens::Known(expected) => {
            if !equal(&key_check(&key), expected) {
                return Err(UnsealError::WrongKey);
            }
            Ok(Opened { key, root_key: None, generation })
        }
    }
}

const CHECK_TAG: &[u8] = b"strongroom key check 1\0";

#[cfg(test)]
mod tests;
