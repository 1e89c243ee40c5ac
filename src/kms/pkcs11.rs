//! `seal "pkcs11"`: a key of a hardware security module, over PKCS #11.
//!
//! The module's library runs in this process. It is asked by one thread at a time, away from those
//! that serve requests: it may take long. A session that the module has ended is opened again.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::aead::GcmParams;
use cryptoki::mechanism::rsa::{PkcsMgfType, PkcsOaepParams, PkcsOaepSource};
use cryptoki::mechanism::{Mechanism, MechanismType};
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::slot::Slot;
use cryptoki::types::AuthPin;
use futures_util::future::BoxFuture;

use super::{Kms, KmsError};
use crate::crypto::LockedKey;
use crate::rng::{Rng, SystemRng};
use crate::seal::SealKind;
use crate::secret::Secret;
use crate::text::{hex, of_hex};

/// Which token of the module.
#[derive(Clone, Debug)]
pub enum Pkcs11Token {
    Slot(u64),
    Label(String),
}

/// Where the key is, and how it wraps. At least one of `key_label` and `key_id` is set.
pub struct Pkcs11Options {
    /// The module's library.
    pub library: PathBuf,
    pub token: Pkcs11Token,
    pub pin: Secret<String>,
    pub key_label: Option<String>,
    pub key_id: Option<Vec<u8>>,
    /// As PKCS #11 names or numbers it; by the kind of the key if not set.
    pub mechanism: Option<String>,
    /// `sha1` to `sha512`.
    pub oaep_hash: String,
}

pub struct Pkcs11Seal {
    module: Arc<Module>,
    key: String,
}

impl Pkcs11Seal {
    /// Loads the library; the token may be away.
    ///
    /// # Errors
    /// Where the library cannot be loaded, or an option names nothing.
    pub fn new(options: Pkcs11Options) -> Result<Self, String> {
        let library = options.library.display().to_string();
        let context = Pkcs11::new(&options.library).map_err(|error| {
            format!("`lib`: {library} cannot be loaded as a library of PKCS #11: {error}")
        })?;
        let arguments = CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK);
        match context.initialize(arguments) {
            // Two seals of one module share it.
            Ok(()) | Err(Error::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => {}
            Err(error) => return Err(format!("{library} does not start: {error}")),
        }
        let key = Key { label: options.key_label, id: options.key_id };
        if key.label.is_none() && key.id.is_none() {
            return Err("`key_label` or `key_id` must be set, or VAULT_HSM_KEY_LABEL".into());
        }
        let module = Module {
            context,
            token: options.token,
            pin: AuthPin::new(options.pin.expose().as_str().into()),
            mechanism: options.mechanism.as_deref().map(Wrapping::read).transpose()?,
            oaep_hash: OaepHash::read(&options.oaep_hash)?,
            held: Mutex::new(Held::Nothing),
        };
        Ok(Self { module: Arc::new(module), key: key.to_string() })
    }

    async fn ask<T: Send + 'static>(
        &self,
        work: impl Fn(&Module, &Session) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, KmsError> {
        let module = Arc::clone(&self.module);
        let asked = tokio::task::spawn_blocking(move || module.with_session(&work)).await;
        asked.map_err(|error| KmsError::Unreachable(error.to_string()))?
    }
}

impl Kms for Pkcs11Seal {
    fn kind(&self) -> SealKind {
        SealKind::Pkcs11
    }

    fn wrap<'a>(
        &'a self,
        key: &'a LockedKey,
    ) -> BoxFuture<'a, Result<(String, Vec<u8>), KmsError>> {
        Box::pin(async move {
            let (name, plaintext) = (self.key.clone(), Secret::new(key.expose().to_vec()));
            let wrapped = self
                .ask(move |module, session| module.wrap(session, &name, plaintext.expose()))
                .await?;
            Ok((self.key.clone(), wrapped))
        })
    }

    /// By the key that is named with what it wrapped, which may be another than the present one:
    /// so a key can be followed by another.
    fn unwrap<'a>(
        &'a self,
        key_id: &'a str,
        wrapped: &'a [u8],
    ) -> BoxFuture<'a, Result<LockedKey, KmsError>> {
        Box::pin(async move {
            let (name, wrapped) = (key_id.to_owned(), wrapped.to_vec());
            self.ask(move |module, session| module.unwrap(session, &name, &wrapped)).await
        })
    }

    fn current_key_id(&self) -> Option<&str> {
        Some(&self.key)
    }
}

struct Module {
    context: Pkcs11,
    token: Pkcs11Token,
    pin: AuthPin,
    mechanism: Option<Wrapping>,
    oaep_hash: OaepHash,
    /// Locked while the module is asked.
    held: Mutex<Held>,
}

/// What is kept from one question to the next.
enum Held {
    /// At first, and after the module failed.
    Nothing,
    Open(Session),
    /// It is not shown again: a token locks itself after few wrong ones.
    PinRefused(String),
}

impl Module {
    fn with_session<T>(
        &self,
        work: &dyn Fn(&Self, &Session) -> Result<T, Failure>,
    ) -> Result<T, KmsError> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        match &*held {
            Held::Open(session) => match work(self, session) {
                Err(Failure::Module(_)) => {}
                other => return other.map_err(Failure::into_error),
            },
            Held::PinRefused(text) => return Err(KmsError::Refused(text.clone())),
            Held::Nothing => {}
        }
        // The one before is closed first: a token may have few.
        *held = Held::Nothing;
        let session = match self.open() {
            Ok(session) => session,
            Err(Opening::PinRefused(text)) => {
                *held = Held::PinRefused(text.clone());
                return Err(KmsError::Refused(text));
            }
            Err(Opening::Failed(error)) => return Err(error),
        };
        let outcome = work(self, &session);
        if !matches!(outcome, Err(Failure::Module(_))) {
            *held = Held::Open(session);
        }
        outcome.map_err(Failure::into_error)
    }

    fn open(&self) -> Result<Session, Opening> {
        let away = |error: Error| Opening::Failed(KmsError::Unreachable(error.to_string()));
        let slot = self.slot().map_err(Opening::Failed)?;
        let session = self.context.open_ro_session(slot).map_err(away)?;
        match session.login(UserType::User, Some(&self.pin)) {
            Ok(()) | Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => Ok(session),
            Err(Error::Pkcs11(
                error @ (RvError::PinIncorrect
                | RvError::PinLocked
                | RvError::PinInvalid
                | RvError::PinExpired
                | RvError::PinLenRange),
                _,
            )) => Err(Opening::PinRefused(format!(
                "the token does not take `pin`, which is not tried again before a restart: {error}"
            ))),
            Err(error) => Err(away(error)),
        }
    }

    fn slot(&self) -> Result<Slot, KmsError> {
        let away = |error: Error| KmsError::Unreachable(error.to_string());
        let slots = self.context.get_slots_with_token().map_err(away)?;
        let found: Vec<Slot> = match &self.token {
            Pkcs11Token::Slot(number) => {
                slots.into_iter().filter(|slot| slot.id() == *number).collect()
            }
            Pkcs11Token::Label(label) => slots
                .into_iter()
                .filter(|slot| {
                    let token = self.context.get_token_info(*slot);
                    token.is_ok_and(|token| token.label() == label)
                })
                .collect(),
        };
        match found[..] {
            [slot] => Ok(slot),
            [] => Err(KmsError::Unreachable(format!("there is no token at {:?}", self.token))),
            _ => Err(KmsError::Refused(format!(
                "several tokens are called {:?}: set `slot` instead",
                self.token
            ))),
        }
    }

    fn wrap(&self, session: &Session, name: &str, plaintext: &[u8]) -> Result<Vec<u8>, Failure> {
        let key = Key::read(name).ok_or_else(|| Failure::of("the key has no name"))?;
        let wrapping = match self.mechanism {
            Some(wrapping) => wrapping,
            None => key.wrapping(session)?,
        };
        let handle = key.find(session, wrapping.class_that_wraps())?;
        let mut nonce: [u8; GCM_NONCE_BYTES] = (&SystemRng as &dyn Rng).bytes();
        let ciphertext = match wrapping {
            Wrapping::AesGcm => {
                let parameters = GcmParams::new(&mut nonce, &[], GCM_TAG_BITS.into())?;
                session.encrypt(&Mechanism::AesGcm(parameters), handle, plaintext)?
            }
            Wrapping::RsaOaep => {
                let mechanism = Mechanism::RsaPkcsOaep(self.oaep_hash.parameters());
                session.encrypt(&mechanism, handle, plaintext)?
            }
        };
        let head = match wrapping {
            // A module that chooses nonces of its own has written it there.
            Wrapping::AesGcm => [&[wrapping.number()], &nonce[..]].concat(),
            Wrapping::RsaOaep => vec![wrapping.number(), self.oaep_hash.number()],
        };
        Ok([head, ciphertext].concat())
    }

    fn unwrap(&self, session: &Session, name: &str, wrapped: &[u8]) -> Result<LockedKey, Failure> {
        let key = Key::read(name).ok_or(Failure::WrongKey)?;
        let (number, rest) = wrapped.split_first().ok_or(Failure::WrongKey)?;
        let wrapping = Wrapping::of_number(*number).ok_or(Failure::WrongKey)?;
        let handle = key.find(session, wrapping.class_that_unwraps())?;
        let plaintext = match wrapping {
            Wrapping::AesGcm => {
                let (nonce, ciphertext) =
                    rest.split_first_chunk::<GCM_NONCE_BYTES>().ok_or(Failure::WrongKey)?;
                let mut nonce = *nonce;
                let parameters = GcmParams::new(&mut nonce, &[], GCM_TAG_BITS.into())?;
                session.decrypt(&Mechanism::AesGcm(parameters), handle, ciphertext)
            }
            Wrapping::RsaOaep => {
                let (hash, ciphertext) = rest.split_first().ok_or(Failure::WrongKey)?;
                let hash = OaepHash::of_number(*hash).ok_or(Failure::WrongKey)?;
                session.decrypt(&Mechanism::RsaPkcsOaep(hash.parameters()), handle, ciphertext)
            }
        };
        let plaintext = match plaintext {
            Ok(plaintext) => Secret::new(plaintext),
            Err(Error::Pkcs11(
                RvError::EncryptedDataInvalid
                | RvError::EncryptedDataLenRange
                | RvError::DataInvalid
                | RvError::DataLenRange,
                _,
            )) => return Err(Failure::WrongKey),
            Err(error) => return Err(error.into()),
        };
        LockedKey::from_slice(plaintext.expose()).ok_or(Failure::WrongKey)
    }
}

/// Why there is no session.
enum Opening {
    PinRefused(String),
    Failed(KmsError),
}

/// Which key of the token.
#[derive(Debug, Default, Eq, PartialEq)]
struct Key {
    label: Option<String>,
    id: Option<Vec<u8>>,
}

/// As it is kept with what the key wraps: `id=<hexadecimal>`, `label=<text>` or `id=…,label=…`.
impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (&self.id, &self.label) {
            (Some(id), Some(label)) => write!(f, "id={},label={label}", hex(id)),
            (Some(id), None) => write!(f, "id={}", hex(id)),
            (None, label) => write!(f, "label={}", label.as_deref().unwrap_or_default()),
        }
    }
}

impl Key {
    fn read(text: &str) -> Option<Self> {
        if let Some(label) = text.strip_prefix("label=") {
            return Some(Self { label: Some(label.to_owned()), id: None });
        }
        let rest = text.strip_prefix("id=")?;
        let (id, label) = match rest.split_once(",label=") {
            Some((id, label)) => (id, Some(label.to_owned())),
            None => (rest, None),
        };
        Some(Self { label, id: Some(of_hex(id)?.to_vec()) })
    }

    fn template(&self) -> Vec<Attribute> {
        let label = self.label.iter().map(|label| Attribute::Label(label.as_bytes().to_vec()));
        let id = self.id.iter().map(|id| Attribute::Id(id.clone()));
        label.chain(id).collect()
    }

    fn find(&self, session: &Session, class: ObjectClass) -> Result<ObjectHandle, Failure> {
        let mut template = self.template();
        template.push(Attribute::Class(class));
        match session.find_objects(&template)?[..] {
            [key] => Ok(key),
            [] => {
                Err(Failure::of(&format!("the token has no key with {self} of the class {class}")))
            }
            _ => Err(Failure::of(&format!(
                "the token has several keys with {self}: set `key_id` too"
            ))),
        }
    }

    /// What its kind allows.
    fn wrapping(&self, session: &Session) -> Result<Wrapping, Failure> {
        for (class, wrapping) in [
            (ObjectClass::SECRET_KEY, Wrapping::AesGcm),
            (ObjectClass::PUBLIC_KEY, Wrapping::RsaOaep),
        ] {
            let mut template = self.template();
            template.push(Attribute::Class(class));
            for key in session.find_objects(&template)? {
                for attribute in session.get_attributes(key, &[AttributeType::KeyType])? {
                    let fits = match attribute {
                        Attribute::KeyType(kind) => kind == wrapping.key_type(),
                        _ => false,
                    };
                    if fits {
                        return Ok(wrapping);
                    }
                }
            }
        }
        Err(Failure::of(&format!("the token has no AES or RSA key with {self}")))
    }
}

/// How a key wraps. Numbers are for ever.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Wrapping {
    AesGcm,
    RsaOaep,
}

impl Wrapping {
    fn read(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let number = text.strip_prefix("0x").map(|digits| u64::from_str_radix(digits, 16).ok());
        match (text, number.unwrap_or_else(|| text.parse().ok())) {
            ("CKM_AES_GCM", _) | (_, Some(0x1087)) => Ok(Self::AesGcm),
            ("CKM_RSA_PKCS_OAEP", _) | (_, Some(0x0009)) => Ok(Self::RsaOaep),
            _ => Err(format!(
                "`mechanism` must be CKM_AES_GCM (0x1087) or CKM_RSA_PKCS_OAEP (0x0009), found {text:?}"
            )),
        }
    }

    fn number(self) -> u8 {
        match self {
            Self::AesGcm => 1,
            Self::RsaOaep => 2,
        }
    }

    fn of_number(number: u8) -> Option<Self> {
        [Self::AesGcm, Self::RsaOaep].into_iter().find(|wrapping| wrapping.number() == number)
    }

    fn key_type(self) -> KeyType {
        match self {
            Self::AesGcm => KeyType::AES,
            Self::RsaOaep => KeyType::RSA,
        }
    }

    fn class_that_wraps(self) -> ObjectClass {
        match self {
            Self::AesGcm => ObjectClass::SECRET_KEY,
            Self::RsaOaep => ObjectClass::PUBLIC_KEY,
        }
    }

    fn class_that_unwraps(self) -> ObjectClass {
        match self {
            Self::AesGcm => ObjectClass::SECRET_KEY,
            Self::RsaOaep => ObjectClass::PRIVATE_KEY,
        }
    }
}

/// Numbers are for ever.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum OaepHash {
    Sha1,
    Sha224,
    Sha256,
    Sha384,
    Sha512,
}

impl OaepHash {
    const ALL: [(Self, &'static str, u8); 5] = [
        (Self::Sha1, "sha1", 1),
        (Self::Sha224, "sha224", 2),
        (Self::Sha256, "sha256", 3),
        (Self::Sha384, "sha384", 4),
        (Self::Sha512, "sha512", 5),
    ];

    fn read(text: &str) -> Result<Self, String> {
        let found = Self::ALL.iter().find(|(_, name, _)| *name == text);
        found.map(|(hash, _, _)| *hash).ok_or_else(|| {
            format!(
                "`rsa_oaep_hash` must be sha1, sha224, sha256, sha384 or sha512, found {text:?}"
            )
        })
    }

    fn number(self) -> u8 {
        Self::ALL.iter().find(|(hash, _, _)| *hash == self).map_or(0, |(_, _, number)| *number)
    }

    fn of_number(number: u8) -> Option<Self> {
        Self::ALL.iter().find(|(_, _, other)| *other == number).map(|(hash, _, _)| *hash)
    }

    fn parameters(self) -> PkcsOaepParams<'static> {
        let (hash, mask) = match self {
            Self::Sha1 => (MechanismType::SHA1, PkcsMgfType::MGF1_SHA1),
            Self::Sha224 => (MechanismType::SHA224, PkcsMgfType::MGF1_SHA224),
            Self::Sha256 => (MechanismType::SHA256, PkcsMgfType::MGF1_SHA256),
            Self::Sha384 => (MechanismType::SHA384, PkcsMgfType::MGF1_SHA384),
            Self::Sha512 => (MechanismType::SHA512, PkcsMgfType::MGF1_SHA512),
        };
        PkcsOaepParams::new(hash, mask, PkcsOaepSource::empty())
    }
}

/// Why the module did not do it.
enum Failure {
    /// Perhaps it would in a new session.
    Module(Error),
    Refused(String),
    WrongKey,
}

impl Failure {
    fn of(text: &str) -> Self {
        Self::Refused(text.to_owned())
    }

    fn into_error(self) -> KmsError {
        match self {
            Self::Module(error) => KmsError::Unreachable(error.to_string()),
            Self::Refused(text) => KmsError::Refused(text),
            Self::WrongKey => KmsError::WrongKey,
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Module(error)
    }
}

const GCM_NONCE_BYTES: usize = 12;
const GCM_TAG_BITS: std::ffi::c_ulong = 128;

#[cfg(test)]
mod tests;
