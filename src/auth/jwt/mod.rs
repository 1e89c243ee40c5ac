//! Login by a JSON Web Token that another system has signed, and by OpenID Connect: mounted as
//! `jwt` or `oidc`, which are the same.

mod claims;
mod config;
mod login;
mod oidc;
mod role;
mod sources;

pub use sources::State;

use crate::framework::{self, Overlap};

type Call<'a> = framework::Call<'a, State>;
type Route = framework::Route<State>;
type Engine = framework::Engine<State>;

/// # Errors
/// Where two routes match the same paths.
pub fn engine() -> Result<Engine, Overlap> {
    let routes = [config::routes(), role::routes(), login::routes(), oidc::routes()];
    let about = "Login by signed tokens of other systems, and by OpenID Connect.";
    let engine = Engine::new("jwt", about, routes.into_iter().flatten())?;
    Ok(engine.renew_login(login::renew))
}
