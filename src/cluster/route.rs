//! From the path of a call to the service that answers it.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;

use hyper::body::Incoming;
use hyper::{Request, Response};
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::Service;
use tonic::server::NamedService;

use crate::log::BoxFuture;

type Handler = dyn Fn(Request<Incoming>) -> BoxFuture<'static, Response<Body>> + Send + Sync;

/// Services of one connection, by name.
#[derive(Clone, Default)]
pub(super) struct Routes(Arc<BTreeMap<&'static str, Box<Handler>>>);

impl Routes {
    pub(super) fn builder() -> RoutesBuilder {
        RoutesBuilder(BTreeMap::new())
    }

    pub(super) async fn call(&self, request: Request<Incoming>) -> Response<Body> {
        // `/package.Service/Method`.
        let name = request.uri().path().split('/').nth(1).unwrap_or_default();
        match self.0.get(name) {
            Some(handler) => handler(request).await,
            None => Status::unimplemented("no such service on this connection").into_http(),
        }
    }
}

pub(super) struct RoutesBuilder(BTreeMap<&'static str, Box<Handler>>);

impl RoutesBuilder {
    pub(super) fn add<S>(mut self, service: S) -> Self
    where
        S: Service<Request<Incoming>, Response = Response<Body>, Error = Infallible>
            + NamedService
            + Clone
            + Send
            + Sync
            + 'static,
        S::Future: Send + 'static,
    {
        let handler = move |request| -> BoxFuture<'static, Response<Body>> {
            let mut service = service.clone();
            Box::pin(async move {
                // tonic's servers are always ready.
                let Ok(response) = service.call(request).await;
                response
            })
        };
        self.0.insert(S::NAME, Box::new(handler));
        self
    }

    pub(super) fn build(self) -> Routes {
        Routes(Arc::new(self.0))
    }
}
