//! What all certificates have in common: numbers, times, records and forms.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::issuer::{self, Facts, Issuer, Signer};
use super::key::PrivateKey;
use super::role::{Role, parse_time};
use crate::clock::Timestamp;
use crate::framework::{Call, Seconds};
use crate::request::Error;
use crate::rng::Rng;

/// As stored, under its serial number.
#[derive(Clone, Deserialize, Serialize)]
pub(super) struct Stored {
    /// DER in base64.
    pub(super) certificate: String,
    pub(super) not_after: Timestamp,
}

pub(super) struct Validity {
    pub(super) not_before: Timestamp,
    pub(super) not_after: Timestamp,
    pub(super) warnings: Vec<String>,
}

/// 158 random bits, in 20 bytes that read as a positive number (RFC 5280, section 4.1.2.2).
pub(super) fn serial(rng: &dyn Rng) -> Vec<u8> {
    let mut serial: [u8; 20] = rng.bytes();
    let [first, ..] = &mut serial;
    *first = *first & 0x3f | 0x40;
    serial.to_vec()
}

/// As Vault shows serial numbers.
pub(super) fn colons(serial: &[u8]) -> String {
    hexadecimal(serial).join(":")
}

/// As they are named in storage.
pub(super) fn hyphens(serial: &[u8]) -> String {
    hexadecimal(serial).join("-")
}

fn hexadecimal(serial: &[u8]) -> Vec<String> {
    serial.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Reads what [`colons`] or [`hyphens`] wrote.
pub(super) fn parse_serial(text: &str) -> Option<Vec<u8>> {
    let byte = |digits: &str| {
        let valid = digits.len() == 2 && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        valid.then(|| u8::from_str_radix(digits, 16).ok()).flatten()
    };
    let serial: Vec<u8> = text.split([':', '-']).map(byte).collect::<Option<_>>()?;
    // As they are in storage; some clients keep the zero of what would be negative without it.
    let serial = issuer::without_zeros(&serial);
    (serial.len() <= 20).then_some(serial)
}

/// Whether the path is below `issuer/` and so names one.
pub(super) fn is_of_issuer(call: &Call<'_>) -> bool {
    let path = &call.request.path;
    path.strip_prefix(&call.mount.path).unwrap_or(path).starts_with("issuer/")
}

pub(super) fn stored(call: &mut Call<'_>, serial: &[u8], der: &[u8]) -> Result<(), Error> {
    let facts = Facts::of(der).ok_or_else(|| Error::internal("a certificate cannot be read"))?;
    let record = Stored { certificate: BASE64.encode(der), not_after: facts.not_after };
    call.storage.put(&format!("{CERTIFICATES}/{}", hyphens(serial)), &record)
}

/// From which second to which, within what role, mount and issuer allow.
///
/// # Errors
/// [`Error::BadRequest`] where it would outlive its issuer, who does not allow that.
pub(super) fn validity(
    call: &Call<'_>,
    role: &Role,
    ttl: Option<Seconds>,
    not_after: Option<&str>,
    signer: &Signer,
) -> Result<Validity, Error> {
    let own = Times { ttl: role.ttl, max_ttl: role.max_ttl, not_after: &role.not_after };
    let mut validity = times(call, &own, ttl, not_after, role.not_before_duration)?;
    // What the role's owner wrote stands; whoever asks gets no more than by a time to live.
    if role.not_after.is_empty() && not_after.is_some_and(|text| !text.is_empty()) {
        let latest = call.now.seconds().saturating_add(own.max(call));
        if validity.not_after.seconds() > latest {
            validity.not_after = Timestamp::from_seconds(latest);
            validity.warnings.push(format!(
                "not_after is later than permitted by maxTTL {:?}, so maxTTL is being used",
                go_duration(own.max(call))
            ));
        }
    }
    let end = signer.facts.not_after;
    if validity.not_after > end {
        match signer.issuer.leaf_not_after_behavior.as_str() {
            "truncate" => validity.not_after = end,
            "permit" => {}
            _ => {
                return Err(Error::BadRequest(format!(
                    "cannot satisfy request, as TTL would result in notAfter of {} that is beyond \
                     the expiration of the CA certificate at {}",
                    validity.not_after.rfc3339(),
                    end.rfc3339()
                )));
            }
        }
    }
    Ok(validity)
}

/// What a role says of times; 0 and empty: nothing.
#[derive(Default)]
pub(super) struct Times<'t> {
    pub(super) ttl: Seconds,
    pub(super) max_ttl: Seconds,
    pub(super) not_after: &'t str,
}

impl Times<'_> {
    /// Seconds: the role's, else the mount's.
    fn max(&self, call: &Call<'_>) -> u64 {
        match self.max_ttl.unsigned() {
            0 => call.ttl.max,
            max => max,
        }
    }
}

/// Without a look at the issuer.
///
/// # Errors
/// [`Error::BadRequest`] where what is asked for is no time, contradicts itself or is over.
pub(super) fn times(
    call: &Call<'_>,
    own: &Times<'_>,
    ttl: Option<Seconds>,
    not_after: Option<&str>,
    not_before_duration: Seconds,
) -> Result<Validity, Error> {
    let now = Timestamp::from_seconds(call.now.seconds());
    let ttl = ttl.unwrap_or_default();
    if ttl.0 < 0 {
        return Err(Error::bad_request("ttl must not be negative"));
    }
    let by_role = (!own.not_after.is_empty()).then_some(own.not_after);
    let not_after = by_role.or(not_after.filter(|text| !text.is_empty()));
    if ttl.0 > 0 && not_after.is_some() {
        return Err(Error::bad_request(
            "Either ttl or not_after should be provided. Both should not be provided in the same \
             request.",
        ));
    }
    let mut warnings = Vec::new();
    let not_after = match not_after {
        Some(text) => Timestamp::from_seconds(parse_time(text)?.seconds()),
        None => {
            let max = own.max(call);
            let asked = [ttl.unsigned(), own.ttl.unsigned(), call.ttl.default];
            let asked = asked.into_iter().find(|seconds| *seconds > 0).unwrap_or_default();
            if asked > max && ttl.0 > 0 {
                warnings.push(format!(
                    "TTL {:?} is longer than permitted maxTTL {:?}, so maxTTL is being used",
                    go_duration(asked),
                    go_duration(max)
                ));
            }
            Timestamp::from_seconds(now.seconds().saturating_add(asked.min(max)))
        }
    };
    if not_after <= now {
        return Err(Error::bad_request("the certificate would end before it begins"));
    }
    let since = now.seconds().saturating_sub(not_before_duration.unsigned());
    Ok(Validity { not_before: Timestamp::from_seconds(since), not_after, warnings })
}

/// As Go prints durations, such as `768h0m0s`.
fn go_duration(seconds: u64) -> String {
    format!("{}h{}m{}s", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

/// An issuer's certificate and those above it.
pub(super) fn chain(
    call: &mut Call<'_>,
    issuer: &Issuer,
    without_roots: bool,
) -> Result<Vec<Vec<u8>>, Error> {
    let mut chain = issuer::chain(call, issuer)?;
    if without_roots {
        chain.retain(|der| Facts::of(der).is_none_or(|facts| !facts.is_self_issued()));
    }
    Ok(chain)
}

/// In which form certificates and keys are shown.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Output {
    form: Form,
    pkcs8: bool,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Form {
    Der,
    Pem,
    Bundle,
}

impl Output {
    /// # Errors
    /// [`Error::BadRequest`] where there is no such form.
    pub(super) fn parse(form: Option<&str>, key: Option<&str>) -> Result<Self, Error> {
        let form = match form.unwrap_or_default() {
            "" | "pem" => Form::Pem,
            "der" => Form::Der,
            "pem_bundle" => Form::Bundle,
            _ => {
                return Err(Error::bad_request(
                    "the \"format\" path parameter must be \"pem\", \"der\", or \"pem_bundle\"",
                ));
            }
        };
        let pkcs8 = match key.unwrap_or_default() {
            "" | "der" | "pem" => false,
            "pkcs8" => true,
            _ => {
                return Err(Error::bad_request(
                    "the \"private_key_format\" parameter must be \"der\", \"pem\" or \"pkcs8\"",
                ));
            }
        };
        Ok(Self { form, pkcs8 })
    }

    pub(super) fn certificate(self, der: &[u8]) -> String {
        match self.form {
            Form::Der => BASE64.encode(der),
            Form::Pem | Form::Bundle => pem_of("CERTIFICATE", der),
        }
    }

    /// A signing request, in its form.
    pub(super) fn request(self, der: &[u8]) -> String {
        match self.form {
            Form::Der => BASE64.encode(der),
            Form::Pem | Form::Bundle => pem_of("CERTIFICATE REQUEST", der),
        }
    }

    /// # Errors
    /// Where the key cannot be written.
    pub(super) fn key(self, key: &PrivateKey) -> Result<String, Error> {
        let (tag, der) = key.exported(self.pkcs8)?;
        Ok(match self.form {
            Form::Der => BASE64.encode(der.expose()),
            Form::Pem | Form::Bundle => pem_of(tag, der.expose()),
        })
    }

    pub(super) fn is_bundle(self) -> bool {
        self.form == Form::Bundle
    }

    /// # Errors
    /// Where the key cannot be written.
    pub(super) fn shown(
        self,
        certificate: &[u8],
        issuer: &[u8],
        chain: &[Vec<u8>],
        key: Option<&PrivateKey>,
    ) -> Result<Map<String, Value>, Error> {
        let mut data = Map::new();
        let mut whole = Vec::new();
        if let Some(key) = key {
            let text = self.key(key)?;
            whole.push(text.clone());
            data.insert("private_key".into(), text.into());
            data.insert("private_key_type".into(), key.kind.name().into());
        }
        let own = self.certificate(certificate);
        let chain: Vec<String> = chain.iter().map(|der| self.certificate(der)).collect();
        whole.push(own.clone());
        whole.extend(chain.iter().filter(|above| **above != own).cloned());
        let text = if self.is_bundle() { whole.join("\n") } else { own };
        data.insert("certificate".into(), text.into());
        data.insert("issuing_ca".into(), self.certificate(issuer).into());
        data.insert("ca_chain".into(), chain.into());
        Ok(data)
    }
}

/// Without the line's end, as Vault shows it.
pub(super) fn pem_of(tag: &str, der: &[u8]) -> String {
    let lines = pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF);
    pem::encode_config(&pem::Pem::new(tag, der), lines).trim_end().to_owned()
}

pub(super) const CERTIFICATES: &str = "certs";
