//! Tokens of several namespaces: which a token is of, and how those of one name those of another.
//!
//! A token is stored in its namespace, under a bare name. One namespace names another's tokens
//! with `@` and that one's home (see [`Scope::home`]): a parent of a namespace above, a child of
//! one below. A bare name is always of the namespace whose store is asked.

use super::store::TokenStore;
use crate::namespace::{self, Own};
use crate::request::Error;
use crate::secret::Secret;
use crate::txn::Scope;

impl TokenStore<'_, '_> {
    /// Goes to the namespace that a name is of.
    pub(super) fn at<R>(
        &mut self,
        name: &str,
        then: impl FnOnce(&mut TokenStore<'_, '_>, &str) -> Result<R, Error>,
    ) -> Result<R, Error> {
        match name.split_once(SEPARATOR) {
            None => then(&mut TokenStore { scope: self.scope }, name),
            Some((bare, home)) => {
                self.scope.core_of(home, |core| then(&mut TokenStore { scope: core }, bare))
            }
        }
    }

    /// The namespace whose store this is, see [`Scope::home`].
    pub fn home(&self) -> &str {
        self.scope.home()
    }

    /// What another namespace keeps that belongs to no mount.
    ///
    /// # Errors
    /// What `then` says.
    pub fn in_namespace<R>(
        &mut self,
        home: &str,
        then: impl FnOnce(&mut Scope<'_>) -> Result<R, Error>,
    ) -> Result<R, Error> {
        self.scope.core_of(home, then)
    }

    /// How a parent lists a token of this namespace.
    pub(super) fn as_child_of(&self, parent: &str, name: &str) -> String {
        let home = if is_foreign(parent) { self.scope.home() } else { "" };
        if home.is_empty() { name.to_owned() } else { format!("{name}{SEPARATOR}{home}") }
    }
}

/// Of another namespace than the one that names it.
pub(super) fn is_foreign(name: &str) -> bool {
    name.contains(SEPARATOR)
}

/// A bare name of the namespace `home`, as the namespace `from` names it.
pub fn seen_from(from: &str, home: &str, bare: &str) -> String {
    if from == home { bare.to_owned() } else { format!("{bare}{SEPARATOR}{home}") }
}

/// The home of a token, by its name as the namespace `from` names it.
pub fn of_name(from: &str, name: &str) -> String {
    name.split_once(SEPARATOR).map_or(from, |(_, home)| home).to_owned()
}

/// What a token names, as whoever names that token would name it.
pub fn below(token: &str, named: &str) -> String {
    match token.split_once(SEPARATOR) {
        Some((_, home)) if !named.is_empty() && !is_foreign(named) => {
            format!("{named}{SEPARATOR}{home}")
        }
        _ => named.to_owned(),
    }
}

/// The namespace of a token, by what the token ends in. `None` where it is being deleted.
///
/// # Errors
/// Where the store cannot be read.
pub(super) fn of_token(
    scope: &mut Scope<'_>,
    token: &Secret<String>,
) -> Result<Option<String>, Error> {
    let Some(id) = namespace::id_in_token(token.expose()) else {
        return Ok(Some(ROOT.to_owned()));
    };
    let known = scope.core_of(ROOT, |core| namespace::known(core, id))?;
    Ok(match known {
        Some(known) => (!known.tainted).then(|| known.uuid.clone()),
        // Whoever chose a token of the root namespace may have chosen such an end.
        None => Some(ROOT.to_owned()),
    })
}

/// What tokens of this namespace end in; nothing in the root namespace.
///
/// # Errors
/// Where the store cannot be read.
pub(super) fn suffix(scope: &mut Scope<'_>) -> Result<String, Error> {
    if matches!(scope.home(), "" | ROOT) {
        return Ok(String::new());
    }
    Ok(format!(".{}", Own::of(scope)?.id))
}

const SEPARATOR: char = '@';

const ROOT: &str = "root";
