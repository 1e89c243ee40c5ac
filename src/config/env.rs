//! Every environment variable that the server and the command line read.
//!
//! Each is looked up with OpenBao's prefix first and with Vault's after it, so that scripts of
//! either work: `BAO_ADDR`, then `VAULT_ADDR`. An empty variable is one that is not set.

/// Reads one variable of the environment; tests pass a map's `get`.
pub type Env<'a> = &'a dyn Fn(&str) -> Option<String>;

/// The process's own environment. A value that is not UTF-8 counts as not set.
pub fn process(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// A variable that was set: with its whole name, for messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Set {
    pub name: String,
    pub value: String,
}

/// `BAO_` and `suffix`, or else `VAULT_` and `suffix`.
pub fn lookup(env: Env<'_>, suffix: &str) -> Option<Set> {
    PREFIXES.iter().find_map(|prefix| {
        let name = format!("{prefix}{suffix}");
        let value = env(&name).filter(|value| !value.is_empty())?;
        Some(Set { name, value })
    })
}

/// A variable that turns something on, as Go's `strconv.ParseBool` reads it; `None` where it is
/// not set.
///
/// # Errors
/// Where it is neither true nor false, with the whole name.
pub fn switch(env: Env<'_>, suffix: &str) -> Result<Option<bool>, String> {
    let Some(set) = lookup(env, suffix) else { return Ok(None) };
    match set.value.as_str() {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(Some(true)),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(Some(false)),
        other => Err(format!("the variable {} is neither true nor false: {other:?}", set.name)),
    }
}

pub const PREFIXES: [&str; 2] = ["BAO_", "VAULT_"];

/// Who reads a variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reads {
    /// The server, where it stands in for the key of the configuration.
    Server,
    /// The command line and its client.
    Client,
}

/// One variable, without its prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Variable {
    pub suffix: &'static str,
    pub reads: Reads,
    pub help: &'static str,
}

macro_rules! variables {
    ($( $name:ident $reads:ident $help:literal, )*) => {
        $(
            #[doc = $help]
            pub const $name: &str = stringify!($name);
        )*

        /// All of them, in the order of the documentation.
        pub const VARIABLES: &[Variable] = &[
            $( Variable { suffix: stringify!($name), reads: Reads::$reads, help: $help }, )*
        ];
    };
}

variables! {
    API_ADDR Server "Overrides `api_addr`.",
    REDIRECT_ADDR Server "An older name of `API_ADDR`, which goes first.",
    CLUSTER_ADDR Server "Overrides `cluster_addr`.",
    CLUSTER_INTERFACE Server "Name of a network interface whose address, with port 8201, becomes `cluster_addr`; `CLUSTER_ADDR` goes first.",
    RAFT_NODE_ID Server "Overrides `node_id` of `storage \"raft\"`.",
    RAFT_PATH Server "Overrides `path` of `storage \"raft\"`.",
    LOG_LEVEL Server "Overrides `log_level`.",
    LOG_FORMAT Server "Overrides `log_format`.",
    UI Server "Overrides `ui`.",
    DISABLE_MLOCK Server "Overrides `disable_mlock`.",
    TRANSIT_SEAL_KEY_NAME Server "Overrides `key_name` of `seal \"transit\"`.",
    TRANSIT_SEAL_MOUNT_PATH Server "Overrides `mount_path` of `seal \"transit\"`.",
    AWSKMS_SEAL_KEY_ID Server "Overrides `kms_key_id` of `seal \"awskms\"`.",
    HSM_LIB Server "Overrides `lib` of `seal \"pkcs11\"`.",
    HSM_SLOT Server "Overrides `slot` of `seal \"pkcs11\"`.",
    HSM_TOKEN_LABEL Server "Overrides `token_label` of `seal \"pkcs11\"`.",
    HSM_PIN Server "Overrides `pin` of `seal \"pkcs11\"`.",
    HSM_KEY_LABEL Server "Overrides `key_label` of `seal \"pkcs11\"`.",
    HSM_KEY_ID Server "Overrides `key_id` of `seal \"pkcs11\"`.",
    HSM_MECHANISM Server "Overrides `mechanism` of `seal \"pkcs11\"`.",
    HSM_RSA_OAEP_HASH Server "Overrides `rsa_oaep_hash` of `seal \"pkcs11\"`.",
    REPORTED_VERSION Server "Overrides `reported_version`, also that of `server -dev`.",
    DEV_ROOT_TOKEN_ID Server "Root token of `server -dev`.",
    DEV_LISTEN_ADDRESS Server "Address that `server -dev` listens on, instead of 127.0.0.1:8200.",
    ADDR Client "URL of the server; https://127.0.0.1:8200 if not set.",
    AGENT_ADDR Client "URL of an agent, which goes before `ADDR`.",
    TOKEN Client "Token to send, instead of the one in ~/.vault-token.",
    TOKEN_PATH Client "File that keeps the token of the last login, instead of ~/.vault-token.",
    CONFIG_PATH Client "File that may name a `token_helper`, instead of ~/.vault.",
    NAMESPACE Client "Namespace of every request.",
    CACERT Client "File with the CA certificates (PEM) that the server's certificate must come from.",
    CACERT_BYTES Client "The same certificates themselves, instead of their file.",
    CAPATH Client "Folder of files with such certificates.",
    CLIENT_CERT Client "File with the certificate (PEM) that the client shows.",
    CLIENT_KEY Client "File with the key (PEM) of that certificate.",
    CLIENT_TIMEOUT Client "How long a request may take; 60s if not set.",
    SKIP_VERIFY Client "Whether the server's certificate goes unchecked: anyone between can read and change everything.",
    TLS_SERVER_NAME Client "Name that the server's certificate must bear, instead of the URL's.",
    MAX_RETRIES Client "How often a command sends a failed request again; 0 if not set.",
    DISABLE_REDIRECTS Client "Whether a redirect is shown instead of followed.",
    WRAP_TTL Client "Wraps responses in a token of this lifetime.",
    MFA Client "Credentials for multi-factor authentication, `name[:key[=value]]`.",
    FORMAT Client "Output: table, json, yaml or raw.",
    DETAILED Client "Whether lists show all columns.",
}
