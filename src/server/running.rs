//! A node behind its listeners, until it is told to end.

use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};

use super::consensus::Role;
use super::service::Shared;
use super::{Node, Tasks, run_workers};
use crate::clock::SystemClock;
use crate::http::{BoundAddress, Handler, Listener, ListenerSettings, StartError};
use crate::rng::Rng;

pub struct Running {
    pub node: Node,
    listeners: Vec<Listener>,
    tasks: Tasks,
}

impl Running {
    /// # Errors
    /// Where a listener cannot start; those before it are ended again.
    pub async fn start(
        node: Node,
        settings: Vec<ListenerSettings>,
        rng: Arc<dyn Rng>,
    ) -> Result<Self, StartError> {
        let mut listeners = Vec::new();
        for settings in settings {
            let handler: Arc<dyn Handler> = Arc::new(Shared(node.service.clone()));
            let clock = Arc::new(SystemClock);
            listeners.push(Listener::start(settings, handler, clock, rng.clone()).await?);
        }
        let tasks = Tasks::default();
        tasks.spawn("workers", run_workers(node.control.clone(), node.pipeline.clone()));
        Ok(Self { node, listeners, tasks })
    }

    /// Of the first listener, with the port that was given.
    pub fn address(&self) -> Option<&BoundAddress> {
        self.listeners.first().map(Listener::address)
    }

    /// Serves until SIGTERM or SIGINT; SIGHUP reads certificates again.
    ///
    /// # Errors
    /// Where signals cannot be received.
    pub async fn until_signal(self) -> std::io::Result<()> {
        let mut hang_up = signal(SignalKind::hangup())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        loop {
            tokio::select! {
                _ = hang_up.recv() => self.reload(),
                _ = interrupt.recv() => break,
                _ = terminate.recv() => break,
            }
        }
        tracing::info!("told to end");
        self.shut_down().await;
        Ok(())
    }

    /// Reads certificates again; a bad pair is refused and the old one kept.
    pub fn reload(&self) {
        for listener in &self.listeners {
            match listener.reload() {
                Ok(()) => tracing::info!(address = %listener.address(), "reloaded"),
                Err(error) => {
                    tracing::error!(address = %listener.address(), %error, "not reloaded");
                }
            }
        }
    }

    /// Hands leadership over, lets requests finish, and drops the keys.
    pub async fn shut_down(self) {
        let control = &self.node.control;
        if control.consensus.role() == Role::Active
            && let Err(error) = control.consensus.hand_over().await
        {
            tracing::debug!(%error, "ending without a successor");
        }
        for listener in self.listeners {
            listener.shutdown(GRACE).await;
        }
        self.tasks.abort();
        self.node.control.barrier.close();
    }
}

/// For requests under way.
const GRACE: Duration = Duration::from_secs(10);
