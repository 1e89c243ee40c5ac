//! Shares, the key they combine to, and the records that it opens.
//!
//! Shares combine to the seal key; the seal key opens the root key; the root key opens the
//! keyring; the keyring opens everything else. Seal key and shares exist only while someone types
//! shares.
//!
//! **Invariant:** shares and progress never leave this node's memory; what is stored is as in
//! `proto/seal.proto`.

mod challenge;
mod configuration;
mod progress;
mod quorum;
mod records;
mod shamir;
mod share;

pub use challenge::{challenge, open_challenge, open_challenge_with, recall_challenge};
pub use configuration::{ConfigurationError, Division, Recovery, SealConfiguration, SealKind};
pub use progress::{Added, ShareCollector, Unseal};
pub use quorum::{Guard, Opened, Quorum, key_check};
pub use records::{
    Initialised, KeyringRecord, RecordError, Reseal, RootKey, UnsealError, WrappedSealKey,
    initialise, initialise_opening_itself, open_root_key, reseal, rotate, split, try_open,
};
pub use shamir::CombineError;
pub use share::{Share, ShareError};
