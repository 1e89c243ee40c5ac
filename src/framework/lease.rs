//! What an engine declares besides its routes: kinds of secret that expire, acts outside that
//! must be finished or undone, and whether a login may be renewed.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::engine::{Context, Engine, Open, merge};
use super::handler::{Call, Handler};
use super::route::Prepare;
use crate::clock::Timestamp;
use crate::log::BoxFuture;
use crate::request::{Error, Operation, Params};

/// What is known of a lease, and what its engine has kept in it.
#[derive(Clone, Debug)]
pub struct Leased<I> {
    pub id: String,
    pub internal: I,
    pub issued: Timestamp,
    pub expires: Timestamp,
    /// Of a renewal: what the caller asks for, in seconds; 0: nothing.
    pub increment: u64,
    /// Of a revocation: how often it has failed before.
    pub attempts: u32,
}

/// What a kind of secret grants at a renewal, in seconds; 0: the mount's. The pipeline applies
/// the caller's increment and the mount's limits.
#[derive(Clone, Copy, Debug, Default)]
pub struct Renewal {
    /// Where the caller asks for nothing.
    pub ttl: u64,
    /// Counted from issue.
    pub max_ttl: u64,
}

/// What an auth method is shown of a login whose token is to be renewed.
#[derive(Clone, Debug)]
pub struct Login<I> {
    /// What its login reply kept in [`crate::request::Auth::internal`].
    pub internal: I,
    pub policies: Vec<String>,
    pub metadata: BTreeMap<String, String>,
    pub entity_id: String,
    pub issued: Timestamp,
    /// Seconds; 0: nothing.
    pub increment: u64,
}

/// What an auth method grants at a renewal, in seconds; 0 wherever it says nothing.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct LoginTerms {
    /// Where the caller asks for nothing; 0: the mount's default, whatever was granted last.
    pub ttl: u64,
    /// Counted from the login.
    pub max_ttl: u64,
    pub period: u64,
    /// The method's names of the groups that they are in now; `None` where it does not know.
    pub group_aliases: Option<Vec<String>>,
}

/// What a handler is going to do outside, as it is kept until it is done.
#[derive(Clone, Debug)]
pub struct Intent(pub Params);

impl Intent {
    /// # Errors
    /// Where it does not serialize to an object.
    pub fn of<T: Serialize>(value: &T) -> Result<Self, Error> {
        match serde_json::to_value(value).map_err(Error::internal)? {
            Value::Object(params) => Ok(Self(params)),
            _ => Err(Error::internal("an intent is no object")),
        }
    }
}

/// An intent that nothing came of, as far as is known: the process ended, the handler failed, or
/// the act took too long. It may have happened, in part or in whole.
#[derive(Clone, Debug)]
pub struct Begun<I> {
    pub intent: I,
    pub since: Timestamp,
}

/// A kind of secret that an engine leases, such as a database user.
pub struct SecretKind<S> {
    name: &'static str,
    renew: Option<Erased<S, Leased<Params>, Renewal>>,
    revoke: Option<Erased<S, Leased<Params>, ()>>,
}

/// What the pipeline must know of a kind.
#[derive(Clone, Copy, Debug)]
pub struct SecretFacts {
    pub can_renew: bool,
    /// Without it the lease's record just goes.
    pub acts_on_revoke: bool,
}

impl<S: Send + Sync + 'static> SecretKind<S> {
    pub fn new(name: &'static str) -> Self {
        Self { name, renew: None, revoke: None }
    }

    /// May act outside; must be idempotent: it is called again where the transaction conflicts.
    /// Without it leases of this kind are renewed by their terms alone.
    #[must_use]
    pub fn renew<I: DeserializeOwned + Send + 'static>(
        mut self,
        handler: impl for<'c> Handler<'c, S, Leased<I>, Renewal> + 'static,
    ) -> Self {
        self.renew = Some(erase(handler));
        self
    }

    /// May act outside; must be idempotent: it is called again where it failed, where it did not
    /// answer in time, and where the process ended before its success was on disk. What is gone
    /// already is a success.
    #[must_use]
    pub fn revoke<I: DeserializeOwned + Send + 'static>(
        mut self,
        handler: impl for<'c> Handler<'c, S, Leased<I>, ()> + 'static,
    ) -> Self {
        self.revoke = Some(erase(handler));
        self
    }
}

/// Name, and what settles it.
type Act<S> = (&'static str, Erased<S, Begun<Params>, ()>);

/// All of an engine's.
pub(super) struct Hooks<S> {
    secrets: Vec<SecretKind<S>>,
    acts: Vec<Act<S>>,
    login: Option<Erased<S, Login<Params>, LoginTerms>>,
}

impl<S> Default for Hooks<S> {
    fn default() -> Self {
        Self { secrets: Vec::new(), acts: Vec::new(), login: None }
    }
}

impl<S: Send + Sync + 'static> Engine<S> {
    /// Declares a kind of secret, for [`crate::request::Lease::of`].
    #[must_use]
    pub fn secret(mut self, secret: SecretKind<S>) -> Self {
        self.hooks.secrets.push(secret);
        self
    }

    /// Declares how to finish or undo what a route [`super::Route::intends`]. Where `settle`
    /// succeeds, the intent goes in one entry with what it wrote; else it is tried again, later
    /// each time, and never given up. It must be idempotent.
    #[must_use]
    pub fn act<I: DeserializeOwned + Send + 'static>(
        mut self,
        name: &'static str,
        settle: impl for<'c> Handler<'c, S, Begun<I>, ()> + 'static,
    ) -> Self {
        self.hooks.acts.push((name, erase(settle)));
        self
    }

    /// Declares what an auth method checks when a token of one of its logins is renewed: a role
    /// that is gone, or whose policies changed, is an error. Without it the token's own terms
    /// count.
    #[must_use]
    pub fn renew_login<I: DeserializeOwned + Send + 'static>(
        mut self,
        handler: impl for<'c> Handler<'c, S, Login<I>, LoginTerms> + 'static,
    ) -> Self {
        self.hooks.login = Some(erase(handler));
        self
    }
}

/// What the pipeline asks of a mount besides requests.
pub trait LeaseHooks: Send + Sync {
    /// `None` where the engine has no such kind.
    fn secret_kind(&self, kind: &str) -> Option<SecretFacts>;

    /// What the route at a path is going to do; `None` where it only checks that it may, or there
    /// is no handler for the operation.
    fn prepare<'c>(
        &'c self,
        context: Context<'c>,
        operation: Operation,
        path: &'c str,
        params: Params,
    ) -> BoxFuture<'c, Result<Option<(&'static str, Intent)>, Error>>;

    fn settle<'c>(
        &'c self,
        context: Context<'c>,
        act: &'c str,
        begun: Begun<Params>,
    ) -> BoxFuture<'c, Result<(), Error>>;

    /// Nothing of its own where the kind has no such handler.
    fn renew_lease<'c>(
        &'c self,
        context: Context<'c>,
        kind: &'c str,
        leased: Leased<Params>,
    ) -> BoxFuture<'c, Result<Renewal, Error>>;

    fn revoke_lease<'c>(
        &'c self,
        context: Context<'c>,
        kind: &'c str,
        leased: Leased<Params>,
    ) -> BoxFuture<'c, Result<(), Error>>;

    /// `None` where the method says nothing of renewals.
    fn renew_login<'c>(
        &'c self,
        context: Context<'c>,
        login: Login<Params>,
    ) -> BoxFuture<'c, Result<Option<LoginTerms>, Error>>;
}

impl<S: Send + Sync + 'static> Open<S> {
    fn secret(&self, kind: &str) -> Option<&SecretKind<S>> {
        self.engine.hooks.secrets.iter().find(|secret| secret.name == kind)
    }
}

impl<S: Send + Sync + 'static> LeaseHooks for Open<S> {
    fn secret_kind(&self, kind: &str) -> Option<SecretFacts> {
        self.secret(kind).map(|secret| SecretFacts {
            can_renew: secret.renew.is_some(),
            acts_on_revoke: secret.revoke.is_some(),
        })
    }

    fn prepare<'c>(
        &'c self,
        context: Context<'c>,
        operation: Operation,
        path: &'c str,
        params: Params,
    ) -> BoxFuture<'c, Result<Option<(&'static str, Intent)>, Error>> {
        Box::pin(async move {
            let Some((route, captures)) = self.find(path) else {
                return Ok(None);
            };
            let (Some(prepare), Some(_)) = (&route.prepare, route.handler(operation)) else {
                return Ok(None);
            };
            let (params, _) = merge(params, captures);
            let mut call = context.call(&self.state);
            match prepare {
                Prepare::Check(check) => check.run(&mut call, params).await.map(|_| None),
                Prepare::Intent(act, handler) => {
                    handler.run(&mut call, params).await.map(|(intent, _)| Some((*act, intent)))
                }
            }
        })
    }

    fn settle<'c>(
        &'c self,
        context: Context<'c>,
        act: &'c str,
        begun: Begun<Params>,
    ) -> BoxFuture<'c, Result<(), Error>> {
        Box::pin(async move {
            let found = self.engine.hooks.acts.iter().find(|(name, _)| *name == act);
            let (_, handler) = found.ok_or_else(|| unknown("act", act))?;
            let mut call = context.call(&self.state);
            handler(&mut call, begun).await
        })
    }

    fn renew_lease<'c>(
        &'c self,
        context: Context<'c>,
        kind: &'c str,
        leased: Leased<Params>,
    ) -> BoxFuture<'c, Result<Renewal, Error>> {
        Box::pin(async move {
            let secret = self.secret(kind).ok_or_else(|| unknown("kind of secret", kind))?;
            let Some(handler) = &secret.renew else {
                return Ok(Renewal::default());
            };
            let mut call = context.call(&self.state);
            handler(&mut call, leased).await
        })
    }

    fn revoke_lease<'c>(
        &'c self,
        context: Context<'c>,
        kind: &'c str,
        leased: Leased<Params>,
    ) -> BoxFuture<'c, Result<(), Error>> {
        Box::pin(async move {
            let secret = self.secret(kind).ok_or_else(|| unknown("kind of secret", kind))?;
            let Some(handler) = &secret.revoke else {
                return Ok(());
            };
            let mut call = context.call(&self.state);
            handler(&mut call, leased).await
        })
    }

    fn renew_login<'c>(
        &'c self,
        context: Context<'c>,
        login: Login<Params>,
    ) -> BoxFuture<'c, Result<Option<LoginTerms>, Error>> {
        Box::pin(async move {
            let Some(handler) = &self.engine.hooks.login else {
                return Ok(None);
            };
            let mut call = context.call(&self.state);
            handler(&mut call, login).await.map(Some)
        })
    }
}

/// Stored by an engine that had it: an older program runs, or a mount's kind was changed.
fn unknown(what: &str, name: &str) -> Error {
    Error::Failed(format!("the engine has no {what} {name:?}"))
}

/// A handler whose stored input is parsed when it is called.
type Erased<S, R, O> =
    Box<dyn for<'c> Fn(&'c mut Call<'c, S>, R) -> BoxFuture<'c, Result<O, Error>> + Send + Sync>;

/// What was stored as JSON, with its surroundings.
trait Parse<T> {
    fn parse(self) -> Result<T, Error>;
}

fn erase<S, R, T, O>(handler: impl for<'c> Handler<'c, S, T, O> + 'static) -> Erased<S, R, O>
where
    S: Send + Sync + 'static,
    R: Parse<T> + 'static,
    T: Send + 'static,
    O: Send + 'static,
{
    // Tells the compiler that the closure is good for every lifetime.
    fn for_all<S, R, O, F>(run: F) -> F
    where
        F: for<'c> Fn(&'c mut Call<'c, S>, R) -> BoxFuture<'c, Result<O, Error>>,
    {
        run
    }
    let handler = Arc::new(handler);
    Box::new(for_all(move |call, stored: R| match stored.parse() {
        Ok(input) => Box::pin(handler.call(call, input)),
        Err(error) => Box::pin(async move { Err(error) }),
    }))
}

impl<I: DeserializeOwned> Parse<Leased<I>> for Leased<Params> {
    fn parse(self) -> Result<Leased<I>, Error> {
        let Self { id, internal, issued, expires, increment, attempts } = self;
        let internal = typed(internal)?;
        Ok(Leased { id, internal, issued, expires, increment, attempts })
    }
}

impl<I: DeserializeOwned> Parse<Login<I>> for Login<Params> {
    fn parse(self) -> Result<Login<I>, Error> {
        let Self { internal, policies, metadata, entity_id, issued, increment } = self;
        let internal = typed(internal)?;
        Ok(Login { internal, policies, metadata, entity_id, issued, increment })
    }
}

impl<I: DeserializeOwned> Parse<Begun<I>> for Begun<Params> {
    fn parse(self) -> Result<Begun<I>, Error> {
        Ok(Begun { intent: typed(self.intent)?, since: self.since })
    }
}

fn typed<T: DeserializeOwned>(stored: Params) -> Result<T, Error> {
    serde_json::from_value(Value::Object(stored)).map_err(|error| Error::damaged(&error))
}
