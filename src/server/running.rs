//! A node behind its listeners, until it is told to end.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::consensus::Role;
use super::control::Control;
use super::log::log;
use super::metrics::{register_listener, watch_leadership};
use super::notify::{Life, Notify, tell};
use super::service::Entrance;
use super::signals::{Signals, Told};
use super::{
    CertificateWatch, JoinTarget, Node, Tasks, join_with_file, renew_certificate, retry_join,
    run_revoker, run_workers, settle_seals, tend_keys, unseal_by_seals, watch_authorities,
    watch_cors, watch_removal, watch_restores, watch_seals,
};
use crate::clock::SystemClock;
use crate::http::{BoundAddress, Cors, Handler, Listener, ListenerSettings, StartError};
use crate::rng::Rng;

/// Listeners that are bound, behind which a node will be.
#[derive(Default)]
pub struct Doors {
    listeners: Vec<Listener>,
    entrance: Entrance,
    cors: Arc<Cors>,
}

impl Doors {
    /// # Errors
    /// Where a listener cannot start; those before it are ended again.
    pub async fn bind(
        settings: Vec<ListenerSettings>,
        rng: &Arc<dyn Rng>,
    ) -> Result<Self, StartError> {
        let mut doors = Self::default();
        for mut settings in settings {
            settings.cors = doors.cors.clone();
            let handler: Arc<dyn Handler> = Arc::new(doors.entrance.clone());
            let clock = Arc::new(SystemClock);
            doors.listeners.push(Listener::start(settings, handler, clock, rng.clone()).await?);
        }
        Ok(doors)
    }

    /// For what other nodes forward.
    pub fn entrance(&self) -> Entrance {
        self.entrance.clone()
    }

    /// Of the first TCP listener, with the port that was given.
    pub fn address(&self) -> Option<SocketAddr> {
        self.listeners.iter().find_map(|listener| match listener.address() {
            BoundAddress::Tcp(address) => Some(*address),
            BoundAddress::Unix(_) => None,
        })
    }
}

pub struct Running {
    pub node: Node,
    listeners: Vec<Listener>,
    tasks: Tasks,
    _port: Port,
}

/// Dropped, it ends the service to other nodes, which would keep the node alive by itself.
struct Port(Arc<Control>);

impl Drop for Port {
    fn drop(&mut self) {
        if let Some(node) = self.0.consensus.replicated() {
            node.close_port();
        }
    }
}

impl Running {
    /// Lets requests in.
    pub fn new(node: Node, doors: Doors) -> Self {
        let Doors { listeners, entrance, cors } = doors;
        let tasks = Tasks::default();
        tasks.spawn("workers", run_workers(node.control.clone(), node.pipeline.clone()));
        tasks.spawn("revoker", run_revoker(node.control.clone(), node.pipeline.clone()));
        let tls = listeners.iter().filter_map(|listener| {
            listener.tls().map(|tls| (listener.address().clone(), tls.clone()))
        });
        for listener in &listeners {
            if let Some(tls) = listener.tls() {
                register_listener(&node.control, listener.address(), tls);
            }
        }
        tasks.spawn("leadership", watch_leadership(node.control.clone()));
        tasks.spawn("certificates", CertificateWatch::new(tls).run());
        tasks.spawn("renewal", renew_certificate(node.service.clone()));
        tasks.spawn("seals", unseal_by_seals(node.control.clone()));
        tasks.spawn("watch_seals", watch_seals(node.control.clone()));
        tasks.spawn("settle_seals", settle_seals(node.control.clone(), node.pipeline.clone()));
        tasks.spawn("keys", tend_keys(node.control.clone(), node.pipeline.clone()));
        tasks.spawn("removal", watch_removal(node.control.clone()));
        tasks.spawn("authorities", watch_authorities(node.control.clone()));
        tasks.spawn("restores", watch_restores(node.control.clone(), node.pipeline.clone()));
        tasks.spawn("cors", watch_cors(node.control.clone(), cors));
        entrance.open(node.service.clone());
        let _port = Port(node.control.clone());
        Self { node, listeners, tasks, _port }
    }

    /// Keeps asking to join, until this node belongs to a cluster.
    pub fn join(&self, targets: Vec<JoinTarget>) {
        if !targets.is_empty() {
            self.tasks.spawn("retry_join", retry_join(self.node.control.clone(), targets));
        }
    }

    /// Keeps looking for a join token in this file, until this node belongs to a cluster.
    pub fn join_with(&self, file: PathBuf) {
        self.tasks.spawn("join_token", join_with_file(self.node.control.clone(), file));
    }

    /// Where it listens, in the order of the configuration.
    pub fn addresses(&self) -> impl Iterator<Item = &BoundAddress> {
        self.listeners.iter().map(Listener::address)
    }

    /// Serves until it is told to end; then lets requests finish, but for a second SIGINT. SIGHUP
    /// reads certificates again and calls `reload`. The service manager is told of each.
    ///
    /// # Errors
    /// Where replication has stopped, or SIGINT came twice.
    pub async fn until_signal(
        self,
        signals: &mut Signals,
        reload: &dyn Fn(),
        notify: &Arc<Notify>,
    ) -> std::io::Result<()> {
        let mut stopped = self.node.control.consensus.stopped();
        let reload = || {
            notify.reloading();
            reload();
            self.reload();
            notify.ready();
        };
        notify.ready();
        if notify.is_wanted() {
            self.tasks.spawn("notify", tell(notify.clone(), self.life()));
        }
        loop {
            tokio::select! {
                Ok(reason) = stopped.wait_for(Option::is_some) => {
                    let reason = reason.clone().unwrap_or_default();
                    tracing::error!(reason, "replication has stopped: the node ends");
                    return Err(std::io::Error::other(reason));
                }
                () = self.node.control.process.reload_asked() => reload(),
                told = signals.next() => match told {
                    Told::End => break,
                    Told::Reload => reload(),
                },
            }
        }
        tracing::info!("told to end");
        notify.stopping();
        tokio::select! {
            () = self.shut_down() => {
                tracing::info!("ended");
                Ok(())
            }
            () = signals.interrupt() => {
                Err(std::io::Error::other("interrupted again: ended without waiting for requests"))
            }
        }
    }

    /// Opens audit logs and reads certificates again; a bad pair is refused and the old one kept.
    pub fn reload(&self) {
        self.node.pipeline.audit.reopen();
        for listener in &self.listeners {
            match listener.reload() {
                Ok(()) => tracing::info!(address = %listener.address(), "reloaded"),
                Err(error) => tracing::error!(
                    address = %listener.address(),
                    error = &error as &dyn std::error::Error,
                    "not reloaded: what was served before is served on"
                ),
            }
        }
    }

    fn life(&self) -> Life {
        Life {
            control: self.node.control.clone(),
            pulses: self.tasks.pulses(),
            listeners: self.listeners.iter().map(Listener::prober).collect(),
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
        log().end_watchers();
        for listener in self.listeners {
            listener.shutdown(GRACE).await;
        }
        self.tasks.abort();
        self.node.control.barrier.close();
        self.node.control.consensus.shut_down().await;
    }
}

/// For requests under way.
const GRACE: Duration = Duration::from_secs(10);
