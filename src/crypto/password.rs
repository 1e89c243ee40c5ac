//! Passwords: Argon2id (RFC 9106) for what is hashed here; bcrypt and Argon2 for what was hashed
//! elsewhere. Each call takes tens of milliseconds: not for a thread that serves others.

use argon2::{
    Algorithm, Argon2, CustomizedPasswordHasher as _, Params, PasswordHash, PasswordVerifier as _,
    Version,
};

use crate::rng::Rng;

/// A hash in PHC's string format, with a salt of its own.
#[expect(clippy::expect_used, reason = "the parameters are constants that a test hashes with")]
pub fn hash_password(rng: &dyn Rng, password: &[u8]) -> String {
    let salt: [u8; 16] = rng.bytes();
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None).expect("they are within limits");
    let hasher = Argon2::new(Algorithm::Argon2id, Version::V0x13, params.clone());
    let hash: PasswordHash =
        hasher.hash_password_with_params(password, &salt, params).expect("they are within limits");
    hash.to_string()
}

/// False for another password, and for what is no hash.
pub fn verify_password(password: &[u8], hash: &str) -> bool {
    if is_bcrypt(hash) {
        return bcrypt::verify(password, hash).unwrap_or(false);
    }
    Argon2::default().verify_password(password, hash).is_ok()
}

/// Whether [`hash_password`] would make another kind of hash today.
pub fn is_outdated(hash: &str) -> bool {
    !hash.starts_with(&format!("$argon2id$v=19$m={MEMORY_KIB},t={PASSES},p={LANES}$"))
}

/// Whether a password can be checked against it, at a cost that no login may exceed.
pub fn is_password_hash(hash: &str) -> bool {
    if is_bcrypt(hash) {
        let parts = hash.parse::<bcrypt::HashParts>();
        return parts.is_ok_and(|parts| parts.get_cost() <= BCRYPT_COST_MAX);
    }
    let Ok(parsed) = PasswordHash::new(hash) else {
        return false;
    };
    let params = Params::try_from(&parsed);
    parsed.hash.is_some()
        && parsed.salt.is_some()
        && Algorithm::try_from(parsed.algorithm.as_str()).is_ok()
        && params.is_ok_and(|params| {
            params.m_cost() <= MEMORY_KIB_MAX
                && params.t_cost() <= PASSES_MAX
                && params.p_cost() <= LANES_MAX
        })
}

fn is_bcrypt(hash: &str) -> bool {
    ["$2a$", "$2b$", "$2x$", "$2y$"].iter().any(|prefix| hash.starts_with(prefix))
}

/// Of nobody's password, as costly to check as any that is made here: for users who do not exist.
pub const NOBODY: &str = "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA\
                          $AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// As OWASP's cheat sheet on password storage has it.
const MEMORY_KIB: u32 = 19_456;
const PASSES: u32 = 2;
const LANES: u32 = 1;

/// Of an imported hash.
const MEMORY_KIB_MAX: u32 = 65_536;
const PASSES_MAX: u32 = 8;
const LANES_MAX: u32 = 8;
const BCRYPT_COST_MAX: u32 = 14;

#[cfg(test)]
mod tests;
