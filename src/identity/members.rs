//! Which entities are in which groups: a record of each entity, and one of each bond.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::IdentityStore;
use super::limits::STEP_BYTES_MAX;
use super::records::{
    Entity, Group, GroupKind, Membership, member_key, members_directory, membership_key,
};
use crate::request::Error;

impl IdentityStore<'_, '_> {
    /// The groups that an entity is in itself; none where nothing is stored.
    pub(super) fn membership(&mut self, entity: &str) -> Result<Option<Arc<Membership>>, Error> {
        self.scope.get_shared(&membership_key(entity))
    }

    /// The entities in a group, sorted.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub fn members(&mut self, group: &str) -> Result<Vec<String>, Error> {
        let directory = members_directory(group);
        let mut members = Vec::new();
        for bucket in self.scope.list(&directory)? {
            members.extend(self.scope.list(&format!("{directory}/{bucket}"))?);
        }
        Ok(members)
    }

    /// How many entities are in a group, as it is stored. Costs one look-up for each directory of
    /// them, of which there are 256 at most.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub fn count_members(&mut self, group: &str) -> Result<u64, Error> {
        let directory = members_directory(group);
        let mut count = 0;
        for bucket in self.scope.list(&directory)? {
            count += self.scope.directory_records(&format!("{directory}/{bucket}"))?;
        }
        Ok(count)
    }

    /// # Errors
    /// [`Error::BadRequest`] with an entity that is not there.
    pub(super) fn set_members(
        &mut self,
        group: &Group,
        wanted: &BTreeSet<String>,
    ) -> Result<(), Error> {
        let before: BTreeSet<String> = self.members(&group.id)?.into_iter().collect();
        for entity in wanted.difference(&before) {
            if self.entity(entity)?.is_none() {
                return Err(Error::BadRequest(format!("invalid entity ID {entity:?}")));
            }
            self.join(entity, &group.id, "")?;
        }
        for entity in before.difference(wanted) {
            self.leave(entity, &group.id)?;
        }
        Ok(())
    }

    pub(super) fn join(&mut self, entity: &str, group: &str, bond: &str) -> Result<(), Error> {
        let mut membership = self.membership(entity)?.as_deref().cloned().unwrap_or_default();
        membership.groups.insert(group.to_owned(), bond.to_owned());
        self.put_membership(entity, &membership)?;
        self.scope.put(&member_key(group, entity), &())
    }

    pub(super) fn leave(&mut self, entity: &str, group: &str) -> Result<(), Error> {
        let mut membership = self.membership(entity)?.as_deref().cloned().unwrap_or_default();
        membership.groups.remove(group);
        self.put_membership(entity, &membership)?;
        self.scope.delete(&member_key(group, entity))
    }

    pub(super) fn leave_all_groups(&mut self, entity: &str) -> Result<(), Error> {
        let membership = self.membership(entity)?.as_deref().cloned().unwrap_or_default();
        for group in membership.groups.keys() {
            self.scope.delete(&member_key(group, entity))?;
        }
        self.scope.delete(&membership_key(entity))
    }

    /// One step of taking out of a group whoever is bound to it by what no longer holds: everyone
    /// where the group is gone. Returns where to go on; `None` where all were looked at.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub fn clear_group(&mut self, group: &str, after: &str) -> Result<Option<String>, Error> {
        let record = self.group(group)?;
        let directory = members_directory(group);
        let mut looked_at = 0;
        for bucket in self.scope.list(&directory)? {
            if after.get(..2).is_some_and(|done| bucket.as_str() < done) {
                continue;
            }
            let entities = self.scope.list(&format!("{directory}/{bucket}"))?;
            for entity in entities.into_iter().filter(|entity| entity.as_str() > after) {
                if !self.is_member(&entity, record.as_deref())? {
                    self.leave(&entity, group)?;
                }
                looked_at += 1;
                if looked_at == STEP_MEMBERS_MAX || self.scope.written_bytes() >= STEP_BYTES_MAX {
                    return Ok(Some(entity));
                }
            }
        }
        Ok(None)
    }

    fn is_member(&mut self, entity: &str, group: Option<&Group>) -> Result<bool, Error> {
        let Some(group) = group else { return Ok(false) };
        let Some(membership) = self.membership(entity)? else { return Ok(false) };
        let Some(entity) = self.entity(entity)? else { return Ok(false) };
        let bond = membership.groups.get(&group.id);
        Ok(bond.is_some_and(|bond| is_bound(&entity, group, bond)))
    }

    /// Takes an entity out of the external groups that a mount put it in.
    pub(super) fn leave_groups_of(&mut self, entity: &str, mount: &str) -> Result<(), Error> {
        let Some(membership) = self.membership(entity)? else { return Ok(()) };
        let of_mount = format!("{mount}/");
        let mut left = Membership::clone(&membership);
        left.groups.retain(|_, bond| !bond.starts_with(&of_mount));
        if left.groups.len() == membership.groups.len() {
            return Ok(());
        }
        for group in membership.groups.keys().filter(|group| !left.groups.contains_key(*group)) {
            self.scope.delete(&member_key(group, entity))?;
        }
        self.put_membership(entity, &left)
    }

    fn put_membership(&mut self, entity: &str, membership: &Membership) -> Result<(), Error> {
        let key = membership_key(entity);
        if membership.groups.is_empty() {
            return self.scope.delete(&key);
        }
        self.scope.put(&key, membership)
    }
}

/// Whether what bound an entity to a group still does: it is known to the mount that put it there,
/// and the mount knows the group.
pub(super) fn is_bound(entity: &Entity, group: &Group, bond: &str) -> bool {
    match group.kind {
        GroupKind::Internal => bond.is_empty(),
        GroupKind::External => group.alias.as_ref().is_some_and(|alias| {
            alias.bond() == bond
                && entity.aliases.iter().any(|own| own.mount_accessor == alias.mount_accessor)
        }),
    }
}

/// Of one transaction.
const STEP_MEMBERS_MAX: usize = 500;
