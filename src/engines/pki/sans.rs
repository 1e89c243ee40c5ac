//! Names that a certificate is asked for: read from parameters and from requests (RFC 2986).

use std::net::IpAddr;

use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::cri_attributes::ParsedCriAttribute;
use x509_parser::extensions::{GeneralName as Parsed, ParsedExtension};
use x509_parser::prelude::FromDer as _;
use x509_parser::public_key::PublicKey;
use x509_parser::x509::SubjectPublicKeyInfo;
use yasna::Tag;

use super::der::{self, Extension, GeneralName, Oid};
use super::role::Role;
use super::{key, names};
use crate::request::Error;

/// A request that is signed by the key that it names.
pub(super) struct Request {
    /// A `Name`, as it stands there.
    pub(super) subject: Vec<u8>,
    pub(super) common_name: String,
    pub(super) names: Vec<GeneralName>,
    pub(super) public_key: Vec<u8>,
    /// All but those that its issuer decides on.
    pub(super) extensions: Vec<Extension>,
}

impl Request {
    /// Reads PEM.
    ///
    /// # Errors
    /// [`Error::BadRequest`] where it is none, or its signature does not fit its key.
    pub(super) fn parse(text: Option<&str>) -> Result<Self, Error> {
        let text = text.map(str::trim).filter(|text| !text.is_empty());
        let text = text.ok_or_else(|| Error::bad_request("\"csr\" is empty"))?;
        let block = pem::parse(text).map_err(|_| Error::bad_request("csr contains no data"))?;
        let bad = || Error::bad_request("certificate request could not be parsed");
        let (rest, request) =
            X509CertificationRequest::from_der(block.contents()).map_err(|_| bad())?;
        if !rest.is_empty() {
            return Err(bad());
        }
        let info = &request.certification_request_info;
        let by_p521 = key::verified_by_p521(
            &info.subject_pki,
            &request.signature_algorithm,
            info.raw,
            &request.signature_value.data,
        );
        if !by_p521.unwrap_or_else(|| request.verify_signature().is_ok()) {
            return Err(Error::bad_request(
                "request signature invalid: it must be signed by its own key",
            ));
        }
        let (mut names, mut extensions) = (Vec::new(), Vec::new());
        for attribute in info.iter_attributes() {
            let ParsedCriAttribute::ExtensionRequest(asked) = attribute.parsed_attribute() else {
                continue;
            };
            for extension in &asked.extensions {
                let oid = der::read_oid(&extension.oid).ok_or_else(odd_oid)?;
                if let ParsedExtension::SubjectAlternativeName(all) = extension.parsed_extension() {
                    for name in &all.general_names {
                        names.push(general_name(name)?);
                    }
                }
                if !DECIDED_BY_ISSUER.contains(&oid.as_slice()) {
                    extensions.push(der::verbatim(oid, extension.critical, extension.value));
                }
            }
        }
        let common_name = info.subject.iter_common_name().next();
        let common_name = common_name.and_then(|name| name.as_str().ok()).unwrap_or_default();
        Ok(Self {
            subject: info.subject.as_raw().to_vec(),
            common_name: common_name.to_owned(),
            names,
            public_key: info.subject_pki.raw.to_vec(),
            extensions,
        })
    }
}

fn general_name(name: &Parsed<'_>) -> Result<GeneralName, Error> {
    let bad = || Error::bad_request("a subject alternative name of the csr is not supported");
    Ok(match name {
        Parsed::DNSName(name) => GeneralName::Dns((*name).to_owned()),
        Parsed::RFC822Name(name) => GeneralName::Email((*name).to_owned()),
        Parsed::URI(name) => GeneralName::Uri((*name).to_owned()),
        Parsed::IPAddress(bytes) => {
            let four = <[u8; 4]>::try_from(*bytes).map(IpAddr::from);
            let sixteen = || <[u8; 16]>::try_from(*bytes).map(IpAddr::from);
            GeneralName::Ip(four.or_else(|_| sixteen()).map_err(|_| bad())?)
        }
        Parsed::OtherName(oid, value) => {
            let value = yasna::parse_der(value, |reader| {
                reader.read_tagged(Tag::context(0), |reader| reader.read_utf8string())
            });
            let oid = der::read_oid(oid).ok_or_else(odd_oid)?;
            GeneralName::Other(oid, value.map_err(|_| bad())?)
        }
        _ => return Err(bad()),
    })
}

fn odd_oid() -> Error {
    Error::bad_request(
        "an object identifier of the csr cannot be read: it must begin with 0, 1 or 2, a number \
         below 40 after it",
    )
}

/// The type and size of a public key, as roles name them; `None` where it is of no type that is
/// certified here.
pub(super) fn key_type(public_key: &[u8]) -> Option<(&'static str, i64)> {
    let (_, info) = SubjectPublicKeyInfo::from_der(public_key).ok()?;
    match info.algorithm.algorithm.to_id_string().as_str() {
        "1.2.840.113549.1.1.1" => match info.parsed().ok()? {
            PublicKey::RSA(key) => Some(("rsa", i64::try_from(key.key_size()).ok()?)),
            _ => None,
        },
        "1.2.840.10045.2.1" => {
            let curve = info.algorithm.parameters.as_ref()?.as_oid().ok()?.to_id_string();
            let bits = match curve.as_str() {
                "1.3.132.0.33" => 224,
                "1.2.840.10045.3.1.7" => 256,
                "1.3.132.0.34" => 384,
                "1.3.132.0.35" => 521,
                _ => return None,
            };
            Some(("ec", bits))
        }
        "1.3.101.112" => Some(("ed25519", 0)),
        _ => None,
    }
}

/// Reads `oid;type:value`; the type is UTF-8.
pub(super) fn other(text: &str) -> Result<(Oid, String), String> {
    let (oid, rest) = text
        .split_once(';')
        .ok_or_else(|| format!("expected a semicolon in other SAN {text:?}"))?;
    let (kind, value) =
        rest.split_once(':').ok_or_else(|| format!("expected a colon in other SAN {text:?}"))?;
    if !kind.eq_ignore_ascii_case("utf8") && !kind.eq_ignore_ascii_case("utf-8") {
        return Err(format!(
            "only utf8 other SANs are supported; found non-supported type {kind:?}"
        ));
    }
    let oid = der::parse_oid(oid.trim());
    let oid = oid.ok_or_else(|| format!("the OID of other SAN {text:?} cannot be read"))?;
    Ok((oid, value.to_owned()))
}

/// Reads names of hosts and addresses of e-mail.
///
/// # Errors
/// [`Error::BadRequest`] where one is neither.
pub(super) fn alternative(texts: &[String]) -> Result<Vec<GeneralName>, Error> {
    let texts = texts.iter().map(|text| text.trim()).filter(|text| !text.is_empty());
    texts.map(host_or_email).collect()
}

pub(super) fn host_or_email(text: &str) -> Result<GeneralName, Error> {
    let bad = || {
        Error::BadRequest(format!(
            "subject alternate name {text} is neither a host's name nor an address of e-mail"
        ))
    };
    if text.contains('@') {
        return if text.is_ascii() { Ok(GeneralName::Email(text.to_owned())) } else { Err(bad()) };
    }
    names::to_ascii(text).map(GeneralName::Dns).ok_or_else(bad)
}

/// # Errors
/// [`Error::BadRequest`] where one is none.
pub(super) fn addresses(texts: &[String]) -> Result<Vec<GeneralName>, Error> {
    let texts = texts.iter().map(|text| text.trim()).filter(|text| !text.is_empty());
    let parse = |text: &str| {
        text.parse()
            .map(GeneralName::Ip)
            .map_err(|_| Error::BadRequest(format!("the value {text:?} is not a valid IP address")))
    };
    texts.map(parse).collect()
}

/// # Errors
/// [`Error::BadRequest`] where one is none.
pub(super) fn uris(texts: &[String]) -> Result<Vec<GeneralName>, Error> {
    let texts = texts.iter().map(|text| text.trim()).filter(|text| !text.is_empty());
    let parse = |text: &str| {
        if is_uri(text) {
            return Ok(GeneralName::Uri(text.to_owned()));
        }
        Err(Error::BadRequest(format!(
            "the provided URI Subject Alternative Name {text:?} is not valid"
        )))
    };
    texts.map(parse).collect()
}

/// A scheme, a colon and more, of visible ASCII (RFC 3986).
pub(super) fn is_uri(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once(':') else {
        return false;
    };
    let in_scheme = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.');
    scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.chars().all(in_scheme)
        && !rest.is_empty()
        && rest.bytes().all(|byte| byte.is_ascii_graphic())
}

/// # Errors
/// [`Error::BadRequest`] that names the first that the role does not allow.
pub(super) fn check(role: &Role, names: &[GeneralName], display_name: &str) -> Result<(), Error> {
    for name in names {
        match name {
            GeneralName::Dns(name) if !names::is_allowed(role, name, display_name) => {
                return Err(Error::BadRequest(format!(
                    "subject alternate name {name} not allowed by this role"
                )));
            }
            GeneralName::Email(name) if !names::is_allowed(role, name, display_name) => {
                return Err(Error::BadRequest(format!(
                    "email address {name} not allowed by this role"
                )));
            }
            GeneralName::Ip(address) if !role.allow_ip_sans => {
                return Err(Error::BadRequest(format!(
                    "IP Subject Alternative Names are not allowed in this role, but was provided \
                     {address}"
                )));
            }
            GeneralName::Uri(_) if role.allowed_uri_sans.is_empty() => {
                return Err(Error::bad_request(
                    "URI Subject Alternative Names are not allowed in this role, but were \
                     provided via the API",
                ));
            }
            GeneralName::Uri(uri)
                if !role.allowed_uri_sans.iter().any(|allowed| names::glob(allowed, uri)) =>
            {
                return Err(Error::bad_request(
                    "URI Subject Alternative Names were provided via the API which are not valid \
                     for this role",
                ));
            }
            GeneralName::Other(oid, value) => check_other(role, oid, value)?,
            _ => {}
        }
    }
    Ok(())
}

fn check_other(role: &Role, oid: &[u64], value: &str) -> Result<(), Error> {
    if role.allowed_other_sans.iter().any(|allowed| allowed == "*") {
        return Ok(());
    }
    let numbers: Vec<String> = oid.iter().map(u64::to_string).collect();
    let allowed = role.allowed_other_sans.iter().filter_map(|allowed| other(allowed).ok());
    let mut of_oid = allowed.filter(|(allowed, _)| allowed == oid).peekable();
    if of_oid.peek().is_none() {
        return Err(Error::BadRequest(format!(
            "other SAN OID {} not allowed by this role",
            numbers.join(".")
        )));
    }
    if of_oid.any(|(_, pattern)| names::glob(&pattern, value)) {
        return Ok(());
    }
    Err(Error::BadRequest(format!(
        "other SAN {value} not allowed for OID {} by this role",
        numbers.join(".")
    )))
}

/// Constraints, key identifiers, and where the issuer is to be found.
const DECIDED_BY_ISSUER: &[&[u64]] = &[
    &[2, 5, 29, 14],
    &[2, 5, 29, 19],
    &[2, 5, 29, 30],
    &[2, 5, 29, 31],
    &[2, 5, 29, 35],
    &[2, 5, 29, 36],
    &[1, 3, 6, 1, 5, 5, 7, 1, 1],
];
