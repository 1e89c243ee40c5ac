//! The replicated state: ciphertext by hashed key, and the one function that changes it.

pub mod apply;
mod memory;

pub use apply::{Effects, apply};
pub use memory::{MemoryState, Tables};
