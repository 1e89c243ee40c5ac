//! Wrapping tokens: each is good for one use, and keeps one answer in its cubbyhole.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::store::{NewToken, TokenEntry, TokenStore};
use crate::clock::Timestamp;
use crate::policy::RESPONSE_WRAPPING;
use crate::request::Error;
use crate::rng::Rng;
use crate::secret::Secret;

/// An answer as its client would have got it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Wrapped {
    pub content: Bytes,
    pub content_type: String,
    /// Where the answer named its own.
    pub status: Option<u16>,
    pub ttl: Duration,
    pub creation_time: Timestamp,
    /// Of the request whose answer it is, however often it was wrapped again.
    pub creation_path: String,
    /// Of the token in the answer, or of its secret id.
    pub wrapped_accessor: Option<String>,
}

/// What lies beside the answer, for `sys/wrapping/lookup`.
#[derive(Deserialize, Serialize)]
struct Info {
    /// Seconds.
    creation_ttl: u64,
    creation_time: Timestamp,
    creation_path: String,
    content_type: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    wrapped_accessor: Option<String>,
    /// The answer is no text: it is kept in base64.
    #[serde(default)]
    is_encoded: bool,
}

/// As the owner of the wrapping token may read it too, at `cubbyhole/response`.
#[derive(Deserialize, Serialize)]
struct Response {
    response: String,
}

impl TokenStore<'_, '_> {
    /// A new wrapping token with this in its cubbyhole, made by a request for `path`. What is
    /// left of a second counts as one.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub fn wrap(
        &mut self,
        rng: &dyn Rng,
        path: &str,
        wrapped: &Wrapped,
    ) -> Result<(Secret<String>, TokenEntry), Error> {
        let ttl = wrapped.ttl.as_secs() + u64::from(wrapped.ttl.subsec_nanos() > 0);
        let entry = TokenEntry {
            policies: vec![RESPONSE_WRAPPING.into()],
            path: path.to_owned(),
            display_name: "token".into(),
            num_uses: 1,
            ttl,
            explicit_max_ttl: ttl,
            ..TokenEntry::default()
        };
        let new = NewToken { entry, id: None };
        let (token, entry) = self.create(rng, wrapped.creation_time, new)?;
        let text = std::str::from_utf8(&wrapped.content);
        let info = Info {
            creation_ttl: ttl,
            creation_time: wrapped.creation_time,
            creation_path: wrapped.creation_path.clone(),
            content_type: wrapped.content_type.clone(),
            status: wrapped.status,
            wrapped_accessor: wrapped.wrapped_accessor.clone(),
            is_encoded: text.is_err(),
        };
        let response = text.map_or_else(|_| STANDARD.encode(&wrapped.content), str::to_owned);
        let name = super::storage_name(&token);
        self.scope.put(&response_key(&name), &Response { response })?;
        self.scope.put(&info_key(&name), &info)?;
        Ok((token, entry))
    }

    /// The record of a wrapping token, and under which name it is stored; `None` where there is
    /// no such token, or it is another kind of token.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub fn wrapping_token(
        &mut self,
        token: &Secret<String>,
        now: Timestamp,
    ) -> Result<Option<(String, Arc<TokenEntry>)>, Error> {
        Ok(self.lookup(token, now)?.filter(|(_, entry)| entry.is_wrapping()))
    }

    /// What a wrapping token holds. `None` where it holds nothing any more.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub fn wrapped(&mut self, name: &str) -> Result<Option<Wrapped>, Error> {
        self.at(name, |store, name| store.wrapped_own(name))
    }

    fn wrapped_own(&mut self, name: &str) -> Result<Option<Wrapped>, Error> {
        let (Some(info), Some(kept)) = (
            self.scope.get::<Info>(&info_key(name))?,
            self.scope.get::<Response>(&response_key(name))?,
        ) else {
            return Ok(None);
        };
        let content = if info.is_encoded {
            STANDARD.decode(&kept.response).map_err(Error::internal)?.into()
        } else {
            kept.response.into()
        };
        Ok(Some(Wrapped {
            content,
            content_type: info.content_type,
            status: info.status,
            ttl: Duration::from_secs(info.creation_ttl),
            creation_time: info.creation_time,
            creation_path: info.creation_path,
            wrapped_accessor: info.wrapped_accessor,
        }))
    }
}

impl TokenEntry {
    pub fn is_wrapping(&self) -> bool {
        matches!(self.policies.as_slice(), [only] if only == RESPONSE_WRAPPING)
    }
}

fn response_key(name: &str) -> String {
    format!("cubbyhole/{name}/response")
}

/// No policy of the token lets its owner read it.
fn info_key(name: &str) -> String {
    format!("cubbyhole/{name}/wrapinfo")
}
