//! Groups, their nesting, and the aliases of external ones.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::IdentityStore;
use super::records::{
    AliasRef, GROUP_ALIAS_IDS, GROUP_NAMES, GROUPS, Group, GroupKind, group_alias_id_key,
    group_alias_name_key, group_key, group_name_key,
};
use crate::clock::Timestamp;
use crate::job::{Job, JobKind};
use crate::request::Error;
use crate::rng::Rng;

/// What a write says of a group; what is not given stays.
#[derive(Clone, Debug, Default)]
pub struct GroupChange {
    pub name: Option<String>,
    pub metadata: Option<BTreeMap<String, String>>,
    /// In lower case, sorted.
    pub policies: Option<Vec<String>>,
    pub entities: Option<BTreeSet<String>>,
    pub groups: Option<BTreeSet<String>>,
}

impl IdentityStore<'_, '_> {
    /// # Errors
    /// Where the store cannot be read.
    pub fn group(&mut self, id: &str) -> Result<Option<Arc<Group>>, Error> {
        match group_key(id) {
            Some(key) => self.scope.get_shared(&key),
            None => Ok(None),
        }
    }

    /// # Errors
    /// Where the store cannot be read.
    pub fn group_by_name(&mut self, name: &str) -> Result<Option<Arc<Group>>, Error> {
        match self.scope.get_shared::<String>(&group_name_key(name))? {
            Some(id) => self.group(&id),
            None => Ok(None),
        }
    }

    /// # Errors
    /// Where the store cannot be read.
    pub fn group_by_alias(
        &mut self,
        mount_accessor: &str,
        name: &str,
    ) -> Result<Option<Arc<Group>>, Error> {
        let key = group_alias_name_key(mount_accessor, name);
        match self.scope.get_shared::<AliasRef>(&key)? {
            Some(found) => self.group(&found.owner),
            None => Ok(None),
        }
    }

    /// # Errors
    /// Where the store cannot be read.
    pub fn group_by_alias_id(&mut self, id: &str) -> Result<Option<Arc<Group>>, Error> {
        let Some(key) = group_alias_id_key(id) else {
            return Ok(None);
        };
        match self.scope.get_shared::<String>(&key)? {
            Some(group) => self.group(&group),
            None => Ok(None),
        }
    }

    /// The ids, sorted.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub fn group_ids(&mut self) -> Result<Vec<String>, Error> {
        self.scope.list(GROUPS)
    }

    /// Sorted by name, as each was last written.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub fn group_names(&mut self) -> Result<Vec<String>, Error> {
        let mut names = Vec::new();
        for name in self.scope.list(GROUP_NAMES)? {
            let id = self.scope.get_shared::<String>(&format!("{GROUP_NAMES}/{name}"))?;
            if let Some(id) = id
                && let Some(group) = self.group(&id)?
            {
                names.push(group.name.clone());
            }
        }
        Ok(names)
    }

    /// The ids of all aliases of groups, sorted.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub fn group_alias_ids(&mut self) -> Result<Vec<String>, Error> {
        self.scope.list(GROUP_ALIAS_IDS)
    }

    /// A new one, with all that is needed, not yet stored.
    pub fn new_group(rng: &dyn Rng, now: Timestamp, kind: GroupKind) -> Group {
        let digits = crate::text::hex(&rng.bytes::<8>());
        Group {
            id: rng.uuid(),
            name: format!("group_{digits}"),
            kind,
            created: now,
            updated: now,
            ..Group::default()
        }
    }

    /// Stores a group that is new (`before` is none) or changed.
    ///
    /// # Errors
    /// [`Error::BadRequest`] where another has its name, a member is not there or may not be set,
    /// or groups would stand in a circle.
    pub fn change_group(
        &mut self,
        before: Option<&Group>,
        mut group: Group,
        change: GroupChange,
        now: Timestamp,
    ) -> Result<Group, Error> {
        let is_external = group.kind == GroupKind::External;
        if is_external && change.entities.as_ref().is_some_and(|entities| !entities.is_empty()) {
            return Err(Error::bad_request(
                "member entities can't be set manually for external groups",
            ));
        }
        if is_external && change.groups.as_ref().is_some_and(|groups| !groups.is_empty()) {
            return Err(Error::bad_request("member groups can't be set for external groups"));
        }
        let set = |field: &mut BTreeMap<_, _>, value| *field = value;
        change.metadata.into_iter().for_each(|metadata| set(&mut group.metadata, metadata));
        group.policies = change.policies.unwrap_or(group.policies);
        group.name = change.name.unwrap_or(group.name);
        if let Some(groups) = change.groups {
            self.nest(&group, &groups)?;
            group.groups = groups;
        }
        self.put_group(before, &mut group, now)?;
        if let Some(entities) = change.entities.filter(|_| !is_external) {
            self.set_members(&group, &entities)?;
        }
        Ok(group)
    }

    /// Writes a group and moves its indices from what `before` had.
    ///
    /// # Errors
    /// [`Error::BadRequest`] where another has its name, or the name of its alias.
    pub fn put_group(
        &mut self,
        before: Option<&Group>,
        group: &mut Group,
        now: Timestamp,
    ) -> Result<(), Error> {
        let name = group_name_key(&group.name);
        let old_name = before.map(|before| group_name_key(&before.name));
        if old_name.as_ref() != Some(&name) {
            if let Some(other) = self.scope.get_shared::<String>(&name)?
                && *other != group.id
            {
                return Err(Error::bad_request("group name is already in use"));
            }
            if let Some(old_name) = old_name {
                self.scope.delete(&old_name)?;
            }
            self.scope.put(&name, &group.id)?;
        }
        self.move_group_alias(before, group)?;
        group.updated = now;
        group.modify_index += 1;
        let key = group_key(&group.id).ok_or_else(|| Error::internal("a group's id"))?;
        self.scope.put(&key, group)
    }

    /// The record goes at once; its members forget it one by one, in a job.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub fn delete_group(&mut self, group: &Group) -> Result<(), Error> {
        self.nest(group, &BTreeSet::new())?;
        for parent in &group.parents {
            if let Some(parent) = self.group(parent)? {
                let mut parent = Group::clone(&parent);
                parent.groups.remove(&group.id);
                self.store_group(&parent)?;
            }
        }
        if let Some(alias) = &group.alias {
            self.scope.delete(&group_alias_name_key(&alias.mount_accessor, &alias.name))?;
            if let Some(key) = group_alias_id_key(&alias.id) {
                self.scope.delete(&key)?;
            }
        }
        self.scope.delete(&group_name_key(&group.name))?;
        let key = group_key(&group.id).ok_or_else(|| Error::internal("a group's id"))?;
        self.scope.delete(&key)?;
        self.file_clearing(&group.id)
    }

    fn file_clearing(&mut self, group: &str) -> Result<(), Error> {
        let kind = JobKind::ClearGroup { group: group.to_owned(), after: String::new() };
        Job { kind }.file(&format!("clear-group-{group}"), self.scope)
    }

    fn store_group(&mut self, group: &Group) -> Result<(), Error> {
        let key = group_key(&group.id).ok_or_else(|| Error::internal("a group's id"))?;
        self.scope.put(&key, group)
    }

    /// Tells the groups that come or go as members of it; it itself is the caller's to write.
    fn nest(&mut self, group: &Group, wanted: &BTreeSet<String>) -> Result<(), Error> {
        let new: Vec<&String> = wanted.difference(&group.groups).collect();
        let above = if new.is_empty() { BTreeSet::new() } else { self.ancestors(group)? };
        for id in new {
            if *id == group.id {
                return Err(Error::BadRequest(format!(
                    "member group ID {id:?} is same as the ID of the group"
                )));
            }
            let Some(member) = self.group(id)? else {
                return Err(Error::BadRequest(format!("invalid member group ID {id:?}")));
            };
            if above.contains(id) {
                return Err(Error::BadRequest(format!(
                    "cyclic relationship detected for member group ID {id:?}"
                )));
            }
            let mut member = Group::clone(&member);
            member.parents.insert(group.id.clone());
            self.store_group(&member)?;
        }
        for id in group.groups.difference(wanted) {
            if let Some(member) = self.group(id)? {
                let mut member = Group::clone(&member);
                member.parents.remove(&group.id);
                self.store_group(&member)?;
            }
        }
        Ok(())
    }

    /// The ids of the groups that it is in, directly or not.
    fn ancestors(&mut self, group: &Group) -> Result<BTreeSet<String>, Error> {
        let mut seen = BTreeSet::new();
        let mut open: Vec<String> = group.parents.iter().cloned().collect();
        while let Some(id) = open.pop() {
            if seen.insert(id.clone())
                && let Some(parent) = self.group(&id)?
            {
                open.extend(parent.parents.iter().cloned());
            }
        }
        Ok(seen)
    }

    /// Whoever was in the group by an alias that it no longer has is taken out by a job; until
    /// then the bond is void.
    fn move_group_alias(&mut self, before: Option<&Group>, group: &Group) -> Result<(), Error> {
        let old = before.and_then(|before| before.alias.as_ref());
        let new = group.alias.as_ref();
        let is_same = |a: &super::Alias, b: &super::Alias| a.id == b.id && a.bond() == b.bond();
        if old.is_none() && new.is_none() || old.zip(new).is_some_and(|(a, b)| is_same(a, b)) {
            return Ok(());
        }
        if let Some(alias) = new {
            let key = group_alias_name_key(&alias.mount_accessor, &alias.name);
            if let Some(other) = self.scope.get_shared::<AliasRef>(&key)?
                && other.id != alias.id
                && old.is_none_or(|old| old.id != other.id)
            {
                return Err(Error::bad_request(
                    "combination of mount and group alias name is already in use",
                ));
            }
        }
        if let Some(alias) = old {
            self.scope.delete(&group_alias_name_key(&alias.mount_accessor, &alias.name))?;
            if let Some(key) = group_alias_id_key(&alias.id) {
                self.scope.delete(&key)?;
            }
            self.file_clearing(&group.id)?;
        }
        if let Some(alias) = new {
            let to = AliasRef { id: alias.id.clone(), owner: group.id.clone() };
            self.scope.put(&group_alias_name_key(&alias.mount_accessor, &alias.name), &to)?;
            if let Some(key) = group_alias_id_key(&alias.id) {
                self.scope.put(&key, &group.id)?;
            }
        }
        Ok(())
    }
}
