//! Repair of indices that point to nothing. Entry and indices are written and deleted together,
//! so that none is to be expected; whoever restores half a store by hand is helped.

use std::sync::Arc;

use super::store::{TokenEntry, TokenStore, accessor_key};
use crate::framework::{Call, NoParams, Route};
use crate::job::{Job, JobKind};
use crate::request::{Error, Reply};

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::new("tidy", "Look for indices that point to no token, and take them away.")
            .write(tidy),
    ]
}

async fn tidy(call: &mut Call<'_>, _: NoParams) -> Result<Reply, Error> {
    let job = Job { kind: JobKind::TidyTokens { after: String::new() } };
    job.file(JOB, &mut call.storage)?;
    let reply = Reply::default().warn(
        "Tidy operation successfully started. Any information from the operation will be printed \
         to the server's logs.",
    );
    Ok(Reply { status: Some(202), ..reply })
}

impl TokenStore<'_, '_> {
    /// Looks at some accessors after `after`, and takes away those that lead to no token. Returns
    /// the last that it looked at; `None` where there were no more.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub fn tidy(&mut self, after: &str) -> Result<Option<String>, Error> {
        let after = (!after.is_empty()).then_some(after);
        let page = self.accessors_after(after, STEP_TOKENS_MAX)?;
        let mut last = None;
        for accessor in page.names {
            let key = accessor_key(&accessor);
            let name: Option<String> = self.scope.get(&key)?;
            let entry: Option<Arc<TokenEntry>> = match &name {
                Some(name) => self.get(name)?,
                None => None,
            };
            if entry.is_none_or(|entry| entry.accessor != accessor) {
                tracing::warn!("an accessor that led to no token is taken away");
                self.scope.delete(&key)?;
            }
            last = Some(accessor);
        }
        Ok(last.filter(|_| !page.is_last))
    }
}

/// Two of them are one.
pub(super) const JOB: &str = "tidy-tokens";

const STEP_TOKENS_MAX: usize = 1000;
