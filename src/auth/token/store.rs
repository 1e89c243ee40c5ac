use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::crypto::sha256;
use crate::request::{Error, TokenType};
use crate::rng::Rng;
use crate::secret::Secret;
use crate::txn::Scope;

/// What is kept of a service token. The token itself is not: only a digest of it, as a name.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct TokenEntry {
    pub accessor: String,
    pub policies: Vec<String>,
    /// The storage name of the token that made this one; empty for an orphan.
    pub parent: String,
    /// The path of the request that made it, such as `auth/token/create`.
    pub path: String,
    pub meta: BTreeMap<String, String>,
    pub display_name: String,
    /// Uses left; 0: without limit, -1: the last one is under way.
    pub num_uses: i64,
    pub created: Timestamp,
    /// Seconds, as of creation or the last renewal; 0: never expires.
    pub ttl: u64,
    /// Seconds.
    pub explicit_max_ttl: u64,
    /// Seconds.
    pub period: u64,
    pub expires: Option<Timestamp>,
    pub last_renewal: Option<Timestamp>,
    pub renewable: bool,
    pub token_type: TokenType,
    pub entity_id: String,
    pub bound_cidrs: Vec<String>,
    pub role: String,
    /// Of the auth method that made it; empty for what another token made.
    pub mount_accessor: String,
}

/// What a new token is to be, once all rules have been applied.
#[derive(Debug, Default)]
pub struct NewToken {
    pub entry: TokenEntry,
    /// Chosen by the caller; else it is drawn.
    pub id: Option<Secret<String>>,
}

/// The tokens of one namespace, over its `core/` scope.
pub struct TokenStore<'s, 't> {
    scope: &'s mut Scope<'t>,
}

impl<'s, 't> TokenStore<'s, 't> {
    pub fn new(scope: &'s mut Scope<'t>) -> Self {
        Self { scope }
    }

    /// `None` for a token that is unknown, expired, or whose last use is under way.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub fn lookup(
        &mut self,
        token: &Secret<String>,
        now: Timestamp,
    ) -> Result<Option<(String, Arc<TokenEntry>)>, Error> {
        let name = storage_name(token);
        let entry = self.get(&name)?.filter(|entry| entry.is_valid(now));
        Ok(entry.map(|entry| (name, entry)))
    }

    /// # Errors
    /// Where the store cannot be read.
    pub fn get(&mut self, name: &str) -> Result<Option<Arc<TokenEntry>>, Error> {
        self.scope.get_shared(&id_key(name))
    }

    /// # Errors
    /// Where the store cannot be read.
    pub fn by_accessor(
        &mut self,
        accessor: &str,
    ) -> Result<Option<(String, Arc<TokenEntry>)>, Error> {
        if accessor.is_empty() || accessor.contains('/') {
            return Ok(None);
        }
        let Some(name) = self.scope.get::<String>(&format!("token/accessor/{accessor}"))? else {
            return Ok(None);
        };
        Ok(self.get(&name)?.map(|entry| (name, entry)))
    }

    /// # Errors
    /// Where the store cannot be read.
    pub fn accessors(&mut self) -> Result<Vec<String>, Error> {
        self.scope.list("token/accessor")
    }

    /// Stores a new token and returns it with its entry, the accessor filled in.
    ///
    /// # Errors
    /// [`Error::BadRequest`] where the chosen id is taken.
    pub fn create(
        &mut self,
        rng: &dyn Rng,
        now: Timestamp,
        new: NewToken,
    ) -> Result<(Secret<String>, TokenEntry), Error> {
        let NewToken { mut entry, id } = new;
        let token = id.unwrap_or_else(|| Secret::new(format!("hvs.{}", rng.base62(24))));
        let name = storage_name(&token);
        if self.get(&name)?.is_some() {
            return Err(Error::bad_request("cannot create a token with a duplicate ID"));
        }
        entry.accessor = rng.base62(24);
        entry.created = now;
        if entry.ttl > 0 {
            entry.expires = Some(now.plus(Duration::from_secs(entry.ttl)));
        }
        self.scope.put(&id_key(&name), &entry)?;
        self.scope.put(&format!("token/accessor/{}", entry.accessor), &name)?;
        if !entry.parent.is_empty() {
            self.scope.put(&format!("token/parent/{}/{name}", entry.parent), &())?;
        }
        Ok((token, entry))
    }

    /// Children first, so that none outlives what it stands on. What is not there is no error.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub fn revoke(&mut self, name: &str) -> Result<(), Error> {
        let mut open = vec![name.to_owned()];
        while let Some(name) = open.pop() {
            for child in self.scope.list(&format!("token/parent/{name}"))? {
                self.scope.delete(&format!("token/parent/{name}/{child}"))?;
                open.push(child);
            }
            let Some(entry) = self.get(&name)? else {
                continue;
            };
            self.scope.delete(&id_key(&name))?;
            self.scope.delete(&format!("token/accessor/{}", entry.accessor))?;
            if !entry.parent.is_empty() {
                self.scope.delete(&format!("token/parent/{}/{name}", entry.parent))?;
            }
        }
        Ok(())
    }

    /// # Errors
    /// Where the entry cannot be serialized.
    pub fn update(&mut self, name: &str, entry: &TokenEntry) -> Result<(), Error> {
        self.scope.put(&id_key(name), entry)
    }
}

impl TokenEntry {
    pub fn is_root(&self) -> bool {
        self.policies.iter().any(|policy| policy == "root")
    }

    pub fn is_orphan(&self) -> bool {
        self.parent.is_empty()
    }

    /// Neither expired nor used up.
    pub fn is_valid(&self, now: Timestamp) -> bool {
        self.num_uses >= 0 && self.expires.is_none_or(|expires| now < expires)
    }
}

/// Under which a token is stored: `h`, then 64 hexadecimal digits of SHA-256. Tokens that are
/// drawn hold 142 bits that nobody can guess, so no salt is needed to hide them; names are
/// encrypted and hashed with a key below the barrier.
pub fn storage_name(token: &Secret<String>) -> String {
    let mut name = String::from("h");
    for byte in sha256(&[token.expose().as_bytes()]) {
        name.push_str(&format!("{byte:02x}"));
    }
    name
}

fn id_key(name: &str) -> String {
    format!("token/id/{name}")
}
