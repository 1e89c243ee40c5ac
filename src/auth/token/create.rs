use std::collections::BTreeMap;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::home;
use super::policies::{self, Asked};
use super::roles::{self, Role};
use super::store::{NewToken, TokenEntry, TokenStore};
use super::{Named, own};
use crate::framework::{Call, Route, Seconds, TtlTerms};
use crate::identity::{IdentityStore, Login};
use crate::namespace::ROOT_HOME;
use crate::policy::sanitize_names;
use crate::policy_store::PolicyStore;
use crate::request::{Auth, Error, Reply, TokenType};
use crate::secret::Secret;

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::new("create", "Create a token.").write(create),
        Route::new("create-orphan", "Create a token without a parent.").write(create_orphan),
        Route::new("create/{role_name}", "Create a token by a role.").write(create_by_role),
    ]
}

#[derive(Deserialize, JsonSchema)]
struct Create {
    /// The role whose rules apply. Of the path alone.
    #[serde(default)]
    role_name: String,
    /// The token itself, instead of one that is drawn. Needs sudo.
    id: Option<Secret<String>>,
    /// What the token may do; without any, the caller's.
    #[serde(default)]
    policies: Vec<String>,
    /// For people, and for the audit log.
    #[serde(default)]
    meta: BTreeMap<String, String>,
    /// Not revoked with the caller's token. Needs sudo.
    #[serde(default)]
    no_parent: bool,
    /// Leave out the policy `default`.
    #[serde(default)]
    no_default_policy: bool,
    /// Whether it can be renewed.
    #[serde(default = "yes")]
    renewable: bool,
    /// Time to live.
    ttl: Option<Seconds>,
    /// The same, for clients of old.
    lease: Option<Seconds>,
    /// No renewal goes beyond this, counted from now.
    #[serde(default)]
    explicit_max_ttl: Seconds,
    /// Each renewal gives as much again, without end. Needs sudo.
    #[serde(default)]
    period: Seconds,
    /// For people.
    #[serde(default)]
    display_name: String,
    /// How often it can be used; 0: without limit.
    #[serde(default)]
    num_uses: i64,
    /// `service` or `batch`.
    #[serde(default)]
    r#type: String,
    /// The name by which identity is to know whoever uses it.
    #[serde(default)]
    entity_alias: String,
}

fn yes() -> bool {
    true
}

/// Whether the path alone makes an orphan of it.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Parent {
    Caller,
    Nobody,
}

async fn create(call: &mut Call<'_>, input: Create) -> Result<Reply, Error> {
    create_under(call, &input, Parent::Caller, None)
}

/// A role grants what its caller may not have: who may use it, policies say by the path, so that
/// no other path may name one.
async fn create_by_role(call: &mut Call<'_>, input: Create) -> Result<Reply, Error> {
    let name = &input.role_name;
    let role = roles::get(&mut call.storage, name)?
        .ok_or_else(|| Error::BadRequest(format!("unknown role {name}")))?;
    create_under(call, &input, Parent::Caller, Some(&role))
}

async fn create_orphan(call: &mut Call<'_>, input: Create) -> Result<Reply, Error> {
    create_under(call, &input, Parent::Nobody, None)
}

fn create_under(
    call: &mut Call<'_>,
    input: &Create,
    parent: Parent,
    role: Option<&Role>,
) -> Result<Reply, Error> {
    let caller = own(call)?;
    if caller.entry.token_type == TokenType::Batch {
        return Err(Error::bad_request("batch tokens cannot create more tokens"));
    }
    if caller.entry.num_uses != 0 {
        return Err(Error::bad_request("restricted use token cannot generate child tokens"));
    }
    let has_sudo = call.caller.is_some_and(|caller| caller.has_sudo);
    if home::is_foreign(&caller.name) && !has_sudo {
        // As in OpenBao: what its policies are worth in their own namespace is no limit here.
        return Err(Error::bad_request(
            "root or sudo privileges required to directly generate a token in a child namespace",
        ));
    }
    let mut warnings = Vec::new();
    let mut entry = basics(call, input, role, &caller, parent, has_sudo)?;
    entry.policies = policies::choose(Asked {
        requested: sanitize_names(&input.policies),
        no_default: input.no_default_policy,
        parent: &caller.entry.policies,
        from_above: home::is_foreign(&caller.name),
        has_sudo,
        role,
    })?;
    if !input.entity_alias.is_empty() {
        entry.entity_id = entity_of(call, &input.entity_alias)?;
    }
    set_lifetime(call, &mut entry, input, role, &mut warnings)?;
    if entry.is_root() {
        check_root(&entry, &caller.entry)?;
    }
    for name in &entry.policies {
        if !PolicyStore::new(&mut call.storage).exists(name)? {
            warnings.push(format!("Policy {name:?} does not exist"));
        }
    }
    // A batch token cannot be chosen: it is what is sealed in it.
    let id = check_id(input, has_sudo, call.storage.home() == ROOT_HOME)?
        .filter(|_| entry.token_type == TokenType::Service);
    if id.is_some() {
        warnings.push(CUSTOM_ID_WARNING.into());
    }
    let (rng, now) = (call.rng, call.now);
    let new = NewToken { entry, id };
    let (token, entry) = TokenStore::new(&mut call.storage).create(rng, now, new)?;
    let mut auth = auth(&entry, token.expose().clone(), entry.ttl);
    IdentityStore::new(&mut call.storage).tell(&mut auth)?;
    Ok(Reply { auth: Some(auth), warnings, ..Reply::default() })
}

/// All but policies and lifetime.
fn basics(
    call: &Call<'_>,
    input: &Create,
    role: Option<&Role>,
    caller: &Named,
    parent: Parent,
    has_sudo: bool,
) -> Result<TokenEntry, Error> {
    if input.num_uses < 0 {
        return Err(Error::bad_request("number of uses cannot be negative"));
    }
    check_alias(&input.entity_alias, role)?;
    let token_type = token_type(&input.r#type, role)?;
    if token_type == TokenType::Batch {
        for (given, name) in [
            (input.num_uses != 0, "num_uses"),
            (input.period.0 != 0, "period"),
            (input.explicit_max_ttl.0 != 0, "explicit_max_ttl"),
        ] {
            if given {
                return Err(Error::BadRequest(format!("batch tokens cannot have {name:?} set")));
            }
        }
    }
    if input.no_parent && !has_sudo {
        return Err(Error::bad_request("root or sudo privileges required to create orphan token"));
    }
    let is_orphan =
        parent == Parent::Nobody || input.no_parent || role.is_some_and(|role| role.orphan);
    let uses_max = role.map_or(0, |role| role.num_uses);
    let uses = match (input.num_uses, uses_max) {
        _ if token_type == TokenType::Batch => 0,
        (0, most) => most,
        (asked, 0) => asked,
        (asked, most) => asked.min(most),
    };
    let bound_cidrs = match role.filter(|role| !role.bound_cidrs.is_empty()) {
        Some(role) => role.bound_cidrs.clone(),
        None if is_orphan => Vec::new(),
        None => caller.entry.bound_cidrs.clone(),
    };
    let of_parent = |text: &str| if is_orphan { String::new() } else { text.to_owned() };
    Ok(TokenEntry {
        lease_mount: call.mount.accessor.clone(),
        parent: of_parent(&caller.name),
        path: path(call, role),
        meta: input.meta.clone(),
        display_name: display_name(&input.display_name),
        num_uses: uses,
        renewable: input.renewable
            && token_type == TokenType::Service
            && role.is_none_or(|role| role.renewable),
        token_type,
        // An entity is its namespace's. What a token of another stands on looks after it.
        entity_id: if home::is_foreign(&caller.name) {
            String::new()
        } else {
            of_parent(&caller.entry.entity_id)
        },
        bound_cidrs,
        role: role.map(|role| role.name.clone()).unwrap_or_default(),
        ..TokenEntry::default()
    })
}

/// A role may say which type it is, or only which it is if nothing is asked for.
fn token_type(asked: &str, role: Option<&Role>) -> Result<TokenType, Error> {
    let of_role = role.map_or("", |role| role.token_type.as_str());
    match (asked, of_role) {
        ("" | "service" | "batch", "service") | ("service", _) if of_role != "batch" => {
            Ok(TokenType::Service)
        }
        ("" | "service" | "batch", "batch") | ("batch", _) | ("", "default-batch") => {
            Ok(TokenType::Batch)
        }
        ("", _) => Ok(TokenType::Service),
        _ => Err(Error::bad_request("invalid 'token_type' value")),
    }
}

fn check_alias(alias: &str, role: Option<&Role>) -> Result<(), Error> {
    if alias.is_empty() {
        return Ok(());
    }
    let Some(role) = role else {
        return Err(Error::bad_request(
            "'entity_alias' is only allowed in combination with token role",
        ));
    };
    let alias = alias.to_lowercase();
    if !role.allowed_entity_aliases.iter().any(|glob| policies::matches_glob(glob, &alias)) {
        return Err(Error::bad_request("invalid 'entity_alias' value"));
    }
    Ok(())
}

/// The entity that this mount knows by a name, made where it is the first.
fn entity_of(call: &mut Call<'_>, alias: &str) -> Result<String, Error> {
    let login = Login {
        mount_accessor: &call.mount.accessor,
        local: call.mount.local,
        alias_name: alias,
        alias_metadata: &BTreeMap::new(),
        group_aliases: &[],
    };
    let (rng, now) = (call.rng, call.now);
    IdentityStore::new(&mut call.storage).log_in(rng, now, login)
}

/// # Errors
/// [`Error::BadRequest`] for an id that could be taken for a token that was drawn.
fn check_id(
    input: &Create,
    has_sudo: bool,
    is_in_root: bool,
) -> Result<Option<Secret<String>>, Error> {
    let Some(id) = input.id.as_ref().map(Secret::expose).filter(|id| !id.is_empty()) else {
        return Ok(None);
    };
    if !has_sudo {
        return Err(Error::bad_request("root or sudo privileges required to specify token id"));
    }
    if !is_in_root {
        return Err(Error::bad_request(
            "token IDs can only be manually specified in the root namespace",
        ));
    }
    for prefix in ["hvs.", "hvb.", "hvr.", "s.", "b.", "r."] {
        if id.starts_with(prefix) {
            return Err(Error::BadRequest(format!(
                "custom token ID cannot have the '{prefix}' prefix"
            )));
        }
    }
    if id.contains('.') {
        return Err(Error::bad_request("custom token ID cannot have a '.' in the value"));
    }
    Ok(Some(Secret::new(id.clone())))
}

fn set_lifetime(
    call: &Call<'_>,
    entry: &mut TokenEntry,
    input: &Create,
    role: Option<&Role>,
    warnings: &mut Vec<String>,
) -> Result<(), Error> {
    let asked = input.ttl.or(input.lease).unwrap_or_default();
    for (value, name) in
        [(asked, "ttl"), (input.explicit_max_ttl, "explicit_max_ttl"), (input.period, "period")]
    {
        if value.0 < 0 {
            return Err(Error::BadRequest(format!("{name} must be positive")));
        }
    }
    if input.period.0 > 0 && !call.caller.is_some_and(|caller| caller.has_sudo) {
        return Err(Error::bad_request(
            "root or sudo privileges required to create periodic token",
        ));
    }
    if entry.token_type == TokenType::Service {
        let (max, period) = role.map_or((0, 0), |role| (role.explicit_max_ttl, role.period));
        entry.explicit_max_ttl =
            lesser("Explicit max TTL", input.explicit_max_ttl.unsigned(), max, warnings);
        entry.period = lesser("Period", input.period.unsigned(), period, warnings);
    }
    let terms = TtlTerms {
        requested: asked.unsigned(),
        explicit_max: entry.explicit_max_ttl,
        period: entry.period,
        ..TtlTerms::default()
    };
    let is_endless = terms.requested == 0 && terms.explicit_max == 0 && terms.period == 0;
    if entry.is_root() && is_endless {
        entry.renewable = false;
        return Ok(());
    }
    let granted = call.ttl.grant(&terms, call.now, call.now);
    let granted =
        granted.ok_or_else(|| Error::bad_request("the max TTL leaves no time to live"))?;
    entry.ttl = granted.ttl;
    warnings.extend(granted.warning);
    Ok(())
}

/// Of what both caller and role say.
fn lesser(name: &str, asked: u64, of_role: u64, warnings: &mut Vec<String>) -> u64 {
    if asked == 0 || of_role == 0 {
        return asked.max(of_role);
    }
    let lesser = asked.min(of_role);
    warnings.push(format!(
        "{name} specified both during creation call and in role; using the lesser value of \
         {lesser} seconds"
    ));
    lesser
}

fn check_root(entry: &TokenEntry, parent: &TokenEntry) -> Result<(), Error> {
    if entry.token_type == TokenType::Batch {
        return Err(Error::bad_request("batch tokens cannot be root tokens"));
    }
    if parent.expires.is_some() && entry.ttl == 0 {
        return Err(Error::bad_request(
            "expiring root tokens cannot create non-expiring root tokens",
        ));
    }
    Ok(())
}

/// Where it was made, and what `revoke-prefix` finds it by.
fn path(call: &Call<'_>, role: Option<&Role>) -> String {
    let suffix = role.map(|role| role.path_suffix.as_str()).filter(|suffix| !suffix.is_empty());
    let path = call.request.path.trim_end_matches('/');
    suffix.map_or_else(|| path.to_owned(), |suffix| format!("{path}/{suffix}"))
}

fn display_name(asked: &str) -> String {
    let safe = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '-' };
    let mut name = String::from("token");
    // What is strange is one hyphen, however long it is.
    for c in std::iter::once('-').chain(asked.chars()).map(safe) {
        if c != '-' || !name.ends_with('-') {
            name.push(c);
        }
    }
    if name == "token-" { "token".into() } else { name }
}

/// As a reply tells of a token that was just made or renewed.
pub fn auth(entry: &TokenEntry, token: String, ttl: u64) -> Auth {
    Auth {
        client_token: token,
        accessor: entry.accessor.clone(),
        policies: entry.policies.clone(),
        token_policies: entry.policies.clone(),
        metadata: entry.meta.clone(),
        ttl: Duration::from_secs(ttl),
        renewable: entry.renewable,
        entity_id: entry.entity_id.clone(),
        token_type: entry.token_type,
        orphan: entry.is_orphan(),
        num_uses: u64::try_from(entry.num_uses).unwrap_or_default(),
        display_name: entry.display_name.clone(),
        explicit_max_ttl: Duration::from_secs(entry.explicit_max_ttl),
        period: Duration::from_secs(entry.period),
        bound_cidrs: entry.bound_cidrs.clone(),
        ..Auth::default()
    }
}

const CUSTOM_ID_WARNING: &str = "A custom token ID is as hard to guess as whoever chose it made \
     it. Let the server draw tokens wherever that is possible.";
