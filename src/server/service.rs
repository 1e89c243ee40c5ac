//! What stands behind the listeners: who answers a request, and where.

use std::sync::Arc;

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

/// Behind an `Arc`, because a request outlives the call that brings it.
pub struct Shared(pub Arc<Service>);

impl Handler for Shared {
    fn body_rule(&self, _: &str) -> BodyRule {
        BodyRule::Parameters
    }

    fn handle(&self, request: Request, _: Option<Upload>) -> BoxFuture<'static, Answer> {
        let service = self.0.clone();
        Box::pin(async move { service.answer(&request).await.into() })
    }
}
