//! Whose request it is, and whether their policies allow it.

use super::{CORE, Known, Pipeline, Spent};
use crate::auth::token::{TokenEntry, TokenStore};
use crate::framework::Access;
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
            return Ok(Verdict::Refused(Error::Denied));
        };
        let now = txn.now();
        let mut scope = txn.scope(CORE);
        let mut tokens = TokenStore::new(&mut scope);
        let Some((name, entry)) = tokens.lookup(token, now)? else {
            return Ok(Verdict::Refused(Error::Denied));
        };
        let mut spent = Spent::NotLast;
        if entry.num_uses > 0 {
            let mut used = TokenEntry::clone(&entry);
            used.num_uses = if entry.num_uses == 1 { -1 } else { entry.num_uses - 1 };
            spent = if entry.num_uses == 1 { Spent::Last } else { Spent::NotLast };
            tokens.update(&name, &used)?;
        }
        let is_root = entry.is_root();
        known.caller = Some(Caller {
            token: name,
            accessor: entry.accessor.clone(),
            display_name: entry.display_name.clone(),
            policies: entry.policies.clone(),
            entity_id: entry.entity_id.clone(),
            token_type: entry.token_type,
            is_root,
            has_sudo: is_root,
        });
        if is_root || access == Access::Token {
            return Ok(Verdict::Allowed(spent));
        }
        Ok(Verdict::Refused(Error::Denied))
    }
}
