//! Strongroom: a highly available, Vault-compatible secrets server.
//!
//! `ARCHITECTURE.md` tells the whole; the modules stand here in the order a request meets them.

// The request.
pub mod request;

// State.
pub mod cluster;
pub mod key;
pub mod log;
pub mod proto;
pub mod raft;
pub mod record;
pub mod store;

// Base.
pub mod clock;
pub mod rng;
pub mod secret;
