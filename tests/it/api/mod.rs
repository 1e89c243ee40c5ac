//! What clients see, engine by engine.

mod cubbyhole;
mod kv_metadata;
mod kv_model;
mod kv_v1;
mod kv_v2;
mod pki;
mod pki_foreign;
mod pki_lists;
mod transit;
mod transit_limits;
