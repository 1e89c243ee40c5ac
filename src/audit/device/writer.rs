//! The thread of one device.

use std::io::ErrorKind;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::mpsc::Receiver;

use super::{Counters, Item, Job, Surroundings, Unwritable};
use crate::audit::options::{Options, Shape, Target};
use crate::audit::sink::{self, Sink, Unwritten};
use crate::audit_log::{Chain, ChainKey, Head, Link, Sealed};
use crate::clock::rfc3339_of_nanoseconds;

pub(super) struct Writer {
    name: String,
    target: Target,
    shape: Shape,
    key: ChainKey,
    around: Surroundings,
    counters: Arc<Counters>,
    /// Told to whoever asks.
    head: Arc<Mutex<Option<Head>>>,
    sink: Option<Box<dyn Sink>>,
    /// `None`: the next record begins a segment.
    chain: Option<Chain>,
    /// What the segment's first record is to say.
    previous: Option<Head>,
    torn: u64,
    /// A part of a line stands there without its end.
    partial: bool,
    is_failing: bool,
}

impl Writer {
    pub(super) fn new(
        name: String,
        options: &Options,
        key: ChainKey,
        around: Surroundings,
        counters: Arc<Counters>,
        head: Arc<Mutex<Option<Head>>>,
    ) -> Self {
        Self {
            name,
            target: options.target.clone(),
            shape: options.shape.clone(),
            key,
            around,
            counters,
            head,
            sink: None,
            chain: None,
            previous: None,
            torn: 0,
            partial: false,
            is_failing: false,
        }
    }

    /// Until the device is gone and its queue is empty. What has come meanwhile is written at
    /// once: the more wait, the less each costs.
    pub(super) fn run(mut self, mut jobs: Receiver<Job>) {
        let mut next = jobs.blocking_recv();
        while let Some(job) = next.take() {
            let Job::Write(first) = job else {
                self.reopen();
                next = jobs.blocking_recv();
                continue;
            };
            let mut bytes = first.line.len();
            let mut batch = vec![first];
            while bytes < BATCH_BYTES_MAX {
                match jobs.try_recv() {
                    Ok(Job::Write(item)) => {
                        bytes = bytes.saturating_add(item.line.len());
                        batch.push(item);
                    }
                    Ok(reopen @ Job::Reopen) => {
                        next = Some(reopen);
                        break;
                    }
                    Err(_) => break,
                }
            }
            self.batch(batch);
            if next.is_none() {
                next = jobs.blocking_recv();
            }
        }
    }

    fn batch(&mut self, mut batch: Vec<Item>) {
        // A connection that was lost is made anew, once.
        let tries = if matches!(self.target, Target::Socket(_)) { 2 } else { 1 };
        let mut failure = Unwritable::Ended;
        for _ in 0..tries {
            match self.write(&batch) {
                Ok(()) => {
                    self.went_well();
                    for item in batch {
                        self.counters.wrote(item.side);
                        // Whoever asked may have gone.
                        drop(item.done.send(Ok(())));
                    }
                    return;
                }
                Err((accepted, error)) => {
                    for item in batch.drain(..accepted.min(batch.len())) {
                        self.counters.wrote(item.side);
                        drop(item.done.send(Ok(())));
                    }
                    failure = error;
                    // A new connection to whoever does not read would only have more room.
                    if matches!(failure, Unwritable::Stuck(_)) {
                        break;
                    }
                }
            }
        }
        self.went_wrong(&failure);
        for item in batch {
            self.counters.failed(item.side);
            drop(item.done.send(Err(failure.clone())));
        }
    }

    /// # Errors
    /// With how many of them are written nevertheless.
    fn write(&mut self, batch: &[Item]) -> Result<(), (usize, Unwritable)> {
        let mut sink = self.opened().map_err(|error| (0, error))?;
        let mut lines = Vec::with_capacity(batch.len() + 1);
        let begins = self.chain.is_none();
        let mut chain = match self.chain.take() {
            Some(chain) => chain,
            None => {
                let mut chain = Chain::begin(self.key.clone(), self.around.rng.bytes());
                let mut line = self.link();
                chain.seal(&mut line, self.shape.style);
                line.push('\n');
                lines.push(line);
                chain
            }
        };
        for item in batch {
            let mut line = String::with_capacity(item.line.len() + SEAL_BYTES);
            line.push_str(&item.line);
            chain.seal(&mut line, self.shape.style);
            line.push('\n');
            lines.push(line);
        }
        if let Some(first) = lines.first_mut().filter(|_| self.partial || self.torn > 0) {
            first.insert(0, '\n');
        }
        match sink.write(&lines) {
            Ok(()) => {
                self.sink = Some(sink);
                self.set_head(chain.head());
                self.chain = Some(chain);
                (self.partial, self.torn) = (false, 0);
                Ok(())
            }
            // Not used again: the next try opens it anew, and begins a segment.
            Err(Unwritten { accepted, partial, error }) => {
                self.partial |= partial;
                let last = accepted.checked_sub(1).and_then(|last| lines.get(last));
                if let Some(last) = last.and_then(|line| Sealed::read(line.trim_ascii().as_bytes()))
                {
                    self.set_head(Some(last.head));
                }
                self.previous = self.head.lock().unwrap_or_else(PoisonError::into_inner).clone();
                let accepted = accepted.saturating_sub(usize::from(begins));
                let is_stuck = matches!(error.kind(), ErrorKind::TimedOut | ErrorKind::WouldBlock);
                let told = if is_stuck { Unwritable::Stuck } else { Unwritable::Write };
                Err((accepted, told(error.to_string())))
            }
        }
    }

    fn opened(&mut self) -> Result<Box<dyn Sink>, Unwritable> {
        if let Some(sink) = self.sink.take() {
            return Ok(sink);
        }
        self.chain = None;
        let sink = sink::open(&self.target, &self.around.clock);
        let sink = sink.map_err(|error| Unwritable::Open(self.told(&error)))?;
        if matches!(self.target, Target::File(_)) {
            let tail = sink.tail();
            (self.previous, self.torn) = (tail.head, tail.torn);
            // A newline is due after a torn line alone.
            self.partial &= tail.torn == 0 && self.previous.is_none();
        }
        Ok(sink)
    }

    fn told(&self, error: &std::io::Error) -> String {
        match &self.target {
            Target::File(file) => format!(
                "sanity check failed; unable to open {:?} for writing: {error}",
                file.path.display().to_string()
            ),
            _ => error.to_string(),
        }
    }

    fn link(&self) -> String {
        let link = Link {
            device: self.name.clone(),
            node: self.around.node.clone(),
            previous: self.previous.clone(),
            torn: self.torn,
        };
        let time = rfc3339_of_nanoseconds(self.around.clock.nanoseconds());
        link.line(&time, &self.shape.prefix, self.shape.style)
    }

    fn reopen(&mut self) {
        let Some(sink) = &mut self.sink else {
            return;
        };
        match sink.reopen() {
            Ok(None) => {}
            Ok(Some(tail)) => {
                tracing::info!(device = self.name, "audit log opened again");
                let own = self.chain.as_ref().and_then(Chain::head);
                // In an empty file, and in the one it was, the chain goes on.
                if tail.torn > 0 || (tail.head.is_some() && tail.head != own) {
                    self.chain = None;
                    (self.previous, self.torn) = (tail.head, tail.torn);
                }
            }
            Err(error) => {
                tracing::error!(device = self.name, %error, "not reopened: the old log is written on");
            }
        }
    }

    fn set_head(&self, head: Option<Head>) {
        if head.is_some() {
            *self.head.lock().unwrap_or_else(PoisonError::into_inner) = head;
        }
    }

    fn went_well(&mut self) {
        if std::mem::take(&mut self.is_failing) {
            tracing::info!(device = self.name, "the audit device takes records again");
        }
    }

    fn went_wrong(&mut self, failure: &Unwritable) {
        if !std::mem::replace(&mut self.is_failing, true) {
            tracing::error!(device = self.name, %failure, "the audit device takes no records");
        }
    }
}

/// What is written at once, beside one record of any length.
const BATCH_BYTES_MAX: usize = 1 << 20;

/// What the chain adds to a record.
const SEAL_BYTES: usize = 280;
