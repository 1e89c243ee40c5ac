//! `identity/`: who is behind the tokens. Built in, one for each namespace.

mod alias;
mod entity;
mod group;
mod group_alias;
mod lookup;
pub mod oidc;
mod shown;

use crate::framework::{Engine, Overlap, Route};

/// # Errors
/// Where two routes match the same paths.
pub fn engine() -> Result<Engine, Overlap> {
    let routes: Vec<Route> = [
        alias::routes(),
        entity::routes(),
        group::routes(),
        group_alias::routes(),
        lookup::routes(),
        oidc::routes(),
    ]
    .into_iter()
    .flatten()
    .collect();
    Engine::new("identity", "Entities, groups, and tokens that tell others of them.", routes)
}
