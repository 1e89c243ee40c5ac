//! Login by a user's name and password, both kept here.

mod login;
mod users;

use serde::{Deserialize, Serialize};

use super::token_parameters::TokenParameters;
use crate::framework::{Engine, Overlap};

/// # Errors
/// Where two routes match the same paths.
pub fn engine() -> Result<Engine, Overlap> {
    let routes = users::routes().into_iter().chain(login::routes());
    let engine = Engine::new("userpass", "Login by user name and password.", routes)?;
    Ok(engine.renew_login(login::renew))
}

/// As stored.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
struct User {
    password_hash: String,
    #[serde(flatten)]
    token: TokenParameters,
}

/// Names are the same in whatever case they are written.
fn normal(username: &str) -> String {
    username.to_lowercase()
}

fn key(username: &str) -> String {
    format!("{DIRECTORY}/{username}")
}

const DIRECTORY: &str = "user";
