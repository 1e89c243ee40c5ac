//! What stands behind the listeners: who answers a request, and where.

use std::sync::{Arc, OnceLock};

use futures_util::future::BoxFuture;

use super::consensus::Role;
use super::control::Control;
use crate::framework::Needs;
use crate::http::{Answer, BodyRule, Handler, Upload};
use crate::pipeline::Pipeline;
use crate::request::{Error, Reply, Request};

pub struct Service {
    control: Arc<Control>,
    pipeline: Arc<Pipeline>,
}

impl Service {
    pub fn new(control: Arc<Control>, pipeline: Arc<Pipeline>) -> Self {
        Self { control, pipeline }
    }

    /// # Errors
    /// What the client is to be told.
    pub async fn answer(&self, request: &Request) -> Result<Reply, Error> {
        if let Some(target) = self.pipeline.router.system(&request.path)
            && target.found.is_some_and(|found| found.needs == Needs::Nothing)
        {
            return self.pipeline.local(request, &target).await;
        }
        if self.control.barrier.is_sealed() {
            return Err(Error::Sealed);
        }
        match self.control.consensus.role() {
            Role::Active => self.pipeline.handle(request).await,
            Role::Standby(_) => Err(Error::Unavailable("no active node".into())),
        }
    }
}

/// What listeners talk to: they are bound before the node is there, because the node tells others
/// where it listens.
#[derive(Clone, Default)]
pub struct Entrance(Arc<OnceLock<Arc<Service>>>);

impl Entrance {
    /// From now on requests are served. Only the first call counts.
    pub fn open(&self, service: Arc<Service>) {
        // A second service would be a second node behind the same port.
        drop(self.0.set(service));
    }
}

impl Handler for Entrance {
    fn body_rule(&self, _: &str) -> BodyRule {
        BodyRule::Parameters
    }

    fn handle(&self, request: Request, _: Option<Upload>) -> BoxFuture<'static, Answer> {
        let service = self.0.get().cloned();
        Box::pin(async move {
            match service {
                Some(service) => service.answer(&request).await.into(),
                None => Err(Error::Unavailable("the node is starting".into())).into(),
            }
        })
    }
}
