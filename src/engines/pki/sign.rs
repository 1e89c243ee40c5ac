//! `issue/`, `sign/` and `sign-verbatim/`: certificates by a role's rules.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::certificate::{Output, Validity, stored, validity};
use super::der::{self, Extension, GeneralName};
use super::issuer::{self, Signer};
use super::key::{Manner, PrivateKey, key_identifier};
use super::role::{self, Role};
use super::sans::{self, Request};
use super::{certificate, config, names, usage};
use crate::framework::{Call, Seconds};
use crate::request::{Error, Reply};

type Texts = Vec<String>;

#[derive(Default, Deserialize, JsonSchema)]
#[serde(default)]
pub(super) struct Ask {
    /// By whose rules.
    role: Option<String>,
    /// Who signs, where the path says so.
    issuer_ref: Option<String>,
    /// A request in PEM, to sign.
    csr: Option<String>,
    common_name: Option<String>,
    /// Hosts and addresses of e-mail.
    alt_names: Option<Texts>,
    ip_sans: Option<Texts>,
    uri_sans: Option<Texts>,
    /// `oid;utf8:value`.
    other_sans: Option<Texts>,
    user_ids: Option<Texts>,
    /// In the subject; not that of the certificate.
    serial_number: Option<String>,
    ttl: Option<Seconds>,
    /// RFC 3339, instead of a time to live.
    not_after: Option<String>,
    /// `pem`, `der` or `pem_bundle`.
    format: Option<String>,
    /// `der` or `pkcs8`.
    private_key_format: Option<String>,
    /// The common name is none of the alternative names.
    exclude_cn_from_sans: bool,
    /// Leave out certificates that sign themselves.
    remove_roots_from_chain: bool,
    /// Of `sign-verbatim`.
    key_usage: Option<Texts>,
    /// Of `sign-verbatim`.
    ext_key_usage: Option<Texts>,
    /// Of `sign-verbatim`.
    ext_key_usage_oids: Option<Texts>,
    /// Of `sign-verbatim`.
    signature_bits: Option<i64>,
    /// Of `sign-verbatim`.
    use_pss: Option<bool>,
}

/// What the certificate is to say beside what every one says.
struct Plan {
    subject: Vec<u8>,
    public_key: Vec<u8>,
    names: Vec<GeneralName>,
    /// Instead of names and usages: a request's own.
    verbatim: Option<Vec<Extension>>,
    validity: Validity,
}

pub(super) async fn issue(call: &mut Call<'_>, ask: Ask) -> Result<Reply, Error> {
    let role = role::get(call, ask.role.as_deref().unwrap_or_default())?;
    let Some(kind) = role.key_kind()? else {
        return Err(Error::bad_request(
            "role key type \"any\" not allowed for issuing certificates, only signing",
        ));
    };
    let output = Output::parse(ask.format.as_deref(), ask.private_key_format.as_deref())?;
    let signer = issuer::signer(call, &reference(call, &ask, &role))?;
    let names = wanted(call, &role, &ask, None)?;
    let subject = subject(&role, &ask, &names.0)?;
    let validity = validity(call, &role, ask.ttl, ask.not_after.as_deref(), &signer)?;
    let key = PrivateKey::generate(kind).await?;
    let plan =
        Plan { subject, public_key: key.public_key()?, names: names.1, verbatim: None, validity };
    finish(call, &role, &ask, &signer, plan, output, Some(&key))
}

pub(super) async fn sign(call: &mut Call<'_>, ask: Ask) -> Result<Reply, Error> {
    let role = role::get(call, ask.role.as_deref().unwrap_or_default())?;
    let output = Output::parse(ask.format.as_deref(), None)?;
    let request = Request::parse(ask.csr.as_deref())?;
    check_key(&role, &request.public_key)?;
    let signer = issuer::signer(call, &reference(call, &ask, &role))?;
    let (common_name, names) = wanted(call, &role, &ask, Some(&request))?;
    let subject = subject(&role, &ask, &common_name)?;
    let validity = validity(call, &role, ask.ttl, ask.not_after.as_deref(), &signer)?;
    let plan = Plan { subject, public_key: request.public_key, names, verbatim: None, validity };
    finish(call, &role, &ask, &signer, plan, output, None)
}

/// What the request says, but for what its issuer decides on. A role gives times alone.
pub(super) async fn sign_verbatim(call: &mut Call<'_>, ask: Ask) -> Result<Reply, Error> {
    let own = match ask.role.as_deref().filter(|name| !name.is_empty()) {
        Some(name) => Role::clone(&*role::get(call, name)?),
        None => Role::default(),
    };
    let role = Role {
        server_flag: false,
        client_flag: false,
        code_signing_flag: false,
        email_protection_flag: false,
        key_type: "any".into(),
        key_usage: ask.key_usage.clone().unwrap_or_else(usage::usual),
        ext_key_usage: ask.ext_key_usage.clone().unwrap_or_default(),
        ext_key_usage_oids: ask.ext_key_usage_oids.clone().unwrap_or_default(),
        signature_bits: ask.signature_bits.unwrap_or(own.signature_bits),
        use_pss: ask.use_pss.unwrap_or(own.use_pss),
        ..own
    };
    role.manner().check()?;
    let output = Output::parse(ask.format.as_deref(), None)?;
    let request = Request::parse(ask.csr.as_deref())?;
    check_key(&role, &request.public_key)?;
    let signer = issuer::signer(call, &reference(call, &ask, &role))?;
    let validity = validity(call, &role, ask.ttl, ask.not_after.as_deref(), &signer)?;
    let plan = Plan {
        subject: request.subject,
        public_key: request.public_key,
        names: Vec::new(),
        verbatim: Some(request.extensions),
        validity,
    };
    finish(call, &role, &ask, &signer, plan, output, None)
}

/// What the path names, else what the role says: a body chooses no issuer.
fn reference(call: &Call<'_>, ask: &Ask, role: &Role) -> String {
    let named = certificate::is_of_issuer(call).then(|| ask.issuer_ref.clone()).flatten();
    named.unwrap_or_else(|| role.issuer_ref.clone())
}

/// The common name and the alternative names, all allowed.
fn wanted(
    call: &Call<'_>,
    role: &Role,
    ask: &Ask,
    request: Option<&Request>,
) -> Result<(String, Vec<GeneralName>), Error> {
    let given = ask.common_name.clone().unwrap_or_default();
    let of_request = request.filter(|_| role.use_csr_common_name).map(|one| &one.common_name);
    let common_name = of_request.filter(|name| !name.is_empty()).cloned().unwrap_or(given);
    if common_name.is_empty() && role.require_cn {
        return Err(Error::bad_request(
            "the common_name field is required, or must be provided in a CSR with \
             \"use_csr_common_name\" set to true, unless \"require_cn\" is set to false",
        ));
    }
    let mut names = match request.filter(|_| role.use_csr_sans) {
        Some(request) => request.names.clone(),
        None => {
            let list = |texts: &Option<Texts>| texts.clone().unwrap_or_default();
            let mut names = sans::alternative(&list(&ask.alt_names))?;
            names.extend(sans::addresses(&list(&ask.ip_sans))?);
            names.extend(sans::uris(&list(&ask.uri_sans))?);
            for text in list(&ask.other_sans) {
                let (oid, value) = sans::other(&text).map_err(|why| {
                    Error::BadRequest(format!("could not parse requested other SAN: {why}"))
                })?;
                names.push(GeneralName::Other(oid, value));
            }
            names
        }
    };
    let display_name = call.caller.map(|caller| caller.display_name.as_str()).unwrap_or_default();
    let validates = !matches!(role.cn_validations.as_slice(), [only] if only == "disabled");
    if !common_name.is_empty() && validates {
        let kind = if common_name.contains('@') { "email" } else { "hostname" };
        if !names::is_allowed(role, &common_name, display_name)
            || !role.cn_validations.iter().any(|validation| validation == kind)
        {
            return Err(Error::BadRequest(format!(
                "common name {common_name} not allowed by this role"
            )));
        }
    }
    // Before the check: where nothing validates common names, this one was not looked at.
    if !ask.exclude_cn_from_sans
        && let Ok(name) = sans::host_or_email(&common_name)
        && !names.contains(&name)
    {
        names.insert(0, name);
    }
    sans::check(role, &names, display_name)?;
    Ok((common_name, names))
}

fn subject(role: &Role, ask: &Ask, common_name: &str) -> Result<Vec<u8>, Error> {
    let one = |text: &str| if text.is_empty() { Vec::new() } else { vec![text.to_owned()] };
    let serial_number = ask.serial_number.clone().unwrap_or_default();
    let globs =
        |patterns: &[String], text: &str| patterns.iter().any(|pattern| names::glob(pattern, text));
    if !serial_number.is_empty() && !globs(&role.allowed_serial_numbers, &serial_number) {
        return Err(Error::BadRequest(format!(
            "serial_number {serial_number} not allowed by this role"
        )));
    }
    let user_ids = ask.user_ids.clone().unwrap_or_default();
    if let Some(refused) = user_ids.iter().find(|id| !globs(&role.allowed_user_ids, id)) {
        return Err(Error::BadRequest(format!("user_id {refused} is not allowed by this role")));
    }
    Ok(der::name(&[
        (der::COUNTRY, role.country.clone()),
        (der::ORGANIZATION, role.organization.clone()),
        (der::ORGANIZATIONAL_UNIT, role.ou.clone()),
        (der::LOCALITY, role.locality.clone()),
        (der::PROVINCE, role.province.clone()),
        (der::STREET_ADDRESS, role.street_address.clone()),
        (der::POSTAL_CODE, role.postal_code.clone()),
        (der::COMMON_NAME, one(common_name)),
        (der::SERIAL_NUMBER, one(&serial_number)),
        (der::USER_ID, user_ids),
    ]))
}

fn check_key(role: &Role, public_key: &[u8]) -> Result<(), Error> {
    let Some((kind, bits)) = sans::key_type(public_key) else {
        return Err(Error::bad_request(
            "the csr's key is of no type that can be certified: take rsa, ec or ed25519",
        ));
    };
    if kind == "rsa" && bits < 2048 {
        return Err(Error::BadRequest(format!(
            "RSA keys < 2048 bits are unsafe and not supported: got {bits}"
        )));
    }
    if role.key_type == "any" {
        return Ok(());
    }
    if kind != role.key_type {
        return Err(Error::BadRequest(format!("role requires keys of type {}", role.key_type)));
    }
    if bits < role.key_bits {
        return Err(Error::BadRequest(format!(
            "role requires a minimum of a {}-bit key, but CSR's key is {bits} bits",
            role.key_bits
        )));
    }
    Ok(())
}

fn finish(
    call: &mut Call<'_>,
    role: &Role,
    ask: &Ask,
    signer: &Signer,
    plan: Plan,
    output: Output,
    key: Option<&PrivateKey>,
) -> Result<Reply, Error> {
    let urls = config::urls(call)?;
    let mut extensions = Vec::new();
    let verbatim = plan.verbatim.unwrap_or_default();
    let asked = |oid: &[u64]| verbatim.iter().any(|extension| extension.is_of(oid));
    let flags = usage::key_usage(&role.key_usage);
    if flags != 0 && !asked(der::KEY_USAGE) {
        extensions.push(der::key_usage(flags));
    }
    let purposes = usage::extended(role)?;
    if !purposes.is_empty() && !asked(der::EXTENDED_KEY_USAGE) {
        extensions.push(der::extended_key_usage(&purposes));
    }
    if role.basic_constraints_valid_for_non_ca {
        extensions.push(der::basic_constraints(false, None));
    }
    extensions.push(der::subject_key_identifier(&key_identifier(&plan.public_key)?));
    extensions.push(der::authority_key_identifier(&signer.facts.key_identifier));
    urls.write(&mut extensions);
    if !plan.names.is_empty() {
        let nameless = plan.subject == der::name(&[]);
        extensions.push(der::alternative_names(&plan.names, nameless));
    }
    let policies: Vec<_> =
        role.policy_identifiers.iter().filter_map(|text| der::parse_oid(text)).collect();
    if !policies.is_empty() {
        extensions.push(der::policies(&policies));
    }
    extensions.extend(verbatim);
    let serial = certificate::serial(call.rng);
    let manner: Manner = role.manner();
    let to_be_signed = der::Certificate {
        serial: &serial,
        algorithm: &signer.key.key.algorithm(manner),
        issuer: &signer.facts.subject,
        not_before: plan.validity.not_before,
        not_after: plan.validity.not_after,
        subject: &plan.subject,
        public_key: &plan.public_key,
        extensions: &extensions,
    }
    .to_be_signed();
    let certificate = signer.key.key.signed(manner, &to_be_signed)?;
    if !role.no_store {
        stored(call, &serial, &certificate)?;
    }
    let chain = certificate::chain(call, &signer.issuer, ask.remove_roots_from_chain)?;
    let mut data = output.shown(&certificate, &signer.issuer.der()?, &chain, key)?;
    data.insert("serial_number".into(), certificate::colons(&serial).into());
    data.insert("expiration".into(), Value::from(plan.validity.not_after.seconds()));
    let mut reply = Reply::data(data);
    reply.warnings = plan.validity.warnings;
    Ok(reply)
}
