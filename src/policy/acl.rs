//! What a token's policies allow together.

mod index;
mod parameters;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value, json};

use self::index::Index;
use super::builtin::ROOT;
use super::capability::{Capabilities, Capability};
use super::parse::{Permissions, Policy, merge_names, merge_parameters};
use super::pattern::{Pattern, Shape};
use super::template::{self, Identity};
use crate::clock::Timestamp;
use crate::request::{Operation, Params};

/// Policies, compiled. One rule decides a request: the most specific whose pattern matches. Rules
/// with the same pattern are merged; those with different patterns never are.
#[derive(Debug, Default)]
pub struct Acl {
    root: bool,
    rules: Index<Rule>,
    valid_until: Option<Timestamp>,
}

/// Whether the path asks for `sudo` on top.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Access {
    Ordinary,
    Sudo,
}

/// The answer, and why.
#[derive(Debug, PartialEq)]
pub struct Verdict<'a> {
    /// `None`: the request is allowed, once [`Self::mfa_methods`] are passed.
    pub refusal: Option<Refusal>,
    /// The rule that decided, as written, with templates resolved. `None` where none matched, and
    /// for root and help, which need none.
    pub pattern: Option<&'a str>,
    /// Names of the policies that grant what was asked for.
    pub granting_policies: Vec<&'a str>,
    /// Of which one must be passed before the request may run. The caller sees to it.
    pub mfa_methods: &'a [String],
    /// Most keys that the reply of a listing may have. The caller sees to it.
    pub pagination_limit: Option<u64>,
}

/// Why not. Not for the one who asked, who is told `permission denied`: for audit, and for who
/// writes policies.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Refusal {
    #[error("no rule matches the path")]
    NoRule,
    #[error("the rule denies, as policy {} says", .0.join(", "))]
    Deny(Vec<String>),
    #[error("the rule does not grant `{0}`")]
    Missing(Capability),
    #[error("the rule asks that the response be wrapped, with a TTL within its limits")]
    WrappingTtl,
    #[error("the rule requires parameter `{0}`")]
    ParameterRequired(String),
    #[error("the rule denies parameter `{0}`, or this value of it")]
    ParameterDenied(String),
    #[error("the rule does not allow parameter `{0}`, or this value of it")]
    ParameterNotAllowed(String),
    #[error("the rule has a control group, which cannot be satisfied here")]
    ControlGroup,
}

impl Refusal {
    /// The capability whose grant would help.
    pub fn missing_capability(&self) -> Option<Capability> {
        match self {
            Self::Missing(capability) => Some(*capability),
            _ => None,
        }
    }
}

impl Verdict<'_> {
    pub fn is_allowed(&self) -> bool {
        self.refusal.is_none()
    }

    fn without_rule(refusal: Option<Refusal>) -> Self {
        Self {
            refusal,
            pattern: None,
            granting_policies: Vec::new(),
            mfa_methods: &[],
            pagination_limit: None,
        }
    }
}

/// All stanzas with one pattern, merged.
#[derive(Debug)]
struct Rule {
    /// As written, with templates resolved.
    pattern: String,
    permissions: Permissions,
    /// What each policy brought.
    sources: Vec<(Arc<str>, Capabilities)>,
}

impl Rule {
    /// `deny` in any policy leaves nothing else. What one policy leaves open, another may limit:
    /// no `allowed_parameters` is not "any parameter" once a second policy has some. As in Vault.
    fn merge(&mut self, policy: &Arc<str>, other: &Permissions) {
        self.sources.push((Arc::clone(policy), other.capabilities));
        let own = &mut self.permissions;
        if own.capabilities.denies() {
            return;
        }
        if other.capabilities.denies() {
            *own = Permissions::denied();
            return;
        }
        own.capabilities |= other.capabilities;
        merge_parameters(&mut own.allowed_parameters, &other.allowed_parameters);
        merge_parameters(&mut own.denied_parameters, &other.denied_parameters);
        merge_names(&mut own.required_parameters, other.required_parameters.iter().cloned());
        merge_names(&mut own.mfa_methods, other.mfa_methods.iter().cloned());
        own.min_wrapping_ttl = lesser(own.min_wrapping_ttl, other.min_wrapping_ttl);
        own.max_wrapping_ttl = lesser(own.max_wrapping_ttl, other.max_wrapping_ttl);
        own.control_group |= other.control_group;
        own.pagination_limit = own.pagination_limit.into_iter().chain(other.pagination_limit).min();
    }

    fn policies_with(&self, capability: Capability) -> Vec<&str> {
        let with = self.sources.iter().filter(|(_, brought)| brought.contains(capability));
        let mut names: Vec<&str> = with.map(|(name, _)| name.as_ref()).collect();
        names.dedup();
        names
    }

    fn refusal(
        &self,
        needed: Capability,
        params: &Params,
        wrap_ttl: Option<Duration>,
        access: Access,
    ) -> Option<Refusal> {
        let permissions = &self.permissions;
        let capabilities = permissions.capabilities;
        if capabilities.denies() {
            let names = self.policies_with(Capability::Deny);
            return Some(Refusal::Deny(names.into_iter().map(str::to_owned).collect()));
        }
        if !capabilities.contains(needed) {
            return Some(Refusal::Missing(needed));
        }
        if access == Access::Sudo && !capabilities.contains(Capability::Sudo) {
            return Some(Refusal::Missing(Capability::Sudo));
        }
        if permissions.control_group {
            return Some(Refusal::ControlGroup);
        }
        if !wrapping_is_within(permissions, wrap_ttl) {
            return Some(Refusal::WrappingTtl);
        }
        match needed {
            Capability::Create | Capability::Patch | Capability::Read | Capability::Update => {
                parameters::refusal(permissions, params)
            }
            _ => None,
        }
    }
}

/// Merging may leave limits that nothing is within.
fn wrapping_is_within(permissions: &Permissions, wrap_ttl: Option<Duration>) -> bool {
    let (min, max) = (permissions.min_wrapping_ttl, permissions.max_wrapping_ttl);
    if min.is_zero() && max.is_zero() {
        return true;
    }
    wrap_ttl.is_some_and(|ttl| ttl >= min && (max.is_zero() || ttl <= max))
}

fn lesser(one: Duration, other: Duration) -> Duration {
    if one.is_zero() || other.is_zero() { one.max(other) } else { one.min(other) }
}

impl Acl {
    /// Allows everything. For tokens whose policy is [`ROOT`], which has no rules to compile.
    pub fn root() -> Self {
        Self { root: true, ..Self::default() }
    }

    /// No policy is treated by its name: a caller that finds [`ROOT`] takes [`Self::root`].
    ///
    /// `identity` is what templates speak of: without one, rules with templates are dropped.
    /// `now`: rules that have expired are dropped too.
    pub fn compile<'p>(
        policies: impl IntoIterator<Item = &'p Policy>,
        identity: Option<&Identity>,
        now: Timestamp,
    ) -> Self {
        let mut acl = Self::default();
        for policy in policies {
            let name: Arc<str> = policy.name.as_str().into();
            for rules in &policy.rules {
                if let Some(expiration) = rules.expiration {
                    if expiration <= now {
                        continue;
                    }
                    let valid_until = acl.valid_until.map_or(expiration, |at| at.min(expiration));
                    acl.valid_until = Some(valid_until);
                }
                let pattern = if rules.is_templated() {
                    template::resolve(&rules.path, identity, policy.template_limits)
                        .and_then(|path| Pattern::parse(&path))
                } else {
                    Pattern::parse(&rules.path)
                };
                if let Some(pattern) = pattern {
                    acl.add(&name, pattern.below(&policy.namespace), &rules.permissions);
                }
            }
        }
        acl
    }

    fn add(&mut self, policy: &Arc<str>, pattern: Pattern, permissions: &Permissions) {
        match self.rules.get_mut(&pattern) {
            Some(rule) => rule.merge(policy, permissions),
            None => {
                let rule = Rule {
                    pattern: pattern.written(),
                    permissions: permissions.clone(),
                    sources: vec![(Arc::clone(policy), permissions.capabilities)],
                };
                self.rules.insert(pattern, rule);
            }
        }
    }

    /// From then on a rule in it has expired: compile it again. `None`: it never does.
    pub fn valid_until(&self) -> Option<Timestamp> {
        self.valid_until
    }

    pub fn is_root(&self) -> bool {
        self.root
    }

    /// `path` begins with the namespace, if any; that of a list ends in a slash. `params` are
    /// what the caller sent, without what the route captures from the path.
    pub fn check(
        &self,
        operation: Operation,
        path: &str,
        params: &Params,
        wrap_ttl: Option<Duration>,
        access: Access,
    ) -> Verdict<'_> {
        if self.root {
            return Verdict { granting_policies: vec![ROOT], ..Verdict::without_rule(None) };
        }
        let Some(needed) = Capability::needed_for(operation) else {
            return Verdict::without_rule(None);
        };
        let Some(rule) = self.deciding(path, needed) else {
            return Verdict::without_rule(Some(Refusal::NoRule));
        };
        let refusal = rule.refusal(needed, params, wrap_ttl, access);
        // What the rule grants is worth telling even where its further conditions refuse.
        let denies = rule.permissions.capabilities.denies();
        let granting_policies = if denies { Vec::new() } else { rule.policies_with(needed) };
        Verdict {
            refusal,
            pattern: Some(&rule.pattern),
            granting_policies,
            mfa_methods: &rule.permissions.mfa_methods,
            pagination_limit: rule.permissions.pagination_limit,
        }
    }

    /// As `sys/capabilities` has it: sorted names, `["root"]`, or `["deny"]`.
    pub fn capabilities(&self, path: &str) -> Vec<&'static str> {
        if self.root {
            return vec![ROOT];
        }
        // As in Vault, the path is looked up as a list's would be.
        self.deciding(path, Capability::List)
            .map_or(Capabilities::NONE, |rule| rule.permissions.capabilities)
            .names()
    }

    /// Whether anything at all is granted at the mount's path, or on some path below it.
    pub fn preflight(&self, mount: &str) -> bool {
        if self.root {
            return true;
        }
        let mount = format!("{}/", mount.trim_matches('/'));
        let grants = |rule: &Rule| rule.permissions.capabilities.grants_any();
        self.deciding(&mount, Capability::List).is_some_and(grants)
            // A rule for the mount's path alone may hide one that holds below it.
            || self.rules.find_wild(&mount).is_some_and(grants)
            || self.rules.any_below(&mount, grants)
    }

    /// As `sys/internal/ui/resultant-acl` has it: paths of exact rules, and of the others, where
    /// the `*` at the end is left out unless there is a `+` too.
    pub fn resultant(&self) -> Map<String, Value> {
        let mut resultant = Map::from_iter([("root".to_owned(), Value::Bool(self.root))]);
        if self.root {
            return resultant;
        }
        let (mut exact, mut glob) = (Map::new(), Map::new());
        for (shape, text, rule) in self.rules.iter() {
            let rules = Value::Object(resultant_rule(&rule.permissions));
            match shape {
                Shape::Exact => exact.insert(text.to_owned(), rules),
                Shape::Prefix => glob.insert(text.to_owned(), rules),
                Shape::Segments | Shape::SegmentsPrefix => glob.insert(rule.pattern.clone(), rules),
            };
        }
        resultant.insert("exact_paths".to_owned(), Value::Object(exact));
        resultant.insert("glob_paths".to_owned(), Value::Object(glob));
        resultant
    }

    fn deciding(&self, path: &str, needed: Capability) -> Option<&Rule> {
        let path = path.trim_start_matches('/');
        let listing = matches!(needed, Capability::List | Capability::Scan);
        let bare = path.strip_suffix('/').filter(|_| listing);
        self.rules
            .find_exact(path)
            .or_else(|| self.rules.find_exact(bare?))
            .or_else(|| self.rules.find_wild(path))
            .or_else(|| self.rules.find_wild(bare?))
    }
}

fn resultant_rule(permissions: &Permissions) -> Map<String, Value> {
    let mut rule = Map::new();
    let mut insert = |key: &str, value: Value| rule.insert(key.to_owned(), value);
    insert("capabilities", json!(permissions.capabilities.names()));
    for (key, ttl) in [
        ("min_wrapping_ttl", permissions.min_wrapping_ttl),
        ("max_wrapping_ttl", permissions.max_wrapping_ttl),
    ] {
        if !ttl.is_zero() {
            insert(key, json!(ttl.as_secs()));
        }
    }
    for (key, parameters) in [
        ("allowed_parameters", &permissions.allowed_parameters),
        ("denied_parameters", &permissions.denied_parameters),
    ] {
        if !parameters.is_empty() {
            insert(key, json!(parameters));
        }
    }
    if !permissions.required_parameters.is_empty() {
        insert("required_parameters", json!(permissions.required_parameters));
    }
    rule
}
