//! This node's certificate, renewed at two thirds of its life.

use std::sync::Arc;
use std::time::Duration;

use super::consensus::Role;
use super::service::Service;
use crate::clock::Timestamp;
use crate::cluster::{JoinError, Renewed, renew_at, validity};
use crate::raft::NodeInfo;
use crate::request::Error;

/// Looks after the certificate that other nodes know this one by.
#[derive(Default)]
pub struct Renewal {
    /// The end of the certificate that was warned of.
    warned: Option<Timestamp>,
}

impl Renewal {
    /// Renews the certificate where it is time, sealed or not; whether it did. The active node
    /// issues, its own too, and must be unsealed for it.
    ///
    /// # Errors
    /// Where it is time, but no certificate could be had: it is to be tried again.
    pub async fn look(&mut self, service: &Service, now: Timestamp) -> Result<bool, Error> {
        let Some(node) = service.control.consensus.replicated() else {
            return Ok(false);
        };
        let cluster = node.cluster();
        let Some(issued) = cluster.identity().issued().filter(|_| !node.is_removed()) else {
            return Ok(false);
        };
        let due = renew_at(&issued.certificate).map_err(Error::internal)?;
        let (begin, end) = validity(&issued.certificate).map_err(Error::internal)?;
        if (now < begin || end <= now) && self.warned != Some(end) {
            // Nodes do not judge each other's dates: a cluster that was off must be able to meet.
            let (from, until) = (begin.rfc3339(), end.rfc3339());
            tracing::warn!(from, until, "this node's certificate is out of date and used on");
            self.warned = Some(end);
        }
        if now < due && !node.has_old_authority() {
            return Ok(false);
        }
        let renewed = match service.control.consensus.role() {
            Role::Active => {
                let request = cluster.identity().request().map_err(Error::internal)?;
                let id = cluster.identity().id();
                service.renew(id, request.into()).await.map_err(JoinError::from)
            }
            Role::Standby(Some(leader)) => {
                let info = NodeInfo {
                    name: leader.name,
                    cluster_address: leader.cluster_address,
                    api_address: leader.api_address,
                };
                cluster.renew(leader.id, &info).await
            }
            Role::Standby(None) => return Err(Error::NotActive),
        };
        let Renewed { certificate, authorities } =
            renewed.map_err(|error| Error::Unavailable(error.to_string()))?;
        cluster.install(certificate, &authorities).map_err(Error::internal)?;
        tracing::info!("this node's certificate was renewed");
        Ok(true)
    }
}

/// Looks every now and then, until dropped.
pub async fn renew_certificate(service: Arc<Service>) {
    let mut renewal = Renewal::default();
    loop {
        if let Err(error) = renewal.look(&service, service.control.now()).await {
            tracing::debug!(%error, "the certificate waits to be renewed");
        }
        tokio::time::sleep(PAUSE).await;
    }
}

const PAUSE: Duration = Duration::from_secs(60);
