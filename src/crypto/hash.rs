//! SHA-256 (FIPS 180-4), HMAC (RFC 2104) and HKDF (RFC 5869).

use aws_lc_rs::hkdf;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroize as _;

use super::memory::LockedKey;

/// SHA-256 of the parts, one after the other.
pub fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part);
    }
    hash.finalize().into()
}

/// SHA-256 of what comes in pieces, and of JSON without writing it down first.
#[derive(Default)]
pub struct Sha256Writer(Sha256);

impl Sha256Writer {
    pub fn update(&mut self, part: &[u8]) {
        self.0.update(part);
    }

    /// In its shortest form; what is equal and in the same order is hashed alike.
    pub fn json(&mut self, value: &impl serde::Serialize) {
        // Hashing never fails, and neither does writing what was read as JSON.
        drop(serde_json::to_writer(self, value));
    }

    pub fn finish(self) -> [u8; 32] {
        self.0.finalize().into()
    }
}

impl std::io::Write for Sha256Writer {
    fn write(&mut self, part: &[u8]) -> std::io::Result<usize> {
        self.update(part);
        Ok(part.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// HMAC-SHA256 of the parts, one after the other: whoever passes several of variable length says
/// how long they are.
pub fn hmac_sha256(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    #[expect(clippy::expect_used, reason = "RFC 2104 takes keys of any length")]
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length");
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

/// A key of its own for each `info`, from one secret. An empty salt is allowed.
pub fn hkdf_sha256(secret: &[u8], salt: &[u8], info: &[u8]) -> LockedKey {
    let mut derived = [0; 32];
    #[expect(clippy::expect_used, reason = "RFC 5869 gives up to 255 blocks of 32 bytes")]
    hkdf::Salt::new(hkdf::HKDF_SHA256, salt)
        .extract(secret)
        .expand(&[info], hkdf::HKDF_SHA256)
        .and_then(|output| output.fill(&mut derived))
        .expect("one block can be derived");
    let key = LockedKey::new(&derived);
    derived.zeroize();
    key
}

/// Compares in time that depends on the lengths alone.
pub fn equal(a: &[u8], b: &[u8]) -> bool {
    a.ct_eq(b).into()
}

#[cfg(test)]
mod tests;
