use super::facts::RouteFacts;
use super::handler::Call;
use super::help;
use super::lease::{Hooks, LeaseHooks};
use super::route::{Access, Needs, Prepare, Route};
use super::template::{Overlap, Template};
use super::ttl::TtlLimits;
use crate::log::BoxFuture;
use crate::mount::MountEntry;
use crate::request::{Caller, Error, Operation, Params, Reply, Request};
use crate::rng::Rng;
use crate::txn::Txn;

/// A kind of mount, such as `kv`. `S` is what each mount keeps in memory.
pub struct Engine<S = ()> {
    name: &'static str,
    about: &'static str,
    /// Sorted: the most specific first.
    routes: Vec<(Template, Route<S>)>,
    pub(super) hooks: Hooks<S>,
}

impl<S: Send + Sync + 'static> Engine<S> {
    /// # Errors
    /// Where two routes match the same paths, or one acts in two places.
    pub fn new(
        name: &'static str,
        about: &'static str,
        routes: impl IntoIterator<Item = Route<S>>,
    ) -> Result<Self, Overlap> {
        let routes = routes.into_iter().map(|route| (Template::parse(route.template), route));
        let mut routes: Vec<_> = routes.collect();
        routes.sort_by(|(a, _), (b, _)| a.cmp(b));
        for pair in routes.windows(2) {
            if let [(a, first), (b, second)] = pair
                && a == b
            {
                return Err(Overlap::Paths(first.template, second.template));
            }
        }
        let in_two_places = |route: &Route<S>| route.acts_outside && route.needs != Needs::Active;
        if let Some((_, route)) = routes.iter().find(|(_, route)| in_two_places(route)) {
            return Err(Overlap::Places(route.template));
        }
        Ok(Self { name, about, routes, hooks: Hooks::default() })
    }

    pub fn mount(self, state: S) -> Box<dyn Mount> {
        Box::new(Open { engine: self, state })
    }

    pub fn name(&self) -> &'static str {
        self.name
    }

    pub fn about(&self) -> &'static str {
        self.about
    }

    pub fn routes(&self) -> impl Iterator<Item = &Route<S>> {
        self.routes.iter().map(|(_, route)| route)
    }
}

/// What the pipeline asks of a route before it runs.
#[derive(Clone, Copy, Debug)]
pub struct Found {
    pub access: Access,
    pub needs: Needs,
    pub acts_outside: bool,
    pub login: bool,
    pub tells_create: bool,
    /// Acts outside, and says beforehand what it is going to do.
    pub intends: bool,
    /// Acts outside, and is asked beforehand: whether it may, or what it is going to do.
    pub prepares: bool,
}

/// What a handler is given, but for its input.
pub struct Context<'c> {
    pub txn: &'c mut Txn,
    /// The mount's part of the storage.
    pub prefix: &'c str,
    /// The namespace's part, where the mount administers others: `sys/`.
    pub namespace: Option<&'c str>,
    pub rng: &'c dyn Rng,
    pub mount: &'c MountEntry,
    pub ttl: TtlLimits,
    pub caller: Option<&'c Caller>,
    pub request: &'c Request,
    /// What the handler has said it is going to do outside.
    pub intent: Option<&'c Params>,
}

/// An engine opened at a path, its state type forgotten.
pub trait Mount: LeaseHooks + Send + Sync {
    fn find(&self, path: &str) -> Option<Found>;

    /// Its whole table, the most specific route first.
    fn routes(&self) -> Vec<RouteFacts>;

    /// What people are told of a path: the whole mount where it is empty. `None` where no route
    /// matches.
    fn help(&self, path: &str) -> Option<String>;

    /// Of a login: who logs in, as failures are counted.
    fn lock_name(&self, path: &str, params: &Params) -> Option<String>;

    /// Whether a write to this path would be an update; `None` where the route cannot tell.
    fn exists<'c>(
        &'c self,
        context: Context<'c>,
        path: &'c str,
        params: Params,
    ) -> BoxFuture<'c, Result<Option<bool>, Error>>;

    fn handle<'c>(
        &'c self,
        context: Context<'c>,
        operation: Operation,
        path: &'c str,
        params: Params,
    ) -> BoxFuture<'c, Result<Reply, Error>>;
}

pub(super) struct Open<S> {
    pub(super) engine: Engine<S>,
    pub(super) state: S,
}

impl<S: Send + Sync + 'static> Open<S> {
    pub(super) fn find(&self, path: &str) -> Option<(&Route<S>, Params)> {
        self.engine
            .routes
            .iter()
            .find_map(|(template, route)| Some((route, template.captures(path)?)))
    }
}

impl<S: Send + Sync + 'static> Mount for Open<S> {
    fn find(&self, path: &str) -> Option<Found> {
        self.find(path).map(|(route, _)| Found {
            access: route.access,
            needs: route.needs,
            acts_outside: route.acts_outside,
            login: route.login,
            tells_create: route.exists.is_some(),
            intends: matches!(route.prepare, Some(Prepare::Intent(..))),
            prepares: route.prepare.is_some(),
        })
    }

    fn routes(&self) -> Vec<RouteFacts> {
        self.engine.routes().map(RouteFacts::of).collect()
    }

    fn lock_name(&self, path: &str, params: &Params) -> Option<String> {
        let (route, captures) = self.find(path)?;
        let name = route.lock_name?;
        let (params, _) = merge(params.clone(), captures);
        // As the handler gets them: nobody has two names by writing one as a number. What cannot
        // be read logs nobody in.
        let (params, _) = route.handler(Operation::Update)?.fields().coerce(params).ok()?;
        name(&params)
    }

    fn help(&self, path: &str) -> Option<String> {
        if path.is_empty() {
            return Some(help::of_engine(&self.engine));
        }
        self.find(path).map(|(route, _)| help::of_route(path, route))
    }

    fn exists<'c>(
        &'c self,
        context: Context<'c>,
        path: &'c str,
        params: Params,
    ) -> BoxFuture<'c, Result<Option<bool>, Error>> {
        Box::pin(async move {
            let Some((route, captures)) = self.find(path) else {
                return Ok(None);
            };
            let Some(handler) = &route.exists else {
                return Ok(None);
            };
            let (params, _) = merge(params, captures);
            let mut call = context.call(&self.state);
            handler.run(&mut call, params).await.map(|(exists, _)| Some(exists))
        })
    }

    fn handle<'c>(
        &'c self,
        context: Context<'c>,
        operation: Operation,
        path: &'c str,
        params: Params,
    ) -> BoxFuture<'c, Result<Reply, Error>> {
        Box::pin(async move {
            let (route, captures) = self.find(path).ok_or(Error::UnsupportedPath)?;
            let handler = route.handler(operation).ok_or(Error::UnsupportedOperation)?;
            let (params, replaced) = merge(params, captures);
            let mut call = context.call(&self.state);
            let (mut reply, ignored) = handler.run(&mut call, params).await?;
            if !ignored.is_empty() {
                let ignored = ignored.join(" ");
                reply = reply
                    .warn(format!("Endpoint ignored these unrecognized parameters: [{ignored}]"));
            }
            if !replaced.is_empty() && !handler.takes_anything() {
                let replaced = replaced.join(" ");
                reply = reply.warn(format!(
                    "Endpoint replaced the value of these parameters with the values captured \
                     from the endpoint's path: [{replaced}]"
                ));
            }
            Ok(reply)
        })
    }
}

impl<'c> Context<'c> {
    pub(super) fn call<S>(self, state: &'c S) -> Call<'c, S> {
        let now = self.txn.now();
        let storage = self.txn.scope(self.prefix);
        let storage = match self.namespace {
            Some(namespace) => storage.within(namespace),
            None => storage,
        };
        Call {
            state,
            storage,
            now,
            rng: self.rng,
            mount: self.mount,
            ttl: self.ttl,
            caller: self.caller,
            request: self.request,
            intent: self.intent,
        }
    }
}

/// What the path captured wins; the names of what it replaced are told.
pub(super) fn merge(params: Params, captures: Params) -> (Params, Vec<String>) {
    let mut merged = params;
    let mut replaced = Vec::new();
    for (name, value) in captures {
        if merged.insert(name.clone(), value).is_some() {
            replaced.push(name);
        }
    }
    (merged, replaced)
}
