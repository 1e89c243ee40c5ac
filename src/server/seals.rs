//! The seals of the configuration, and whether they answer.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::control::Control;
use super::replicated::StartError;
use crate::client::{Tls, Verification};
use crate::config::{Seal as Stanza, StaticSeal as Static, TransitSeal as Transit, env};
use crate::crypto::LockedKey;
use crate::kms::{Seal, Seals, StaticKey, StaticSeal, TransitOptions, TransitSeal};
use crate::log::BoxFuture;
use crate::request::Error;
use crate::seal::{SealKind, WrappedSealKey};
use crate::secret::Secret;
use crate::sys::{BackendStatus, SealWrapper};

/// # Errors
/// Where a key or a certificate cannot be read, with the seal's name; never the key.
pub fn open_seals(stanzas: &[Stanza], env: env::Env<'_>) -> Result<Seals, StartError> {
    let mut seals = Vec::new();
    for stanza in stanzas {
        let name = stanza.name().to_owned();
        let opened = match stanza {
            Stanza::Static(seal) => fixed(seal, env),
            Stanza::Transit(seal) => transit(seal, env),
            #[cfg(feature = "awskms")]
            Stanza::AwsKms(seal) => aws_kms(seal, env),
            #[cfg(feature = "pkcs11")]
            Stanza::Pkcs11(seal) => pkcs11(seal, env),
            // Only one that is disabled gets here: the configuration refuses the others.
            #[cfg(not(all(feature = "awskms", feature = "pkcs11")))]
            other => {
                tracing::warn!(seal = other.name(), "this program was built without such seals");
                continue;
            }
        };
        let (kms, priority, disabled) =
            opened.map_err(|reason| format!("seal {name:?}: {reason}"))?;
        seals.push(Seal { name, priority, disabled, kms });
    }
    Ok(Seals::new(seals))
}

type Opened = (Box<dyn crate::kms::Kms>, u32, bool);

fn fixed(seal: &Static, env: env::Env<'_>) -> Result<Opened, String> {
    let key = |field: &str, id: &str, text: &Secret<String>| {
        StaticKey::new(id, text.expose(), env).map_err(|reason| format!("`{field}`: {reason}"))
    };
    let current = key("current_key", &seal.current_key_id, &seal.current_key)?;
    let previous = match (&seal.previous_key_id, &seal.previous_key) {
        (Some(id), Some(text)) => Some(key("previous_key", id, text)?),
        _ => None,
    };
    Ok((Box::new(StaticSeal::new(current, previous)), seal.priority, seal.disabled))
}

fn transit(seal: &Transit, env: env::Env<'_>) -> Result<Opened, String> {
    let or = |suffix: &str, configured: Option<&str>| {
        env::lookup(env, suffix).map(|set| set.value).or_else(|| configured.map(str::to_owned))
    };
    let needed = |key: &str, suffix: &str, configured: Option<&str>| {
        or(suffix, configured)
            .ok_or_else(|| format!("`{key}` must be set, or the variable VAULT_{suffix}"))
    };
    let path = |suffix: &str, configured: &Option<std::path::PathBuf>| {
        env::lookup(env, suffix).map(|set| set.value.into()).or_else(|| configured.clone())
    };
    let skips = env::switch(env, env::SKIP_VERIFY)?.unwrap_or(seal.tls_skip_verify);
    let tls = Tls {
        ca_cert: path(env::CACERT, &seal.tls_ca_cert),
        client_cert: path(env::CLIENT_CERT, &seal.tls_client_cert),
        client_key: path(env::CLIENT_KEY, &seal.tls_client_key),
        server_name: or(env::TLS_SERVER_NAME, seal.tls_server_name.as_deref()),
        verification: if skips { Verification::Skip } else { Verification::Full },
        ..Tls::default()
    };
    let token = seal.token.as_ref().map(|token| token.expose().as_str());
    let options = TransitOptions {
        address: needed("address", env::ADDR, seal.address.as_deref())?,
        token: Secret::new(needed("token", env::TOKEN, token)?),
        key_name: needed("key_name", env::TRANSIT_SEAL_KEY_NAME, seal.key_name.as_deref())?,
        mount_path: needed("mount_path", env::TRANSIT_SEAL_MOUNT_PATH, seal.mount_path.as_deref())?,
        namespace: or(env::NAMESPACE, seal.namespace.as_deref()),
        disable_renewal: seal.disable_renewal,
        tls,
    };
    let opened = TransitSeal::new(options).map_err(|error| error.to_string())?;
    Ok((Box::new(opened), seal.priority, seal.disabled))
}

#[cfg(feature = "awskms")]
fn aws_kms(seal: &crate::config::AwsKmsSeal, env: env::Env<'_>) -> Result<Opened, String> {
    use crate::kms::{AccessKey, AwsKmsOptions, AwsKmsSeal, Profile};
    let set = |name: &str| env(name).filter(|value| !value.is_empty());
    let secret = |text: &Option<Secret<String>>| {
        text.as_ref().map(|text| Secret::new(text.expose().clone()))
    };
    let access_key = match (&seal.access_key, secret(&seal.secret_key)) {
        (Some(id), Some(key)) => {
            let session_token = secret(&seal.session_token);
            Some(AccessKey { id: id.clone(), secret: key, session_token })
        }
        _ => None,
    };
    let key = env::lookup(env, env::AWSKMS_SEAL_KEY_ID).map(|set| set.value);
    let region = set("AWS_REGION").or_else(|| set("AWS_DEFAULT_REGION"));
    let options = AwsKmsOptions {
        region: region.or_else(|| seal.region.clone()).unwrap_or_else(|| "us-east-1".to_owned()),
        key: key.or_else(|| seal.kms_key_id.clone()).ok_or_else(|| {
            format!("`kms_key_id` must be set, or the variable VAULT_{}", env::AWSKMS_SEAL_KEY_ID)
        })?,
        endpoint: set("AWS_KMS_ENDPOINT").or_else(|| seal.endpoint.clone()),
        access_key,
        profile: Profile {
            file: seal.shared_creds_filename.clone(),
            name: seal.shared_creds_profile.clone(),
        },
    };
    let opened = AwsKmsSeal::new(options, env)?;
    Ok((Box::new(opened), seal.priority, seal.disabled))
}

#[cfg(feature = "pkcs11")]
fn pkcs11(seal: &crate::config::Pkcs11Seal, env: env::Env<'_>) -> Result<Opened, String> {
    use crate::kms::{Pkcs11Options, Pkcs11Seal, Pkcs11Token};
    use crate::text::of_hex;
    let or = |suffix: &str, configured: &Option<String>| {
        env::lookup(env, suffix).map(|set| set.value).or_else(|| configured.clone())
    };
    let missing =
        |key: &str, suffix: &str| format!("`{key}` must be set, or the variable VAULT_{suffix}");
    let slot = or(env::HSM_SLOT, &seal.slot).map(|text| {
        let number = match text.strip_prefix("0x") {
            Some(digits) => u64::from_str_radix(digits, 16),
            None => text.parse(),
        };
        number.map_err(|_| format!("`slot` must be a number, decimal or 0x…, found {text:?}"))
    });
    let library = env::lookup(env, env::HSM_LIB).map(|set| set.value.into());
    let pin = env::lookup(env, env::HSM_PIN).map(|set| Secret::new(set.value));
    let configured = || seal.pin.as_ref().map(|pin| Secret::new(pin.expose().clone()));
    let key_id = or(env::HSM_KEY_ID, &seal.key_id).map(|text| {
        let digits = text.strip_prefix("0x").unwrap_or(&text);
        of_hex(digits)
            .map(|id| id.to_vec())
            .ok_or_else(|| format!("`key_id` must be hexadecimal, found {text:?}"))
    });
    let hash = or(env::HSM_RSA_OAEP_HASH, &None).unwrap_or_else(|| seal.rsa_oaep_hash.clone());
    let options = Pkcs11Options {
        library: library
            .or_else(|| seal.lib.clone())
            .ok_or_else(|| missing("lib", env::HSM_LIB))?,
        token: match (slot.transpose()?, or(env::HSM_TOKEN_LABEL, &seal.token_label)) {
            (Some(slot), None) => Pkcs11Token::Slot(slot),
            (None, Some(label)) => Pkcs11Token::Label(label),
            (Some(_), Some(_)) => {
                return Err("`slot` and `token_label` name the token twice: keep one".to_owned());
            }
            (None, None) => return Err(missing("slot` or `token_label", env::HSM_SLOT)),
        },
        pin: pin.or_else(configured).ok_or_else(|| missing("pin", env::HSM_PIN))?,
        key_label: or(env::HSM_KEY_LABEL, &seal.key_label),
        key_id: key_id.transpose()?,
        mechanism: or(env::HSM_MECHANISM, &seal.mechanism),
        oaep_hash: hash.to_ascii_lowercase(),
    };
    let opened = Pkcs11Seal::new(options)?;
    Ok((Box::new(opened), seal.priority, seal.disabled))
}

/// For what handlers wrap.
pub(super) struct Wrapper(pub(super) Arc<Seals>);

impl SealWrapper for Wrapper {
    fn wrap<'a>(
        &'a self,
        seal_key: &'a LockedKey,
    ) -> BoxFuture<'a, Result<Vec<WrappedSealKey>, Error>> {
        Box::pin(async move {
            if self.0.kind().is_none() {
                return Err(Error::bad_request(
                    "this node's configuration has no seal that opens by itself",
                ));
            }
            let wrapped = self.0.wrap(seal_key).await;
            wrapped.map_err(|error| Error::Unavailable(error.to_string()))
        })
    }
}

/// How the seals answered when they were last asked.
#[derive(Default)]
pub(super) struct Looked {
    last: Mutex<Option<Vec<BackendStatus>>>,
    /// Held while they are asked.
    asking: tokio::sync::Mutex<()>,
}

impl Looked {
    /// Asks at the beginning alone: whoever wants to know needs no token.
    pub(super) async fn backends(&self, seals: &Seals) -> Vec<BackendStatus> {
        if let Some(last) = self.last() {
            return last;
        }
        let _one_at_a_time = self.asking.lock().await;
        match self.last() {
            Some(last) => last,
            None => self.look(seals).await,
        }
    }

    async fn look(&self, seals: &Seals) -> Vec<BackendStatus> {
        let all = asked(seals).await;
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(all.clone());
        all
    }

    fn last(&self) -> Option<Vec<BackendStatus>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Asks the seals once a minute, sealed or not, until dropped: so that it is known whether they
/// would open this node, and that a transit seal's token is renewed before it ends.
pub async fn watch_seals(control: Arc<Control>) {
    if control.seals.all().is_empty() {
        return;
    }
    loop {
        {
            let _one_at_a_time = control.seals_looked.asking.lock().await;
            control.seals_looked.look(&control.seals).await;
        }
        tokio::time::sleep(LOOK_PAUSE).await;
    }
}

const LOOK_PAUSE: Duration = Duration::from_secs(60);

async fn asked(seals: &Seals) -> Vec<BackendStatus> {
    let mut all = Vec::new();
    for (name, kind, outcome) in seals.check().await {
        let error = outcome.err().map(|error| error.to_string());
        if let Some(error) = &error {
            tracing::warn!(seal = name, error, "a seal does not answer");
        }
        all.push(BackendStatus { name, kind: kind.name().into(), healthy: error.is_none(), error });
    }
    if all.is_empty() {
        let name = SealKind::Shamir.name().to_owned();
        all.push(BackendStatus { kind: name.clone(), name, healthy: true, error: None });
    }
    all
}
