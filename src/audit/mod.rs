//! Who asked for what, and what came of it. Fails closed: a record that no enabled device takes
//! is a request that is not answered.

use std::sync::{Arc, PoisonError, RwLock};

use crate::log::BoxFuture;
use crate::mount::MountEntry;
use crate::request::{Caller, Error, Operation, Reply, Request};

/// One side of one request, as devices see it.
pub struct Record<'a> {
    pub request: &'a Request,
    /// Create is told from update here, where the route can.
    pub operation: Operation,
    /// `None` where no token was asked for, or it is not valid.
    pub caller: Option<&'a Caller>,
    pub mount: Option<&'a MountEntry>,
    pub side: Side<'a>,
}

pub enum Side<'a> {
    /// Before it runs, with the refusal where it will not.
    Request(Option<&'a Error>),
    /// Before it is answered.
    Response(Result<&'a Reply, &'a Error>),
}

pub trait AuditDevice: Send + Sync {
    fn name(&self) -> &str;

    /// Once it returns, the record is written.
    fn write<'a>(&'a self, record: &'a Record<'a>) -> BoxFuture<'a, Result<(), Error>>;
}

/// Hands every record to every device. With several, one suffices; without any, requests are
/// served, as in Vault.
#[derive(Default)]
pub struct Broker {
    devices: RwLock<Vec<Arc<dyn AuditDevice>>>,
}

impl Broker {
    pub fn enable(&self, device: Arc<dyn AuditDevice>) {
        self.devices.write().unwrap_or_else(PoisonError::into_inner).push(device);
    }

    /// # Errors
    /// [`Error::Internal`] where devices are enabled and none took the record.
    pub async fn write(&self, record: &Record<'_>) -> Result<(), Error> {
        let devices = self.devices.read().unwrap_or_else(PoisonError::into_inner).clone();
        let mut failure = None;
        let mut accepted = devices.is_empty();
        for device in devices {
            match device.write(record).await {
                Ok(()) => accepted = true,
                Err(error) => {
                    tracing::error!(device = device.name(), %error, "audit record refused");
                    failure = Some(error);
                }
            }
        }
        if accepted {
            return Ok(());
        }
        Err(failure.unwrap_or_else(|| Error::internal("no audit device")))
    }
}
