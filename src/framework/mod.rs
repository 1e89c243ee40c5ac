//! What an engine is made of. Secrets engines, auth methods and `sys` are all declared with it;
//! routing, help, OpenAPI and path privileges are derived from the declaration.

mod coerce;
mod engine;
mod facts;
mod handler;
mod help;
mod inputs;
mod lease;
mod route;
mod template;
mod ttl;

pub use coerce::{FieldKind, Fields};
pub use engine::{Context, Engine, Found, Mount};
pub use facts::RouteFacts;
pub use handler::{Call, Handler, Input};
pub use inputs::{AnyParams, NoParams, Seconds};
pub use lease::{
    Begun, Intent, LeaseHooks, Leased, Login, LoginTerms, Renewal, SecretFacts, SecretKind,
};
pub use route::{Access, Needs, Route};
pub use template::{Overlap, Template};
pub use ttl::{Granted, TtlLimits, TtlTerms, duration_text};
