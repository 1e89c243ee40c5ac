//! The flags that every command takes.

use std::path::PathBuf;
use std::time::Duration;

use hyper::header::{HeaderName, HeaderValue};

use super::args;
use super::env::Env;
use super::failure::Failure;
use super::format::Format;
use super::token_helper::TokenHelper;
use crate::client::{Address, Client, Config, Mode, Redirects, Tls, Verification};
use crate::config::env;
use crate::secret::Secret;

/// Each wins over its variable, `VAULT_ADDR` and so on.
#[derive(clap::Args, Debug, Default)]
#[command(next_help_heading = "Global options")]
pub(super) struct GlobalFlags {
    /// Address of the server: https://, http:// or unix://. [VAULT_ADDR]
    #[arg(long, global = true, value_name = "URL")]
    pub(super) address: Option<String>,
    /// Address of an agent; wins over the server's. [VAULT_AGENT_ADDR]
    #[arg(long, global = true, value_name = "URL")]
    agent_address: Option<String>,
    /// PEM file of the authority that signed the server's certificate. [VAULT_CACERT]
    #[arg(long, global = true, value_name = "FILE")]
    ca_cert: Option<PathBuf>,
    /// Folder of such PEM files. [VAULT_CAPATH]
    #[arg(long, global = true, value_name = "FOLDER")]
    ca_path: Option<PathBuf>,
    /// PEM file of the certificate to show to the server. [VAULT_CLIENT_CERT]
    #[arg(long, global = true, value_name = "FILE")]
    client_cert: Option<PathBuf>,
    /// PEM file of the key to that certificate. [VAULT_CLIENT_KEY]
    #[arg(long, global = true, value_name = "FILE")]
    client_key: Option<PathBuf>,
    /// Name that the server's certificate must hold. [VAULT_TLS_SERVER_NAME]
    #[arg(long, global = true, value_name = "NAME")]
    tls_server_name: Option<String>,
    /// Trust whoever answers: for trials only. [VAULT_SKIP_VERIFY]
    #[arg(long, global = true)]
    tls_skip_verify: bool,
    /// Follow no redirect. [VAULT_DISABLE_REDIRECTS]
    #[arg(long, global = true)]
    disable_redirects: bool,
    /// Namespace to work in. [VAULT_NAMESPACE]
    #[arg(long, alias = "ns", global = true, value_name = "PATH")]
    namespace: Option<String>,
    /// Wrap the answer in a token that lives this long. [VAULT_WRAP_TTL]
    #[arg(long, global = true, value_name = "DURATION", value_parser = args::duration)]
    wrap_ttl: Option<String>,
    /// Credentials for multi-factor authentication: METHOD[:PASSCODE]. [VAULT_MFA]
    #[arg(long, global = true, value_name = "CREDENTIALS")]
    mfa: Vec<String>,
    /// A further header to send, as key=value.
    #[arg(long, global = true, value_name = "KEY=VALUE", value_parser = args::pair)]
    header: Vec<(String, String)>,
    /// Override a Sentinel policy that may be overridden.
    #[arg(long, global = true)]
    policy_override: bool,
    /// Key that unlocks a namespace's API lock.
    #[arg(long, global = true, value_name = "KEY")]
    pub(super) unlock_key: Option<String>,
    /// Never ask for anything.
    #[arg(long, global = true)]
    pub(super) non_interactive: bool,
    /// Print a curl command instead of sending the request.
    #[arg(long, global = true)]
    pub(super) output_curl_string: bool,
    /// Print the policy that the request needs instead of sending it.
    #[arg(long, global = true)]
    pub(super) output_policy: bool,
    /// How to print: table, json, yaml, raw (`read` only). [VAULT_FORMAT]
    #[arg(long, global = true, value_name = "FORMAT")]
    format: Option<String>,
    /// Print this field alone, without a newline where a program reads it.
    #[arg(long, global = true, value_name = "NAME")]
    pub(super) field: Option<String>,
}

impl GlobalFlags {
    pub(super) fn format(&self, env: &Env) -> Result<Format, Failure> {
        let name = self.format.as_deref().or_else(|| env.get(env::FORMAT)).unwrap_or("table");
        Format::parse(name).ok_or_else(|| Failure::local(format!("Invalid output format: {name}")))
    }

    /// The client that these flags and the environment describe.
    pub(super) fn client(&self, env: &Env) -> Result<Client, Failure> {
        let address = self.agent_address.as_deref().or_else(|| env.get(env::AGENT_ADDR));
        let address = address.or(self.address.as_deref()).or_else(|| env.get(env::ADDR));
        let address = address.unwrap_or(ADDRESS_DEFAULT);
        Ok(Client::new(self.client_config(env, address)?)?)
    }

    /// As for [`Self::client`], but of a server at another address.
    pub(super) fn client_config(&self, env: &Env, address: &str) -> Result<Config, Failure> {
        let mut config = Config::new(Address::parse(address)?);
        config.tls = self.tls(env)?;
        config.token = token(env)?;
        let namespace = self.namespace.as_deref().or_else(|| env.get(env::NAMESPACE));
        config.namespace = namespace
            .map(|path| path.trim_matches('/'))
            .filter(|path| !path.is_empty())
            .map(|path| format!("{path}/"));
        config.wrap_ttl = match (&self.wrap_ttl, env.get(env::WRAP_TTL)) {
            (Some(ttl), _) => Some(ttl.clone()),
            (None, Some(ttl)) => Some(args::duration(ttl).map_err(Failure::local)?),
            (None, None) => None,
        };
        config.headers = self.headers(env)?;
        if let Some(timeout) = env.get(env::CLIENT_TIMEOUT) {
            let seconds = args::seconds(timeout)
                .map_err(|reason| Failure::local(format!("VAULT_CLIENT_TIMEOUT: {reason}")))?;
            config.timeout = Duration::from_secs(u64::try_from(seconds).unwrap_or_default().max(1));
        }
        // As in Vault: a person at a terminal decides about another try.
        config.retries_max = match env.get(env::MAX_RETRIES) {
            None => 0,
            Some(count) => count
                .parse()
                .map_err(|_| Failure::local(format!("VAULT_MAX_RETRIES: `{count}` is no count")))?,
        };
        if self.disable_redirects || switch(env, env::DISABLE_REDIRECTS)? {
            config.redirects = Redirects::Refuse;
        }
        if self.output_curl_string || self.output_policy {
            config.mode = Mode::Outline;
        }
        Ok(config)
    }

    fn tls(&self, env: &Env) -> Result<Tls, Failure> {
        let path = |flag: &Option<PathBuf>, name| {
            flag.clone().or_else(|| env.get(name).map(PathBuf::from))
        };
        let skips = self.tls_skip_verify || switch(env, env::SKIP_VERIFY)?;
        Ok(Tls {
            ca_cert: path(&self.ca_cert, env::CACERT),
            ca_cert_pem: env.get(env::CACERT_BYTES).map(str::to_owned),
            ca_path: path(&self.ca_path, env::CAPATH),
            client_cert: path(&self.client_cert, env::CLIENT_CERT),
            client_key: path(&self.client_key, env::CLIENT_KEY),
            server_name: self
                .tls_server_name
                .clone()
                .or_else(|| env.get(env::TLS_SERVER_NAME).map(str::to_owned)),
            verification: if skips { Verification::Skip } else { Verification::Full },
        })
    }

    fn headers(&self, env: &Env) -> Result<Vec<(HeaderName, HeaderValue)>, Failure> {
        let mut headers = Vec::new();
        for (name, value) in &self.header {
            if name.to_ascii_lowercase().starts_with("x-vault-") {
                return Err(Failure::local(format!(
                    "Custom headers that start with X-Vault- are not allowed: {name}"
                )));
            }
            headers.push(header(name, value)?);
        }
        let mfa_from_env = env.get(env::MFA).filter(|_| self.mfa.is_empty());
        for credentials in self.mfa.iter().map(String::as_str).chain(mfa_from_env) {
            headers.push(header("x-vault-mfa", credentials)?);
        }
        if self.policy_override {
            headers.push(header("x-vault-policy-override", "true")?);
        }
        if let Some(key) = &self.unlock_key {
            headers.push(header("x-vault-unlock-key", key)?);
        }
        Ok(headers)
    }
}

/// The token of the environment, else that of the last login.
pub(super) fn token(env: &Env) -> Result<Option<Secret<String>>, Failure> {
    match env.get(env::TOKEN) {
        Some(token) => Ok(Some(Secret::new(token.trim().to_owned()))),
        None => TokenHelper::find(env)?.get(),
    }
}

fn header(name: &str, value: &str) -> Result<(HeaderName, HeaderValue), Failure> {
    match (name.parse(), value.parse()) {
        (Ok(name), Ok(value)) => Ok((name, value)),
        _ => Err(Failure::local(format!("`{name}` cannot be sent as a header"))),
    }
}

fn switch(env: &Env, name: &str) -> Result<bool, Failure> {
    env.get(name)
        .map_or(Ok(false), args::go_bool)
        .map_err(|reason| Failure::local(format!("VAULT_{name}: {reason}")))
}

const ADDRESS_DEFAULT: &str = "https://127.0.0.1:8200";

#[cfg(test)]
mod tests;
