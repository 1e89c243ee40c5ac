use serde::Serialize;

/// What a request is about.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A secret was read, written, listed or deleted, or an engine asked for one.
    Secret,
    /// Someone logged in, or tried to.
    Login,
    /// Tokens were made, renewed, looked up or revoked.
    Token,
    /// Policies were written or deleted, or read.
    Policy,
    /// Auth methods, their roles and users, entities and groups.
    Auth,
    /// Secrets engines were mounted, tuned, moved or unmounted.
    Mount,
    /// Keys were rotated or given out anew, the server was sealed.
    Key,
    /// Audit devices.
    Audit,
    /// All else.
    System,
}

impl Kind {
    pub const ALL: [Self; 9] = [
        Self::Secret,
        Self::Login,
        Self::Token,
        Self::Policy,
        Self::Auth,
        Self::Mount,
        Self::Key,
        Self::Audit,
        Self::System,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Secret => "secret",
            Self::Login => "login",
            Self::Token => "token",
            Self::Policy => "policy",
            Self::Auth => "auth",
            Self::Mount => "mount",
            Self::Key => "key",
            Self::Audit => "audit",
            Self::System => "system",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == text)
    }

    /// Whether a request of this kind, where it changes something, is a change to who may do what.
    pub(super) fn is_administration(self) -> bool {
        matches!(self, Self::Policy | Self::Auth | Self::Mount | Self::Key | Self::Audit)
    }
}

pub(super) fn of(path: &str, operation: &str, mount_class: &str, gave_token: bool) -> Kind {
    if let Some(sys) = path.strip_prefix("sys/") {
        let below = |prefixes: &[&str]| prefixes.iter().any(|prefix| begins(sys, prefix));
        return if below(&["policies", "policy"]) {
            Kind::Policy
        } else if below(&["auth", "locked-users"]) {
            Kind::Auth
        } else if below(&["mounts", "remount", "plugins"]) {
            Kind::Mount
        } else if below(&[
            "rotate",
            "rekey",
            "rekey-recovery-key",
            "generate-root",
            "seal",
            "unseal",
            "init",
            "key-status",
            "config/keyring",
        ]) {
            Kind::Key
        } else if below(&["audit", "audit-hash", "audit-chain", "config/auditing"]) {
            Kind::Audit
        } else {
            Kind::System
        };
    }
    if begins(path, "auth/token") {
        return Kind::Token;
    }
    if let Some(local) = path.strip_prefix("auth/") {
        let is_login = local.split('/').nth(1).is_some_and(|part| part == "login");
        return if gave_token || is_login { Kind::Login } else { Kind::Auth };
    }
    if begins(path, "identity") {
        return Kind::Auth;
    }
    // Engines that hold keys name the deed last: `transit/keys/x/rotate`.
    let rotates = path.rsplit('/').next().is_some_and(|last| last == "rotate")
        || path.contains("/rotate-root")
        || path.contains("/rotate-role/");
    let writes = matches!(operation, "create" | "update");
    match mount_class {
        _ if rotates && writes => Kind::Key,
        "auth" => Kind::Auth,
        _ => Kind::Secret,
    }
}

fn begins(path: &str, prefix: &str) -> bool {
    path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}
