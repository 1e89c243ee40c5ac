//! What becomes of aliases when their mount goes. Entities and groups stay.

use super::IdentityStore;
use super::limits::STEP_BYTES_MAX;
use super::records::{AliasRef, Entity, Group, aliases_directory, group_aliases_directory};
use crate::clock::Timestamp;
use crate::request::Error;

impl IdentityStore<'_, '_> {
    /// One step of taking away the aliases of a mount; true where none is left.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub fn remove_aliases_of(
        &mut self,
        mount_accessor: &str,
        now: Timestamp,
    ) -> Result<bool, Error> {
        let mut left = STEP_ALIASES_MAX;
        for key in self.below(&aliases_directory(mount_accessor), left)? {
            let to = self.scope.get::<AliasRef>(&key)?;
            let owner = match &to {
                Some(to) => self.entity(&to.owner)?,
                None => None,
            };
            if let Some(entity) = owner {
                let mut changed = Entity::clone(&entity);
                changed.aliases.retain(|alias| alias.mount_accessor != mount_accessor);
                self.put_entity(Some(&entity), &changed)?;
            }
            self.scope.delete(&key)?;
            left -= 1;
            if self.scope.written_bytes() >= STEP_BYTES_MAX {
                return Ok(false);
            }
        }
        if left == 0 {
            return Ok(false);
        }
        for key in self.below(&group_aliases_directory(mount_accessor), left)? {
            let to = self.scope.get::<AliasRef>(&key)?;
            let owner = match &to {
                Some(to) => self.group(&to.owner)?,
                None => None,
            };
            if let Some(group) = owner {
                let mut changed = Group { alias: None, ..Group::clone(&group) };
                self.put_group(Some(&group), &mut changed, now)?;
            }
            self.scope.delete(&key)?;
            left -= 1;
            if self.scope.written_bytes() >= STEP_BYTES_MAX {
                return Ok(false);
            }
        }
        Ok(left > 0)
    }

    /// Up to `limit` records in the directories of a directory.
    fn below(&mut self, directory: &str, limit: usize) -> Result<Vec<String>, Error> {
        let mut found = Vec::new();
        for bucket in self.scope.list(directory)? {
            for name in self.scope.list(&format!("{directory}/{bucket}"))? {
                if found.len() == limit {
                    return Ok(found);
                }
                found.push(format!("{directory}/{bucket}{name}"));
            }
        }
        Ok(found)
    }
}

/// Of one transaction.
const STEP_ALIASES_MAX: usize = 250;
