//! `roles/`: what may be asked of an issuer, and what its certificates say.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::key::{Kind, Manner};
use super::{der, issuer, sans, usage};
use crate::clock::Timestamp;
use crate::framework::{Call, NoParams, Seconds};
use crate::request::{Error, Reply};

/// One list of fields, for the record, what is written and what is shown.
macro_rules! role {
    ($($(#[$doc:meta])* $field:ident: $kind:ty = $default:expr,)*) => {
        #[derive(Clone, Deserialize, Serialize)]
        #[serde(default)]
        pub(super) struct Role {
            $($(#[$doc])* pub(super) $field: $kind,)*
        }

        impl Default for Role {
            fn default() -> Self {
                Self { $($field: $default,)* }
            }
        }

        #[derive(Deserialize, JsonSchema)]
        pub(super) struct Write {
            /// Of the role.
            name: String,
            $($(#[$doc])* $field: Option<$kind>,)*
        }

        impl Role {
            /// What is not given stays.
            fn change(&mut self, input: Write) {
                $(if let Some(value) = input.$field { self.$field = value; })*
            }
        }
    };
}

type Texts = Vec<String>;

role! {
    /// Any name at all.
    allow_any_name: bool = false,
    /// The domains themselves.
    allow_bare_domains: bool = false,
    /// `*` in a domain stands for any text.
    allow_glob_domains: bool = false,
    allow_ip_sans: bool = true,
    /// `localhost` and `localdomain`.
    allow_localhost: bool = true,
    /// Names below the domains, wildcards too.
    allow_subdomains: bool = false,
    /// The display name of the caller's token.
    allow_token_displayname: bool = false,
    allow_wildcard_certificates: bool = true,
    allowed_domains: Texts = Vec::new(),
    /// Identities in domains; refused.
    allowed_domains_template: bool = false,
    /// `oid;utf8:pattern`, or `*`.
    allowed_other_sans: Texts = Vec::new(),
    /// Patterns of serial numbers in the subject.
    allowed_serial_numbers: Texts = Vec::new(),
    /// Patterns of URIs.
    allowed_uri_sans: Texts = Vec::new(),
    /// Identities in URIs; refused.
    allowed_uri_sans_template: bool = false,
    /// Patterns of user IDs.
    allowed_user_ids: Texts = Vec::new(),
    /// Certificates say that they are no authority's.
    basic_constraints_valid_for_non_ca: bool = false,
    client_flag: bool = true,
    /// `email` and `hostname`, or `disabled`.
    cn_validations: Texts = vec!["email".into(), "hostname".into()],
    code_signing_flag: bool = false,
    country: Texts = Vec::new(),
    email_protection_flag: bool = false,
    /// Names must be hosts' or addresses of e-mail.
    enforce_hostnames: bool = true,
    ext_key_usage: Texts = Vec::new(),
    ext_key_usage_oids: Texts = Vec::new(),
    /// Certificates as leases; refused.
    generate_lease: bool = false,
    /// Who signs.
    issuer_ref: String = "default".into(),
    /// 0: the usual ones of the type.
    key_bits: i64 = 0,
    /// `rsa`, `ec`, `ed25519`, or `any` for requests.
    key_type: String = "rsa".into(),
    key_usage: Texts = usage::usual(),
    locality: Texts = Vec::new(),
    /// 0: the mount's.
    max_ttl: Seconds = Seconds(0),
    /// Certificates are not kept, and so not revoked by serial number.
    no_store: bool = false,
    /// RFC 3339, instead of a time to live.
    not_after: String = String::new(),
    /// Certificates are valid since so long ago.
    not_before_duration: Seconds = Seconds(30),
    organization: Texts = Vec::new(),
    ou: Texts = Vec::new(),
    /// Object identifiers.
    policy_identifiers: Texts = Vec::new(),
    postal_code: Texts = Vec::new(),
    province: Texts = Vec::new(),
    require_cn: bool = true,
    server_flag: bool = true,
    /// Of the hash that an RSA key signs: 0, 256, 384 or 512.
    signature_bits: i64 = 0,
    street_address: Texts = Vec::new(),
    /// 0: the mount's.
    ttl: Seconds = Seconds(0),
    use_csr_common_name: bool = true,
    use_csr_sans: bool = true,
    /// RSA keys sign by PSS.
    use_pss: bool = false,
}

#[derive(Deserialize, JsonSchema)]
pub(super) struct Name {
    /// Of the role.
    name: String,
}

impl Role {
    pub(super) fn manner(&self) -> Manner {
        Manner { bits: self.signature_bits, pss: self.use_pss }
    }

    /// Of the keys that are made; `None` where any key will do.
    ///
    /// # Errors
    /// As [`Kind::parse`].
    pub(super) fn key_kind(&self) -> Result<Option<Kind>, Error> {
        match self.key_type.as_str() {
            "any" => Ok(None),
            kind => Kind::parse(kind, self.key_bits).map(Some),
        }
    }

    fn check(&self) -> Result<(), Error> {
        self.manner().check()?;
        for (seconds, name) in [
            (self.ttl, "ttl"),
            (self.max_ttl, "max_ttl"),
            (self.not_before_duration, "not_before_duration"),
        ] {
            if seconds.0 < 0 {
                return Err(Error::BadRequest(format!("{name} must not be negative")));
            }
        }
        if self.max_ttl.0 > 0 && self.ttl > self.max_ttl {
            return Err(Error::bad_request("\"ttl\" value must be less than \"max_ttl\" value"));
        }
        for (refused, name, instead) in [
            (self.allowed_domains_template, "allowed_domains_template", "list the domains"),
            (self.allowed_uri_sans_template, "allowed_uri_sans_template", "list the URIs"),
            (self.generate_lease, "generate_lease", "revoke certificates by their serial number"),
        ] {
            if refused {
                return Err(Error::BadRequest(format!("{name} is not supported: {instead}")));
            }
        }
        for validation in &self.cn_validations {
            if !matches!(validation.as_str(), "email" | "hostname" | "disabled") {
                return Err(Error::BadRequest(format!(
                    "cn_validations value incorrect: unknown type: `{validation}`"
                )));
            }
        }
        for oid in &self.ext_key_usage_oids {
            usage::oid(oid)?;
        }
        for oid in &self.policy_identifiers {
            der::parse_oid(oid).ok_or_else(|| {
                Error::BadRequest(format!("policy identifier {oid:?} is not a valid OID"))
            })?;
        }
        if !matches!(self.allowed_other_sans.as_slice(), [all] if all == "*") {
            for allowed in &self.allowed_other_sans {
                sans::other(allowed).map_err(|why| {
                    Error::BadRequest(format!("error parsing allowed_other_sans: {why}"))
                })?;
            }
        }
        if !self.not_after.is_empty() {
            parse_time(&self.not_after)?;
        }
        Ok(())
    }

    fn fill_in(&mut self) -> Result<(), Error> {
        if self.issuer_ref.is_empty() {
            self.issuer_ref = "default".into();
        }
        self.key_bits = match self.key_kind()? {
            None if self.key_bits != 0 => {
                return Err(Error::bad_request("key_bits must be 0 where key_type is any"));
            }
            kind => kind.map_or(0, Kind::bits),
        };
        if self.cn_validations.is_empty() {
            self.cn_validations = Self::default().cn_validations;
        }
        Ok(())
    }
}

/// # Errors
/// [`Error::BadRequest`] where the text is no time.
pub(super) fn parse_time(text: &str) -> Result<Timestamp, Error> {
    Timestamp::parse_rfc3339(text).ok_or_else(|| {
        Error::BadRequest(format!("parsing time {text:?}: it must be as 2030-01-31T23:59:59Z"))
    })
}

/// # Errors
/// [`Error::BadRequest`] where there is no such role.
pub(super) fn get(call: &mut Call<'_>, name: &str) -> Result<Arc<Role>, Error> {
    let role = call.storage.get_shared(&path(name))?;
    role.ok_or_else(|| Error::BadRequest(format!("unknown role: {name}")))
}

pub(super) async fn list(call: &mut Call<'_>, _: NoParams) -> Result<Reply, Error> {
    Ok(Reply::keys(call.storage.list(ROLES)?))
}

pub(super) async fn read(call: &mut Call<'_>, input: Name) -> Result<Reply, Error> {
    let role: Option<Arc<Role>> = call.storage.get_shared(&path(&input.name))?;
    Reply::of(&*role.ok_or(Error::NotFound)?)
}

pub(super) async fn exists(call: &mut Call<'_>, input: Name) -> Result<bool, Error> {
    Ok(call.storage.get_shared::<Role>(&path(&input.name))?.is_some())
}

/// What is not given takes its usual value again, as in Vault.
pub(super) async fn write(call: &mut Call<'_>, input: Write) -> Result<Reply, Error> {
    save(call, Role::default(), input)
}

pub(super) async fn patch(call: &mut Call<'_>, input: Write) -> Result<Reply, Error> {
    let role: Option<Arc<Role>> = call.storage.get_shared(&path(&input.name))?;
    let role = role.ok_or(Error::NotFound)?;
    save(call, Role::clone(&role), input)
}

fn save(call: &mut Call<'_>, mut role: Role, input: Write) -> Result<Reply, Error> {
    let name = input.name.clone();
    let changes_kind = input.key_type.is_some() && input.key_bits.is_none();
    role.change(input);
    if changes_kind {
        role.key_bits = 0;
    }
    role.fill_in()?;
    role.check()?;
    call.storage.put(&path(&name), &role)?;
    let mut reply = Reply::of(&role)?;
    for unknown in usage::unknown(&role.key_usage, &role.ext_key_usage) {
        reply = reply.warn(format!("{unknown:?} is no key usage that is known: it has no effect"));
    }
    if issuer::find(call, &role.issuer_ref)?.is_none() {
        reply = reply.warn(if role.issuer_ref == "default" {
            "Issuing Certificate was set to default, but no default issuing certificate \
             (configurable at /config/issuers) is currently set"
                .to_owned()
        } else {
            format!(
                "Issuing Certificate was set to {} but no issuing certificate currently has that \
                 name",
                role.issuer_ref
            )
        });
    }
    Ok(reply)
}

pub(super) async fn delete(call: &mut Call<'_>, input: Name) -> Result<Reply, Error> {
    call.storage.delete(&path(&input.name))?;
    Ok(Reply::default())
}

fn path(name: &str) -> String {
    format!("{ROLES}/{name}")
}

const ROLES: &str = "roles";
