//! Request bodies, bounded in size, time and, all of them together, in memory.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use futures_util::stream::{self, BoxStream};
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Incoming};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::status::Refusal;
use crate::request::Error;

/// A body that is no parameters, read by the handler itself.
pub struct Upload {
    chunks: BoxStream<'static, io::Result<Bytes>>,
}

impl Upload {
    /// The next piece; `None` at the end.
    ///
    /// # Errors
    /// The client left, or sent nothing for the listener's body timeout.
    pub async fn chunk(&mut self) -> io::Result<Option<Bytes>> {
        self.chunks.next().await.transpose()
    }

    /// For requests that come from elsewhere than HTTP, such as another node.
    pub fn new(chunks: BoxStream<'static, io::Result<Bytes>>) -> Self {
        Self { chunks }
    }

    /// As [`Self::chunk`] gives them, one after the other.
    pub fn into_chunks(self) -> BoxStream<'static, io::Result<Bytes>> {
        self.chunks
    }

    pub(super) fn whole(bytes: Bytes) -> Self {
        Self::new(stream::iter([Ok(bytes)]).boxed())
    }

    pub(super) fn streamed(body: Incoming, chunk_timeout: Option<Duration>) -> Self {
        let chunks = stream::unfold(Some(body), move |body| async move {
            let mut body = body?;
            loop {
                match next(&mut body, chunk_timeout).await {
                    Ok(Some(bytes)) if bytes.is_empty() => {}
                    Ok(Some(bytes)) => return Some((Ok(bytes), Some(body))),
                    Ok(None) => return None,
                    Err(error) => return Some((Err(error), None)),
                }
            }
        });
        Self::new(chunks.boxed())
    }
}

impl fmt::Debug for Upload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Upload(..)")
    }
}

/// Memory that all bodies of a listener may take together.
#[derive(Clone)]
pub(super) struct Budget(Arc<Semaphore>);

/// Gives back its part of the [`Budget`] when dropped.
pub(super) type Share = Option<OwnedSemaphorePermit>;

impl Budget {
    pub(super) fn new(bytes: u64) -> Self {
        let units = usize::try_from(bytes / UNIT_BYTES).unwrap_or(Semaphore::MAX_PERMITS);
        Self(Arc::new(Semaphore::new(units.clamp(1, Semaphore::MAX_PERMITS))))
    }

    /// Enlarges `share` to `bytes` at least.
    pub(super) fn grow(&self, share: &mut Share, bytes: usize) -> Result<(), Refusal> {
        let held = share.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        let wanted = bytes.div_ceil(UNIT_BYTES as usize);
        let more = u32::try_from(wanted.saturating_sub(held)).unwrap_or(u32::MAX);
        if more == 0 {
            return Ok(());
        }
        let Ok(permit) = Arc::clone(&self.0).try_acquire_many_owned(more) else {
            let text = "too many request bodies are being read; try again";
            return Err(Refusal::from(Error::Unavailable(text.to_owned())).closing());
        };
        match share {
            Some(share) => share.merge(permit),
            None => *share = Some(permit),
        }
        Ok(())
    }
}

/// What a body may cost.
pub(super) struct BodyLimits<'a> {
    pub(super) bytes_max: Option<u64>,
    pub(super) timeout: Option<Duration>,
    pub(super) budget: &'a Budget,
}

/// Reads the whole body.
pub(super) async fn read(
    mut body: Incoming,
    limits: &BodyLimits<'_>,
) -> Result<(Bytes, Share), Refusal> {
    let bytes_max = limits.bytes_max.unwrap_or(u64::MAX);
    if body.size_hint().lower() > bytes_max {
        return Err(too_large());
    }
    let reading = async {
        let mut read = BytesMut::new();
        let mut share = None;
        while let Some(bytes) = next(&mut body, None).await.map_err(|error| broken(&error))? {
            let length = read.len().saturating_add(bytes.len());
            if u64::try_from(length).unwrap_or(u64::MAX) > bytes_max {
                return Err(too_large());
            }
            limits.budget.grow(&mut share, length)?;
            read.extend_from_slice(&bytes);
        }
        Ok((read.freeze(), share))
    };
    match limits.timeout {
        None => reading.await,
        Some(time) => timeout(time, reading).await.unwrap_or_else(|_| {
            Err(Refusal::text(408, "the request's body did not arrive in time").closing())
        }),
    }
}

/// The next frame of data; trailers are passed over as empty data.
async fn next(body: &mut Incoming, time: Option<Duration>) -> io::Result<Option<Bytes>> {
    let frame = match time {
        None => body.frame().await,
        Some(time) => timeout(time, body.frame()).await.map_err(io::Error::other)?,
    };
    let Some(frame) = frame.transpose().map_err(io::Error::other)? else {
        return Ok(None);
    };
    Ok(Some(frame.into_data().unwrap_or_default()))
}

pub(super) fn too_large() -> Refusal {
    Refusal::from(Error::TooLarge("http: request body too large".to_owned())).closing()
}

fn broken(error: &io::Error) -> Refusal {
    Refusal::text(400, format!("failed to read the request's body: {error}")).closing()
}

/// So much at once is asked of the budget.
const UNIT_BYTES: u64 = 4096;

#[cfg(test)]
mod tests;
