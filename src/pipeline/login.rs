//! What holds for the tokens of all login methods.

use crate::mount::MountEntry;
use crate::policy::{CONTROL_GROUP, DEFAULT, RESPONSE_WRAPPING, ROOT, sanitize_names};
use crate::request::{Auth, Error};

/// Completes what a method says of the token that it gives.
///
/// # Errors
/// [`Error::BadRequest`] where it would have a policy that no login may give.
pub(super) fn complete(mount: &MountEntry, auth: &mut Auth) -> Result<(), Error> {
    let default = (!auth.no_default_policy).then(|| DEFAULT.to_owned());
    let policies =
        sanitize_names(std::mem::take(&mut auth.token_policies).into_iter().chain(default));
    if policies.iter().any(|name| name == ROOT) {
        return Err(Error::bad_request("auth methods cannot create root tokens"));
    }
    if let Some(name) =
        policies.iter().find(|name| [RESPONSE_WRAPPING, CONTROL_GROUP].contains(&name.as_str()))
    {
        return Err(Error::BadRequest(format!("cannot assign policy {name:?}")));
    }
    auth.policies.clone_from(&policies);
    auth.token_policies = policies;
    // As in Vault: `userpass-bob`, and `approle` where the method names nobody.
    let name = format!("{}{}", mount.path.replace('/', "-"), auth.display_name);
    name.trim_end_matches('-').clone_into(&mut auth.display_name);
    Ok(())
}
