//! Hashing of passwords on threads of its own, so that logins starve nobody.

use crate::costly::PASSWORDS;
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
    PASSWORDS.run(move || hash_password(&drawn, password.expose().as_bytes())).await
}

/// # Errors
/// As [`hash`].
pub async fn verify(password: &Secret<String>, hash: &str) -> Result<bool, Error> {
    let (password, hash) = (Secret::new(password.expose().clone()), hash.to_owned());
    PASSWORDS.run(move || verify_password(password.expose().as_bytes(), &hash)).await
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
