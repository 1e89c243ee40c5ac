//! Tokens: what a caller shows, and what is kept of it.

mod store;

pub use store::{NewToken, TokenEntry, TokenStore, storage_name};
