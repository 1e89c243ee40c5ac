//! Repair of what leases are found by. Leases and indices are written and deleted together, so
//! that nothing is to be expected; whoever restores half a store by hand is helped.

use super::store::TokenStore;
use crate::lease::LeaseStore;
use crate::request::Error;

impl TokenStore<'_, '_> {
    /// Looks at some tokens that have leases, after `after`, and ends the leases of those that
    /// are gone. Where the next step is to go on; `None` where there were no more.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub fn tidy_leases(&mut self, after: Option<&str>) -> Result<Option<Option<String>>, Error> {
        let now = self.scope.now();
        let page = LeaseStore::new(self.scope).tokens(after, STEP_TOKENS_MAX)?;
        let mut last = after.map(str::to_owned);
        for name in page.names {
            let token = name.trim_end_matches('/');
            if self.get(token)?.is_none() {
                tracing::warn!("leases of a token that is gone are ended");
                let mut leases = LeaseStore::new(self.scope);
                let (_, is_all) = leases.end_of_token(token, now, STEP_LEASES_MAX)?;
                if !is_all {
                    return Ok(Some(last));
                }
            }
            last = Some(name);
        }
        Ok((!page.is_last).then_some(last))
    }
}

const STEP_TOKENS_MAX: usize = 500;

const STEP_LEASES_MAX: usize = 200;
