//! `identity/`: who is behind the tokens. Built in, one for each namespace.

mod alias;
mod entity;
mod group;
mod group_alias;
mod lookup;
pub mod oidc;
mod shown;

use crate::framework::{Engine, Overlap};

/// What a mount keeps in memory.
#[derive(Default)]
pub struct State {
    key_sets: oidc::KeySets,
}

type Call<'c> = crate::framework::Call<'c, State>;

type Route = crate::framework::Route<State>;

/// # Errors
/// Where two routes match the same paths.
pub fn engine() -> Result<Engine<State>, Overlap> {
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
