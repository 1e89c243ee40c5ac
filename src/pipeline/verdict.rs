//! Whether a request may be, for what is answered outside of the pipeline.

use super::{Asked, Pipeline};
use crate::request::{Error, Reply, Request};

impl Pipeline {
    /// Token and policies alone, audited, for a request that the asking node then runs itself.
    /// The token's use counts here.
    ///
    /// # Errors
    /// As [`Self::handle`].
    pub async fn judge(&self, request: &Request) -> Result<(), Error> {
        self.answer(request, Asked::Verdict, None).await.map(drop)
    }

    /// As [`Self::judge`], in this term alone.
    ///
    /// # Errors
    /// As [`Self::handle`].
    pub async fn judge_in(&self, request: &Request, term: u64) -> Result<(), Error> {
        self.answer(request, Asked::Verdict, Some(term)).await.map(drop)
    }

    /// As [`Self::judge`], in this term alone where one is given; then acts, and audit is told
    /// what came of that, where it was told of the request, whatever the act has done to the
    /// store.
    ///
    /// # Errors
    /// As [`Self::handle`], and what `act` says.
    pub async fn judge_and(
        &self,
        request: &Request,
        term: Option<u64>,
        act: impl Future<Output = Result<Reply, Error>> + Send,
    ) -> Result<Reply, Error> {
        self.answer_after(request, Asked::Verdict, term, act).await
    }
}
