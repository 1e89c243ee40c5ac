//! How many shares there are, and how many open.

use bytes::Bytes;
use prost::Message as _;

use super::records::RecordError;
use crate::proto::seal as wire;

/// Stored in clear: a sealed node tells it to whoever asks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct SealConfiguration {
    kind: SealKind,
    division: Division,
    generation: u64,
    recovery: Option<Recovery>,
}

/// What guards the root key.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SealKind {
    /// Shares that people hold.
    Shamir,
    /// A key in the configuration.
    Static,
    /// A key of another cluster's transit engine.
    Transit,
    /// A key of AWS KMS.
    AwsKms,
    /// A key of a hardware security module.
    Pkcs11,
}

impl SealKind {
    /// As `type` in Vault's seal status.
    pub fn name(self) -> &'static str {
        match self {
            Self::Shamir => "shamir",
            Self::Static => "static",
            Self::Transit => "transit",
            Self::AwsKms => "awskms",
            Self::Pkcs11 => "pkcs11",
        }
    }

    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Shamir, Self::Static, Self::Transit, Self::AwsKms, Self::Pkcs11]
            .into_iter()
            .find(|kind| kind.name() == name)
    }

    /// Whether a node unseals without people.
    pub fn opens_itself(self) -> bool {
        self != Self::Shamir
    }
}

/// Into how many shares a key is split, and how many combine to it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Division {
    shares: u8,
    threshold: u8,
}

impl Division {
    /// # Errors
    /// Unless 1 ≤ threshold ≤ shares ≤ 255, with a threshold of 1 for a single share alone.
    pub fn new(shares: i64, threshold: i64) -> Result<Self, ConfigurationError> {
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
        Ok(Self { shares, threshold })
    }

    /// One share, which is the key itself.
    pub const WHOLE: Self = Self { shares: 1, threshold: 1 };

    pub fn shares(self) -> u8 {
        self.shares
    }

    pub fn threshold(self) -> u8 {
        self.threshold
    }
}

/// The key that authorises what shares would, where the seal opens by itself. It opens nothing.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Recovery {
    pub division: Division,
    /// 1 at first, raised by every rekey of the recovery key.
    pub generation: u64,
}

impl SealConfiguration {
    /// For a new cluster, of what the request says.
    ///
    /// # Errors
    /// As [`Division::new`].
    pub fn new(shares: i64, threshold: i64) -> Result<Self, ConfigurationError> {
        Ok(Self::of_shares(Division::new(shares, threshold)?))
    }

    pub fn of_shares(division: Division) -> Self {
        Self { kind: SealKind::Shamir, division, generation: FIRST_GENERATION, recovery: None }
    }

    /// For a new cluster whose seal opens by itself. `recovery` is its recovery key's.
    pub fn opening_itself(kind: SealKind, recovery: Option<Division>) -> Self {
        let recovery = recovery.map(|division| Recovery { division, generation: FIRST_GENERATION });
        Self { kind, division: Division::WHOLE, generation: FIRST_GENERATION, recovery }
    }

    /// As [`SealConfiguration::new`], for the rekey that follows this one.
    ///
    /// # Errors
    /// As [`SealConfiguration::new`].
    pub fn next(&self, shares: i64, threshold: i64) -> Result<Self, ConfigurationError> {
        Ok(self.next_of(Division::new(shares, threshold)?))
    }

    /// As [`Self::next`], of numbers that are known to be good.
    #[must_use]
    pub fn next_of(&self, division: Division) -> Self {
        Self { division, generation: self.generation.saturating_add(1), ..*self }
    }

    /// For a change of seal: the root key is wrapped anew.
    #[must_use]
    pub fn migrated(&self, kind: SealKind, division: Division, recovery: Option<Division>) -> Self {
        let generation =
            self.recovery.map_or(FIRST_GENERATION, |before| before.generation.saturating_add(1));
        let recovery = recovery.map(|division| Recovery { division, generation });
        Self { kind, division, generation: self.generation.saturating_add(1), recovery }
    }

    /// For another set of seals; the recovery key stays.
    #[must_use]
    pub fn rewrapped(&self, kind: SealKind) -> Self {
        Self { kind, generation: self.generation.saturating_add(1), ..*self }
    }

    /// With another recovery key.
    #[must_use]
    pub fn with_recovery(&self, division: Division) -> Self {
        let generation =
            self.recovery.map_or(FIRST_GENERATION, |before| before.generation.saturating_add(1));
        Self { recovery: Some(Recovery { division, generation }), ..*self }
    }

    pub fn kind(&self) -> SealKind {
        self.kind
    }

    pub fn division(&self) -> Division {
        self.division
    }

    pub fn recovery(&self) -> Option<Recovery> {
        self.recovery
    }

    pub fn shares(&self) -> u8 {
        self.division.shares
    }

    /// So many different shares open.
    pub fn threshold(&self) -> u8 {
        self.division.threshold
    }

    /// Which shares open the cluster: 1 at first, raised by every rekey.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// As the system record `SealConfiguration`.
    pub fn encode(&self) -> Bytes {
        let recovery = self.recovery;
        let message = wire::SealConfiguration {
            version: if self.kind.opens_itself() { VERSION } else { VERSION_OF_SHARES },
            seal_type: self.kind.name().into(),
            shares: self.division.shares.into(),
            threshold: self.division.threshold.into(),
            generation: self.generation,
            recovery_shares: recovery.map_or(0, |recovery| recovery.division.shares.into()),
            recovery_threshold: recovery.map_or(0, |recovery| recovery.division.threshold.into()),
            recovery_generation: recovery.map_or(0, |recovery| recovery.generation),
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
        let kind = match message.version {
            VERSION_OF_SHARES if message.seal_type == SealKind::Shamir.name() => SealKind::Shamir,
            VERSION => SealKind::from_name(&message.seal_type).ok_or(RecordError::UnknownSeal)?,
            0 | VERSION_OF_SHARES => return Err(RecordError::Malformed),
            version => return Err(RecordError::Newer { version }),
        };
        let division = Division::new(message.shares.into(), message.threshold.into())
            .map_err(|_| RecordError::Malformed)?;
        let recovery = match (message.recovery_shares, message.recovery_threshold) {
            (0, 0) => None,
            (shares, threshold) => Some(Recovery {
                division: Division::new(shares.into(), threshold.into())
                    .map_err(|_| RecordError::Malformed)?,
                generation: message.recovery_generation,
            }),
        };
        Ok(Self { kind, division, generation: message.generation, recovery })
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

/// Of a seal that opens by itself.
const VERSION: u32 = 2;
const VERSION_OF_SHARES: u32 = 1;
const FIRST_GENERATION: u64 = 1;

#[cfg(test)]
mod tests;
