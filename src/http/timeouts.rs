//! A connection's clocks: for the head of a request, for idling, and for what is written to it.
//!
//! hyper has one timer for the first two, so that a connection could idle no longer than a head
//! may take.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};
use tokio::sync::Notify;
use tokio::time::{Instant, Sleep, sleep};

/// What a connection is doing, seen by whoever watches over it.
pub(super) struct Activity {
    state: Mutex<State>,
    changed: Notify,
}

struct State {
    /// Requests that were received and not yet answered to the end.
    in_flight: usize,
    /// When the last of them ended.
    idle_since: Instant,
    /// When the first byte of the next head came; at first, when the connection came.
    head_since: Option<Instant>,
    /// Its frames come at any time: a byte is no beginning of a head.
    multiplexed: bool,
}

/// When a connection has had its time, and for what.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Deadline {
    Head(Instant),
    Idle(Instant),
    None,
}

impl Activity {
    pub(super) fn new() -> Arc<Self> {
        let now = Instant::now();
        let state =
            State { in_flight: 0, idle_since: now, head_since: Some(now), multiplexed: false };
        Arc::new(Self { state: Mutex::new(state), changed: Notify::new() })
    }

    /// The head has arrived; what is returned marks the request's end when dropped.
    pub(super) fn begin(self: &Arc<Self>) -> InFlight {
        let mut state = self.state();
        state.in_flight += 1;
        state.head_since = None;
        metrics::gauge!("core.in_flight_requests").increment(1.0);
        InFlight(Arc::clone(self))
    }

    pub(super) fn multiplexed(&self) {
        self.state().multiplexed = true;
    }

    pub(super) fn deadline(&self, head: Option<Duration>, idle: Option<Duration>) -> Deadline {
        let state = self.state();
        if state.in_flight > 0 {
            return Deadline::None;
        }
        match (state.head_since.filter(|_| !state.multiplexed), head, idle) {
            (Some(since), Some(time), _) => Deadline::Head(since + time),
            (None, _, Some(time)) => Deadline::Idle(state.idle_since + time),
            _ => Deadline::None,
        }
    }

    /// Returns when a request has ended since the last call.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }

    fn received(&self) {
        let mut state = self.state();
        if state.in_flight == 0 && state.head_since.is_none() && !state.multiplexed {
            state.head_since = Some(Instant::now());
            drop(state);
            self.changed.notify_one();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One request of a connection.
pub(super) struct InFlight(Arc<Activity>);

impl Drop for InFlight {
    fn drop(&mut self) {
        metrics::gauge!("core.in_flight_requests").decrement(1.0);
        let mut state = self.0.state();
        state.in_flight = state.in_flight.saturating_sub(1);
        state.idle_since = Instant::now();
        drop(state);
        self.0.changed.notify_one();
    }
}

/// A connection whose reads are noted and whose writes may not stall.
pub(super) struct Watched<T> {
    inner: T,
    /// Read ahead and put back, to be read first.
    put_back: Vec<u8>,
    activity: Arc<Activity>,
    write_timeout: Option<Duration>,
    stalled: Option<Pin<Box<Sleep>>>,
}

impl<T: AsyncRead + AsyncWrite + Unpin> Watched<T> {
    pub(super) fn new(inner: T, activity: Arc<Activity>, write_timeout: Option<Duration>) -> Self {
        Self { inner, put_back: Vec::new(), activity, write_timeout, stalled: None }
    }

    /// Makes `bytes` the next to be read.
    pub(super) fn put_back(&mut self, mut bytes: Vec<u8>) {
        bytes.append(&mut self.put_back);
        self.put_back = bytes;
    }

    /// The next byte, which stays to be read; `None` at the end.
    pub(super) async fn peek(&mut self) -> io::Result<Option<u8>> {
        let mut byte = [0];
        if self.read(&mut byte).await? == 0 {
            return Ok(None);
        }
        self.put_back(byte.to_vec());
        Ok(Some(byte[0]))
    }

    fn written<R>(
        &mut self,
        cx: &mut Context<'_>,
        polled: Poll<io::Result<R>>,
    ) -> Poll<io::Result<R>> {
        if polled.is_ready() {
            self.stalled = None;
            return polled;
        }
        let Some(time) = self.write_timeout else {
            return Poll::Pending;
        };
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep(time)));
        ready!(stalled.as_mut().poll(cx));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client reads no answer")))
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncRead for Watched<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.put_back.is_empty() {
            let length = self.put_back.len().min(buffer.remaining());
            let rest = self.put_back.split_off(length);
            buffer.put_slice(&self.put_back);
            self.put_back = rest;
            return Poll::Ready(Ok(()));
        }
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.inner).poll_read(cx, buffer))?;
        if buffer.filled().len() > before {
            self.activity.received();
        }
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Watched<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.inner).poll_write(cx, bytes);
        self.written(cx, polled)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.inner).poll_flush(cx);
        self.written(cx, polled)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.inner).poll_shutdown(cx);
        self.written(cx, polled)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.inner).poll_write_vectored(cx, buffers);
        self.written(cx, polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }
}

#[cfg(test)]
mod tests;
