//! Login of programs: by a role's id, and a secret id that whoever starts the program hands it.

mod fields;
mod login;
mod roles;
mod secret_ids;
mod store;
mod tidy;

pub use store::EXPIRY_KIND;
pub use tidy::{expire, tidy_step};

use crate::framework::{Engine, Overlap};

/// # Errors
/// Where two routes match the same paths.
pub fn engine() -> Result<Engine, Overlap> {
    let routes =
        [roles::routes(), fields::routes(), secret_ids::routes(), login::routes(), tidy::routes()];
    let routes = routes.into_iter().flatten();
    let engine = Engine::new("approle", "Login of programs by role and secret id.", routes)?;
    Ok(engine.renew_login(login::renew))
}
