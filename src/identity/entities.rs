//! Entities and their aliases.

use std::sync::Arc;

use super::IdentityStore;
use super::records::{
    ALIAS_IDS, Alias, AliasRef, ENTITIES, ENTITY_NAMES, Entity, alias_id_key, alias_name_key,
    entity_key, entity_name_key, merged_key,
};
use crate::clock::Timestamp;
use crate::request::Error;
use crate::rng::Rng;

impl IdentityStore<'_, '_> {
    /// # Errors
    /// Where the store cannot be read.
    pub fn entity(&mut self, id: &str) -> Result<Option<Arc<Entity>>, Error> {
        match entity_key(id) {
            Some(key) => self.scope.get_shared(&key),
            None => Ok(None),
        }
    }

    /// As [`Self::entity`], or the one that it was merged into.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub fn entity_or_successor(&mut self, id: &str) -> Result<Option<Arc<Entity>>, Error> {
        if let Some(entity) = self.entity(id)? {
            return Ok(Some(entity));
        }
        if entity_key(id).is_none() {
            return Ok(None);
        }
        // A merge leads every older id to the newest: one step is enough.
        match self.scope.get_shared::<String>(&merged_key(id))? {
            Some(successor) => self.entity(&successor),
            None => Ok(None),
        }
    }

    /// # Errors
    /// Where the store cannot be read.
    pub fn entity_by_name(&mut self, name: &str) -> Result<Option<Arc<Entity>>, Error> {
        match self.scope.get_shared::<String>(&entity_name_key(name))? {
            Some(id) => self.entity(&id),
            None => Ok(None),
        }
    }

    /// # Errors
    /// Where the store cannot be read.
    pub fn entity_by_alias(
        &mut self,
        mount_accessor: &str,
        name: &str,
    ) -> Result<Option<Arc<Entity>>, Error> {
        match self.alias_ref(mount_accessor, name)? {
            Some(found) => self.entity(&found.owner),
            None => Ok(None),
        }
    }

    /// # Errors
    /// Where the store cannot be read.
    pub fn entity_by_alias_id(&mut self, id: &str) -> Result<Option<Arc<Entity>>, Error> {
        let Some(key) = alias_id_key(id) else {
            return Ok(None);
        };
        match self.scope.get_shared::<String>(&key)? {
            Some(entity) => self.entity(&entity),
            None => Ok(None),
        }
    }

    /// # Errors
    /// Where the store cannot be read.
    pub fn alias_ref(
        &mut self,
        mount_accessor: &str,
        name: &str,
    ) -> Result<Option<Arc<AliasRef>>, Error> {
        self.scope.get_shared(&alias_name_key(mount_accessor, name))
    }

    /// The ids, sorted.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub fn entity_ids(&mut self) -> Result<Vec<String>, Error> {
        self.scope.list(ENTITIES)
    }

    /// Sorted by name, as each was last written.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub fn entity_names(&mut self) -> Result<Vec<String>, Error> {
        let mut names = Vec::new();
        for name in self.scope.list(ENTITY_NAMES)? {
            let id = self.scope.get_shared::<String>(&format!("{ENTITY_NAMES}/{name}"))?;
            if let Some(id) = id
                && let Some(entity) = self.entity(&id)?
            {
                names.push(entity.name.clone());
            }
        }
        Ok(names)
    }

    /// The ids of all aliases of entities, sorted.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub fn alias_ids(&mut self) -> Result<Vec<String>, Error> {
        self.scope.list(ALIAS_IDS)
    }

    /// A new one, with all that is needed, not yet stored.
    pub fn new_entity(rng: &dyn Rng, now: Timestamp) -> Entity {
        let digits = crate::text::hex(&rng.bytes::<8>());
        Entity {
            id: rng.uuid(),
            name: format!("entity_{digits}"),
            created: now,
            updated: now,
            ..Entity::default()
        }
    }

    /// Writes an entity and moves its indices from what `before` had. What a mount has said of an
    /// alias that is gone, or that means another user now, goes with it.
    ///
    /// # Errors
    /// [`Error::BadRequest`] where another has its name.
    pub fn put_entity(&mut self, before: Option<&Entity>, entity: &Entity) -> Result<(), Error> {
        let key = entity_key(&entity.id).ok_or_else(|| Error::internal("an entity's id"))?;
        let name = entity_name_key(&entity.name);
        let old_name = before.map(|before| entity_name_key(&before.name));
        if old_name.as_ref() != Some(&name) {
            if let Some(other) = self.scope.get_shared::<String>(&name)?
                && *other != entity.id
            {
                return Err(Error::bad_request("entity name is already in use"));
            }
            if let Some(old_name) = old_name {
                self.scope.delete(&old_name)?;
            }
            self.scope.put(&name, &entity.id)?;
        }
        let old = before.map(|before| before.aliases.as_slice()).unwrap_or_default();
        self.move_aliases(old, &entity.aliases, &entity.id)?;
        for alias in old {
            let is_kept = |kept: &Alias| kept.id == alias.id && kept.bond() == alias.bond();
            if !entity.aliases.iter().any(is_kept) {
                self.leave_groups_of(&entity.id, &alias.mount_accessor)?;
            }
        }
        self.scope.put(&key, entity)
    }

    /// Deletes it with its aliases and its place in groups. Its tokens are refused from then on.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub fn delete_entity(&mut self, entity: &Entity) -> Result<(), Error> {
        self.move_aliases(&entity.aliases, &[], &entity.id)?;
        self.leave_all_groups(&entity.id)?;
        for merged in &entity.merged {
            self.scope.delete(&merged_key(merged))?;
        }
        self.scope.delete(&entity_name_key(&entity.name))?;
        let key = entity_key(&entity.id).ok_or_else(|| Error::internal("an entity's id"))?;
        self.scope.delete(&key)
    }

    pub(super) fn note_merged(&mut self, from: &str, to: &str) -> Result<(), Error> {
        self.scope.put(&merged_key(from), &to)
    }

    /// What is no longer there is taken out of the indices, what is new or changed goes in.
    fn move_aliases(&mut self, old: &[Alias], new: &[Alias], owner: &str) -> Result<(), Error> {
        for alias in old {
            let kept = new.iter().find(|other| other.id == alias.id);
            if kept.is_none_or(|kept| kept.bond() != alias.bond()) {
                self.scope.delete(&alias_name_key(&alias.mount_accessor, &alias.name))?;
            }
            if kept.is_none()
                && let Some(key) = alias_id_key(&alias.id)
            {
                self.scope.delete(&key)?;
            }
        }
        for alias in new {
            let kept = old.iter().find(|other| other.id == alias.id);
            if kept.is_none_or(|kept| kept.bond() != alias.bond()) {
                let to = AliasRef { id: alias.id.clone(), owner: owner.to_owned() };
                self.scope.put(&alias_name_key(&alias.mount_accessor, &alias.name), &to)?;
            }
            if kept.is_none()
                && let Some(key) = alias_id_key(&alias.id)
            {
                self.scope.put(&key, &owner)?;
            }
        }
        Ok(())
    }
}
