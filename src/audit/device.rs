//! A device at work: a queue with bounds, and a thread that alone touches what it writes to. One
//! that hangs holds up nobody but whoever has no other device.

mod writer;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::time::timeout;

use self::writer::Writer;
use super::entry::{Headers, Writing};
use super::hash::Hasher;
use super::jsonx;
use super::options::{Options, Shape};
use super::{AuditDevice, Record};
use crate::audit_log::{ChainKey, Head, Style};
use crate::clock::{Clock, rfc3339_of_nanoseconds};
use crate::log::BoxFuture;
use crate::request::Error;
use crate::rng::Rng;

pub(super) struct Device {
    name: String,
    options: Options,
    hasher: Hasher,
    clock: Arc<dyn Clock>,
    headers: RwLock<Arc<Headers>>,
    queue: mpsc::Sender<Job>,
    room: Arc<Semaphore>,
    counters: Arc<Counters>,
    head: Arc<Mutex<Option<Head>>>,
}

/// What a device's thread is told to do, in this order.
enum Job {
    Write(Item),
    Reopen,
}

struct Item {
    line: String,
    side: &'static str,
    done: oneshot::Sender<Result<(), Unwritable>>,
    _room: OwnedSemaphorePermit,
}

/// Why a record is not written.
#[derive(Clone, Debug, thiserror::Error)]
pub(super) enum Unwritable {
    #[error("{0}")]
    Open(String),
    #[error("{0}")]
    Write(String),
    /// There was no room in time: whoever is to read does not.
    #[error("{0}")]
    Stuck(String),
    #[error("the device does not answer within {} s", DEADLINE.as_secs())]
    Hangs,
    #[error("the device has ended")]
    Ended,
}

/// Since the device was opened.
#[derive(Default)]
pub(super) struct Counters {
    requests: AtomicU64,
    responses: AtomicU64,
    request_failures: AtomicU64,
    response_failures: AtomicU64,
}

/// What a device is made with.
#[derive(Clone)]
pub(super) struct Surroundings {
    pub(super) clock: Arc<dyn Clock>,
    pub(super) rng: Arc<dyn Rng>,
    /// As this node is called.
    pub(super) node: String,
}

impl Device {
    /// Its thread opens what it writes to, now and again later where that fails.
    ///
    /// # Errors
    /// Where there are no threads left.
    pub(super) fn start(
        name: String,
        options: Options,
        hasher: Hasher,
        headers: Arc<Headers>,
        around: &Surroundings,
    ) -> std::io::Result<Self> {
        let (queue, jobs) = mpsc::channel(QUEUE_RECORDS_MAX);
        let counters = Arc::new(Counters::default());
        let head = Arc::new(Mutex::new(None));
        let writer = Writer::new(
            name.clone(),
            &options,
            ChainKey::of_salt(hasher.salt()),
            around.clone(),
            counters.clone(),
            head.clone(),
        );
        std::thread::Builder::new()
            .name(format!("audit {name}"))
            .spawn(move || writer.run(jobs))?;
        Ok(Self {
            name,
            options,
            hasher,
            clock: around.clock.clone(),
            headers: RwLock::new(headers),
            queue,
            room: Arc::new(Semaphore::new(QUEUE_BYTES_MAX)),
            counters,
            head,
        })
    }

    pub(super) fn set_headers(&self, headers: Arc<Headers>) {
        *self.headers.write().unwrap_or_else(PoisonError::into_inner) = headers;
    }

    /// Opens its file again, after all that came before.
    pub(super) fn reopen(&self) {
        if self.queue.try_send(Job::Reopen).is_err() {
            tracing::error!(device = self.name, "not reopened: its queue is full");
        }
    }

    /// What to remember of its chain.
    pub(super) fn head(&self) -> Option<Head> {
        self.head.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn counters(&self) -> &Counters {
        &self.counters
    }

    /// As [`AuditDevice::write`], with the reason.
    pub(super) fn submit(
        &self,
        record: &Record<'_>,
    ) -> impl Future<Output = Result<(), Unwritable>> + Send + use<> {
        let side = record.side.name();
        let waiting = self.place(self.line(record), side);
        let counters = self.counters.clone();
        let (queue, room) = (self.queue.clone(), self.room.clone());
        async move {
            let answer = async {
                let done = match waiting {
                    Placed::Waits(done) => done,
                    // Whoever else takes the record ends this wait, and it is lost here.
                    Placed::Full(line) => {
                        let lost = Lost { counters: &counters, side };
                        let bytes = weight(&line);
                        let permit = room.acquire_many_owned(bytes).await;
                        let permit = permit.map_err(|_| Unwritable::Ended)?;
                        let place = queue.reserve().await.map_err(|_| Unwritable::Ended)?;
                        let (item, done) = item(line, side, permit);
                        place.send(Job::Write(item));
                        std::mem::forget(lost);
                        done
                    }
                };
                done.await.unwrap_or(Err(Unwritable::Ended))
            };
            match timeout(DEADLINE, answer).await {
                Ok(outcome) => outcome,
                Err(_) => {
                    counters.failed(side);
                    Err(Unwritable::Hangs)
                }
            }
        }
    }

    fn place(&self, line: String, side: &'static str) -> Placed {
        let Ok(permit) = self.room.clone().try_acquire_many_owned(weight(&line)) else {
            return Placed::Full(line);
        };
        match self.queue.try_reserve() {
            Ok(place) => {
                let (item, done) = item(line, side, permit);
                place.send(Job::Write(item));
                Placed::Waits(done)
            }
            Err(_) => Placed::Full(line),
        }
    }

    /// Without the chain, which the thread adds in the order of writing.
    fn line(&self, record: &Record<'_>) -> String {
        let headers = self.headers.read().unwrap_or_else(PoisonError::into_inner).clone();
        let Shape { style, prefix, .. } = &self.options.shape;
        let writing =
            Writing { hasher: &self.hasher, shape: &self.options.shape, headers: &headers };
        let time = rfc3339_of_nanoseconds(self.clock.nanoseconds());
        let entry = writing.entry(record, &time);
        match style {
            Style::Json => format!("{prefix}{}", serde_json::Value::Object(entry)),
            Style::Jsonx => format!("{prefix}{}", jsonx::document(&entry)),
        }
    }
}

impl AuditDevice for Device {
    fn name(&self) -> &str {
        &self.name
    }

    fn takes(&self, record: &Record<'_>) -> bool {
        self.options.filter.as_ref().is_none_or(|filter| filter.takes(record))
    }

    fn is_fallback(&self) -> bool {
        self.options.fallback
    }

    fn write<'a>(&'a self, record: &'a Record<'a>) -> BoxFuture<'a, Result<(), Error>> {
        let written = self.submit(record);
        Box::pin(async move { written.await.map_err(Error::internal) })
    }
}

enum Placed {
    Waits(oneshot::Receiver<Result<(), Unwritable>>),
    Full(String),
}

/// Counts a record as not taken, unless it is forgotten.
struct Lost<'c> {
    counters: &'c Counters,
    side: &'static str,
}

impl Drop for Lost<'_> {
    fn drop(&mut self) {
        self.counters.failed(self.side);
    }
}

impl Counters {
    fn wrote(&self, side: &str) {
        let counter = if side == "request" { &self.requests } else { &self.responses };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    fn failed(&self, side: &str) {
        let counter =
            if side == "request" { &self.request_failures } else { &self.response_failures };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// Requests and responses that were written, then those that were not.
    pub(super) fn read(&self) -> [u64; 4] {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        [
            of(&self.requests),
            of(&self.responses),
            of(&self.request_failures),
            of(&self.response_failures),
        ]
    }
}

fn item(
    line: String,
    side: &'static str,
    room: OwnedSemaphorePermit,
) -> (Item, oneshot::Receiver<Result<(), Unwritable>>) {
    let (done, answer) = oneshot::channel();
    (Item { line, side, done, _room: room }, answer)
}

/// One that is longer than the whole queue waits until that is empty.
fn weight(line: &str) -> u32 {
    u32::try_from(line.len().min(QUEUE_BYTES_MAX)).unwrap_or(u32::MAX)
}

/// Records that wait for one device's thread.
const QUEUE_RECORDS_MAX: usize = 16 << 10;

/// Their length together.
const QUEUE_BYTES_MAX: usize = 64 << 20;

/// How long a request waits for a device that does not answer.
pub(super) const DEADLINE: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests;
