//! What a login tells of whoever logged in.

use std::collections::{BTreeMap, BTreeSet};

use super::IdentityStore;
use super::members::is_bound;
use super::records::{Alias, Entity, bond};
use crate::clock::Timestamp;
use crate::request::{Auth, Error};
use crate::rng::Rng;

/// What an auth method says of whoever it let in.
#[derive(Clone, Copy, Debug)]
pub struct Login<'a> {
    pub mount_accessor: &'a str,
    /// The mount is of this cluster alone.
    pub local: bool,
    /// The name by which the method knows them.
    pub alias_name: &'a str,
    pub alias_metadata: &'a BTreeMap<String, String>,
    /// The method's names of the groups that they are in.
    pub group_aliases: &'a [String],
}

impl IdentityStore<'_, '_> {
    /// The entity behind a login, made where it is the first. The alias is told what the method
    /// knows, and external groups who is in them. Where nothing is new, nothing is written.
    ///
    /// # Errors
    /// [`Error::Denied`] where the entity is disabled; [`Error::BadRequest`] where the method's
    /// name or metadata cannot be kept.
    pub fn log_in(
        &mut self,
        rng: &dyn Rng,
        now: Timestamp,
        login: Login<'_>,
    ) -> Result<String, Error> {
        super::check_name(login.alias_name)?;
        super::check_metadata("alias", login.alias_metadata)?;
        let found = self.entity_by_alias(login.mount_accessor, login.alias_name)?;
        let Some(entity) = found else {
            let entity = first(rng, now, login);
            self.put_entity(None, &entity)?;
            self.refresh_groups(&entity.id, login.mount_accessor, login.group_aliases)?;
            return Ok(entity.id);
        };
        if entity.disabled {
            return Err(Error::Denied);
        }
        let is_it = |alias: &&Alias| alias.bond() == bond(login.mount_accessor, login.alias_name);
        let known = entity.aliases.iter().find(is_it);
        if known.is_some_and(|alias| alias.metadata != *login.alias_metadata) {
            let mut changed = Entity::clone(&entity);
            for alias in changed.aliases.iter_mut().filter(|alias| is_it(&&**alias)) {
                alias.metadata.clone_from(login.alias_metadata);
                alias.updated = now;
            }
            self.put_entity(Some(&entity), &changed)?;
        }
        self.refresh_groups(&entity.id, login.mount_accessor, login.group_aliases)?;
        Ok(entity.id.clone())
    }

    /// Adds to what a reply tells of a token what its entity brings: `policies` is both together.
    ///
    /// # Errors
    /// [`Error::Denied`] where the entity is disabled or gone.
    pub fn tell(&mut self, auth: &mut Auth) -> Result<(), Error> {
        auth.policies.clone_from(&auth.token_policies);
        if auth.entity_id.is_empty() {
            return Ok(());
        }
        let who = self.who(&auth.entity_id, None)?;
        let who = who.filter(|who| !who.entity.disabled).ok_or(Error::Denied)?;
        auth.policies = who.with(&auth.token_policies);
        auth.identity_policies.clone_from(&who.policies);
        Ok(())
    }

    /// Lets an entity be in just those external groups of a mount that the method names: at
    /// login, and at the renewal of a token where the method knows them then.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub fn refresh_groups(
        &mut self,
        entity: &str,
        mount_accessor: &str,
        names: &[String],
    ) -> Result<(), Error> {
        let Some(whose) = self.entity(entity)? else { return Ok(()) };
        let mut wanted = BTreeMap::new();
        for name in names.iter().collect::<BTreeSet<_>>() {
            if let Some(group) = self.group_by_alias(mount_accessor, name)? {
                let bond = bond(mount_accessor, name);
                if is_bound(&whose, &group, &bond) {
                    wanted.insert(group.id.clone(), bond);
                }
            }
        }
        let membership = self.membership(entity)?.as_deref().cloned().unwrap_or_default();
        let of_mount = format!("{mount_accessor}/");
        for (group, bond) in &membership.groups {
            if bond.starts_with(&of_mount) && wanted.get(group) != Some(bond) {
                self.leave(entity, group)?;
            }
        }
        for (group, bond) in &wanted {
            if membership.groups.get(group) != Some(bond) {
                self.join(entity, group, bond)?;
            }
        }
        Ok(())
    }
}

fn first(rng: &dyn Rng, now: Timestamp, login: Login<'_>) -> Entity {
    let alias = Alias {
        id: rng.uuid(),
        name: login.alias_name.to_owned(),
        mount_accessor: login.mount_accessor.to_owned(),
        metadata: login.alias_metadata.clone(),
        local: login.local,
        created: now,
        updated: now,
        ..Alias::default()
    };
    Entity { aliases: vec![alias], ..IdentityStore::new_entity(rng, now) }
}
