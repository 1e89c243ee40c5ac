//! Strongroom: a highly available, Vault-compatible secrets server.
//!
//! `ARCHITECTURE.md` tells the whole; the modules stand here in the order a request meets them.

// Edges.
pub mod cli;
pub mod client;
pub mod config;
pub mod http;
pub mod serve;
pub mod server;

// The request.
pub mod audit;
pub mod auth;
pub mod pipeline;
pub mod policy;
pub mod policy_store;
pub mod request;
pub mod router;
pub mod sys;

// Engines.
pub mod engines;
pub mod framework;
pub mod mount;

// State.
pub mod backup;
pub mod barrier;
pub mod cluster;
pub mod expiry;
pub mod identity;
pub mod job;
pub mod key;
pub mod kms;
pub mod lease;
pub mod log;
pub mod proto;
pub mod quota;
pub mod raft;
pub mod record;
pub mod seal;
pub mod store;
pub mod telemetry;
pub mod txn;

// Base.
pub mod audit_log;
pub mod clock;
pub mod costly;
pub mod crypto;
pub mod duration;
pub mod hcl;
pub mod network;
pub mod password;
pub mod rng;
pub mod secret;
pub mod text;
