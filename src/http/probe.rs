//! The parsers alone, without a listener in front of them: for those who throw arbitrary bytes at
//! them.

use super::json;
use super::path::{self, Printable, Route};
use super::settings::JsonLimits;
use crate::request::{Error, Params};

/// The API path that a request's raw path stands for; `None` where it is redirected or refused.
pub fn api_path(raw: &str) -> Option<String> {
    match path::route(raw, Printable::Only) {
        Route::Api(path) => Some(path),
        Route::Redirect(_) | Route::Refused(_) | Route::Robots | Route::Unknown => None,
    }
}

/// A body's parameters, within the usual limits.
///
/// # Errors
/// Where it is no JSON object, or over the limits.
pub fn parameters(body: &[u8]) -> Result<Params, Error> {
    json::object(body, JsonLimits::default())
}
