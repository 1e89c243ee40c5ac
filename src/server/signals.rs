use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// What the operating system tells the process. From when it is made, none of these signals ends
/// the process by itself.
pub struct Signals {
    hang_up: Signal,
    interrupt: Signal,
    terminate: Signal,
}

/// What a signal asks for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Told {
    /// SIGINT or SIGTERM.
    End,
    /// SIGHUP.
    Reload,
}

impl Signals {
    /// Must be called within a runtime.
    ///
    /// # Errors
    /// Where signals cannot be received.
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            hang_up: signal(SignalKind::hangup())?,
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    pub async fn next(&mut self) -> Told {
        tokio::select! {
            _ = self.hang_up.recv() => Told::Reload,
            _ = self.interrupt.recv() => Told::End,
            _ = self.terminate.recv() => Told::End,
        }
    }

    /// Passes over SIGHUP.
    pub async fn end(&mut self) {
        while self.next().await != Told::End {}
    }

    /// SIGINT alone.
    pub async fn interrupt(&mut self) {
        // `None` only where nothing can come any more.
        if self.interrupt.recv().await.is_none() {
            std::future::pending::<()>().await;
        }
    }
}
