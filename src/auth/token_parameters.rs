//! What every login method lets its roles and users say of the tokens that they get: `token_ttl`
//! and its like, with the names that Vault gave them once.

use std::collections::BTreeSet;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::cidr;
use crate::framework::{LoginTerms, Seconds};
use crate::mount::MountEntry;
use crate::policy::{DEFAULT, sanitize_names};
use crate::request::{Auth, Error, Request, TokenType};

/// As stored, flattened into a role's record. Durations in seconds; empty or 0: not said.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub struct TokenParameters {
    pub token_bound_cidrs: Vec<String>,
    pub token_explicit_max_ttl: u64,
    pub token_max_ttl: u64,
    pub token_no_default_policy: bool,
    pub token_num_uses: u64,
    pub token_period: u64,
    pub token_policies: Vec<String>,
    /// Tokens can be used only from where the login came.
    pub token_strictly_bind_ip: bool,
    pub token_ttl: u64,
    pub token_type: RoleTokenType,
    /// Names of old by which some were written last, and by which they are shown too.
    pub old_names: BTreeSet<String>,
}

/// Which type of token a login gives.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum RoleTokenType {
    Batch,
    /// As the mount is tuned.
    #[default]
    Default,
    DefaultBatch,
    DefaultService,
    Service,
}

/// What of it a request writes: a part of a method's own input, flattened.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
pub struct TokenParametersInput {
    /// From where tokens may be used: addresses and blocks of them.
    pub token_bound_cidrs: Option<Vec<String>>,
    /// No renewal goes beyond this, counted from the login, whatever else is said.
    pub token_explicit_max_ttl: Option<Seconds>,
    /// No renewal goes beyond this, counted from the login.
    pub token_max_ttl: Option<Seconds>,
    /// Leave out the policy `default`.
    pub token_no_default_policy: Option<bool>,
    /// How often a token can be used; 0: without limit.
    pub token_num_uses: Option<i64>,
    /// Each renewal gives as much again, without end.
    pub token_period: Option<Seconds>,
    /// What tokens may do.
    pub token_policies: Option<Vec<String>>,
    /// Tokens can be used only from where the login came.
    pub token_strictly_bind_ip: Option<bool>,
    /// Time to live.
    pub token_ttl: Option<Seconds>,
    /// `default`, `service`, `batch`, `default-service` or `default-batch`.
    pub token_type: Option<String>,
    /// `token_bound_cidrs`, as it was called once.
    pub bound_cidrs: Option<Vec<String>>,
    /// `token_max_ttl`, as it was called once.
    pub max_ttl: Option<Seconds>,
    /// `token_num_uses`, as it was called once.
    pub num_uses: Option<i64>,
    /// `token_period`, as it was called once.
    pub period: Option<Seconds>,
    /// `token_policies`, as it was called once.
    pub policies: Option<Vec<String>>,
    /// `token_ttl`, as it was called once.
    pub ttl: Option<Seconds>,
}

impl TokenParameters {
    /// What is not given stays as it was; of two names of one field the newer one wins.
    ///
    /// # Errors
    /// [`Error::BadRequest`] with what does not fit; it is then half changed, and must not be
    /// stored.
    pub fn change(&mut self, input: TokenParametersInput) -> Result<(), Error> {
        let seconds = |name: &str, value: Option<Seconds>| match value {
            Some(Seconds(negative)) if negative < 0 => Err(Error::BadRequest(format!(
                "error converting input for field {name:?}: cannot provide negative value \
                 '{negative}'"
            ))),
            other => Ok(other.map(Seconds::unsigned)),
        };
        let uses = |name: &str, value: Option<i64>| match value.map(u64::try_from) {
            Some(Err(_)) => Err(Error::BadRequest(format!("'{name}' cannot be negative"))),
            Some(Ok(value)) => Ok(Some(value)),
            None => Ok(None),
        };
        let names = &mut self.old_names;
        set(
            &mut self.token_bound_cidrs,
            names,
            "bound_cidrs",
            input.token_bound_cidrs,
            input.bound_cidrs,
        );
        let (new, old) =
            (seconds("token_max_ttl", input.token_max_ttl)?, seconds("max_ttl", input.max_ttl)?);
        set(&mut self.token_max_ttl, names, "max_ttl", new, old);
        let (new, old) =
            (uses("token_num_uses", input.token_num_uses)?, uses("num_uses", input.num_uses)?);
        set(&mut self.token_num_uses, names, "num_uses", new, old);
        let (new, old) =
            (seconds("token_period", input.token_period)?, seconds("period", input.period)?);
        set(&mut self.token_period, names, "period", new, old);
        let (new, old) =
            (input.token_policies.map(sanitize_names), input.policies.map(sanitize_names));
        set(&mut self.token_policies, names, "policies", new, old);
        let (new, old) = (seconds("token_ttl", input.token_ttl)?, seconds("ttl", input.ttl)?);
        set(&mut self.token_ttl, names, "ttl", new, old);
        let explicit = seconds("token_explicit_max_ttl", input.token_explicit_max_ttl)?;
        self.token_explicit_max_ttl = explicit.unwrap_or(self.token_explicit_max_ttl);
        self.token_no_default_policy =
            input.token_no_default_policy.unwrap_or(self.token_no_default_policy);
        self.token_strictly_bind_ip =
            input.token_strictly_bind_ip.unwrap_or(self.token_strictly_bind_ip);
        if let Some(token_type) = input.token_type {
            self.token_type = RoleTokenType::parse(&token_type)?;
        }
        self.check()
    }

    fn check(&self) -> Result<(), Error> {
        cidr::check_blocks(&self.token_bound_cidrs)?;
        if self.token_max_ttl > 0 && self.token_ttl > self.token_max_ttl {
            return Err(Error::bad_request("'token_ttl' cannot be greater than 'token_max_ttl'"));
        }
        if matches!(self.token_type, RoleTokenType::Batch | RoleTokenType::DefaultBatch) {
            for (refused, tokens) in [
                (self.token_period != 0, "periodic tokens"),
                (self.token_num_uses != 0, "tokens with limited use count"),
            ] {
                if refused {
                    return Err(Error::BadRequest(format!(
                        "'token_type' cannot be 'batch' or 'default_batch' when set to generate \
                         {tokens}"
                    )));
                }
            }
        }
        Ok(())
    }

    /// As a read shows it, added to a method's own fields.
    pub fn describe(&self, data: &mut Map<String, Value>) {
        let fields: [(&str, Value); 10] = [
            ("token_bound_cidrs", self.token_bound_cidrs.clone().into()),
            ("token_explicit_max_ttl", self.token_explicit_max_ttl.into()),
            ("token_max_ttl", self.token_max_ttl.into()),
            ("token_no_default_policy", self.token_no_default_policy.into()),
            ("token_num_uses", self.token_num_uses.into()),
            ("token_period", self.token_period.into()),
            ("token_policies", self.token_policies.clone().into()),
            ("token_strictly_bind_ip", self.token_strictly_bind_ip.into()),
            ("token_ttl", self.token_ttl.into()),
            ("token_type", self.token_type.name().into()),
        ];
        for (name, value) in fields {
            let old = name.strip_prefix("token_").unwrap_or(name);
            let is_set = match &value {
                Value::Array(list) => !list.is_empty(),
                value => value.as_u64() != Some(0),
            };
            if is_set && self.old_names.contains(old) {
                data.insert(old.to_owned(), value.clone());
            }
            data.insert(name.to_owned(), value);
        }
    }

    /// Puts it into a login's `auth`, from which the pipeline makes the token.
    ///
    /// # Errors
    /// [`Error::Denied`] where the login comes from elsewhere than tokens may be used;
    /// [`Error::BadRequest`] where a batch token cannot be what is asked for.
    pub fn grant(
        &self,
        mount: &MountEntry,
        request: &Request,
        auth: &mut Auth,
    ) -> Result<(), Error> {
        let address = request.remote.map(|remote| remote.ip());
        if !cidr::is_within(&self.token_bound_cidrs, address) {
            return Err(Error::Denied);
        }
        auth.token_policies.clone_from(&self.token_policies);
        auth.no_default_policy = self.token_no_default_policy;
        auth.bound_cidrs.clone_from(&self.token_bound_cidrs);
        if self.token_strictly_bind_ip {
            auth.bound_cidrs = vec![address.ok_or(Error::Denied)?.to_canonical().to_string()];
        }
        auth.ttl = Duration::from_secs(self.token_ttl);
        auth.max_ttl = Duration::from_secs(self.token_max_ttl);
        auth.explicit_max_ttl = Duration::from_secs(self.token_explicit_max_ttl);
        auth.period = Duration::from_secs(self.token_period);
        auth.num_uses = self.token_num_uses;
        auth.renewable = true;
        auth.token_type = self.token_type.resolve(&mount.config.token_type);
        if auth.token_type == TokenType::Batch {
            for (refused, name) in
                [(auth.num_uses > 0, "num_uses"), (self.token_period > 0, "period")]
            {
                if refused {
                    return Err(Error::BadRequest(format!(
                        "batch tokens cannot have {name:?} set"
                    )));
                }
            }
        }
        Ok(())
    }

    /// What a renewal of a token may grant now, whatever held at its login.
    pub fn renewal(&self) -> LoginTerms {
        LoginTerms {
            ttl: self.token_ttl,
            max_ttl: self.token_max_ttl,
            period: self.token_period,
            group_aliases: None,
        }
    }

    /// As [`Self::renewal`], by the role as it is now.
    ///
    /// # Errors
    /// [`Error::BadRequest`] where the role is gone.
    pub fn renewal_by(role: &str, parameters: Option<&Self>) -> Result<LoginTerms, Error> {
        let gone = || Error::BadRequest(format!("role {role:?} does not exist during renewal"));
        parameters.map(Self::renewal).ok_or_else(gone)
    }

    /// Whether a login now would give a token the policies that it has.
    pub fn gives(&self, policies: &[String]) -> bool {
        let default = (!self.token_no_default_policy).then(|| DEFAULT.to_owned());
        let given = self.token_policies.iter().cloned().chain(default);
        sanitize_names(given) == sanitize_names(policies)
    }

    /// To tell whoever writes more than the mount allows.
    pub fn warning(&self, ttl_max: u64) -> Option<String> {
        (self.token_max_ttl > ttl_max).then(|| {
            "token_max_ttl is greater than the backend mount's maximum TTL value; issued tokens' \
             max TTL value will be truncated"
                .to_owned()
        })
    }
}

impl RoleTokenType {
    fn parse(text: &str) -> Result<Self, Error> {
        Ok(match text {
            "" | "default" => Self::Default,
            "batch" => Self::Batch,
            "default-batch" => Self::DefaultBatch,
            "default-service" => Self::DefaultService,
            "service" => Self::Service,
            other => {
                return Err(Error::BadRequest(format!("invalid 'token_type' value {other:?}")));
            }
        })
    }

    fn name(self) -> &'static str {
        match self {
            Self::Batch => "batch",
            Self::Default => "default",
            Self::DefaultBatch => "default-batch",
            Self::DefaultService => "default-service",
            Self::Service => "service",
        }
    }

    /// A mount that is tuned to one type gives no other.
    fn resolve(self, mount: &str) -> TokenType {
        match (mount, self) {
            ("batch", _) => TokenType::Batch,
            ("service", _) => TokenType::Service,
            (_, Self::Batch | Self::DefaultBatch) | ("default-batch", Self::Default) => {
                TokenType::Batch
            }
            _ => TokenType::Service,
        }
    }
}

fn set<T>(
    field: &mut T,
    old_names: &mut BTreeSet<String>,
    old_name: &str,
    new: Option<T>,
    old: Option<T>,
) {
    if new.is_some() {
        old_names.remove(old_name);
    } else if old.is_some() {
        old_names.insert(old_name.to_owned());
    }
    if let Some(value) = new.or(old) {
        *field = value;
    }
}

#[cfg(test)]
mod tests;
