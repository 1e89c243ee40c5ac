//! The system's log: each line in a datagram, as RFC 3164 has it on one machine.

use std::io;
use std::os::unix::net::UnixDatagram;
use std::sync::Arc;

use time::OffsetDateTime;

use super::{Sink, Unwritten};
use crate::audit::options::SyslogOptions;
use crate::clock::Clock;

pub(super) struct Syslog {
    socket: UnixDatagram,
    priority: u8,
    tag: String,
    clock: Arc<dyn Clock>,
}

impl Syslog {
    /// # Errors
    /// Where nobody listens.
    pub(super) fn open(options: &SyslogOptions, clock: Arc<dyn Clock>) -> io::Result<Self> {
        let socket = UnixDatagram::unbound()?;
        socket.set_write_timeout(Some(super::WAIT_MAX))?;
        match &options.address {
            Some(path) => socket.connect(path)?,
            None => {
                let connected = PLACES.iter().any(|path| socket.connect(path).is_ok());
                if !connected {
                    let text = "Unix syslog delivery error: nobody listens at /dev/log";
                    return Err(io::Error::new(io::ErrorKind::NotFound, text));
                }
            }
        }
        let priority = (options.facility << 3) | INFO;
        Ok(Self { socket, priority, tag: options.tag.clone(), clock })
    }
}

impl Sink for Syslog {
    fn write(&mut self, lines: &[String]) -> Result<(), Unwritten> {
        let time = stamp(self.clock.now().seconds());
        let process = std::process::id();
        for (accepted, line) in lines.iter().enumerate() {
            let line = line.trim_end_matches('\n');
            let message = format!("<{}>{time} {}[{process}]: {line}", self.priority, self.tag);
            let sent = self.socket.send(message.as_bytes());
            sent.map_err(|error| Unwritten { accepted, partial: false, error })?;
        }
        Ok(())
    }
}

/// `Nov 24 07:51:00`, UTC.
fn stamp(seconds: u64) -> String {
    let seconds = i64::try_from(seconds).unwrap_or_default();
    let at = OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let month = at.month().to_string();
    let month = month.get(..3).unwrap_or_default();
    format!("{month} {:>2} {:02}:{:02}:{:02}", at.day(), at.hour(), at.minute(), at.second())
}

const PLACES: &[&str] = &["/dev/log", "/var/run/syslog", "/var/run/log"];

/// RFC 5424, table 2.
const INFO: u8 = 6;
