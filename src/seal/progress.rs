//! Shares typed one after the other.

use super::configuration::SealConfiguration;
use super::quorum::{Guard, Quorum};
use super::records::{KeyringRecord, UnsealError};
use super::share::{Share, ShareError};
use crate::barrier::Keyring;
use crate::rng::Rng;

/// How far unsealing this node has come. In its memory alone.
#[derive(Default)]
pub struct Unseal {
    quorum: Quorum,
}

impl Unseal {
    /// Takes one more share. `None` until there are enough; then all are forgotten, whatever comes
    /// of them. A share that is there already changes nothing. Also which shares they were, as in
    /// [`SealConfiguration::generation`].
    ///
    /// # Errors
    /// See [`UnsealError`]. A share that cannot be one is refused and the others are kept.
    pub fn add(
        &mut self,
        rng: &dyn Rng,
        configuration: &SealConfiguration,
        record: &KeyringRecord,
        share: Share,
    ) -> Result<Option<(Keyring, u64)>, UnsealError> {
        let guard = Guard::of_root_key(configuration, record);
        let Some(opened) = self.quorum.offer(rng, &guard, share)? else {
            return Ok(None);
        };
        self.quorum.reset();
        let root_key = opened.root_key.ok_or(UnsealError::WrongShares)?;
        let keyring = record.open_with(&root_key).map_err(UnsealError::Keyring)?;
        Ok(Some((keyring, opened.generation)))
    }

    pub fn reset(&mut self) {
        self.quorum.reset();
    }

    /// Different shares so far; 0 before the first and after the last.
    pub fn progress(&self) -> usize {
        self.quorum.progress()
    }

    /// Names this attempt; empty while there is no share.
    pub fn nonce(&self) -> &str {
        self.quorum.nonce()
    }
}

/// Collects a threshold of different shares, for whatever they authorise.
#[derive(Default)]
pub struct ShareCollector {
    nonce: String,
    shares: Vec<Share>,
    /// Of the configuration that the shares so far belong to.
    generation: u64,
}

impl ShareCollector {
    /// Takes one more share. Shares of before a rekey are forgotten.
    ///
    /// # Errors
    /// Where it cannot be a share; the others are kept.
    pub fn add(
        &mut self,
        rng: &dyn Rng,
        configuration: &SealConfiguration,
        share: Share,
    ) -> Result<Added, ShareError> {
        share.check(configuration.threshold())?;
        if self.generation != configuration.generation() {
            self.reset();
            self.generation = configuration.generation();
        }
        if self.shares.iter().any(|known| known.is_same(&share)) {
            return Ok(Added::Duplicate);
        }
        if self.shares.is_empty() {
            self.nonce = rng.uuid();
        }
        self.shares.push(share);
        if self.shares.len() < usize::from(configuration.threshold()) {
            return Ok(Added::Progress);
        }
        let shares = std::mem::take(&mut self.shares);
        self.reset();
        Ok(Added::Complete(shares))
    }

    pub fn reset(&mut self) {
        self.nonce.clear();
        self.shares.clear();
    }

    pub fn progress(&self) -> usize {
        self.shares.len()
    }

    /// A UUID, made with the first share; empty while there is none.
    pub fn nonce(&self) -> &str {
        &self.nonce
    }
}

/// What a share came to.
pub enum Added {
    /// More are needed.
    Progress,
    /// It was there already.
    Duplicate,
    /// A threshold of them; the collector is empty again.
    Complete(Vec<Share>),
}

#[cfg(test)]
mod tests;
