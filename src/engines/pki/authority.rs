//! Certificates of authorities: made, signed and imported.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::certificate::{self, Output, Times, Validity};
use super::der::{self, Extension, GeneralName};
use super::issuer::{self, Facts, Issuer, Signer, StoredKey};
use super::key::{Kind, Manner, PrivateKey, key_identifier};
use super::sans::{self, Request};
use super::{config, list, usage};
use crate::clock::Timestamp;
use crate::framework::{Call, Seconds};
use crate::request::{Error, Reply};

type Texts = Vec<String>;

#[derive(Default, Deserialize, JsonSchema)]
#[serde(default)]
pub(super) struct Ask {
    /// `internal`, `exported` or `existing`.
    exported: Option<String>,
    /// Who signs, where the path says so.
    issuer_ref: Option<String>,
    /// A request in PEM, to sign.
    csr: Option<String>,
    /// Take subject and names of the request.
    use_csr_values: bool,
    common_name: Option<String>,
    alt_names: Texts,
    ip_sans: Texts,
    uri_sans: Texts,
    /// `oid;utf8:value`.
    other_sans: Texts,
    exclude_cn_from_sans: bool,
    ttl: Option<Seconds>,
    /// RFC 3339, instead of a time to live.
    not_after: Option<String>,
    not_before_duration: Option<Seconds>,
    /// `pem`, `der` or `pem_bundle`.
    format: Option<String>,
    /// `der` or `pkcs8`.
    private_key_format: Option<String>,
    /// `rsa`, `ec` or `ed25519`.
    key_type: Option<String>,
    key_bits: i64,
    key_name: String,
    /// Of `existing`: which key.
    key_ref: Option<String>,
    issuer_name: String,
    /// How many authorities may follow; -1: any number.
    max_path_length: Option<i64>,
    permitted_dns_domains: Texts,
    signature_bits: i64,
    use_pss: bool,
    ou: Texts,
    organization: Texts,
    country: Texts,
    locality: Texts,
    province: Texts,
    street_address: Texts,
    postal_code: Texts,
    /// In the subject; not that of the certificate.
    serial_number: String,
    remove_roots_from_chain: bool,
    /// A request says that it is an authority's.
    add_basic_constraints: bool,
}

impl Ask {
    fn manner(&self) -> Result<Manner, Error> {
        let manner = Manner { bits: self.signature_bits, pss: self.use_pss };
        manner.check()?;
        Ok(manner)
    }

    fn subject(&self) -> Vec<u8> {
        let one = |text: &str| if text.is_empty() { Vec::new() } else { vec![text.to_owned()] };
        der::name(&[
            (der::COUNTRY, self.country.clone()),
            (der::ORGANIZATION, self.organization.clone()),
            (der::ORGANIZATIONAL_UNIT, self.ou.clone()),
            (der::LOCALITY, self.locality.clone()),
            (der::PROVINCE, self.province.clone()),
            (der::STREET_ADDRESS, self.street_address.clone()),
            (der::POSTAL_CODE, self.postal_code.clone()),
            (der::COMMON_NAME, one(self.common_name.as_deref().unwrap_or_default())),
            (der::SERIAL_NUMBER, one(&self.serial_number)),
        ])
    }

    /// A common name that is a host's is an alternative name too.
    fn names(&self) -> Result<Vec<GeneralName>, Error> {
        let mut names = sans::alternative(&self.alt_names)?;
        names.extend(sans::addresses(&self.ip_sans)?);
        names.extend(sans::uris(&self.uri_sans)?);
        for text in &self.other_sans {
            let (oid, value) = sans::other(text).map_err(|why| {
                Error::BadRequest(format!("could not parse requested other SAN: {why}"))
            })?;
            names.push(GeneralName::Other(oid, value));
        }
        let common_name = self.common_name.as_deref().unwrap_or_default();
        if !self.exclude_cn_from_sans
            && let Ok(name) = sans::host_or_email(common_name)
            && !names.contains(&name)
        {
            names.insert(0, name);
        }
        Ok(names)
    }

    fn permitted_domains(&self) -> Result<&[String], Error> {
        let host = |domain: &&String| {
            super::names::to_ascii(domain.strip_prefix('.').unwrap_or(domain)).is_none()
                || !domain.is_ascii()
        };
        if let Some(bad) = self.permitted_dns_domains.iter().find(host) {
            return Err(Error::BadRequest(format!(
                "permitted_dns_domains: {bad:?} is no domain's name"
            )));
        }
        Ok(&self.permitted_dns_domains)
    }

    fn path_length(&self) -> Result<Option<u32>, Error> {
        match self.max_path_length.unwrap_or(-1) {
            -1 => Ok(None),
            length => u32::try_from(length).map(Some).map_err(|_| {
                Error::bad_request("max_path_length must be -1 (no limit), 0 or more")
            }),
        }
    }

    fn validity(&self, call: &Call<'_>) -> Result<Validity, Error> {
        let before = self.not_before_duration.unwrap_or(Seconds(30));
        if before.0 < 0 {
            return Err(Error::bad_request("not_before_duration must not be negative"));
        }
        certificate::times(call, &Times::default(), self.ttl, self.not_after.as_deref(), before)
    }
}

/// A key to certify, and whether it is shown once.
struct Subject {
    id: String,
    name: String,
    exported: bool,
    key: SubjectKey,
}

enum SubjectKey {
    New(PrivateKey),
    Stored(std::sync::Arc<StoredKey>),
}

impl SubjectKey {
    fn get(&self) -> &PrivateKey {
        match self {
            Self::New(key) => key,
            Self::Stored(stored) => &stored.key,
        }
    }
}

/// Made, or one that is here.
async fn subject_key(call: &mut Call<'_>, ask: &Ask) -> Result<Subject, Error> {
    let exported = match ask.exported.as_deref().unwrap_or_default() {
        "internal" => false,
        "exported" => true,
        "existing" => {
            let stored = issuer::get_key(call, ask.key_ref.as_deref().unwrap_or("default"))?;
            let (id, name) = (stored.id.clone(), stored.name.clone());
            return Ok(Subject { id, name, exported: false, key: SubjectKey::Stored(stored) });
        }
        _ => {
            return Err(Error::bad_request(
                "the \"exported\" path parameter must be \"internal\", \"exported\" or \
                 \"existing\"",
            ));
        }
    };
    issuer::check_name(&ask.key_name, "key")?;
    if !ask.key_name.is_empty() && issuer::find_key(call, &ask.key_name)?.is_some() {
        return Err(Error::bad_request("key name already in use"));
    }
    let kind = Kind::parse(ask.key_type.as_deref().unwrap_or("rsa"), ask.key_bits)?;
    let key = PrivateKey::generate(kind).await?;
    let id = issuer::add_key(call, &ask.key_name, &key)?;
    Ok(Subject { id, name: ask.key_name.clone(), exported, key: SubjectKey::New(key) })
}

fn check_issuer_name(call: &mut Call<'_>, name: &str) -> Result<(), Error> {
    issuer::check_name(name, "issuer")?;
    if !name.is_empty() && issuer::find(call, name)?.is_some() {
        return Err(Error::bad_request("issuer name already in use"));
    }
    Ok(())
}

pub(super) async fn generate_root(call: &mut Call<'_>, ask: Ask) -> Result<Reply, Error> {
    let output = Output::parse(ask.format.as_deref(), ask.private_key_format.as_deref())?;
    let manner = ask.manner()?;
    let (names, validity) = (ask.names()?, ask.validity(call)?);
    let constraints = der::basic_constraints(true, ask.path_length()?);
    let domains = ask.permitted_domains()?;
    check_issuer_name(call, &ask.issuer_name)?;
    let owner = subject_key(call, &ask).await?;
    let key = owner.key.get();
    let (subject, public_key) = (ask.subject(), key.public_key()?);
    let id = key_identifier(&public_key)?;
    let mut extensions = vec![
        der::key_usage(usage::AUTHORITY),
        constraints,
        der::subject_key_identifier(&id),
        der::authority_key_identifier(&id),
    ];
    config::urls(call)?.write(&mut extensions);
    write_names(&mut extensions, &names, domains);
    let serial = certificate::serial(call.rng);
    let to_be_signed = der::Certificate {
        serial: &serial,
        algorithm: &key.algorithm(manner),
        issuer: &subject,
        not_before: validity.not_before,
        not_after: validity.not_after,
        subject: &subject,
        public_key: &public_key,
        extensions: &extensions,
    }
    .to_be_signed();
    let der = key.signed(manner, &to_be_signed)?;
    certificate::stored(call, &serial, &der)?;
    let issuer = new_issuer(call, &ask.issuer_name, &owner.id, &der);
    issuer::add(call, &issuer)?;
    list::sign(call, &issuer, None, Timestamp::ZERO)?;
    let shown = owner.exported.then_some(key);
    let mut data = output.shown(&der, &der, &[], shown)?;
    data.remove("ca_chain");
    data.insert("serial_number".into(), certificate::colons(&serial).into());
    data.insert("expiration".into(), validity.not_after.seconds().into());
    data.insert("issuer_id".into(), issuer.id.into());
    data.insert("issuer_name".into(), issuer.name.into());
    data.insert("key_id".into(), owner.id.into());
    data.insert("key_name".into(), owner.name.into());
    let mut reply = Reply::data(data);
    reply.warnings = validity.warnings;
    Ok(reply)
}

fn new_issuer(call: &Call<'_>, name: &str, key_id: &str, der: &[u8]) -> Issuer {
    Issuer {
        id: call.rng.uuid(),
        name: name.to_owned(),
        key_id: key_id.to_owned(),
        certificate: BASE64.encode(der),
        leaf_not_after_behavior: "err".into(),
    }
}

fn write_names(extensions: &mut Vec<Extension>, names: &[GeneralName], domains: &[String]) {
    if !names.is_empty() {
        extensions.push(der::alternative_names(names, false));
    }
    if !domains.is_empty() {
        extensions.push(der::permitted_domains(domains));
    }
}

pub(super) async fn generate_intermediate(call: &mut Call<'_>, ask: Ask) -> Result<Reply, Error> {
    let output = Output::parse(ask.format.as_deref(), ask.private_key_format.as_deref())?;
    let (manner, names) = (ask.manner()?, ask.names()?);
    let owner = subject_key(call, &ask).await?;
    let key = owner.key.get();
    let mut extensions = Vec::new();
    if ask.add_basic_constraints {
        extensions.push(der::basic_constraints(true, None));
    }
    write_names(&mut extensions, &names, &[]);
    let to_be_signed = der::request(&ask.subject(), &key.public_key()?, &extensions);
    let request = output.request(&key.signed(manner, &to_be_signed)?);
    let mut data = Map::from_iter([("key_id".to_owned(), Value::from(owner.id))]);
    let mut text = request;
    if owner.exported {
        let private = output.key(key)?;
        if output.is_bundle() {
            text = format!("{text}\n{private}");
        }
        data.insert("private_key".into(), private.into());
        data.insert("private_key_type".into(), key.kind.name().into());
    }
    data.insert("csr".into(), text.into());
    Ok(Reply::data(data))
}

pub(super) async fn sign_intermediate(call: &mut Call<'_>, ask: Ask) -> Result<Reply, Error> {
    let output = Output::parse(ask.format.as_deref(), None)?;
    let manner = ask.manner()?;
    let request = Request::parse(ask.csr.as_deref())?;
    if sans::key_type(&request.public_key).is_none_or(|(kind, bits)| kind == "rsa" && bits < 2048) {
        return Err(Error::bad_request(
            "the csr's key cannot be certified: take rsa of 2048 bits or more, ec or ed25519",
        ));
    }
    let named = certificate::is_of_issuer(call).then(|| ask.issuer_ref.clone()).flatten();
    let signer = issuer::signer(call, named.as_deref().unwrap_or("default"))?;
    if ask.common_name.as_deref().unwrap_or_default().is_empty() && !ask.use_csr_values {
        return Err(Error::bad_request(
            "the common_name field is required, unless \"use_csr_values\" is set to true",
        ));
    }
    let path_length = path_length_below(&ask, &signer)?;
    let mut validity = ask.validity(call)?;
    if validity.not_after > signer.facts.not_after
        && signer.issuer.leaf_not_after_behavior != "permit"
    {
        validity.not_after = signer.facts.not_after;
        validity
            .warnings
            .push("the certificate would have outlived its issuer: it ends with it".to_owned());
    }
    let (subject, names) = if ask.use_csr_values {
        (request.subject.clone(), request.names.clone())
    } else {
        (ask.subject(), ask.names()?)
    };
    let mut extensions = vec![
        der::key_usage(usage::AUTHORITY),
        der::basic_constraints(true, path_length),
        der::subject_key_identifier(&key_identifier(&request.public_key)?),
        der::authority_key_identifier(&signer.facts.key_identifier),
    ];
    config::urls(call)?.write(&mut extensions);
    write_names(&mut extensions, &names, ask.permitted_domains()?);
    let serial = certificate::serial(call.rng);
    let to_be_signed = der::Certificate {
        serial: &serial,
        algorithm: &signer.key.key.algorithm(manner),
        issuer: &signer.facts.subject,
        not_before: validity.not_before,
        not_after: validity.not_after,
        subject: &subject,
        public_key: &request.public_key,
        extensions: &extensions,
    }
    .to_be_signed();
    let der = signer.key.key.signed(manner, &to_be_signed)?;
    certificate::stored(call, &serial, &der)?;
    let chain = certificate::chain(call, &signer.issuer, ask.remove_roots_from_chain)?;
    let mut data = output.shown(&der, &signer.issuer.der()?, &chain, None)?;
    data.insert("serial_number".into(), certificate::colons(&serial).into());
    data.insert("expiration".into(), validity.not_after.seconds().into());
    let mut reply = Reply::data(data);
    reply.warnings = validity.warnings;
    Ok(reply)
}

/// One less than the issuer's own, at most (RFC 5280, section 4.2.1.9).
fn path_length_below(ask: &Ask, signer: &Signer) -> Result<Option<u32>, Error> {
    let asked = ask.path_length()?;
    let Some(own) = signer.facts.path_length else {
        return Ok(asked);
    };
    let Some(most) = own.checked_sub(1) else {
        return Err(Error::bad_request(
            "signing certificate has a max path length of zero, and cannot issue further CA \
             certificates",
        ));
    };
    match asked {
        Some(length) if length > most => Err(Error::BadRequest(format!(
            "max_path_length must be {most} at most: the signing certificate allows no more"
        ))),
        Some(length) => Ok(Some(length)),
        None => Ok(Some(most)),
    }
}

#[derive(Deserialize, JsonSchema)]
pub(super) struct Import {
    /// Certificates and keys in PEM.
    pem_bundle: Option<String>,
    /// Certificates in PEM.
    certificate: Option<String>,
}

/// Certificates and keys.
pub(super) async fn import(call: &mut Call<'_>, input: Import) -> Result<Reply, Error> {
    take_in(call, &input, true)
}

/// Certificates alone.
pub(super) async fn import_certificates(
    call: &mut Call<'_>,
    input: Import,
) -> Result<Reply, Error> {
    take_in(call, &input, false)
}

fn take_in(call: &mut Call<'_>, input: &Import, keys_too: bool) -> Result<Reply, Error> {
    let texts = [&input.pem_bundle, &input.certificate];
    let text = texts.into_iter().flatten().find(|text| !text.is_empty());
    let text = text.ok_or_else(|| {
        Error::bad_request("'pem_bundle' and 'certificate' parameters were empty")
    })?;
    let blocks = pem::parse_many(text).ok().filter(|blocks| !blocks.is_empty());
    let blocks = blocks.ok_or_else(|| {
        Error::bad_request("the given bundle holds no PEM: send the contents, not a path")
    })?;
    if blocks.len() > BLOCKS_MAX {
        return Err(Error::BadRequest(format!("a bundle may hold {BLOCKS_MAX} parts at most")));
    }
    let (mut certificates, mut keys) = (Vec::new(), Vec::new());
    for block in &blocks {
        match block.tag() {
            "CERTIFICATE" => {
                let facts = Facts::of(block.contents()).ok_or_else(|| {
                    Error::bad_request("a certificate of the bundle cannot be read")
                })?;
                if !facts.is_authority {
                    return Err(Error::bad_request(
                        "Refusing to import non-CA certificate: it must have the basic \
                         constraint CA",
                    ));
                }
                certificates.push((block.contents(), facts));
            }
            "PRIVATE KEY" | "RSA PRIVATE KEY" | "EC PRIVATE KEY" if keys_too => {
                let key = PrivateKey::parse(block.contents());
                keys.push(key.ok_or_else(|| {
                    Error::bad_request(
                        "a private key of the bundle cannot be read: it must be RSA of 2048, 3072 \
                         or 4096 bits, of P-256, P-384 or P-521, or Ed25519, without a password",
                    )
                })?);
            }
            "EC PARAMETERS" => {}
            other => {
                return Err(Error::BadRequest(format!(
                    "the bundle holds {other:?}, which is not imported here"
                )));
            }
        }
    }
    let mut report = Imported::default();
    for key in &keys {
        report.key(call, key)?;
    }
    for (der, facts) in &certificates {
        report.issuer(call, der, facts)?;
    }
    report.reply(call)
}

/// What an import has done.
#[derive(Default)]
struct Imported {
    issuers: Vec<String>,
    keys: Vec<String>,
    existing_issuers: Vec<String>,
    existing_keys: Vec<String>,
    mapping: Map<String, Value>,
}

impl Imported {
    fn key(&mut self, call: &mut Call<'_>, key: &PrivateKey) -> Result<(), Error> {
        let public_key = key.public_key()?;
        for other in issuer::all_keys(call)? {
            if other.key.public_key()? == public_key {
                self.existing_keys.push(other.id.clone());
                return Ok(());
            }
        }
        let id = issuer::add_key(call, "", key)?;
        // Certificates that waited for it.
        for waiting in issuer::all(call)? {
            if waiting.key_id.is_empty() && waiting.facts()?.public_key == public_key {
                issuer::save(call, &Issuer { key_id: id.clone(), ..Issuer::clone(&waiting) })?;
            }
        }
        self.keys.push(id);
        Ok(())
    }

    fn issuer(&mut self, call: &mut Call<'_>, der: &[u8], facts: &Facts) -> Result<(), Error> {
        let encoded = BASE64.encode(der);
        if let Some(same) = issuer::all(call)?.iter().find(|one| one.certificate == encoded) {
            self.existing_issuers.push(same.id.clone());
            self.mapping.insert(same.id.clone(), same.key_id.clone().into());
            return Ok(());
        }
        let mut key_id = String::new();
        for key in issuer::all_keys(call)? {
            if key.key.public_key()? == facts.public_key {
                key_id.clone_from(&key.id);
            }
        }
        let issuer = new_issuer(call, "", &key_id, der);
        issuer::save(call, &issuer)?;
        certificate::stored(call, &facts.serial, der)?;
        self.mapping.insert(issuer.id.clone(), key_id.into());
        self.issuers.push(issuer.id);
        Ok(())
    }

    /// The first issuer with a key becomes the default, where there is none.
    fn reply(self, call: &mut Call<'_>) -> Result<Reply, Error> {
        for id in self.mapping.keys() {
            let issuer = issuer::get(call, id)?;
            if issuer.key_id.is_empty() {
                continue;
            }
            issuer::add(call, &issuer)?;
            list::sign(call, &issuer, None, Timestamp::ZERO)?;
        }
        let mut data = Map::new();
        let mut add = |name: &str, ids: Vec<String>| {
            let ids = if ids.is_empty() { Value::Null } else { ids.into() };
            data.insert(name.to_owned(), ids);
        };
        add("imported_issuers", self.issuers);
        add("imported_keys", self.keys);
        add("existing_issuers", self.existing_issuers);
        add("existing_keys", self.existing_keys);
        data.insert("mapping".into(), self.mapping.into());
        Ok(Reply::data(data))
    }
}

const BLOCKS_MAX: usize = 64;
