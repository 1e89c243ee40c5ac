//! What holds for the tokens of all login methods.

use std::time::Duration;

use super::{CORE, Pipeline};
use crate::auth::token::{NewToken, TokenEntry, TokenStore};
use crate::framework::TtlTerms;
use crate::identity::{IdentityStore, Login};
use crate::mount::MountEntry;
use crate::policy::{CONTROL_GROUP, DEFAULT, RESPONSE_WRAPPING, ROOT, sanitize_names};
use crate::request::{Auth, Error, Request, TokenType};
use crate::txn::Txn;

impl Pipeline {
    /// A login's token, in the same transaction as the login.
    pub(super) fn issue(
        &self,
        txn: &mut Txn,
        request: &Request,
        mount: &MountEntry,
        auth: &mut Auth,
    ) -> Result<Option<String>, Error> {
        complete(mount, auth)?;
        let now = txn.now();
        let terms = TtlTerms {
            usual: auth.ttl.as_secs(),
            max: auth.max_ttl.as_secs(),
            explicit_max: auth.explicit_max_ttl.as_secs(),
            period: auth.period.as_secs(),
            ..TtlTerms::default()
        };
        let granted = self.ttl.of(&mount.config).grant(&terms, now, now);
        let granted =
            granted.ok_or_else(|| Error::bad_request("the max TTL leaves no time to live"))?;
        let is_batch = auth.token_type == TokenType::Batch;
        auth.renewable = auth.renewable && !is_batch;
        auth.orphan = true;
        auth.ttl = Duration::from_secs(granted.ttl);
        self.recognize(txn, mount, auth)?;
        let entry = TokenEntry {
            policies: auth.token_policies.clone(),
            // Leases are named by it: one slash follows.
            path: request.path.trim_end_matches('/').to_owned(),
            meta: auth.metadata.clone(),
            display_name: auth.display_name.clone(),
            num_uses: i64::try_from(auth.num_uses).unwrap_or(i64::MAX),
            ttl: granted.ttl,
            explicit_max_ttl: auth.explicit_max_ttl.as_secs(),
            period: auth.period.as_secs(),
            renewable: auth.renewable,
            token_type: auth.token_type,
            entity_id: auth.entity_id.clone(),
            bound_cidrs: auth.bound_cidrs.clone(),
            mount_accessor: mount.accessor.clone(),
            internal: auth.internal.clone(),
            ..TokenEntry::default()
        };
        let mut scope = txn.scope(CORE);
        let new = NewToken { entry, id: None };
        let (token, entry) = TokenStore::new(&mut scope).create(self.rng.as_ref(), now, new)?;
        auth.client_token = token.expose().clone();
        auth.accessor = entry.accessor;
        self.measured.token(&mount.kind);
        Ok(granted.warning)
    }

    /// The entity behind a login, made where it is the first, and what it adds to the token.
    fn recognize(&self, txn: &mut Txn, mount: &MountEntry, auth: &mut Auth) -> Result<(), Error> {
        let now = txn.now();
        let mut scope = txn.scope(CORE);
        let mut identities = IdentityStore::new(&mut scope);
        if !auth.alias_name.is_empty() {
            let login = Login {
                mount_accessor: &mount.accessor,
                local: mount.local,
                alias_name: &auth.alias_name,
                alias_metadata: &auth.alias_metadata,
                group_aliases: &auth.group_aliases,
            };
            auth.entity_id = identities.log_in(self.rng.as_ref(), now, login)?;
        }
        identities.tell(auth)
    }
}

/// Completes what a method says of the token that it gives.
///
/// # Errors
/// [`Error::BadRequest`] where it would have a policy that no login may give.
fn complete(mount: &MountEntry, auth: &mut Auth) -> Result<(), Error> {
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
