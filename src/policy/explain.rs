//! Why a request would be allowed or refused: the rule that decides, where it is written, what it
//! lacks. For whoever writes policies; whoever is refused is told no more than that.

#[cfg(test)]
mod tests;

use std::time::Duration;

use super::acl::{Access, Acl, Refusal};
use super::builtin::ROOT;
use super::capability::Capability;
use super::parse::{PathRules, Policy};
use super::pattern::Pattern;
use super::template::{self, Identity};
use crate::clock::Timestamp;
use crate::request::{Operation, Params};

/// A request, as far as policies look at it.
pub struct Question<'q> {
    pub operation: Operation,
    /// Begins with the namespace, if any; that of a list ends in a slash.
    pub path: &'q str,
    pub params: &'q Params,
    pub wrap_ttl: Option<Duration>,
    pub access: Access,
}

/// The answer.
#[derive(Debug, PartialEq)]
pub struct Explanation {
    pub refusal: Option<Refusal>,
    /// Of the rule that decides, with templates resolved; `None` where no rule matches.
    pub pattern: Option<String>,
    /// The stanzas that rule is merged of.
    pub sources: Vec<Source>,
    /// Stanzas that match the path too, and do not count because the pattern above is more
    /// specific.
    pub outranked: Vec<Source>,
    /// Stanzas that were left out: expired, or with a template that cannot be resolved.
    pub dropped: Vec<Source>,
    /// What the path needs besides: of a rule that decides.
    pub needed: Option<Capability>,
}

/// One `path "…" { … }`, where it stands and what it says.
#[derive(Clone, Debug, PartialEq)]
pub struct Source {
    pub policy: String,
    /// As written.
    pub path: String,
    /// In the policy's text, from 1.
    pub line: usize,
    /// The stanza itself.
    pub text: String,
    pub capabilities: Vec<&'static str>,
}

/// Explains what these policies say together.
pub fn explain(
    policies: &[Policy],
    identity: Option<&Identity>,
    now: Timestamp,
    question: &Question<'_>,
) -> Explanation {
    let needed = Capability::needed_for(question.operation);
    if policies.iter().any(|policy| policy.name == ROOT) {
        return Explanation {
            refusal: None,
            pattern: None,
            sources: Vec::new(),
            outranked: Vec::new(),
            dropped: Vec::new(),
            needed,
        };
    }
    let acl = Acl::compile(policies, identity, now);
    let verdict = acl.check(
        question.operation,
        question.path,
        question.params,
        question.wrap_ttl,
        question.access,
    );
    let pattern = verdict.pattern.map(str::to_owned);
    let listing = matches!(needed, Some(Capability::List | Capability::Scan));
    let bare = question.path.strip_suffix('/').filter(|_| listing);
    let (mut sources, mut outranked, mut dropped) = (Vec::new(), Vec::new(), Vec::new());
    for policy in policies {
        for rules in &policy.rules {
            let Some(resolved) = resolve(policy, rules, identity, now) else {
                dropped.push(source(policy, rules));
                continue;
            };
            if pattern.as_deref() == Some(resolved.written().as_str()) {
                sources.push(source(policy, rules));
            } else if resolved.matches(question.path)
                || bare.is_some_and(|bare| resolved.matches(bare))
            {
                outranked.push(source(policy, rules));
            }
        }
    }
    for list in [&mut sources, &mut outranked, &mut dropped] {
        list.truncate(SOURCES_MAX);
    }
    Explanation { refusal: verdict.refusal, pattern, sources, outranked, dropped, needed }
}

/// As [`Acl::compile`] sees a stanza; `None` where it does not count.
fn resolve(
    policy: &Policy,
    rules: &PathRules,
    identity: Option<&Identity>,
    now: Timestamp,
) -> Option<Pattern> {
    if rules.expiration.is_some_and(|expiration| expiration <= now) {
        return None;
    }
    let pattern = if rules.is_templated() {
        Pattern::parse(&template::resolve(&rules.path, identity, policy.template_limits)?)?
    } else {
        Pattern::parse(&rules.path)?
    };
    Some(pattern.below(&policy.namespace))
}

fn source(policy: &Policy, rules: &PathRules) -> Source {
    // The next stanza ends this one's text; what stands between is comment.
    let next = policy.rules.iter().map(|other| other.line).filter(|line| *line > rules.line).min();
    let first = rules.line.saturating_sub(1);
    let count = next.map_or(usize::MAX, |next| next.saturating_sub(rules.line));
    let lines: Vec<&str> =
        policy.text.lines().skip(first).take(count.min(TEXT_LINES_MAX)).collect();
    let text = lines.join("\n");
    // Several may stand on one line.
    let quoted = text.find(&format!("{:?}", rules.path));
    let start = quoted.and_then(|at| text.get(..at)?.rfind("path")).unwrap_or_default();
    let text = stanza(text.get(start..).unwrap_or_default());
    Source {
        policy: policy.name.clone(),
        path: rules.path.clone(),
        line: rules.line,
        text,
        capabilities: rules.permissions.capabilities.names(),
    }
}

/// Up to the brace that closes the first one; all of it where strings make that hard to tell.
fn stanza(text: &str) -> String {
    let mut depth = 0_usize;
    let mut quoted = false;
    let mut before = ' ';
    for (at, letter) in text.char_indices() {
        match letter {
            '"' if before != '\\' => quoted = !quoted,
            '{' if !quoted => depth += 1,
            '}' if !quoted => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return text.get(..=at).unwrap_or(text).to_owned();
                }
            }
            _ => {}
        }
        before = letter;
    }
    text.trim_end().to_owned()
}

/// Stanzas of each kind that are told.
const SOURCES_MAX: usize = 50;

/// Lines of a stanza that are told.
const TEXT_LINES_MAX: usize = 60;
