//! Whose request it is, and whether their policies allow it.

use super::{CORE, Known, Pipeline, Spent};
use crate::auth::cidr::is_within;
use crate::auth::token::{TokenEntry, TokenStore};
use crate::framework::Access;
use crate::policy;
use crate::policy_store::PolicyStore;
use crate::request::{Caller, Error, Request};
use crate::router::Target;
use crate::txn::Txn;

pub(super) enum Verdict {
    Allowed(Spent),
    Refused(Error),
}

impl Pipeline {
    /// A refusal is a verdict, which audit is told; an error is that none could be reached.
    pub(super) fn authorize(
        &self,
        txn: &mut Txn,
        request: &Request,
        known: &mut Known,
        target: Option<&Target>,
    ) -> Result<Verdict, Error> {
        // What no route claims needs what most routes need.
        let access =
            target.and_then(|target| target.found).map_or(Access::Policy, |found| found.access);
        if access == Access::Unauthenticated {
            return Ok(Verdict::Allowed(Spent::NotLast));
        }
        let Some(token) = &request.token else {
            return Ok(match access {
                Access::OptionalToken => Verdict::Allowed(Spent::NotLast),
                _ => Verdict::Refused(Error::Denied),
            });
        };
        let now = txn.now();
        let mut scope = txn.scope(CORE);
        let mut tokens = TokenStore::new(&mut scope);
        let Some((name, entry)) = tokens.lookup(token, now)? else {
            return Ok(Verdict::Refused(Error::Denied));
        };
        if !is_within(&entry.bound_cidrs, request.remote.map(|remote| remote.ip())) {
            return Ok(Verdict::Refused(Error::Denied));
        }
        let mut spent = Spent::NotLast;
        if entry.num_uses > 0 {
            let mut used = TokenEntry::clone(&entry);
            used.num_uses = if entry.num_uses == 1 { -1 } else { entry.num_uses - 1 };
            spent = if entry.num_uses == 1 { Spent::Last } else { Spent::NotLast };
            tokens.update(&name, &used)?;
        }
        let policies = entry.policies.clone();
        let caller = known.caller.insert(Caller {
            token: name,
            accessor: entry.accessor.clone(),
            display_name: entry.display_name.clone(),
            policies,
            entity_id: entry.entity_id.clone(),
            token_type: entry.token_type,
            is_root: entry.is_root(),
            has_sudo: false,
        });
        let acl =
            PolicyStore::new(&mut scope).acl(&caller.policies, None, now, Some(&self.acls))?;
        let check = |access| {
            acl.check(known.operation, &request.path, &request.params, request.wrap_ttl, access)
                .is_allowed()
        };
        caller.has_sudo = check(policy::Access::Sudo);
        let allowed = match access {
            Access::Token | Access::OptionalToken | Access::Unauthenticated => true,
            Access::Sudo => caller.has_sudo,
            Access::Policy => caller.has_sudo || check(policy::Access::Ordinary),
        };
        Ok(if allowed { Verdict::Allowed(spent) } else { Verdict::Refused(Error::Denied) })
    }
}
