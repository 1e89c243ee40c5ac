//! `sys/policies/explain`: why a token may, or may not, do something.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::Node;
use super::capabilities::{Holder, Standing};
use super::mounts::entries;
use super::openapi;
use crate::auth::token::TokenStore;
use crate::framework::{Access, Call, Route, Seconds};
use crate::mount::{MountEntry, Table};
use crate::policy::{
    self, Capability, Explanation, Policy, Question, ROOT, Refusal, Source, TemplateLimits,
};
use crate::policy_store::PolicyStore;
use crate::request::{Error, Operation, Reply};
use crate::secret::Secret;

pub(super) fn routes() -> Vec<Route<Node>> {
    vec![
        Route::new(
            "policies/explain",
            "Why a token, or a set of policies, may or may not do something: the rule that \
             decides, where it is written, and what it lacks.",
        )
        .write(explain),
    ]
}

#[derive(Deserialize, JsonSchema)]
struct Explain {
    /// The path that is asked about, without `/v1/`.
    #[serde(default)]
    path: String,
    /// `create`, `read`, `update`, `patch`, `delete` or `list`; `read` where nothing is said.
    #[serde(default)]
    operation: String,
    /// The same, by the name of the capability that it needs.
    #[serde(default)]
    capability: String,
    /// The token that is asked about; the caller's own where nothing is said.
    #[serde(default)]
    token: Option<Secret<String>>,
    /// The token's accessor instead.
    #[serde(default)]
    accessor: String,
    /// Names of policies instead of a token.
    #[serde(default)]
    policies: Vec<String>,
    /// What the request would send: some rules look at it.
    #[serde(default)]
    parameters: Map<String, Value>,
    /// The time to live of the wrapping that the request would ask for.
    wrap_ttl: Option<Seconds>,
}

async fn explain(call: &mut Call<'_, Node>, input: Explain) -> Result<Reply, Error> {
    let operation = operation(&input)?;
    let mut path = input.path.trim_start_matches('/').to_owned();
    path = path.strip_prefix("v1/").map(str::to_owned).unwrap_or(path);
    if path.is_empty() {
        return Err(Error::bad_request("`path` must be supplied: what is asked about"));
    }
    if path.len() > policy::PATH_BYTES_MAX {
        return Err(Error::BadRequest(format!(
            "`path` has more than {} bytes",
            policy::PATH_BYTES_MAX
        )));
    }
    if operation == Operation::List && !path.ends_with('/') {
        path.push('/');
    }
    let standing = standing(call, &input)?;
    let is_refused = standing.is_none();
    let Standing { policies: names, identity } =
        standing.unwrap_or(Standing { policies: Vec::new(), identity: None });
    let (found, absent) = policies(call, &names)?;
    let place = place(call, &path)?;
    let access = match place.access {
        Some(Access::Sudo) => policy::Access::Sudo,
        _ => policy::Access::Ordinary,
    };
    let wrap_ttl = input.wrap_ttl.map(|ttl| std::time::Duration::from_secs(ttl.unsigned()));
    let question = Question { operation, path: &path, params: &input.parameters, wrap_ttl, access };
    let told = policy::explain(&found, identity.as_deref(), call.now, &question);
    let mut data = answer(&told, &place, operation);
    // Only where no token is looked at it does not matter whose it is.
    if is_refused && place.access != Some(Access::Unauthenticated) {
        data.insert("allowed".into(), false.into());
        data.insert("missing_capability".into(), Value::Null);
        data.insert("needs_no_policy".into(), false.into());
        data.insert("reason".into(), REFUSED.into());
    }
    data.insert("path".into(), path.into());
    data.insert("operation".into(), operation.name().into());
    data.insert("policies".into(), names.into());
    data.insert("absent_policies".into(), absent.into());
    Ok(Reply::data(data))
}

fn operation(input: &Explain) -> Result<Operation, Error> {
    let name = match (input.operation.trim(), input.capability.trim()) {
        ("", "") => "read",
        ("", capability) => capability,
        (operation, "") => operation,
        (operation, capability) if operation == capability => operation,
        _ => return Err(Error::bad_request("set `operation` or `capability`, not both")),
    };
    Ok(match name.to_lowercase().as_str() {
        "create" => Operation::Create,
        "delete" => Operation::Delete,
        "list" => Operation::List,
        "patch" => Operation::Patch,
        "read" => Operation::Read,
        "update" | "write" => Operation::Update,
        _ => {
            return Err(Error::BadRequest(format!(
                "unknown operation {name:?}: expected create, read, update, patch, delete or list"
            )));
        }
    })
}

/// Of the token, the accessor's token, or of nobody with the policies that were named. `None`: the
/// token is refused, whatever it asks for.
fn standing(call: &mut Call<'_, Node>, input: &Explain) -> Result<Option<Standing>, Error> {
    let token = input.token.as_ref().filter(|token| !token.expose().is_empty());
    let given = [token.is_some(), !input.accessor.is_empty(), !input.policies.is_empty()];
    if given.iter().filter(|given| **given).count() > 1 {
        return Err(Error::bad_request("set one of `token`, `accessor` and `policies`"));
    }
    let now = call.now;
    let mut tokens = TokenStore::new(&mut call.storage);
    let entry = if let Some(token) = token {
        let found = tokens.lookup(token, now)?;
        found.ok_or_else(|| Error::bad_request("invalid token"))?.1
    } else if !input.accessor.is_empty() {
        let found = tokens.by_accessor(&input.accessor, now)?;
        found.ok_or_else(|| Error::bad_request("invalid accessor"))?.1
    } else if input.policies.is_empty() {
        let caller = call.caller.ok_or(Error::Denied)?;
        return Holder::of_caller(caller).standing(call);
    } else {
        if input.policies.len() > POLICIES_MAX {
            return Err(Error::BadRequest(format!("more than {POLICIES_MAX} policies")));
        }
        let names = input.policies.iter().map(|name| name.trim().to_lowercase());
        return Ok(Some(Standing { policies: names.collect(), identity: None }));
    };
    Holder::of(&entry).standing(call)
}

/// Those that are there, parsed, and the names of those that are not.
fn policies(
    call: &mut Call<'_, Node>,
    names: &[String],
) -> Result<(Vec<Policy>, Vec<String>), Error> {
    let (mut found, mut absent) = (Vec::new(), Vec::new());
    for name in names {
        if name == ROOT {
            found.push(Policy { name: ROOT.into(), ..Policy::default() });
            continue;
        }
        match PolicyStore::new(&mut call.storage).get(name)? {
            Some(stored) => {
                let parsed = Policy::parse(name, &stored.text).map_err(Error::internal)?;
                let template_limits = TemplateLimits {
                    allow_wildcards: stored.allow_wildcards_in_identity_templates,
                    allow_slashes: stored.allow_slashes_in_identity_templates,
                };
                found.push(Policy { template_limits, ..parsed });
            }
            None => absent.push(name.clone()),
        }
    }
    Ok((found, absent))
}

/// What is at a path.
struct Place {
    /// `None` where nothing is mounted.
    mount: Option<MountEntry>,
    /// `None` where no route answers.
    access: Option<Access>,
}

fn place(call: &mut Call<'_, Node>, path: &str) -> Result<Place, Error> {
    let (table, local) = match path.strip_prefix("auth/") {
        Some(local) => (Table::Auth, local),
        None => (Table::Secret, path),
    };
    let slashed = format!("{local}/");
    let mut entries = entries(call, table)?.into_iter();
    let found = entries.find(|entry| local.starts_with(&entry.path) || slashed == entry.path);
    let Some(entry) = found else {
        return Ok(Place { mount: None, access: None });
    };
    let below = local.strip_prefix(entry.path.as_str()).unwrap_or_default();
    let facts = openapi::routes_of(&entry)?.into_iter();
    let access = facts
        .into_iter()
        .find(|route| crate::framework::Template::parse(route.template).captures(below).is_some())
        .map(|route| route.access);
    Ok(Place { mount: Some(entry), access })
}

fn answer(told: &Explanation, place: &Place, operation: Operation) -> Map<String, Value> {
    let mut data = Map::new();
    // Some paths ask no policy: the route itself decides.
    let by_route = matches!(
        place.access,
        Some(Access::Unauthenticated | Access::OptionalToken | Access::Token)
    );
    data.insert("allowed".into(), (by_route || told.refusal.is_none()).into());
    data.insert("mount".into(), place.mount.as_ref().map(MountEntry::api_path).into());
    let sudo = place.access == Some(Access::Sudo);
    data.insert("sudo_required".into(), sudo.into());
    data.insert("needs_no_policy".into(), by_route.into());
    data.insert("needed_capability".into(), told.needed.map(Capability::name).into());
    data.insert("pattern".into(), told.pattern.clone().into());
    for (name, sources) in [
        ("rules", &told.sources),
        ("outranked_rules", &told.outranked),
        ("dropped_rules", &told.dropped),
    ] {
        data.insert(name.into(), sources.iter().map(shown).collect());
    }
    let missing = match &told.refusal {
        Some(Refusal::NoRule) => told.needed,
        other => other.as_ref().and_then(Refusal::missing_capability),
    };
    let parameter = match &told.refusal {
        Some(
            Refusal::ParameterRequired(name)
            | Refusal::ParameterDenied(name)
            | Refusal::ParameterNotAllowed(name),
        ) => Some(name.clone()),
        _ => None,
    };
    data.insert("missing_capability".into(), missing.map(Capability::name).into());
    data.insert("parameter".into(), parameter.into());
    data.insert("reason".into(), reason(told, place, by_route, operation).into());
    data
}

fn shown(source: &Source) -> Value {
    json!({
        "policy": source.policy,
        "path": source.path,
        "line": source.line,
        "text": source.text,
        "capabilities": source.capabilities,
    })
}

fn reason(told: &Explanation, place: &Place, by_route: bool, operation: Operation) -> String {
    if by_route {
        return "the path asks no policy: whoever may call it is decided by the path itself".into();
    }
    match (&told.refusal, &told.pattern) {
        (Some(refusal), _) => refusal.to_string(),
        (None, Some(pattern)) => {
            let unknown = if place.mount.is_none() { "; but nothing is mounted there" } else { "" };
            format!("the rule for {pattern:?} grants `{}`{unknown}", operation.name())
        }
        (None, None) => "the policy `root` allows everything".into(),
    }
}

const REFUSED: &str = "the entity behind the token is disabled or gone: the token is refused";

/// Names in one question.
const POLICIES_MAX: usize = 256;
