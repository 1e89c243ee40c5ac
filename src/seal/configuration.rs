//! How many shares there are, and how many open.

use bytes::Bytes;
use prost::Message as _;

use super::records::RecordError;
use crate::proto::seal as wire;

/// Stored in clear: a sealed node tells it to whoever asks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct SealConfiguration {
    shares: u8,
    threshold: u8,
    generation: u64,
}

impl SealConfiguration {
    /// For a new cluster, of what the request says.
    ///
    /// # Errors
    /// Unless 1 ≤ threshold ≤ shares ≤ 255, with a threshold of 1 for a single share alone.
    pub fn new(shares: i64, threshold: i64) -> Result<Self, ConfigurationError> {
        Self::of_generation(shares, threshold, FIRST_GENERATION)
    }

    /// As [`SealConfiguration::new`], for the rekey that follows this one.
    ///
    /// # Errors
    /// As [`SealConfiguration::new`].
    pub fn next(&self, shares: i64, threshold: i64) -> Result<Self, ConfigurationError> {
        Self::of_generation(shares, threshold, self.generation.saturating_add(1))
    }

    pub fn shares(&self) -> u8 {
        self.shares
    }

    /// So many different shares open.
    pub fn threshold(&self) -> u8 {
        self.threshold
    }

    /// Which shares open the cluster: 1 at first, raised by every rekey.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// As the system record `SealConfiguration`.
    pub fn encode(&self) -> Bytes {
        let message = wire::SealConfiguration {
            version: VERSION,
            seal_type: SEAL_TYPE.into(),
            shares: self.shares.into(),
            threshold: self.threshold.into(),
            generation: self.generation,
        };
        message.encode_to_vec().into()
    }

    /// Reads what [`SealConfiguration::encode`] wrote.
    ///
    /// # Errors
    /// Where a newer version wrote it, or it is damaged.
    pub fn decode(record: &[u8]) -> Result<Self, RecordError> {
        let message =
            wire::SealConfiguration::decode(record).map_err(|_| RecordError::Malformed)?;
        match message.version {
            VERSION if message.seal_type == SEAL_TYPE => Self::of_generation(
                message.shares.into(),
                message.threshold.into(),
                message.generation,
            )
            .map_err(|_| RecordError::Malformed),
            0 | VERSION => Err(RecordError::Malformed),
            version => Err(RecordError::Newer { version }),
        }
    }

    fn of_generation(
        shares: i64,
        threshold: i64,
        generation: u64,
    ) -> Result<Self, ConfigurationError> {
        if shares < 1 {
            return Err(ConfigurationError::NoShares);
        }
        if threshold < 1 {
            return Err(ConfigurationError::NoThreshold);
        }
        if threshold > shares {
            return Err(ConfigurationError::ThresholdAboveShares);
        }
        if shares > 1 && threshold == 1 {
            return Err(ConfigurationError::ThresholdOfOne);
        }
        let shares = u8::try_from(shares).map_err(|_| ConfigurationError::TooManyShares)?;
        let threshold = u8::try_from(threshold).map_err(|_| ConfigurationError::TooManyShares)?;
        Ok(Self { shares, threshold, generation })
    }
}

/// The texts are those that clients know (measured on OpenBao 2.7.2).
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ConfigurationError {
    #[error("shares must be at least one")]
    NoShares,
    #[error("threshold must be at least one")]
    NoThreshold,
    #[error("threshold cannot be larger than shares")]
    ThresholdAboveShares,
    #[error("threshold must be greater than one for multiple shares")]
    ThresholdOfOne,
    #[error("shares must be less than 256")]
    TooManyShares,
}

/// As `type` in Vault's seal status.
pub const SEAL_TYPE: &str = "shamir";

const VERSION: u32 = 1;
const FIRST_GENERATION: u64 = 1;

#[cfg(test)]
mod tests;
