//! The only door to cryptographic primitives: AES-256-GCM, SHA-256, HMAC, HKDF, comparison in
//! constant time, encryption for OpenPGP keys, and memory that is never written to disk.
//! The only door to cryptographic primitives: AES-256-GCM, SHA-256, HMAC, HKDF, signatures,
//! hashes of passwords, comparison in constant time, and memory that is never written to disk.
//!
//! **Invariant:** no other module names a cipher or a hash, but for TLS and the engines whose
//! subject they are.

mod aead;
mod digest;
mod hash;
mod memory;
mod password;
mod pgp;
mod signing;
mod verification;

pub use aead::{AeadError, NONCE_BYTES, TAG_BYTES, aead_open, aead_seal};
pub use digest::Algorithm;
pub use hash::{Sha256Writer, equal, hkdf_sha256, hmac_sha256, sha256};
pub use memory::{LockedKey, memory_is_locked, protect_process_memory};
pub use password::{NOBODY, hash_password, is_outdated, is_password_hash, verify_password};
pub use pgp::{PgpError, PgpKey};
pub use signing::{PublicNumbers, SigningAlgorithm, SigningError, SigningKey};
pub use verification::SignatureAlgorithm;
