//! Login of programs in Kubernetes, by the token of their service account.

mod api;
mod config;
mod login;
mod role;
mod selector;

pub use api::State;

use crate::framework::{self, Overlap};

type Call<'a> = framework::Call<'a, State>;
type Route = framework::Route<State>;
type Engine = framework::Engine<State>;

/// # Errors
/// Where two routes match the same paths.
pub fn engine() -> Result<Engine, Overlap> {
    let routes = [config::routes(), role::routes(), login::routes()];
    let about = "Login of programs in Kubernetes by their service account.";
    let engine = Engine::new("kubernetes", about, routes.into_iter().flatten())?;
    Ok(engine.renew_login(login::renew))
}
