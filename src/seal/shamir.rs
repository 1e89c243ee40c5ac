//! Shamir's secret sharing over GF(2⁸), field 0x11b, byte by byte: as Vault does it, so that
//! shares of one combine in the other.
//!
//! The field's arithmetic is `vsss-rs`'s, which uses no tables: its time does not depend on what
//! it computes.

use std::convert::Infallible;

use rand_core::{TryCryptoRng, TryRng};
use vsss_rs::{Gf256, IdentifierGf256};
use zeroize::Zeroizing;

use super::configuration::Division;
use super::share::{SECRET_BYTES, Share};
use crate::crypto::LockedKey;
use crate::rng::Rng;

/// As many shares as the division says; any threshold of them combine, and fewer tell
/// nothing.
pub(super) fn split(rng: &dyn Rng, secret: &LockedKey, division: Division) -> Vec<Share> {
    if division.shares() == 1 {
        return vec![Share::new(secret.expose())];
    }
    let coordinates = coordinates(rng);
    #[expect(clippy::expect_used, reason = "a division exists with good numbers alone")]
    let parts = Gf256::split_bytes_with_participant_ids_iter(
        division.threshold().into(),
        division.shares().into(),
        secret.expose(),
        Source(rng),
        coordinates.into_iter().map(|x| IdentifierGf256(Gf256(x))),
    )
    .expect("1 < threshold <= shares <= 255, and the coordinates are distinct");
    parts.into_iter().map(Zeroizing::new).map(x_last).collect()
}

/// The secret, if these are a threshold of its shares: otherwise something else, which only
/// opening with it shows.
///
/// # Errors
/// Where these cannot be shares of one secret.
pub(super) fn combine(shares: &[Share]) -> Result<LockedKey, CombineError> {
    if let [share] = shares {
        return LockedKey::from_slice(share.bytes()).ok_or(CombineError::Length);
    }
    if shares.iter().any(|share| share.bytes().len() != SECRET_BYTES + 1) {
        return Err(CombineError::Length);
    }
    let parts: Zeroizing<Vec<Vec<u8>>> = Zeroizing::new(shares.iter().map(x_first).collect());
    let secret =
        Gf256::combine_bytes(parts.as_slice()).map(Zeroizing::new).map_err(
            |error| match error {
                vsss_rs::Error::SharingDuplicateIdentifier => CombineError::Duplicate,
                vsss_rs::Error::SharingMinThreshold => CombineError::None,
                _ => CombineError::Invalid,
            },
        )?;
    LockedKey::from_slice(&secret).ok_or(CombineError::Length)
}

/// The texts are those that clients know (measured on OpenBao 2.7.2).
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum CombineError {
    #[error("not enough parts to combine")]
    None,
    #[error("all parts must be the same length")]
    Length,
    #[error("duplicate part detected")]
    Duplicate,
    #[error("a part is not a share")]
    Invalid,
}

/// All 255 coordinates in random order (Fisher and Yates), so that shares of different
/// generations rarely have the same one.
fn coordinates(rng: &dyn Rng) -> [u8; 255] {
    let mut coordinates = [0; 255];
    for (x, coordinate) in (1..=u8::MAX).zip(&mut coordinates) {
        *coordinate = x;
    }
    for last in (1..=254).rev() {
        coordinates.swap(usize::from(last), usize::from(at_most(rng, last)));
    }
    coordinates
}

/// 0 to `maximum`, each equally likely.
fn at_most(rng: &dyn Rng, maximum: u8) -> u8 {
    let choices = u16::from(maximum) + 1;
    // The largest multiple of `choices` in two bytes: beyond it some would be favoured.
    let limit = u16::MAX - u16::MAX % choices;
    loop {
        let random = u16::from_be_bytes(rng.bytes());
        if random < limit
            && let Ok(choice) = u8::try_from(random % choices)
        {
            return choice;
        }
    }
}

fn x_last(mut part: Zeroizing<Vec<u8>>) -> Share {
    part.rotate_left(1);
    Share::new(&part)
}

fn x_first(share: &Share) -> Vec<u8> {
    let mut part = share.bytes().to_vec();
    part.rotate_right(1);
    part
}

/// Our randomness, as `rand_core` wants it.
struct Source<'a>(&'a dyn Rng);

impl TryRng for Source<'_> {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(u32::from_le_bytes(self.0.bytes()))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(u64::from_le_bytes(self.0.bytes()))
    }

    fn try_fill_bytes(&mut self, buffer: &mut [u8]) -> Result<(), Infallible> {
        self.0.fill(buffer);
        Ok(())
    }
}

impl TryCryptoRng for Source<'_> {}

#[cfg(test)]
mod tests;
