//! What an entity brings to a token: policies, and what templates may say of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::IdentityStore;
use super::members::is_bound;
use super::records::{Entity, Group, Membership};
use crate::policy::{Identity, IdentityAlias, IdentityGroup, sanitize_names};
use crate::request::Error;

/// An entity with all the groups it is in, as of one moment.
#[derive(Debug)]
pub struct Who {
    pub entity: Arc<Entity>,
    /// Of the entity and its groups; in lower case, each once, sorted.
    pub policies: Vec<String>,
    /// For templates.
    pub identity: Arc<Identity>,
    /// Those that it is in itself.
    pub direct_groups: BTreeSet<String>,
    /// Every group, each once.
    pub groups: Vec<Arc<Group>>,
    membership: Option<Arc<Membership>>,
}

impl IdentityStore<'_, '_> {
    /// Walks up from an entity through its groups; each record's revision is noted. `None` where
    /// there is no such entity (any more): whoever names it is nobody.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub fn who(
        &mut self,
        entity: &str,
        cache: Option<&WhoCache>,
    ) -> Result<Option<Arc<Who>>, Error> {
        let Some(entity) = self.entity_or_successor(entity)? else {
            return Ok(None);
        };
        let membership = self.membership(&entity.id)?;
        let mut direct_groups = BTreeSet::new();
        let mut groups: BTreeMap<String, Arc<Group>> = BTreeMap::new();
        let mut open = Vec::new();
        for (id, bond) in membership.iter().flat_map(|membership| &membership.groups) {
            if let Some(group) = self.group(id)?
                && is_bound(&entity, &group, bond)
            {
                direct_groups.insert(id.clone());
                open.push(group);
            }
        }
        while let Some(group) = open.pop() {
            if groups.contains_key(&group.id) {
                continue;
            }
            for parent in &group.parents {
                if !groups.contains_key(parent)
                    && let Some(parent) = self.group(parent)?
                {
                    open.push(parent);
                }
            }
            groups.insert(group.id.clone(), group);
        }
        let groups: Vec<Arc<Group>> = groups.into_values().collect();
        if let Some(known) = cache.and_then(|cache| cache.get(&entity, &membership, &groups)) {
            return Ok(Some(known));
        }
        let who = Arc::new(Who::new(entity, membership, direct_groups, groups));
        if let Some(cache) = cache {
            cache.insert(who.clone());
        }
        Ok(Some(who))
    }
}

impl Who {
    fn new(
        entity: Arc<Entity>,
        membership: Option<Arc<Membership>>,
        direct_groups: BTreeSet<String>,
        groups: Vec<Arc<Group>>,
    ) -> Self {
        let of_groups = groups.iter().flat_map(|group| &group.policies);
        let policies = sanitize_names(entity.policies.iter().chain(of_groups));
        let aliases = entity.aliases.iter().map(|alias| {
            let known = IdentityAlias {
                id: alias.id.clone(),
                name: alias.name.clone(),
                metadata: alias.metadata.clone(),
                custom_metadata: alias.custom_metadata.clone(),
            };
            (alias.mount_accessor.clone(), known)
        });
        let of_group = |group: &Arc<Group>| {
            let known =
                IdentityGroup { name: group.name.clone(), metadata: group.metadata.clone() };
            (group.id.clone(), known)
        };
        let identity = Identity {
            id: entity.id.clone(),
            name: entity.name.clone(),
            metadata: entity.metadata.clone(),
            aliases: aliases.collect(),
            groups: groups.iter().map(of_group).collect(),
        };
        Self { entity, policies, identity: Arc::new(identity), direct_groups, groups, membership }
    }

    /// Policies of a token and of this together.
    pub fn with(&self, token_policies: &[String]) -> Vec<String> {
        if self.policies.is_empty() {
            return token_policies.to_vec();
        }
        sanitize_names(token_policies.iter().chain(&self.policies))
    }
}

/// Entities that made requests lately, each good while every record that it was made of is the
/// very same.
#[derive(Default)]
pub struct WhoCache(Mutex<BTreeMap<String, Arc<Who>>>);

impl WhoCache {
    fn get(
        &self,
        entity: &Arc<Entity>,
        membership: &Option<Arc<Membership>>,
        groups: &[Arc<Group>],
    ) -> Option<Arc<Who>> {
        let known = self.lock().get(&entity.id)?.clone();
        let same_membership = match (&known.membership, membership) {
            (Some(a), Some(b)) => Arc::ptr_eq(a, b),
            (None, None) => true,
            _ => false,
        };
        let same = Arc::ptr_eq(&known.entity, entity)
            && same_membership
            && known.groups.len() == groups.len()
            && known.groups.iter().zip(groups).all(|(a, b)| Arc::ptr_eq(a, b));
        same.then_some(known)
    }

    fn insert(&self, who: Arc<Who>) {
        let mut known = self.lock();
        if known.len() >= ENTITIES_MAX && !known.contains_key(&who.entity.id) {
            // Ids are drawn: the next in order is as good a victim as any.
            let next = known.range(who.entity.id.clone()..).next();
            let victim = next.or_else(|| known.first_key_value()).map(|(id, _)| id.clone());
            victim.and_then(|id| known.remove(&id));
        }
        known.insert(who.entity.id.clone(), who);
    }

    /// On seal: it holds plaintext.
    pub fn clear(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Who>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const ENTITIES_MAX: usize = 16_384;
