//! `seal "static" { … }` and `seal "transit" { … }`; without one, people hold shares.

use std::path::PathBuf;

use super::stanza::{Body, Check, Found, KeyDoc, Reader, Setting, labelled, stanza};
use crate::secret::Secret;

/// What guards the root key beside shares.
#[derive(Debug)]
pub enum Seal {
    Static(Box<StaticSeal>),
    Transit(Box<TransitSeal>),
}

stanza! {
    /// A key of the configuration, or of where the configuration points to.
    pub struct StaticSeal in "seal \"static\"" {
        /// Name of the key, which is kept with what it wraps.
        pub current_key_id: String,
        /// The key: 32 bytes in hexadecimal or base64, or `env://NAME`, or `file:///path`.
        pub current_key: Secret<String>,
        /// Name of the key before, after a change of key.
        pub previous_key_id: Option<String>,
        /// The key before, which still unwraps.
        pub previous_key: Option<Secret<String>>,
        /// Name of the seal, unique; its kind if not set.
        pub name: Option<String>,
        /// Of several seals, the lowest is tried first.
        pub priority: u32 = "1",
        /// Whether it only unwraps: on the way to another seal.
        pub disabled: bool = "false",
    }
    no_effect { }
}

stanza! {
    /// A key of another cluster's transit engine.
    pub struct TransitSeal in "seal \"transit\"" {
        /// URL of that cluster; `VAULT_ADDR` goes first.
        pub address: Option<String>,
        /// Token for it; `VAULT_TOKEN` goes first.
        pub token: Option<Secret<String>>,
        /// Name of the key there; `VAULT_TRANSIT_SEAL_KEY_NAME` goes first.
        pub key_name: Option<String>,
        /// Path of the engine there; `VAULT_TRANSIT_SEAL_MOUNT_PATH` goes first.
        pub mount_path: Option<String>,
        /// Namespace there; `VAULT_NAMESPACE` goes first.
        pub namespace: Option<String>,
        /// Whether the token is left to someone else to renew.
        pub disable_renewal: bool = "false",
        /// File with the CA certificates (PEM) that its certificate must come from.
        pub tls_ca_cert: Option<PathBuf>,
        /// File with the certificate (PEM) to show it.
        pub tls_client_cert: Option<PathBuf>,
        /// File with the key (PEM) of that certificate.
        pub tls_client_key: Option<PathBuf>,
        /// Name that its certificate must bear, instead of the host in `address`.
        pub tls_server_name: Option<String>,
        /// Whether its certificate goes unchecked: anyone between can open the seal.
        pub tls_skip_verify: bool = "false",
        /// Name of the seal, unique; its kind if not set.
        pub name: Option<String>,
        /// Of several seals, the lowest is tried first.
        pub priority: u32 = "1",
        /// Whether it only unwraps: on the way to another seal.
        pub disabled: bool = "false",
    }
    no_effect {
        key_id_prefix: "ids of keys are told with their path",
    }
}

impl Check for StaticSeal {
    fn check(&self, body: &Body<'_>, reader: &mut Reader<'_>) {
        if self.current_key_id.is_empty() {
            let text = "`current_key_id` must not be empty".to_owned();
            reader.problem(body.place_of("current_key_id"), text);
        }
        if self.previous_key_id.is_some() != self.previous_key.is_some() {
            let text = "`previous_key_id` and `previous_key` must be set together".to_owned();
            reader.problem(body.place_of("previous_key"), text);
        }
        if self.previous_key_id.as_deref() == Some(self.current_key_id.as_str()) {
            let text = "`previous_key_id` must differ from `current_key_id`".to_owned();
            reader.problem(body.place_of("previous_key_id"), text);
        }
    }
}

impl Check for TransitSeal {
    fn check(&self, body: &Body<'_>, reader: &mut Reader<'_>) {
        if self.tls_client_cert.is_some() != self.tls_client_key.is_some() {
            let text = "`tls_client_cert` and `tls_client_key` must be set together".to_owned();
            reader.problem(body.place_of("tls_client_cert"), text);
        }
    }
}

impl Seal {
    pub fn name(&self) -> &str {
        match self {
            Self::Static(seal) => seal.name.as_deref().unwrap_or("static"),
            Self::Transit(seal) => seal.name.as_deref().unwrap_or("transit"),
        }
    }
}

impl Setting for Vec<Seal> {
    fn kind() -> String {
        "a block `seal \"static\"` or `seal \"transit\"`, repeatable; shares if not set".to_owned()
    }

    /// A seal of another kind stops the start, unless it is `disabled`: ignored, it would leave
    /// an operator waiting for a node that never opens by itself.
    fn read(found: &Found<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        let before = reader.problems.len();
        let mut seals = Self::new();
        for block in labelled(found, reader) {
            let seal = match block.label {
                "static" => StaticSeal::read_body(&block.body, reader)
                    .map(|seal| Seal::Static(Box::new(seal))),
                "transit" => TransitSeal::read_body(&block.body, reader)
                    .map(|seal| Seal::Transit(Box::new(seal))),
                "shamir" => None,
                other => {
                    let disabled = Found::of("disabled", block.body.entries);
                    let disabled = !disabled.entries.is_empty() && bool::read(&disabled, reader)?;
                    if !disabled {
                        let text = format!(
                            "`seal` must be \"shamir\", \"static\" or \"transit\", found {other:?}"
                        );
                        reader.problem(&block.body.place, text);
                    }
                    None
                }
            };
            if let Some(seal) = seal {
                if seals.iter().any(|other: &Seal| other.name() == seal.name()) {
                    let text = format!(
                        "two seals have the name {:?}: give each its own `name`",
                        seal.name()
                    );
                    reader.problem(&block.body.place, text);
                }
                seals.push(seal);
            }
        }
        (reader.problems.len() == before).then_some(seals)
    }

    fn absent() -> Option<Self> {
        Some(Self::new())
    }

    fn document(into: &mut Vec<KeyDoc>) {
        StaticSeal::document(into);
        TransitSeal::document(into);
    }
}
