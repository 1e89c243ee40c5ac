//! The URL space `auth/`: tokens, and one folder for each method.

pub mod approle;
pub mod cidr;
pub mod glob;
pub mod jose;
pub mod jwt;
pub mod kubernetes;
pub mod lockout;
pub mod passwords;
pub mod token;
pub mod token_parameters;
pub mod userpass;

use std::sync::Arc;

use crate::framework::{Mount, Overlap};
use crate::mount::MountEntry;

/// What an auth mount of this kind answers with; `None` where there is no such kind.
///
/// # Errors
/// Where a method's table has two routes for the same paths.
pub fn open(entry: &MountEntry) -> Result<Option<Arc<dyn Mount>>, Overlap> {
    match entry.kind.as_str() {
        "approle" => Ok(Some(approle::engine()?.mount(()).into())),
        "jwt" | "oidc" => Ok(Some(jwt::engine()?.mount(jwt::State::default()).into())),
        "kubernetes" => {
            let state = kubernetes::State::default();
            Ok(Some(kubernetes::engine()?.mount(state).into()))
        }
        "token" => Ok(Some(token::engine()?.mount(()).into())),
        "userpass" => Ok(Some(userpass::engine()?.mount(()).into())),
        _ => Ok(None),
    }
}

/// The kinds that can be enabled, sorted.
pub const KINDS: &[&str] = &["approle", "jwt", "kubernetes", "oidc", "userpass"];
