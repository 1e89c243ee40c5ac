use std::marker::PhantomData;

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::coerce::Fields;
use super::ttl::TtlLimits;
use crate::clock::Timestamp;
use crate::log::BoxFuture;
use crate::mount::MountEntry;
use crate::request::{Caller, Error, Params, Request};
use crate::rng::Rng;
use crate::txn::Scope;

/// All that a handler may touch.
pub struct Call<'a, S = ()> {
    /// What the engine keeps in memory for this mount, such as connections. Dropped on seal and
    /// on loss of leadership.
    pub state: &'a S,
    pub storage: Scope<'a>,
    pub now: Timestamp,
    pub rng: &'a dyn Rng,
    pub mount: &'a MountEntry,
    /// The mount's, or the system's where it has none.
    pub ttl: TtlLimits,
    /// `None` on a route that needs no token.
    pub caller: Option<&'a Caller>,
    pub request: &'a Request,
    pub(super) intent: Option<&'a Params>,
}

impl<S> Call<'_, S> {
    /// What [`super::Route::intends`] said before this handler ran. It is on disk: whatever
    /// becomes of this process, the act is finished or undone.
    ///
    /// # Errors
    /// Where the route intends nothing, or something of another shape.
    pub fn intent<T: DeserializeOwned>(&self) -> Result<T, Error> {
        let intent = self.intent.ok_or_else(|| Error::internal("the route intends nothing"))?;
        serde_json::from_value(Value::Object(intent.clone()))
            .map_err(|error| Error::damaged(&error))
    }
}

/// A request's parameters: captures, query and body, merged and parsed before the handler runs.
pub trait Input: DeserializeOwned + JsonSchema + Send + 'static {}
impl<T: DeserializeOwned + JsonSchema + Send + 'static> Input for T {}

/// Any `async fn(&mut Call<'_, S>, I) -> Result<O, Error>`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a handler",
    note = "write `async fn(&mut Call<'_, S>, I) -> Result<Reply, Error>`, where `I: Input` and the future is `Send`"
)]
pub trait Handler<'c, S: 'c, I, O>: Send + Sync {
    type Future: Future<Output = Result<O, Error>> + Send + 'c;
    fn call(&self, call: &'c mut Call<'c, S>, input: I) -> Self::Future;
}

impl<'c, S, I, O, F, Fut> Handler<'c, S, I, O> for F
where
    S: 'c,
    F: Fn(&'c mut Call<'c, S>, I) -> Fut + Send + Sync,
    Fut: Future<Output = Result<O, Error>> + Send + 'c,
{
    type Future = Fut;
    fn call(&self, call: &'c mut Call<'c, S>, input: I) -> Fut {
        self(call, input)
    }
}

/// A [`Handler`] whose input type has been forgotten, with the schema that remains of it.
pub(super) trait ErasedHandler<S, O>: Send + Sync {
    /// The outcome, and the names of parameters that the handler does not know.
    fn run<'c>(
        &'c self,
        call: &'c mut Call<'c, S>,
        params: Params,
    ) -> BoxFuture<'c, Result<(O, Vec<String>), Error>>;
    fn input_schema(&self) -> &Schema;
    fn fields(&self) -> &Fields;
    /// The input takes whatever comes: no parameter can be unknown or in the way.
    fn takes_anything(&self) -> bool;
}

pub(super) struct Typed<H, I> {
    handler: H,
    schema: Schema,
    fields: Fields,
    input: PhantomData<fn() -> I>,
}

impl<H, I: Input> Typed<H, I> {
    pub(super) fn new(handler: H) -> Self {
        let settings = SchemaSettings::draft2020_12().with(|settings| {
            settings.inline_subschemas = true;
        });
        let schema = settings.into_generator().into_root_schema_for::<I>();
        let fields = Fields::of(&schema);
        Self { handler, schema, fields, input: PhantomData }
    }
}

impl<S, O, H, I> ErasedHandler<S, O> for Typed<H, I>
where
    S: Send + Sync + 'static,
    O: Send,
    H: for<'c> Handler<'c, S, I, O> + 'static,
    I: Input,
{
    fn run<'c>(
        &'c self,
        call: &'c mut Call<'c, S>,
        params: Params,
    ) -> BoxFuture<'c, Result<(O, Vec<String>), Error>> {
        Box::pin(async move {
            let (params, ignored) = self.fields.coerce(params)?;
            let input = serde_json::from_value(Value::Object(params))
                .map_err(|error| Error::BadRequest(error.to_string()))?;
            Ok((self.handler.call(call, input).await?, ignored))
        })
    }

    fn input_schema(&self) -> &Schema {
        &self.schema
    }

    fn fields(&self) -> &Fields {
        &self.fields
    }

    fn takes_anything(&self) -> bool {
        self.fields.takes_anything()
    }
}
