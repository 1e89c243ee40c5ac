//! `{{identity.…}}` in the paths of rules.
//!
//! **Invariant:** what an identity's owner may choose (names, metadata) never widens a rule,
//! unless the policy's writer switched that on.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

/// Who makes a request, as far as policies may speak of it.
#[derive(Clone, Debug, Default)]
pub struct Identity {
    pub id: String,
    pub name: String,
    pub metadata: BTreeMap<String, String>,
    /// By the accessor of the mount that knows the entity under it.
    pub aliases: BTreeMap<String, IdentityAlias>,
    /// By id: those that the entity is in, directly or not.
    pub groups: BTreeMap<String, IdentityGroup>,
}

#[derive(Clone, Debug, Default)]
pub struct IdentityAlias {
    pub id: String,
    pub name: String,
    pub metadata: BTreeMap<String, String>,
    pub custom_metadata: BTreeMap<String, String>,
}

#[derive(Clone, Debug, Default)]
pub struct IdentityGroup {
    pub name: String,
    pub metadata: BTreeMap<String, String>,
}

/// What values may contain that templates put into a path. By default none of it: an entity named
/// `*` would otherwise be let in everywhere.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct TemplateLimits {
    /// `allow_wildcards_in_identity_templates`: `*` and `+`.
    pub allow_wildcards: bool,
    /// `allow_slashes_in_identity_templates`.
    pub allow_slashes: bool,
}

/// Whether there is any template in it.
///
/// # Errors
/// Where `{{` and `}}` are not in pairs.
pub(super) fn is_templated(path: &str) -> Result<bool, Unbalanced> {
    Ok(pieces(path)?.iter().any(|piece| matches!(piece, Piece::Reference(_))))
}

/// The references in it that no identity could ever resolve.
pub(super) fn unknown_references(path: &str) -> Vec<&str> {
    let pieces = pieces(path).unwrap_or_default();
    pieces
        .into_iter()
        .filter_map(|piece| match piece {
            Piece::Reference(reference) if Reference::parse(reference).is_none() => Some(reference),
            _ => None,
        })
        .collect()
}

/// `None` where a value is missing, is empty, or has in it what it may not: the rule is dropped.
pub(super) fn resolve(
    path: &str,
    identity: Option<&Identity>,
    limits: TemplateLimits,
) -> Option<String> {
    let mut resolved = String::with_capacity(path.len());
    for piece in pieces(path).ok()? {
        match piece {
            Piece::Literal(text) => resolved.push_str(text),
            Piece::Reference(reference) => {
                let value = Reference::parse(reference)?.value(identity?)?;
                let wild = value.contains(['*', '+']) && !limits.allow_wildcards;
                let slashed = value.contains('/') && !limits.allow_slashes;
                // An empty value would make `secret/{{…}}*` match every secret.
                if value.is_empty() || wild || slashed {
                    return None;
                }
                resolved.push_str(value);
            }
        }
    }
    Some(resolved)
}

#[derive(Debug)]
pub(super) struct Unbalanced;

enum Piece<'a> {
    Literal(&'a str),
    Reference(&'a str),
}

fn pieces(path: &str) -> Result<Vec<Piece<'_>>, Unbalanced> {
    let mut pieces = Vec::new();
    let mut parts = path.split("{{");
    let first = parts.next().unwrap_or_default();
    if first.contains("}}") {
        return Err(Unbalanced);
    }
    pieces.push(Piece::Literal(first));
    for part in parts {
        let (reference, literal) = part.split_once("}}").ok_or(Unbalanced)?;
        if literal.contains("}}") {
            return Err(Unbalanced);
        }
        pieces.push(Piece::Reference(reference.trim()));
        pieces.push(Piece::Literal(literal));
    }
    Ok(pieces)
}

/// What stands after `identity.`.
enum Reference<'a> {
    Entity(Field<'a>),
    Alias { accessor: &'a str, field: Field<'a> },
    GroupById { id: &'a str, field: Field<'a> },
    GroupByName { name: &'a str, field: Field<'a> },
}

#[derive(Clone, Copy)]
enum Field<'a> {
    Id,
    Name,
    Metadata(&'a str),
    CustomMetadata(&'a str),
}

impl<'a> Reference<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let text = text.strip_prefix("identity.")?;
        if let Some(text) = text.strip_prefix("entity.aliases.") {
            let (accessor, field) = text.split_once('.')?;
            return Some(Self::Alias { accessor, field: Field::parse(field)? });
        }
        if let Some(text) = text.strip_prefix("groups.ids.") {
            let (id, field) = text.split_once('.')?;
            return match Field::parse(field)? {
                field @ (Field::Name | Field::Metadata(_)) => Some(Self::GroupById { id, field }),
                Field::Id | Field::CustomMetadata(_) => None,
            };
        }
        if let Some(text) = text.strip_prefix("groups.names.") {
            let (name, field) = text.split_once('.')?;
            return match Field::parse(field)? {
                field @ (Field::Id | Field::Metadata(_)) => Some(Self::GroupByName { name, field }),
                Field::Name | Field::CustomMetadata(_) => None,
            };
        }
        match Field::parse(text.strip_prefix("entity.")?)? {
            Field::CustomMetadata(_) => None,
            field => Some(Self::Entity(field)),
        }
    }

    fn value(self, identity: &'a Identity) -> Option<&'a str> {
        match self {
            Self::Entity(field) => field.of(&identity.id, &identity.name, &identity.metadata, None),
            Self::Alias { accessor, field } => {
                let alias = identity.aliases.get(accessor)?;
                field.of(&alias.id, &alias.name, &alias.metadata, Some(&alias.custom_metadata))
            }
            Self::GroupById { id, field } => {
                let (id, group) = identity.groups.get_key_value(id)?;
                field.of(id, &group.name, &group.metadata, None)
            }
            Self::GroupByName { name, field } => {
                let (id, group) = identity.groups.iter().find(|(_, group)| group.name == name)?;
                field.of(id, &group.name, &group.metadata, None)
            }
        }
    }
}

impl<'a> Field<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        // A metadata key may itself have dots in it.
        match text.split_once('.') {
            None if text == "id" => Some(Self::Id),
            None if text == "name" => Some(Self::Name),
            Some(("metadata", key)) if !key.is_empty() => Some(Self::Metadata(key)),
            Some(("custom_metadata", key)) if !key.is_empty() => Some(Self::CustomMetadata(key)),
            _ => None,
        }
    }

    fn of(
        self,
        id: &'a str,
        name: &'a str,
        metadata: &'a BTreeMap<String, String>,
        custom_metadata: Option<&'a BTreeMap<String, String>>,
    ) -> Option<&'a str> {
        match self {
            Self::Id => Some(id),
            Self::Name => Some(name),
            Self::Metadata(key) => metadata.get(key).map(String::as_str),
            Self::CustomMetadata(key) => custom_metadata?.get(key).map(String::as_str),
        }
    }
}
