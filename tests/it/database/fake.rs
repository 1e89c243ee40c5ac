use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use strongroom::engines::database::Password;
use strongroom::engines::database::plugin::{
    Database, Details, Failure, FailureKind, Login, NewUser, OldUser, Plugins, Removed,
};
use strongroom::log::BoxFuture;

/// A database outside of the server: users, with their passwords.
#[derive(Default)]
pub(crate) struct Fake {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    users: BTreeMap<String, String>,
    acts: Vec<String>,
    mode: Mode,
    /// Administrators' passwords that connections were opened with.
    opened: Vec<String>,
    /// What comes into force by [`Fake::arrive`]: a user and a password.
    under_way: Option<(String, String)>,
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum Mode {
    #[default]
    Works,
    /// It cannot be reached.
    Down,
    /// It says no, and nothing is done.
    Refuses,
    /// It is done, and nobody hears of it.
    Loses,
    /// It is done later, when nobody waits any more.
    Late,
}

impl Fake {
    pub(crate) fn set(&self, mode: Mode) {
        let mut inner = self.inner.lock().unwrap();
        inner.mode = mode;
    }

    pub(crate) fn add(&self, user: &str, password: &str) {
        self.inner.lock().unwrap().users.insert(user.into(), password.into());
    }

    pub(crate) fn users(&self) -> Vec<String> {
        self.inner.lock().unwrap().users.keys().cloned().collect()
    }

    pub(crate) fn password(&self, user: &str) -> String {
        self.inner.lock().unwrap().users.get(user).cloned().unwrap_or_default()
    }

    /// What was done later is done now.
    pub(crate) fn arrive(&self) {
        let mut inner = self.inner.lock().unwrap();
        let (user, password) = inner.under_way.take().unwrap();
        inner.users.insert(user, password);
    }

    /// What was asked of it since this was asked last.
    pub(crate) fn acts(&self) -> Vec<String> {
        std::mem::take(&mut self.inner.lock().unwrap().acts)
    }

    pub(crate) fn opened(&self) -> Vec<String> {
        self.inner.lock().unwrap().opened.clone()
    }

    async fn act(
        &self,
        what: &str,
        change: impl FnOnce(&mut BTreeMap<String, String>) + Send,
    ) -> Result<(), Failure> {
        let mode = {
            let mut inner = self.inner.lock().unwrap();
            inner.acts.push(what.to_owned());
            inner.mode
        };
        match mode {
            Mode::Down => {
                return Err(Failure::new(FailureKind::Unreachable, "the database is down"));
            }
            Mode::Refuses => return Err(Failure::new(FailureKind::Refused, "syntax error")),
            Mode::Late => {
                return Err(Failure::new(FailureKind::Unknown, "the connection was lost"));
            }
            Mode::Works | Mode::Loses => {}
        }
        change(&mut self.inner.lock().unwrap().users);
        if mode == Mode::Loses {
            return Err(Failure::new(FailureKind::Unknown, "the connection was lost"));
        }
        Ok(())
    }
}

/// One that was opened.
struct Open(Arc<Fake>);

pub(crate) struct Fakes(pub(crate) Arc<Fake>);

impl Plugins for Fakes {
    fn open(&self, plugin: &str, details: &Details) -> Result<Arc<dyn Database>, String> {
        if plugin != "fake" {
            return Err(format!("plugin not found in the catalog: {plugin}"));
        }
        if details.connection_url.is_empty() {
            return Err("connection_url cannot be empty".into());
        }
        self.0.inner.lock().unwrap().opened.push(details.password.expose().to_owned());
        Ok(Arc::new(Open(self.0.clone())))
    }

    fn usual_template(&self, _: &str) -> Option<&'static str> {
        Some("v-{{.DisplayName}}-{{.RoleName}}-{{random 8}}")
    }
}

impl Database for Open {
    fn verify(&self) -> BoxFuture<'_, Result<(), Failure>> {
        Box::pin(self.0.act("verify", |_| {}))
    }

    fn create<'a>(&'a self, user: &'a NewUser<'a>) -> BoxFuture<'a, Result<(), Failure>> {
        Box::pin(self.0.act("create", move |users| {
            users.insert(user.username.to_owned(), user.password.expose().to_owned());
        }))
    }

    fn renew<'a>(
        &'a self,
        _: &'a str,
        expiration: &'a str,
        _: &'a [String],
    ) -> BoxFuture<'a, Result<(), Failure>> {
        Box::pin(async move { self.0.act(&format!("renew until {expiration}"), |_| {}).await })
    }

    fn set_password<'a>(
        &'a self,
        username: &'a str,
        password: &'a Password,
        _: &'a [String],
    ) -> BoxFuture<'a, Result<(), Failure>> {
        Box::pin(async move {
            if username != "root" && !self.0.users().contains(&username.to_owned()) {
                self.0.act("refuse", |_| {}).await?;
                return Err(Failure::new(FailureKind::Refused, "there is no such user"));
            }
            let under_way = (username.to_owned(), password.expose().to_owned());
            self.0.inner.lock().unwrap().under_way = Some(under_way);
            let change = |users: &mut BTreeMap<String, String>| {
                users.insert(username.to_owned(), password.expose().to_owned());
            };
            self.0.act(&format!("set {username}"), change).await
        })
    }

    fn remove<'a>(&'a self, user: &'a OldUser<'a>) -> BoxFuture<'a, Result<Removed, Failure>> {
        Box::pin(async move {
            let was_there = self.0.users().contains(&user.username.to_owned());
            self.0.act("remove", |users| drop(users.remove(user.username))).await?;
            Ok(if was_there { Removed::Now } else { Removed::Before })
        })
    }

    fn login<'a>(
        &'a self,
        username: &'a str,
        password: &'a Password,
    ) -> BoxFuture<'a, Result<Login, Failure>> {
        Box::pin(async move {
            self.0.act(&format!("login {username}"), |_| {}).await?;
            let is_right = self.0.password(username) == password.expose();
            Ok(if is_right { Login::Taken } else { Login::Refused })
        })
    }

    fn username_bytes_max(&self) -> usize {
        63
    }
}
