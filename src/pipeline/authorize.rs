//! Whose request it is, and whether their policies allow it.

use std::sync::Arc;

use super::{CORE, Known, Pipeline, Spent, wrap};
use crate::audit::PolicyResults;
use crate::auth::cidr::is_within;
use crate::auth::token::{TokenEntry, TokenStore};
use crate::framework::Access;
use crate::identity::IdentityStore;
use crate::policy;
use crate::policy_store::PolicyStore;
use crate::request::{Caller, Error, Operation, Request, TokenFacts};
use crate::router::Target;
use crate::txn::Txn;

pub(super) struct Verdict {
    /// `None`: it may run.
    pub(super) refusal: Option<Error>,
    /// Of the token, whatever the verdict.
    pub(super) spent: Spent,
}

impl Verdict {
    fn allowed(spent: Spent) -> Self {
        Self { refusal: None, spent }
    }

    fn denied(spent: Spent) -> Self {
        Self { refusal: Some(Error::Denied), spent }
    }
}

impl Pipeline {
    /// The caller first, then what is asked for, which may depend on them, then their policies.
    /// A refusal is a verdict, which audit is told; an error is that none could be reached.
    pub(super) async fn authorize(
        &self,
        txn: &mut Txn,
        request: &Request,
        known: &mut Known,
        target: Option<&Target>,
    ) -> Result<Verdict, Error> {
        if let Some(refusal) = wrap::refuse_token(txn, request, target)? {
            return Ok(Verdict { refusal: Some(refusal), spent: Spent::NotLast });
        }
        // What no route claims needs what most routes need.
        let access =
            target.and_then(|target| target.found).map_or(Access::Policy, |found| found.access);
        let verdict = self.identify(txn, request, known, access)?;
        if verdict.refusal.is_some() {
            return Ok(verdict);
        }
        let Ok(identity) = self.identity(txn, known)? else {
            return Ok(Verdict::denied(verdict.spent));
        };
        known.operation = self.operation(txn, request, known.caller.as_ref(), target).await?;
        let Some(caller) = &mut known.caller else {
            return Ok(verdict);
        };
        let now = txn.now();
        let acl = PolicyStore::new(&mut txn.scope(CORE)).acl(
            &caller.policies,
            identity.as_ref(),
            now,
            Some(&self.acls),
        )?;
        let check = |access| {
            let check =
                |path| acl.check(known.operation, path, &request.params, request.wrap_ttl, access);
            // Routes take `a/` for `a`: what a rule for `a` forbids, the slash must not allow.
            let bare = request.path.strip_suffix('/');
            let bare = bare.filter(|_| known.operation != Operation::List).map(check);
            let forbids = |verdict: &policy::Verdict<'_>| {
                !matches!(verdict.refusal, None | Some(policy::Refusal::NoRule))
            };
            let verdict = check(&request.path);
            bare.filter(|bare| verdict.is_allowed() && forbids(bare)).unwrap_or(verdict)
        };
        let with_sudo = check(policy::Access::Sudo);
        caller.has_sudo = with_sudo.is_allowed();
        let deciding = match access {
            Access::Sudo => with_sudo,
            _ if caller.has_sudo => with_sudo,
            _ => check(policy::Access::Ordinary),
        };
        let allowed = match access {
            // Help is for whoever has a token.
            _ if known.operation == Operation::Help => true,
            Access::Token | Access::OptionalToken | Access::Unauthenticated => true,
            Access::Policy | Access::Sudo => deciding.is_allowed(),
        };
        known.policies = Some(results(&deciding, allowed));
        Ok(if allowed { verdict } else { Verdict::denied(verdict.spent) })
    }

    /// What audit is told of a request that is only answered again: where it goes, and whose it
    /// is. No use of the token is counted, and what has ended since is not known any more.
    pub(super) async fn know_again(
        &self,
        request: &Request,
        known: &mut Known,
    ) -> Result<(), Error> {
        let mut txn = self.begin_again(known).await?;
        known.devices = self.audit.follow(&mut txn.scope(CORE))?;
        let target = self.router.resolve(&mut txn, &request.path)?;
        let found = target.as_ref().and_then(|target| target.found);
        known.mount = target.as_ref().map(|target| target.entry.clone());
        known.is_login = found.is_some_and(|found| found.login);
        let access = found.map_or(Access::Policy, |found| found.access);
        self.identify(&mut txn, request, known, access)?;
        // Whether the entity may still do anything is nothing that an answer depends on.
        drop(self.identity(&mut txn, known)?);
        Ok(())
    }

    /// Adds to the caller what their entity has, and returns it for templates. The inner error:
    /// the entity is disabled or gone, and with it all that its tokens may do.
    fn identity(
        &self,
        txn: &mut Txn,
        known: &mut Known,
    ) -> Result<Result<Option<Arc<policy::Identity>>, Error>, Error> {
        let Some(caller) = &mut known.caller else {
            return Ok(Ok(None));
        };
        if caller.entity_id.is_empty() {
            return Ok(Ok(None));
        }
        let mut scope = txn.scope(CORE);
        let who = IdentityStore::new(&mut scope).who(&caller.entity_id, Some(&self.identities))?;
        let Some(who) = who.filter(|who| !who.entity.disabled) else {
            return Ok(Err(Error::Denied));
        };
        // Another, where its entity was merged.
        caller.entity_id.clone_from(&who.entity.id);
        if !caller.is_confined {
            caller.policies = who.with(&caller.policies);
            caller.identity_policies.clone_from(&who.policies);
        }
        Ok(Ok(Some(who.identity.clone())))
    }

    /// Whose request it is, and what it leaves of their token.
    fn identify(
        &self,
        txn: &mut Txn,
        request: &Request,
        known: &mut Known,
        access: Access,
    ) -> Result<Verdict, Error> {
        if access == Access::Unauthenticated {
            return Ok(Verdict::allowed(Spent::NotLast));
        }
        let Some(token) = &request.token else {
            return Ok(match access {
                Access::OptionalToken => Verdict::allowed(Spent::NotLast),
                _ => Verdict::denied(Spent::NotLast),
            });
        };
        let now = txn.now();
        let mut scope = txn.scope(CORE);
        let mut tokens = TokenStore::new(&mut scope);
        let Some((name, entry)) = tokens.lookup(token, now)? else {
            return Ok(Verdict::denied(Spent::NotLast));
        };
        if !is_within(&entry.bound_cidrs, request.remote.map(|remote| remote.ip())) {
            return Ok(Verdict::denied(Spent::NotLast));
        }
        let mut spent = Spent::NotLast;
        if entry.num_uses > 0 {
            let mut used = TokenEntry::clone(&entry);
            used.num_uses = if entry.num_uses == 1 { -1 } else { entry.num_uses - 1 };
            spent = if entry.num_uses == 1 { Spent::Last } else { Spent::NotLast };
            tokens.update(&name, &used)?;
        }
        known.caller = Some(Caller {
            token: name,
            accessor: entry.accessor.clone(),
            display_name: entry.display_name.clone(),
            policies: entry.policies.clone(),
            identity_policies: Vec::new(),
            is_confined: entry.no_identity_policies,
            entity_id: entry.entity_id.clone(),
            token_type: entry.token_type,
            is_root: entry.is_root(),
            has_sudo: false,
            facts: TokenFacts {
                policies: entry.policies.clone(),
                metadata: entry.meta.clone(),
                remaining_uses: u64::try_from(entry.num_uses).unwrap_or_default(),
                ttl: entry.ttl,
                issued: entry.created,
            },
        });
        Ok(Verdict::allowed(spent))
    }
}

/// For audit. A request that needs no policy is allowed whatever they say.
fn results(verdict: &policy::Verdict<'_>, allowed: bool) -> PolicyResults {
    let granting = verdict.granting_policies.iter().filter(|_| verdict.is_allowed());
    let refusal = verdict.refusal.as_ref().filter(|_| !allowed);
    PolicyResults {
        allowed,
        granting: granting.map(|name| (*name).to_owned()).collect(),
        rule: verdict.pattern.filter(|_| !allowed).map(str::to_owned),
        refusal: refusal.map(ToString::to_string),
    }
}
