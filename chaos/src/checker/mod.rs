//! What must hold after the run, whatever was done: one file per invariant.

pub(crate) mod no_plaintext;
pub(crate) mod versions;
