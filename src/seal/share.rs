//! One share, and how people write it.

use base64::Engine as _;
use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use base64::engine::{DecodePaddingMode, general_purpose};
use zeroize::Zeroizing;

use crate::crypto::equal;
use crate::secret::Secret;
use crate::text::{hex, of_hex};

/// In Vault's layout: 32 bytes of share, then its x-coordinate. Where there is only one share, it
/// is the seal key itself, without an x-coordinate.
pub struct Share(Secret<Vec<u8>>);

impl Share {
    /// Reads what [`Share::hex`] or [`Share::base64`] wrote; of base64 any dialect.
    ///
    /// # Errors
    /// Where it is neither.
    pub fn parse(text: &str) -> Result<Self, ShareError> {
        let bytes = of_hex(text).or_else(|| decode_base64(text)).ok_or(ShareError::Text)?;
        Ok(Self::new(&bytes))
    }

    pub fn hex(&self) -> Secret<String> {
        Secret::new(hex(self.bytes()))
    }

    pub fn base64(&self) -> Secret<String> {
        Secret::new(general_purpose::STANDARD.encode(self.bytes()))
    }

    /// The caller zeroes its copy.
    pub(super) fn new(bytes: &[u8]) -> Self {
        Self(Secret::new(bytes.to_vec()))
    }

    pub(super) fn bytes(&self) -> &[u8] {
        self.0.expose()
    }

    /// In constant time.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        equal(self.bytes(), other.bytes())
    }

    /// Whether it can be a share of so many, so that a slip of the pen does not throw away what
    /// others have typed.
    ///
    /// # Errors
    /// Where it cannot.
    pub(super) fn check(&self, threshold: u8) -> Result<(), ShareError> {
        let expected = if threshold == 1 { SECRET_BYTES } else { SECRET_BYTES + 1 };
        if self.bytes().len() < expected {
            return Err(ShareError::Short { expected });
        }
        if self.bytes().len() > expected {
            return Err(ShareError::Long { expected });
        }
        if threshold > 1 && self.bytes().last() == Some(&0) {
            return Err(ShareError::NoCoordinate);
        }
        Ok(())
    }
}

/// The texts are those that clients know (measured on OpenBao 2.7.2), but for the last, which is
/// told only when the shares are combined there.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ShareError {
    #[error("'key' must be a valid hex or base64 string")]
    Text,
    #[error("invalid key: key is shorter than minimum {expected} bytes")]
    Short { expected: usize },
    #[error("invalid key: key is longer than maximum {expected} bytes")]
    Long { expected: usize },
    #[error("invalid key: its last byte is 0, which no share ends with")]
    NoCoordinate,
}

fn decode_base64(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    let any_padding =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    [STANDARD, URL_SAFE].iter().find_map(|alphabet| {
        let mut bytes = Zeroizing::new(vec![0; text.len()]);
        let length = GeneralPurpose::new(alphabet, any_padding)
            .decode_slice(text, bytes.as_mut_slice())
            .ok()?;
        bytes.truncate(length);
        (!bytes.is_empty()).then_some(bytes)
    })
}

/// Of the seal key.
pub(super) const SECRET_BYTES: usize = 32;

#[cfg(test)]
mod tests;
