use schemars::Schema;

use super::handler::{ErasedHandler, Handler, Input, Typed};
use super::lease::Intent;
use crate::request::{Operation, Params, Reply};

/// Who may call a route, before any policy is asked.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Access {
    /// Whoever has a policy that grants the operation.
    Policy,
    /// A policy must grant `sudo` too.
    Sudo,
    /// A valid token or none: the handler shows more to whoever has one.
    OptionalToken,
    /// Any valid token: the handler decides what to show to whom.
    Token,
    /// No token is asked for; one that is sent is not looked at.
    Unauthenticated,
}

/// What a node must be to answer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Needs {
    /// The active one, unsealed; others forward.
    Active,
    /// Nothing: any node answers for itself, sealed or not, without storage, and unaudited.
    Nothing,
    /// Any node acts on itself, once the active one has checked and audited the request.
    Verdict,
}

/// What comes before a handler that acts outside, and before anything is written down.
pub(super) enum Prepare<S> {
    /// Refuses what the handler would.
    Check(Box<dyn ErasedHandler<S, ()>>),
    /// The name of an act, and what says beforehand what it will be.
    Intent(&'static str, Box<dyn ErasedHandler<S, Intent>>),
}

/// One line of an engine's table.
pub struct Route<S = ()> {
    pub(super) template: &'static str,
    pub(super) help: &'static str,
    pub(super) access: Access,
    pub(super) needs: Needs,
    pub(super) acts_outside: bool,
    pub(super) login: bool,
    pub(super) lock_name: Option<fn(&Params) -> Option<String>>,
    pub(super) handlers: Vec<(Operation, Box<dyn ErasedHandler<S, Reply>>)>,
    pub(super) exists: Option<Box<dyn ErasedHandler<S, bool>>>,
    pub(super) prepare: Option<Prepare<S>>,
}

impl<S: Send + Sync + 'static> Route<S> {
    pub fn new(template: &'static str, help: &'static str) -> Self {
        Self {
            template,
            help,
            access: Access::Policy,
            needs: Needs::Active,
            acts_outside: false,
            login: false,
            lock_name: None,
            handlers: Vec::new(),
            exists: None,
            prepare: None,
        }
    }

    #[must_use]
    pub fn sudo(mut self) -> Self {
        self.access = Access::Sudo;
        self
    }

    /// The handler shows more to whoever has a token.
    #[must_use]
    pub fn optional_token(mut self) -> Self {
        self.access = Access::OptionalToken;
        self
    }

    /// The handler decides for itself what the caller may see.
    #[must_use]
    pub fn any_token(mut self) -> Self {
        self.access = Access::Token;
        self
    }

    #[must_use]
    pub fn unauthenticated(mut self) -> Self {
        self.access = Access::Unauthenticated;
        self
    }

    /// Needs no token and returns one: the pipeline makes it of the reply's `auth`.
    #[must_use]
    pub fn login(mut self) -> Self {
        self.login = true;
        self.unauthenticated()
    }

    /// As [`Self::login`]; `name` tells of the parameters, captures included and made what the
    /// handler declares, under which name failures are counted that lock the user out.
    #[must_use]
    pub fn login_as(mut self, name: fn(&Params) -> Option<String>) -> Self {
        self.lock_name = Some(name);
        self.login()
    }

    /// Answered by any node for itself, sealed or not. Its handler has no storage.
    #[must_use]
    pub fn local(mut self) -> Self {
        self.needs = Needs::Nothing;
        self.access = Access::Unauthenticated;
        self
    }

    /// Acts on the node that was asked, once the active one allows it: not an act outside, which
    /// is the cluster's.
    #[must_use]
    pub fn on_this_node(mut self) -> Self {
        self.needs = Needs::Verdict;
        self
    }

    /// The handler changes something outside, such as a database: it runs once, never again
    /// because of a conflict.
    #[must_use]
    pub fn acts_outside(mut self) -> Self {
        self.acts_outside = true;
        self
    }

    /// The handler acts outside, and `prepare` says beforehand what it is going to do: a record
    /// of its own log entry, which the handler reads by [`super::Call::intent`] and which goes
    /// with the handler's own writes. Where that does not come about, the engine's act of this
    /// name ([`super::Engine::act`]) is called to finish or undo what was begun.
    #[must_use]
    pub fn intends<I: Input>(
        mut self,
        act: &'static str,
        prepare: impl for<'c> Handler<'c, S, I, Intent> + 'static,
    ) -> Self {
        self.acts_outside = true;
        self.prepare = Some(Prepare::Intent(act, Box::new(Typed::<_, I>::new(prepare))));
        self
    }

    /// The handler acts outside, and `check` refuses beforehand what it would refuse, so that
    /// no entry is written for it: for what strangers may ask.
    #[must_use]
    pub fn acts_outside_after<I: Input>(
        mut self,
        check: impl for<'c> Handler<'c, S, I, ()> + 'static,
    ) -> Self {
        self.acts_outside = true;
        self.prepare = Some(Prepare::Check(Box::new(Typed::<_, I>::new(check))));
        self
    }

    /// Tells create from update: for policies that grant one and not the other.
    #[must_use]
    pub fn exists<I: Input>(
        mut self,
        handler: impl for<'c> Handler<'c, S, I, bool> + 'static,
    ) -> Self {
        self.exists = Some(Box::new(Typed::<_, I>::new(handler)));
        self
    }

    #[must_use]
    pub fn delete<I: Input>(
        self,
        handler: impl for<'c> Handler<'c, S, I, Reply> + 'static,
    ) -> Self {
        self.on(Operation::Delete, handler)
    }

    #[must_use]
    pub fn header<I: Input>(
        self,
        handler: impl for<'c> Handler<'c, S, I, Reply> + 'static,
    ) -> Self {
        self.on(Operation::Header, handler)
    }

    #[must_use]
    pub fn list<I: Input>(self, handler: impl for<'c> Handler<'c, S, I, Reply> + 'static) -> Self {
        self.on(Operation::List, handler)
    }

    #[must_use]
    pub fn patch<I: Input>(self, handler: impl for<'c> Handler<'c, S, I, Reply> + 'static) -> Self {
        self.on(Operation::Patch, handler)
    }

    #[must_use]
    pub fn read<I: Input>(self, handler: impl for<'c> Handler<'c, S, I, Reply> + 'static) -> Self {
        self.on(Operation::Read, handler)
    }

    /// Create and update alike: POST and PUT.
    #[must_use]
    pub fn write<I: Input>(self, handler: impl for<'c> Handler<'c, S, I, Reply> + 'static) -> Self {
        self.on(Operation::Update, handler)
    }

    pub fn template(&self) -> &'static str {
        self.template
    }

    pub fn access(&self) -> Access {
        self.access
    }

    pub fn needs(&self) -> Needs {
        self.needs
    }

    pub fn help(&self) -> &'static str {
        self.help
    }

    pub fn operations(&self) -> impl Iterator<Item = Operation> {
        self.handlers.iter().map(|(operation, _)| *operation)
    }

    pub fn input_schema(&self, operation: Operation) -> Option<&Schema> {
        self.handler(operation).map(|handler| handler.input_schema())
    }

    pub(super) fn handler(&self, operation: Operation) -> Option<&dyn ErasedHandler<S, Reply>> {
        let operation = if operation == Operation::Create { Operation::Update } else { operation };
        let (_, handler) = self.handlers.iter().find(|(of, _)| *of == operation)?;
        Some(handler.as_ref())
    }

    fn on<I: Input>(
        mut self,
        operation: Operation,
        handler: impl for<'c> Handler<'c, S, I, Reply> + 'static,
    ) -> Self {
        self.handlers.push((operation, Box::new(Typed::<_, I>::new(handler))));
        self
    }
}
