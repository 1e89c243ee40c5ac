//! Two entities turn out to be one.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::IdentityStore;
use super::records::{Alias, Entity};
use crate::clock::Timestamp;
use crate::request::Error;

/// What is to become of whom.
#[derive(Clone, Debug, Default)]
pub struct Merge {
    pub from: Vec<String>,
    pub to: String,
    /// Of two aliases of one mount, the ids of those that stay.
    pub keep: BTreeSet<String>,
}

/// How it ended.
#[derive(Debug)]
pub enum Merged {
    Done,
    /// Nothing was done: someone must say which aliases stay.
    Clashes(Vec<Clash>),
}

/// Two entities have an alias in one mount.
#[derive(Clone, Debug)]
pub struct Clash {
    pub to: Arc<Entity>,
    pub to_alias: Alias,
    pub from: Arc<Entity>,
    pub from_alias: Alias,
}

impl IdentityStore<'_, '_> {
    /// Moves aliases and places in groups; tokens of those that are gone belong to the one that
    /// stays. Its name, metadata and policies are what they were.
    ///
    /// # Errors
    /// [`Error::BadRequest`] where one of them is not there, or they are one.
    pub fn merge(&mut self, merge: &Merge, now: Timestamp) -> Result<Merged, Error> {
        if merge.to.is_empty() {
            return Err(Error::bad_request("missing entity id to merge to"));
        }
        let to = self.entity(&merge.to)?;
        let to = to.ok_or_else(|| Error::bad_request("entity id to merge to is invalid"))?;
        if merge.from.contains(&to.id) {
            return Err(Error::bad_request(
                "to_entity_id should not be present in from_entity_ids",
            ));
        }
        let mut from = Vec::new();
        for id in merge.from.iter().collect::<BTreeSet<_>>() {
            let entity = self.entity(id)?;
            from.push(
                entity.ok_or_else(|| Error::bad_request("entity id to merge from is invalid"))?,
            );
        }
        let mut aliases = Vec::new();
        match choose_aliases(&to, &from, &merge.keep, &mut aliases) {
            Ok(()) => {}
            Err(clashes) => return Ok(Merged::Clashes(clashes)),
        }
        let mut bonds = Vec::new();
        for entity in &from {
            let groups =
                self.membership(&entity.id)?.as_deref().cloned().unwrap_or_default().groups;
            // What a mount has said of an alias that gives way goes with it.
            bonds.extend(groups.into_iter().filter(|(_, bond)| stays(entity, bond, &aliases)));
            self.delete_entity(entity)?;
        }
        let mut changed = Entity { aliases, updated: now, ..Entity::clone(&to) };
        for entity in &from {
            let ids = std::iter::once(&entity.id).chain(&entity.merged);
            changed.merged.extend(ids.cloned());
        }
        self.put_entity(Some(&to), &changed)?;
        for (group, bond) in bonds {
            let own = self.membership(&to.id)?;
            if own.is_none_or(|own| !own.groups.contains_key(&group)) {
                self.join(&to.id, &group, &bond)?;
            }
        }
        for id in &changed.merged {
            self.note_merged(id, &to.id)?;
        }
        Ok(Merged::Done)
    }
}

/// Whether a bond of an entity is the merged one's too: whoever administers made it, or the mount
/// that did knows them by an alias that was chosen.
fn stays(entity: &Entity, bond: &str, chosen: &[Alias]) -> bool {
    let mount = bond.split('/').next().unwrap_or_default();
    let mut of_mount = entity.aliases.iter().filter(|alias| alias.mount_accessor == mount);
    mount.is_empty() || of_mount.any(|alias| chosen.iter().any(|kept| kept.id == alias.id))
}

/// All aliases together, but for those that give way.
fn choose_aliases(
    to: &Arc<Entity>,
    from: &[Arc<Entity>],
    keep: &BTreeSet<String>,
    chosen: &mut Vec<Alias>,
) -> Result<(), Vec<Clash>> {
    chosen.clone_from(&to.aliases);
    let mut owners = vec![to.clone(); chosen.len()];
    let mut clashes = Vec::new();
    for entity in from {
        for alias in &entity.aliases {
            let mut moved = alias.clone();
            moved.merged_from.push(entity.id.clone());
            let same = chosen.iter().position(|one| one.mount_accessor == alias.mount_accessor);
            let Some((place, (other, owner))) =
                same.and_then(|at| Some((at, (chosen.get(at)?, owners.get(at)?))))
            else {
                chosen.push(moved);
                owners.push(entity.clone());
                continue;
            };
            match (keep.contains(&other.id), keep.contains(&alias.id)) {
                (true, false) if from.len() == 1 => {}
                (false, true) if from.len() == 1 => {
                    chosen.splice(place..=place, [moved]);
                    owners.splice(place..=place, [entity.clone()]);
                }
                _ => clashes.push(Clash {
                    to: owner.clone(),
                    to_alias: other.clone(),
                    from: entity.clone(),
                    from_alias: alias.clone(),
                }),
            }
        }
    }
    if clashes.is_empty() { Ok(()) } else { Err(clashes) }
}
