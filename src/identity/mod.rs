//! Who is behind a token: entities, the aliases by which auth methods know them, and groups.
//!
//! **Invariant:** indices are written and deleted in one transaction with what they lead to, and
//! what a decision is made by is noted; so two first logins make one entity, and no two groups can
//! close a circle.

mod effective;
mod entities;
mod groups;
mod limits;
mod login;
mod members;
mod merge;
mod records;
mod unmount;

pub use effective::{Who, WhoCache};
pub use groups::GroupChange;
pub use limits::{check_custom_metadata, check_metadata, check_name, check_policies};
pub use login::Login;
pub use merge::{Clash, Merge, Merged};
pub use records::{Alias, AliasRef, Entity, Group, GroupKind};

use crate::txn::Scope;

/// The identities of one namespace, over its `core/` scope.
pub struct IdentityStore<'s, 't> {
    scope: &'s mut Scope<'t>,
}

impl<'s, 't> IdentityStore<'s, 't> {
    pub fn new(scope: &'s mut Scope<'t>) -> Self {
        Self { scope }
    }
}
