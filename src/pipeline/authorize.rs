//! Whose request it is, and whether their policies allow it.

use super::{CORE, Known, Pipeline, Spent};
use crate::auth::cidr::is_within;
use crate::auth::token::{TokenEntry, TokenStore};
use crate::framework::Access;
use crate::policy;
use crate::policy_store::PolicyStore;
use crate::request::{Caller, Error, Operation, Request};
use crate::router::Target;
use crate::txn::Txn;

pub(super) enum Verdict {
    Allowed(Spent),
    /// What was asked counts as a use all the same.
    Refused(Error, Spent),
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
                _ => Verdict::Refused(Error::Denied, Spent::NotLast),
            });
        };
        let now = txn.now();
        let mut scope = txn.scope(CORE);
        let mut tokens = TokenStore::new(&mut scope);
        let Some((name, entry)) = tokens.lookup(token, now)? else {
            return Ok(Verdict::Refused(Error::Denied, Spent::NotLast));
        };
        if !is_within(&entry.bound_cidrs, request.remote.map(|remote| remote.ip())) {
            return Ok(Verdict::Refused(Error::Denied, Spent::NotLast));
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
            let check =
                |path| acl.check(known.operation, path, &request.params, request.wrap_ttl, access);
            // Routes take `a/` for `a`: what a rule for `a` forbids, the slash must not allow.
            let bare = request.path.strip_suffix('/');
            let bare = bare.filter(|_| known.operation != Operation::List).map(check);
            let forbids = |verdict: policy::Verdict<'_>| {
                !matches!(verdict.refusal, None | Some(policy::Refusal::NoRule))
            };
            check(&request.path).is_allowed() && !bare.is_some_and(forbids)
        };
        caller.has_sudo = check(policy::Access::Sudo);
        let allowed = match access {
            Access::Token | Access::OptionalToken | Access::Unauthenticated => true,
            Access::Sudo => caller.has_sudo,
            Access::Policy => caller.has_sudo || check(policy::Access::Ordinary),
        };
        Ok(if allowed { Verdict::Allowed(spent) } else { Verdict::Refused(Error::Denied, spent) })
    }
}
