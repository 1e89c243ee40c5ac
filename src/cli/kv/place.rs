//! Where a secret is: which mount, which version of the engine, and the path of its API.

use serde_json::Value;

use crate::cli::failure::Failure;
use crate::cli::session::{Session, trimmed_path};
use crate::client::{GET, Request};

/// A path below a key-value mount.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Place {
    /// With a slash at its end; empty where the server does not know the mount.
    mount: String,
    /// The whole path, mount and all.
    path: String,
    pub(super) engine: Engine,
}

/// The two key-value engines.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Engine {
    Plain,
    Versioned,
}

impl Place {
    /// Asks the server which mount `path` is in; with `-mount`, the path is below that.
    pub(super) async fn find(
        session: &Session<'_, '_>,
        mount: Option<&str>,
        path: &str,
    ) -> Result<Self, Failure> {
        let path = trimmed_path(path);
        let asked = mount.map_or(path, trimmed_path);
        let request = Request::new(GET, &format!("sys/internal/ui/mounts/{asked}"))
            .always_sent()
            // A server without this endpoint has no versioned engine either.
            .accept(hyper::StatusCode::NOT_FOUND);
        let response = session.client()?.send(&request).await?;
        let found = response.envelope()?.unwrap_or_default();
        let text = |name: &str| found.data()?.get(name)?.as_str();
        let found_mount = text("path").unwrap_or_default().to_owned();
        let version = found.data().and_then(|data| data.get("options")?.get("version"));
        let engine = match version {
            Some(Value::String(version)) if version == "2" => Engine::Versioned,
            _ => Engine::Plain,
        };
        let path = match mount {
            None => path.to_owned(),
            Some(mount) if path.is_empty() => trimmed_path(mount).to_owned(),
            Some(mount) => format!("{}/{path}", trimmed_path(mount)),
        };
        Ok(Self { mount: found_mount, path, engine })
    }

    /// The path in one of the versioned engine's APIs: `data`, `metadata` and so on.
    pub(super) fn below(&self, api: &str) -> String {
        let mount = self.mount.trim_end_matches('/');
        if self.path == mount {
            return format!("{mount}/{api}");
        }
        match self.path.strip_prefix(mount).map(|rest| rest.trim_start_matches('/')) {
            Some(rest) if !mount.is_empty() => format!("{mount}/{api}/{rest}"),
            _ => format!("{api}/{}", self.path),
        }
    }

    /// The path of the secret itself: below `data` in the versioned engine.
    pub(super) fn of_data(&self) -> String {
        self.of(Engine::Versioned, "data")
    }

    /// The path where its keys are listed: below `metadata` in the versioned engine.
    pub(super) fn of_list(&self) -> String {
        self.of(Engine::Versioned, "metadata")
    }

    fn of(&self, engine: Engine, api: &str) -> String {
        if self.engine == engine { self.below(api) } else { self.path.clone() }
    }

    /// For a command that the plain engine does not have.
    pub(super) fn require_versions(&self, message: &str) -> Result<(), Failure> {
        match self.engine {
            Engine::Versioned => Ok(()),
            Engine::Plain => Err(Failure::local(message)
                .hint("kv enable-versioning MOUNT", "lets the engine keep versions")),
        }
    }
}

#[cfg(test)]
mod tests;
