//! `seal "static" { … }` and its like; without one, people hold shares.

use std::path::PathBuf;

use super::stanza::{Body, Check, Found, KeyDoc, Reader, Setting, labelled, stanza};
use crate::secret::Secret;

/// What guards the root key beside shares.
#[derive(Debug)]
pub enum Seal {
    Static(Box<StaticSeal>),
    Transit(Box<TransitSeal>),
    AwsKms(Box<AwsKmsSeal>),
    Pkcs11(Box<Pkcs11Seal>),
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

stanza! {
    /// A key of AWS KMS. Needs a build with the feature `awskms`.
    pub struct AwsKmsSeal in "seal \"awskms\"" {
        /// Region of the key; `AWS_REGION` and `AWS_DEFAULT_REGION` go first; us-east-1 if not set.
        pub region: Option<String>,
        /// Id, ARN or alias of a symmetric key; `VAULT_AWSKMS_SEAL_KEY_ID` goes first.
        pub kms_key_id: Option<String>,
        /// URL of the service, such as that of a VPC endpoint; `AWS_KMS_ENDPOINT` goes first.
        pub endpoint: Option<String>,
        /// Id of an access key; what the environment, a profile or the machine's role give if not set.
        pub access_key: Option<String>,
        /// The secret to `access_key`.
        pub secret_key: Option<Secret<String>>,
        /// Where the access key is a temporary one.
        pub session_token: Option<Secret<String>>,
        /// Profile of the file of shared credentials; `AWS_PROFILE` goes first.
        pub shared_creds_profile: Option<String>,
        /// That file; `AWS_SHARED_CREDENTIALS_FILE` goes first; ~/.aws/credentials if not set.
        pub shared_creds_filename: Option<PathBuf>,
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
    /// A key of a hardware security module. Needs a build with the feature `pkcs11`.
    pub struct Pkcs11Seal in "seal \"pkcs11\"" {
        /// The module's library; `VAULT_HSM_LIB` goes first.
        pub lib: Option<PathBuf>,
        /// Number of the slot, decimal or `0x…`; `VAULT_HSM_SLOT` goes first.
        pub slot: Option<String>,
        /// Label of the token, instead of `slot`; `VAULT_HSM_TOKEN_LABEL` goes first.
        pub token_label: Option<String>,
        /// PIN of the token's user; `VAULT_HSM_PIN` goes first.
        pub pin: Option<Secret<String>>,
        /// Label of the key; `VAULT_HSM_KEY_LABEL` goes first.
        pub key_label: Option<String>,
        /// Id of the key in hexadecimal, beside its label or instead of it; `VAULT_HSM_KEY_ID` goes first.
        pub key_id: Option<String>,
        /// `CKM_AES_GCM` (0x1087) or `CKM_RSA_PKCS_OAEP` (0x0009); `VAULT_HSM_MECHANISM` goes first; by the kind of the key if not set.
        pub mechanism: Option<String>,
        /// Hash of OAEP: sha1, sha224, sha256, sha384 or sha512; `VAULT_HSM_RSA_OAEP_HASH` goes first.
        pub rsa_oaep_hash: String = "sha256",
        /// Name of the seal, unique; its kind if not set.
        pub name: Option<String>,
        /// Of several seals, the lowest is tried first.
        pub priority: u32 = "1",
        /// Whether it only unwraps: on the way to another seal.
        pub disabled: bool = "false",
    }
    no_effect {
        generate_key: "nodes that start together would make several: make the key with the module's own tool, such as pkcs11-tool --keygen --key-type AES:32",
        hmac_key_label: "the mechanisms that are served authenticate by themselves",
        default_hmac_key_label: "the mechanisms that are served authenticate by themselves",
        hmac_key_id: "the mechanisms that are served authenticate by themselves",
        hmac_mechanism: "the mechanisms that are served authenticate by themselves",
        force_rw_session: "nothing is written to the module",
        max_parallel: "one session is enough for what a seal asks",
    }
}

impl Check for AwsKmsSeal {
    fn check(&self, body: &Body<'_>, reader: &mut Reader<'_>) {
        if self.access_key.is_some() != self.secret_key.is_some() {
            let text = "`access_key` and `secret_key` must be set together".to_owned();
            reader.problem(body.place_of("access_key"), text);
        }
        if self.session_token.is_some() && self.access_key.is_none() {
            let text = "`session_token` belongs to an `access_key`".to_owned();
            reader.problem(body.place_of("session_token"), text);
        }
        is_built_in("awskms", cfg!(feature = "awskms") || self.disabled, body, reader);
    }
}

impl Check for Pkcs11Seal {
    fn check(&self, body: &Body<'_>, reader: &mut Reader<'_>) {
        if self.slot.is_some() && self.token_label.is_some() {
            let text = "`slot` and `token_label` name the token twice: keep one".to_owned();
            reader.problem(body.place_of("slot"), text);
        }
        is_built_in("pkcs11", cfg!(feature = "pkcs11") || self.disabled, body, reader);
    }
}

fn is_built_in(feature: &str, is_built: bool, body: &Body<'_>, reader: &mut Reader<'_>) {
    if !is_built {
        let text = format!(
            "this program was built without `seal {feature:?}`: build it with `cargo build --release --features {feature}`"
        );
        reader.problem(&body.place, text);
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
            Self::AwsKms(seal) => seal.name.as_deref().unwrap_or("awskms"),
            Self::Pkcs11(seal) => seal.name.as_deref().unwrap_or("pkcs11"),
        }
    }
}

impl Setting for Vec<Seal> {
    fn kind() -> String {
        "a block `seal \"static\"`, `\"transit\"`, `\"awskms\"` or `\"pkcs11\"`, repeatable; shares if not set".to_owned()
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
                "awskms" => AwsKmsSeal::read_body(&block.body, reader)
                    .map(|seal| Seal::AwsKms(Box::new(seal))),
                "pkcs11" => Pkcs11Seal::read_body(&block.body, reader)
                    .map(|seal| Seal::Pkcs11(Box::new(seal))),
                "shamir" => None,
                other => {
                    let disabled = Found::of("disabled", block.body.entries);
                    let disabled = !disabled.entries.is_empty() && bool::read(&disabled, reader)?;
                    if !disabled {
                        let text = format!(
                            "`seal` must be \"shamir\", \"static\", \"transit\", \"awskms\" or \"pkcs11\", found {other:?}"
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
        AwsKmsSeal::document(into);
        Pkcs11Seal::document(into);
    }
}
