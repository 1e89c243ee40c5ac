use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{batch, home};
use crate::clock::Timestamp;
use crate::crypto::sha256;
use crate::expiry::{Expiry, Filing, minute_after};
use crate::identity::IdentityStore;
use crate::lease::{LeaseStore, PrefixMark, PrefixMarks};
use crate::request::{Error, Params, TokenType};
use crate::rng::Rng;
use crate::secret::Secret;
use crate::text::hex;
use crate::txn::{Page, Scope};

/// What is kept of a service token. The token itself is not: only a digest of it, as a name.
/// A batch token is such an entry, sealed.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct TokenEntry {
    pub accessor: String,
    pub policies: Vec<String>,
    /// The storage name of the token that made this one; empty for an orphan.
    pub parent: String,
    /// Of a batch token: its parent's accessor, so that it does not stand on another token that
    /// was given the same id later. What is stored need not say so: it goes before the name is
    /// free.
    pub parent_accessor: String,
    /// Ancestors, at most.
    pub depth: u32,
    /// The path of the request that made it, such as `auth/token/create`.
    pub path: String,
    pub meta: BTreeMap<String, String>,
    pub display_name: String,
    /// Uses left; 0: without limit, -1: the last one is under way.
    pub num_uses: i64,
    pub created: Timestamp,
    /// Seconds, as of creation; 0: never expires.
    pub ttl: u64,
    /// Seconds, as of the last renewal; 0: none yet.
    pub ttl_renewed: u64,
    /// Seconds.
    pub explicit_max_ttl: u64,
    /// Seconds.
    pub period: u64,
    pub expires: Option<Timestamp>,
    /// The minute under which its expiry is filed; 0: it is not.
    pub filed: u64,
    pub last_renewal: Option<Timestamp>,
    pub renewable: bool,
    pub token_type: TokenType,
    pub entity_id: String,
    /// What the entity may do beyond the token's own policies, it may not do with this token.
    pub no_identity_policies: bool,
    pub bound_cidrs: Vec<String>,
    pub role: String,
    /// Of the auth method that made it; empty for what another token made.
    pub mount_accessor: String,
    /// Of the mount among whose leases it is, where no auth method made it; empty: of none.
    pub lease_mount: String,
    /// Which lease-count quota of a path or a role counts it; empty: none.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub quota: String,
    /// What the auth method that made it is shown again at a renewal.
    #[serde(skip_serializing_if = "Params::is_empty")]
    pub internal: Params,
    /// Good for nothing any more; what hangs on it is being worked off.
    pub revoked: Option<Revoked>,
}

/// What becomes of the children of a revoked token.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Revoked {
    /// They are revoked too.
    WithChildren,
    /// They become orphans.
    Alone,
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
    pub(super) scope: &'s mut Scope<'t>,
}

impl<'s, 't> TokenStore<'s, 't> {
    pub fn new(scope: &'s mut Scope<'t>) -> Self {
        Self { scope }
    }

    /// The transaction's time.
    pub fn now(&self) -> Timestamp {
        self.scope.now()
    }

    /// `None` for a token that is unknown, expired or revoked, itself or one it stands on, or
    /// whose last use is under way.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub fn lookup(
        &mut self,
        token: &Secret<String>,
        now: Timestamp,
    ) -> Result<Option<(String, Arc<TokenEntry>)>, Error> {
        let Some((name, entry)) = self.find(token)? else {
            return Ok(None);
        };
        let is_live = self.at(&name, |store, _| store.is_live(&entry, now))?;
        Ok(is_live.then_some((name, entry)))
    }

    /// As [`Self::lookup`], but for tokens that are good for nothing any more too.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub fn find(
        &mut self,
        token: &Secret<String>,
    ) -> Result<Option<(String, Arc<TokenEntry>)>, Error> {
        let Some(home) = home::of_token(self.scope, token)? else {
            return Ok(None);
        };
        let name = home::seen_from(self.scope.home(), &home, &storage_name(token));
        let entry = if batch::is_batch(token) {
            batch::open(self.scope, &home, token).map(Arc::new)
        } else {
            self.get(&name)?
        };
        Ok(entry.map(|entry| (name, entry)))
    }

    /// Whether a token may be used: neither it nor any token above it has ended. Because the
    /// chain is walked each time, one write at its top ends all that hang on it, whenever their
    /// own records go; and because each step is one revision compared, that costs little.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub fn is_live(&mut self, entry: &TokenEntry, now: Timestamp) -> Result<bool, Error> {
        // Usually there are none: one look at a directory.
        let marks = PrefixMarks::new(self.scope).all()?;
        let is_revoked = |entry: &TokenEntry| {
            let covers = |mark: &Arc<PrefixMark>| mark.covers(&entry.path, entry.created);
            entry.leased_by().is_some() && marks.iter().any(covers)
        };
        if !entry.is_valid(now) || is_revoked(entry) || self.is_of_disabled_mount(entry)? {
            return Ok(false);
        }
        let mut parent = entry.parent.clone();
        for _ in 0..=DEPTH_MAX {
            if parent.is_empty() {
                return Ok(true);
            }
            if home::is_foreign(&parent) {
                let is_batch = entry.token_type == TokenType::Batch && parent == entry.parent;
                let accessor = is_batch.then_some(entry.parent_accessor.as_str());
                return self.at(&parent, |store, name| store.bears(name, accessor, now));
            }
            let Some(above) = self.get(&parent)? else {
                return Ok(false);
            };
            if entry.token_type == TokenType::Batch
                && parent == entry.parent
                && above.accessor != entry.parent_accessor
            {
                return Ok(false);
            }
            if above.revoked == Some(Revoked::Alone) {
                return Ok(true);
            }
            if !above.is_valid(now) || is_revoked(&above) || self.is_of_disabled_mount(&above)? {
                return Ok(false);
            }
            parent.clone_from(&above.parent);
        }
        Ok(false)
    }

    /// Whether a token of a namespace below may stand on this one. Its entity is not that token's,
    /// which is in another namespace: what it may no longer do, whoever it made must not either.
    /// `accessor`: what it must have, where a batch token stands on it.
    fn bears(&mut self, name: &str, accessor: Option<&str>, now: Timestamp) -> Result<bool, Error> {
        let Some(entry) = self.get(name)? else {
            return Ok(false);
        };
        if accessor.is_some_and(|accessor| accessor != entry.accessor) {
            return Ok(false);
        }
        if entry.revoked == Some(Revoked::Alone) {
            return Ok(true);
        }
        if !entry.entity_id.is_empty() {
            let who = IdentityStore::new(self.scope).who(&entry.entity_id, None)?;
            if who.is_none_or(|who| who.entity.disabled) {
                return Ok(false);
            }
        }
        self.is_live(&entry, now)
    }

    /// The record of a service token, whatever its state.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub fn get(&mut self, name: &str) -> Result<Option<Arc<TokenEntry>>, Error> {
        self.at(name, |store, name| store.scope.get_shared(&id_key(name)))
    }

    /// # Errors
    /// Where the store cannot be read.
    pub fn by_accessor(
        &mut self,
        accessor: &str,
        now: Timestamp,
    ) -> Result<Option<(String, Arc<TokenEntry>)>, Error> {
        if accessor.is_empty() || accessor.contains('/') || accessor.starts_with('.') {
            return Ok(None);
        }
        let Some(name) = self.scope.get::<String>(&accessor_key(accessor))? else {
            return Ok(None);
        };
        match self.get(&name)? {
            Some(entry) if self.is_live(&entry, now)? => Ok(Some((name, entry))),
            _ => Ok(None),
        }
    }

    /// # Errors
    /// Where the store cannot be read.
    pub fn accessors(&mut self) -> Result<Vec<String>, Error> {
        self.scope.list(ACCESSORS)
    }

    /// Some of them, in an order of the store's own.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub(super) fn accessors_after(
        &mut self,
        after: Option<&str>,
        accessors_max: usize,
    ) -> Result<Page, Error> {
        self.scope.page(ACCESSORS, after, accessors_max)
    }

    /// Stores a new token and returns it with its entry, the accessor filled in. Of a batch
    /// token nothing is stored.
    ///
    /// # Errors
    /// [`Error::BadRequest`] where the chosen id is taken, or the token stands on too many.
    pub fn create(
        &mut self,
        rng: &dyn Rng,
        now: Timestamp,
        new: NewToken,
    ) -> Result<(Secret<String>, TokenEntry), Error> {
        let NewToken { mut entry, id } = new;
        entry.created = now;
        if entry.ttl > 0 {
            entry.expires = Some(now.plus(Duration::from_secs(entry.ttl)));
        }
        if !entry.parent.is_empty() {
            let parent = self.get(&entry.parent)?.ok_or(Error::Denied)?;
            entry.depth = parent.depth + 1;
            if entry.token_type == TokenType::Batch {
                entry.parent_accessor.clone_from(&parent.accessor);
            }
            if entry.depth > DEPTH_MAX {
                return Err(Error::BadRequest(format!(
                    "this token has {DEPTH_MAX} ancestors: it cannot create more tokens"
                )));
            }
        }
        let suffix = home::suffix(self.scope)?;
        if entry.token_type == TokenType::Batch {
            let token = batch::seal(self.scope, rng, &entry, &suffix)?;
            return Ok((token, entry));
        }
        let drawn = || Secret::new(format!("hvs.{}{suffix}", rng.base62(DRAWN_LENGTH)));
        let token = id.unwrap_or_else(drawn);
        let name = storage_name(&token);
        if self.get(&name)?.is_some() {
            return Err(Error::bad_request("cannot create a token with a duplicate ID"));
        }
        entry.accessor = format!("{}{suffix}", rng.base62(DRAWN_LENGTH));
        self.file(&name, &mut entry)?;
        self.scope.put(&accessor_key(&entry.accessor), &name)?;
        if !entry.parent.is_empty() {
            let child = self.as_child_of(&entry.parent, &name);
            self.at(&entry.parent, |store, parent| {
                store.scope.put(&child_key(parent, &child), &())
            })?;
        }
        if let Some(mount) = entry.leased_by() {
            LeaseStore::new(self.scope).note_token(mount, &entry.path, &name)?;
        }
        self.update(&name, &entry)?;
        Ok((token, entry))
    }

    /// A lease-count quota counts a token from now on, which it marks. What has no record, such as
    /// a batch token, is not counted.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub fn count_for(&mut self, accessor: &str, mark: &str, now: Timestamp) -> Result<(), Error> {
        let Some((name, entry)) = self.by_accessor(accessor, now)? else {
            return Ok(());
        };
        let entry = TokenEntry { quota: mark.to_owned(), ..TokenEntry::clone(&entry) };
        if let Some(mount) = entry.leased_by() {
            let id = format!("{}/{name}", entry.path);
            LeaseStore::new(self.scope).mark(mark, mount, &id)?;
            self.update(&name, &entry)?;
        }
        Ok(())
    }

    /// Lets a token live until `ttl` seconds from now. Its filing stays where it is unless that
    /// would be too late: it is filed again when its turn comes.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub fn extend(
        &mut self,
        name: &str,
        entry: &TokenEntry,
        ttl: u64,
        now: Timestamp,
    ) -> Result<TokenEntry, Error> {
        self.at(name, |store, name| store.extend_own(name, entry, ttl, now))
    }

    fn extend_own(
        &mut self,
        name: &str,
        entry: &TokenEntry,
        ttl: u64,
        now: Timestamp,
    ) -> Result<TokenEntry, Error> {
        let mut entry = entry.clone();
        let expires = now.plus(Duration::from_secs(ttl));
        entry.ttl_renewed = ttl;
        entry.expires = Some(expires);
        entry.last_renewal = Some(now);
        if entry.filed == 0 || minute_after(expires) < entry.filed {
            self.file(name, &mut entry)?;
        }
        self.update(name, &entry)?;
        Ok(entry)
    }

    /// # Errors
    /// Where the entry cannot be serialized.
    pub fn update(&mut self, name: &str, entry: &TokenEntry) -> Result<(), Error> {
        self.at(name, |store, name| store.scope.put(&id_key(name), entry))
    }

    /// From now on no token that this auth mount has made is good for anything. The mark stays:
    /// its batch tokens, of which nothing is stored, are still around.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub fn disable_mount(&mut self, mount_accessor: &str) -> Result<(), Error> {
        self.scope.put(&disabled_key(mount_accessor), &())
    }

    /// Whether [`Self::disable_mount`] has marked it.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub fn is_disabled(&mut self, mount_accessor: &str) -> Result<bool, Error> {
        Ok(self.scope.get_shared::<()>(&disabled_key(mount_accessor))?.is_some())
    }

    fn is_of_disabled_mount(&mut self, entry: &TokenEntry) -> Result<bool, Error> {
        if entry.mount_accessor.is_empty() {
            return Ok(false);
        }
        self.is_disabled(&entry.mount_accessor)
    }

    /// Files the expiry, once: an older filing is taken away.
    fn file(&mut self, name: &str, entry: &mut TokenEntry) -> Result<(), Error> {
        let id = expiry_id(name);
        let mut expiry = Expiry::new(self.scope);
        if entry.filed > 0 {
            expiry.unfile(&id, entry.filed)?;
        }
        entry.filed = match entry.expires {
            Some(expires) => expiry.file(&id, expires, Filing::default())?,
            None => 0,
        };
        Ok(())
    }
}

impl TokenEntry {
    pub fn is_root(&self) -> bool {
        self.policies.iter().any(|policy| policy == "root")
    }

    /// The mount among whose leases it is, by accessor.
    pub fn leased_by(&self) -> Option<&str> {
        let by = [&self.lease_mount, &self.mount_accessor].into_iter().find(|by| !by.is_empty())?;
        (self.token_type == TokenType::Service).then_some(by)
    }

    pub fn is_orphan(&self) -> bool {
        self.parent.is_empty()
    }

    /// Neither expired, nor used up, nor revoked; what it stands on is not asked.
    pub fn is_valid(&self, now: Timestamp) -> bool {
        self.revoked.is_none()
            && self.num_uses >= 0
            && self.expires.is_none_or(|expires| now < expires)
    }

    /// Seconds left, rounded; 0 where it never expires.
    pub fn ttl_left(&self, now: Timestamp) -> u64 {
        self.expires.map_or(0, |expires| (expires.0.saturating_sub(now.0) + 500) / 1000)
    }
}

/// Under which a token is stored: `h`, then 64 hexadecimal digits of SHA-256. Tokens that are
/// drawn hold 142 bits that nobody can guess, so no salt is needed to hide them; names are
/// encrypted and hashed with a key below the barrier.
pub fn storage_name(token: &Secret<String>) -> String {
    format!("h{}", hex(&sha256(&[token.expose().as_bytes()])))
}

pub(super) fn id_key(name: &str) -> String {
    format!("token/id/{name}")
}

pub(super) fn accessor_key(accessor: &str) -> String {
    format!("{ACCESSORS}/{accessor}")
}

pub(super) fn children_directory(parent: &str) -> String {
    format!("token/parent/{parent}")
}

pub(super) fn child_key(parent: &str, name: &str) -> String {
    format!("{}/{}/{name}", children_directory(parent), bucket(name))
}

pub(super) fn expiry_id(name: &str) -> String {
    format!("{EXPIRY_KIND}{name}")
}

fn disabled_key(mount_accessor: &str) -> String {
    format!("token/disabled-mount/{mount_accessor}")
}

/// Children may be a million: 256 directories keep each listing short.
fn bucket(name: &str) -> &str {
    name.get(1..3).unwrap_or_default()
}

const ACCESSORS: &str = "token/accessor";

/// What the filings of tokens begin with.
pub const EXPIRY_KIND: &str = "token.";

/// Of tokens and accessors: 142 bits.
const DRAWN_LENGTH: usize = 24;

/// Each use of a token looks at all its ancestors.
const DEPTH_MAX: u32 = 256;
