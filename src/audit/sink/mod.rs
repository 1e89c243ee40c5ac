//! Where lines end up. A sink is used by one thread, which may wait in it.

mod file;
mod socket;
mod stream;
mod syslog;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::options::Target;
use crate::audit_log::Tail;
use crate::clock::Clock;

pub(super) trait Sink: Send {
    /// Writes lines, each with its newline, all at once where that can be.
    fn write(&mut self, lines: &[String]) -> Result<(), Unwritten>;

    /// What it ended with when it was opened.
    fn tail(&self) -> Tail {
        Tail::default()
    }

    /// After another program has put the file aside: what the file that is there now ends with;
    /// `None` where nothing was opened anew.
    ///
    /// # Errors
    /// Where it cannot be opened: the old one is written on.
    fn reopen(&mut self) -> io::Result<Option<Tail>> {
        Ok(None)
    }
}

/// Why lines are not written.
#[derive(Debug)]
pub(super) struct Unwritten {
    /// Lines that are.
    pub(super) accepted: usize,
    /// A part of the next one may be there.
    pub(super) partial: bool,
    pub(super) error: io::Error,
}

impl From<io::Error> for Unwritten {
    fn from(error: io::Error) -> Self {
        Self { accepted: 0, partial: false, error }
    }
}

/// # Errors
/// Where it cannot be written to.
pub(super) fn open(target: &Target, clock: &Arc<dyn Clock>) -> io::Result<Box<dyn Sink>> {
    Ok(match target {
        Target::Discard => Box::new(Discard),
        Target::File(options) => Box::new(file::File::open(options.clone(), clock.clone())?),
        Target::Socket(options) => socket::open(options)?,
        Target::Stderr => Box::new(stream::Standard::Error),
        Target::Stdout => Box::new(stream::Standard::Output),
        Target::Syslog(options) => Box::new(syslog::Syslog::open(options, clock.clone())?),
    })
}

struct Discard;

impl Sink for Discard {
    fn write(&mut self, _: &[String]) -> Result<(), Unwritten> {
        Ok(())
    }
}

/// What a device that does not answer is given, where its options do not say.
pub(super) const WAIT_MAX: Duration = Duration::from_secs(2);
