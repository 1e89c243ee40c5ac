//! What is written to as a stream of bytes, by a thread that must not wait for ever.

use std::io::{self, Write};
use std::os::fd::AsFd;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::{Sink, Unwritten};

/// The process's own.
pub(super) enum Standard {
    Error,
    Output,
}

impl Sink for Standard {
    fn write(&mut self, lines: &[String]) -> Result<(), Unwritten> {
        let bytes = lines.concat();
        match self {
            Self::Error => {
                write_all(&mut io::stderr().lock(), rustix::stdio::stderr(), bytes.as_bytes())
            }
            Self::Output => {
                write_all(&mut io::stdout().lock(), rustix::stdio::stdout(), bytes.as_bytes())
            }
        }
        .map_err(|(written, error)| Unwritten { accepted: 0, partial: written > 0, error })
    }
}

/// Writes all of it, waiting at most [`super::WAIT_MAX`] each time that no room is left. Also how
/// much is written where it fails.
pub(super) fn write_all(
    to: &mut impl Write,
    descriptor: impl AsFd,
    mut bytes: &[u8],
) -> Result<(), (usize, io::Error)> {
    let mut written = 0;
    while !bytes.is_empty() {
        match to.write(bytes) {
            Ok(0) => return Err((written, io::ErrorKind::WriteZero.into())),
            Ok(count) => {
                written += count;
                bytes = bytes.get(count..).unwrap_or_default();
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                match wait(&descriptor, PollFlags::OUT, super::WAIT_MAX) {
                    Ok(true) => {}
                    Ok(false) => {
                        let text = "no room for the record: whoever reads it has stopped";
                        return Err((written, io::Error::new(io::ErrorKind::TimedOut, text)));
                    }
                    Err(error) => return Err((written, error)),
                }
            }
            Err(error) => return Err((written, error)),
        }
    }
    to.flush().map_err(|error| (written, error))
}

/// Whether what was asked for came in time.
pub(super) fn wait(descriptor: &impl AsFd, flags: PollFlags, most: Duration) -> io::Result<bool> {
    let mut polled = [PollFd::new(descriptor, flags)];
    let most = Timespec::try_from(most).map_err(|_| io::ErrorKind::InvalidInput)?;
    Ok(poll(&mut polled, Some(&most))? > 0)
}
