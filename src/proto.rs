//! Messages generated from `proto/`: what goes to disk and between nodes.

#![allow(
    missing_docs,
    unreachable_pub,
    clippy::all,
    clippy::pedantic,
    clippy::too_many_lines,
    clippy::unused_trait_names,
    clippy::use_self,
    clippy::needless_pass_by_value,
    elided_lifetimes_in_paths,
    reason = "generated"
)]

/// The replicated log's entries.
pub mod log {
    tonic::include_proto!("strongroom.log");
}
