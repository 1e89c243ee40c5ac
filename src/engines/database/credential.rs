//! What a role's users prove themselves with.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::request::Error;

#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum CredentialKind {
    #[default]
    Password,
    RsaPrivateKey,
    ClientCertificate,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub(super) struct Credential {
    pub(super) kind: CredentialKind,
    config: BTreeMap<String, String>,
}

impl CredentialKind {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Password => "password",
            Self::RsaPrivateKey => "rsa_private_key",
            Self::ClientCertificate => "client_certificate",
        }
    }
}

impl Credential {
    /// # Errors
    /// [`Error::BadRequest`] where there is no such type, or it has no such configuration.
    pub(super) fn change(
        &mut self,
        kind: Option<String>,
        config: Option<BTreeMap<String, String>>,
    ) -> Result<(), Error> {
        let known = [
            CredentialKind::Password,
            CredentialKind::RsaPrivateKey,
            CredentialKind::ClientCertificate,
        ];
        if let Some(name) = kind.filter(|name| !name.is_empty()) {
            let found = known.into_iter().find(|kind| kind.name() == name);
            let found = found
                .ok_or_else(|| Error::BadRequest(format!("invalid credential_type {name:?}")))?;
            if found != self.kind {
                *self = Self { kind: found, config: BTreeMap::new() };
            }
        }
        if let Some(config) = config {
            self.config = config;
        }
        if self.kind == CredentialKind::RsaPrivateKey {
            let bits = self.config.entry("key_bits".into()).or_insert_with(|| "2048".into());
            if !matches!(bits.as_str(), "2048" | "3072" | "4096") {
                return Err(Error::bad_request("invalid key_bits: take 2048, 3072 or 4096"));
            }
            let format = self.config.entry("format".into()).or_insert_with(|| "pkcs8".into());
            if format != "pkcs8" {
                return Err(Error::bad_request("invalid format: take pkcs8"));
            }
        }
        Ok(())
    }

    /// Empty: the connection's.
    pub(super) fn password_policy(&self) -> &str {
        self.config.get("password_policy").map_or("", String::as_str)
    }

    /// What is set, as it is read.
    pub(super) fn show(&self, data: &mut Map<String, Value>) {
        let shown: &[&str] = match self.kind {
            CredentialKind::Password => &["password_policy"],
            CredentialKind::RsaPrivateKey => &["format", "key_bits"],
            CredentialKind::ClientCertificate => {
                &["common_name_template", "ca_cert", "key_type", "key_bits", "signature_bits"]
            }
        };
        let mut config = Map::new();
        for name in shown {
            if let Some(value) = self.config.get(*name) {
                let number = value.parse::<u64>().ok().filter(|_| name.ends_with("bits"));
                let value = number.map_or_else(|| json!(value), |number| json!(number));
                config.insert((*name).to_owned(), value);
            }
        }
        if !config.is_empty() {
            data.insert("credential_config".into(), Value::Object(config));
        }
    }
}
