//! One binary: each more would be linked again.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test fails by panicking; clippy.toml's allowances stop at `#[test]` functions"
)]

mod api;
mod bad_input;
mod cli;
mod cluster;
mod config;
mod database;
mod deploy;
mod harness;
mod help;
mod http;
mod identity;
mod lease;
mod login;
mod namespaces;
mod once;
mod paging;
mod parity;
mod routing;
mod server;
mod sys;
mod tidy;
mod token;
mod transactions;
