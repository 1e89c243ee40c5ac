//! What a client is told of someone, by the scopes it asked for.

use serde_json::{Map, Value};

use super::provider::Provider;
use super::{scope, template};
use crate::clock::Timestamp;
use crate::identity::Who;
use crate::request::Error;
use crate::txn::Scope;

/// Scopes that the provider does not have, or has no more, say nothing. Where two scopes came to
/// claim the same, the first is believed.
///
/// # Errors
/// Where the store cannot be read.
pub(super) fn of_scopes(
    core: &mut Scope<'_>,
    provider: &Provider,
    scopes: &[String],
    who: &Who,
    now: Timestamp,
) -> Result<Map<String, Value>, Error> {
    let mut claims = Map::new();
    for name in scopes.iter().filter(|name| provider.scopes_supported.contains(name)) {
        let Some(found) = scope::get(core, name)? else {
            continue;
        };
        for (claim, value) in template::fill(&found.template, Some(who), now)? {
            claims.entry(claim).or_insert(value);
        }
    }
    Ok(claims)
}
