//! `oidc/config`: under which address others know this server.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use crate::engines::identity::{Call, Route};
use crate::framework::NoParams;
use crate::request::{Error, Reply};
use crate::txn::Scope;

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::new("oidc/config", "The address that tokens are issued under.")
            .read(read)
            .write(write),
    ]
}

#[derive(Deserialize, JsonSchema)]
struct Write {
    /// Scheme, host and port; empty: the active node's API address.
    #[serde(default)]
    issuer: String,
}

async fn read(call: &mut Call<'_>, _: NoParams) -> Result<Reply, Error> {
    let issuer: String = call.storage.get(ISSUER)?.unwrap_or_default();
    Reply::of(&json!({ "issuer": issuer }))
}

async fn write(call: &mut Call<'_>, input: Write) -> Result<Reply, Error> {
    check_issuer(&input.issuer)?;
    call.storage.put(ISSUER, &input.issuer)?;
    if input.issuer.is_empty() {
        return Ok(Reply::default());
    }
    Ok(Reply::default().warn(
        "If \"issuer\" is set explicitly, all tokens must be validated against that address, \
         including those issued by secondary clusters. Setting issuer to \"\" will restore the \
         default behavior of using the cluster's api_addr as the issuer.",
    ))
}

/// # Errors
/// [`Error::BadRequest`] for more than scheme, host and port, or less.
pub(super) fn check_issuer(issuer: &str) -> Result<(), Error> {
    let authority = ["https://", "http://"].iter().find_map(|scheme| issuer.strip_prefix(scheme));
    let is_plain = |text: &str| {
        let allowed = |c: char| c.is_ascii_alphanumeric() || "-._~[]:%".contains(c);
        !text.is_empty() && text.chars().all(allowed)
    };
    if issuer.is_empty() || authority.is_some_and(is_plain) {
        return Ok(());
    }
    Err(Error::bad_request(
        "invalid issuer, which must include only a scheme, host, and optional port (e.g. \
         https://example.com:8200)",
    ))
}

/// A provider's address: its own where it has one, else the active node's.
///
/// # Errors
/// Where the store cannot be read.
pub(super) fn base(core: &mut Scope<'_>, own: &str) -> Result<String, Error> {
    if !own.is_empty() {
        return Ok(own.to_owned());
    }
    let address = core.get_shared::<String>(API_ADDRESS)?;
    Ok(address.map(|address| address.trim_end_matches('/').to_owned()).unwrap_or_default())
}

/// The `iss` of tokens that roles issue.
///
/// # Errors
/// Where the store cannot be read.
pub(super) fn issuer(core: &mut Scope<'_>) -> Result<String, Error> {
    let set = core.get_shared::<String>(ISSUER)?;
    let base = base(core, set.as_deref().map(String::as_str).unwrap_or_default())?;
    Ok(format!("{base}/v1/identity/oidc"))
}

const ISSUER: &str = "identity/oidc/issuer";

/// Of the active node, as it last became that.
pub(super) const API_ADDRESS: &str = "identity/oidc/api-address";
