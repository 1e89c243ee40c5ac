//! What is stored, one record each, and where.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::crypto::sha256;

/// Someone, or something, that logs in by one auth method or several.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub struct Entity {
    pub id: String,
    /// Unique without regard to case.
    pub name: String,
    pub metadata: BTreeMap<String, String>,
    /// On top of what each token has.
    pub policies: Vec<String>,
    /// Its tokens are refused.
    pub disabled: bool,
    pub created: Timestamp,
    pub updated: Timestamp,
    /// The ids of those that were merged into it: tokens still name them.
    pub merged: Vec<String>,
    pub aliases: Vec<Alias>,
}

/// The name by which the mount of an auth method knows an entity, or a group.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub struct Alias {
    pub id: String,
    /// Unique in its mount, without regard to case.
    pub name: String,
    pub mount_accessor: String,
    /// Of the auth method.
    pub metadata: BTreeMap<String, String>,
    /// Of whoever administers.
    pub custom_metadata: BTreeMap<String, String>,
    pub local: bool,
    pub created: Timestamp,
    pub updated: Timestamp,
    /// The ids of the entities that had it before a merge.
    pub merged_from: Vec<String>,
}

impl Alias {
    /// What bonds an entity to an external group, as long as the group's alias is this one.
    pub fn bond(&self) -> String {
        bond(&self.mount_accessor, &self.name)
    }
}

pub(super) fn bond(mount_accessor: &str, name: &str) -> String {
    format!("{mount_accessor}/{}", name.to_lowercase())
}

/// Who says which entities are in a group.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum GroupKind {
    /// Whoever administers.
    #[default]
    Internal,
    /// An auth method, at each login and renewal.
    External,
}

impl GroupKind {
    pub fn name(self) -> &'static str {
        match self {
            Self::Internal => "internal",
            Self::External => "external",
        }
    }
}

/// Entities and groups that share policies. The member entities are records of their own: a
/// login that joins a group of a million does not write the group.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub struct Group {
    pub id: String,
    /// Unique without regard to case.
    pub name: String,
    pub kind: GroupKind,
    pub metadata: BTreeMap<String, String>,
    pub policies: Vec<String>,
    /// The groups in it.
    pub groups: BTreeSet<String>,
    /// The groups that it is in: the other side of [`Self::groups`].
    pub parents: BTreeSet<String>,
    /// Of an external group alone.
    pub alias: Option<Alias>,
    pub created: Timestamp,
    pub updated: Timestamp,
    /// Raised by each change.
    pub modify_index: u64,
}

/// The groups that an entity is in itself.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(transparent)]
pub(super) struct Membership {
    /// By the group's id: empty where it is internal, else the [`Alias::bond`] of its alias when
    /// the entity joined. A bond to an alias that the group no longer has is void.
    pub groups: BTreeMap<String, String>,
}

/// Where an alias leads.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct AliasRef {
    /// The alias itself.
    pub id: String,
    /// The entity or group that has it.
    pub owner: String,
}

pub(super) const ENTITIES: &str = "identity/entity";
pub(super) const ENTITY_NAMES: &str = "identity/entity-name";
pub(super) const ALIAS_IDS: &str = "identity/alias-id";
pub(super) const GROUPS: &str = "identity/group";
pub(super) const GROUP_NAMES: &str = "identity/group-name";
pub(super) const GROUP_ALIAS_IDS: &str = "identity/group-alias-id";

/// `None` where the text cannot be an id of ours: it would name another record.
pub(super) fn entity_key(id: &str) -> Option<String> {
    is_id(id).then(|| format!("{ENTITIES}/{id}"))
}

pub(super) fn entity_name_key(name: &str) -> String {
    format!("{ENTITY_NAMES}/{}", escaped(name))
}

/// Which entity took the place of one that was merged into it.
pub(super) fn merged_key(id: &str) -> String {
    format!("identity/merged/{id}")
}

pub(super) fn alias_id_key(id: &str) -> Option<String> {
    is_id(id).then(|| format!("{ALIAS_IDS}/{id}"))
}

pub(super) fn aliases_directory(mount_accessor: &str) -> String {
    format!("identity/alias-name/{}", escaped(mount_accessor))
}

/// Names are of any length and any letters: a digest names the record.
pub(super) fn alias_name_key(mount_accessor: &str, name: &str) -> String {
    format!("{}/{}", aliases_directory(mount_accessor), digest(name))
}

pub(super) fn group_key(id: &str) -> Option<String> {
    is_id(id).then(|| format!("{GROUPS}/{id}"))
}

pub(super) fn group_name_key(name: &str) -> String {
    format!("{GROUP_NAMES}/{}", escaped(name))
}

pub(super) fn group_alias_id_key(id: &str) -> Option<String> {
    is_id(id).then(|| format!("{GROUP_ALIAS_IDS}/{id}"))
}

pub(super) fn group_aliases_directory(mount_accessor: &str) -> String {
    format!("identity/group-alias-name/{}", escaped(mount_accessor))
}

pub(super) fn group_alias_name_key(mount_accessor: &str, name: &str) -> String {
    format!("{}/{}", group_aliases_directory(mount_accessor), digest(name))
}

pub(super) fn membership_key(entity: &str) -> String {
    format!("identity/membership/{entity}")
}

pub(super) fn members_directory(group: &str) -> String {
    format!("identity/member/{group}")
}

/// A group may have a million members: directories by the first digits keep each listing short.
pub(super) fn member_key(group: &str, entity: &str) -> String {
    let bucket = entity.get(..2).unwrap_or_default();
    format!("{}/{bucket}/{entity}", members_directory(group))
}

/// Ids are UUIDs that were drawn here: nothing else can be the name of a record.
fn is_id(text: &str) -> bool {
    text.len() == 36 && text.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-')
}

/// As one name, without regard to case.
fn escaped(name: &str) -> String {
    let name = crate::text::as_name(&name.to_lowercase());
    // A name of dots alone would be another directory's.
    if name.starts_with('.') { name.replacen('.', "%2E", 1) } else { name }
}

/// In 256 directories, without regard to case.
fn digest(name: &str) -> String {
    let text = crate::text::hex(&sha256(&[name.to_lowercase().as_bytes()]));
    let (bucket, _) = text.split_at(2);
    format!("{bucket}/{text}")
}
