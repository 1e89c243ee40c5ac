//! Everything above is plaintext, everything below ciphertext.

mod keyring;

pub use keyring::{DataKey, Keyring, OpenError, ProofRole, SealError, UnwrapError};
