//! Password policies: what generated passwords are made of, as text, and passwords made so.
//!
//! Pure: whoever asks brings the randomness.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::hcl::{self, Body, Item, Node};
use crate::rng::Rng;
use crate::secret::Secret;

/// A policy's text, understood.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PasswordPolicy {
    /// As it was written; base64 is undone.
    pub text: String,
    length: usize,
    rules: Vec<Rule>,
    /// Of all rules together, each character once.
    charset: Vec<char>,
}

/// At least so many characters of a set.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Rule {
    charset: Vec<char>,
    min_chars: usize,
}

/// The text is the writer's to read.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("invalid password policy: {0}")]
pub struct PasswordPolicyError(String);

impl PasswordPolicy {
    /// Takes HCL 1 or JSON, or either of them in base64.
    ///
    /// # Errors
    /// With a text for the writer, where it is no policy, or no password can be made by it.
    pub fn parse(text: &str) -> Result<Self, PasswordPolicyError> {
        Self::read(text).map_err(PasswordPolicyError)
    }

    fn read(text: &str) -> Result<Self, String> {
        let compact: String = text.split(['\r', '\n']).collect();
        let decoded = STANDARD.decode(compact.trim()).ok();
        let text = match decoded.and_then(|bytes| String::from_utf8(bytes).ok()) {
            Some(decoded) if !compact.trim().is_empty() => decoded,
            _ => text.to_owned(),
        };
        if text.len() > TEXT_BYTES_MAX {
            return Err(format!("more than {TEXT_BYTES_MAX} bytes"));
        }
        let body = hcl::parse(&text).map_err(|error| format!("unable to decode: {error}"))?;
        let (mut length, mut rules) = (0, Vec::new());
        for item in body.items {
            match key(&item) {
                "length" => length = whole("length", &item)?,
                "rule" => read_rules(item, &mut rules)?,
                // As in Vault, what else is there has no meaning.
                _ => {}
            }
        }
        Self::checked(text, length, rules)
    }

    fn checked(text: String, length: i64, rules: Vec<Rule>) -> Result<Self, String> {
        let needed: usize = rules.iter().map(|rule| rule.min_chars).sum();
        let charset: BTreeSet<char> =
            rules.iter().flat_map(|rule| rule.charset.iter().copied()).collect();
        if length < 1 {
            return Err("length must be > 0".into());
        }
        let length = usize::try_from(length).map_err(|_| "length is too large")?;
        if needed > length {
            return Err(format!(
                "specified rules require at least {needed} characters but {length} is specified"
            ));
        }
        if charset.is_empty() {
            return Err("no charset specified".into());
        }
        if charset.iter().any(|letter| letter.is_control()) {
            return Err("non-printable character in charset".into());
        }
        if !(LENGTH_MIN..=LENGTH_MAX).contains(&length) {
            return Err(format!(
                "passwords must be between {LENGTH_MIN} and {LENGTH_MAX} characters"
            ));
        }
        Ok(Self { text, length, rules, charset: charset.into_iter().collect() })
    }

    /// How hard its passwords are to guess, at most: the logarithm, to base 2, of how many there
    /// are.
    #[expect(clippy::cast_precision_loss, reason = "both are small: checked when it was read")]
    pub fn entropy_bits(&self) -> f64 {
        (self.charset.len() as f64).log2() * self.length as f64
    }

    /// A password: as many of each rule's set as it asks for, the rest of all sets, shuffled. It
    /// always succeeds, where Vault tries at random until time is over.
    pub fn generate(&self, rng: &dyn Rng) -> Secret<String> {
        let mut letters: Vec<char> = Vec::with_capacity(self.length);
        for rule in &self.rules {
            for _ in 0..rule.min_chars {
                letters.extend(rule.charset.get(below(rng, rule.charset.len())));
            }
        }
        while letters.len() < self.length {
            letters.extend(self.charset.get(below(rng, self.charset.len())));
        }
        // Fisher and Yates: each order is equally likely.
        for last in (1..letters.len()).rev() {
            letters.swap(last, below(rng, last + 1));
        }
        Secret::new(letters.into_iter().collect())
    }
}

/// Each number below `bound`, which is more than 0, is equally likely.
fn below(rng: &dyn Rng, bound: usize) -> usize {
    let bound = u32::try_from(bound).unwrap_or(u32::MAX).max(1);
    // The largest multiple of the bound: beyond it some would be favoured.
    let limit = u32::MAX - u32::MAX % bound;
    loop {
        let drawn = u32::from_le_bytes(rng.bytes());
        if drawn < limit {
            return usize::try_from(drawn % bound).unwrap_or_default();
        }
    }
}

/// `rule "charset" { … }`, or what JSON makes of it: an object or a list of objects, by kind.
fn read_rules(item: Item, rules: &mut Vec<Rule>) -> Result<(), String> {
    let kind = item.keys.get(1).map(|label| label.text.clone());
    let line = item.line;
    for body in bodies(item.node).ok_or_else(|| format!("line {line}: a rule is a block"))? {
        match &kind {
            Some(kind) => rules.push(read_rule(kind, &body)?),
            None => {
                for inner in body.items {
                    let kind = key(&inner).to_owned();
                    let bodies = bodies(inner.node);
                    for body in bodies.ok_or_else(|| format!("line {line}: a rule is a block"))? {
                        rules.push(read_rule(&kind, &body)?);
                    }
                }
            }
        }
        if rules.len() > RULES_MAX {
            return Err(format!("more than {RULES_MAX} rules"));
        }
    }
    Ok(())
}

fn read_rule(kind: &str, body: &Body) -> Result<Rule, String> {
    if kind != "charset" {
        return Err(format!(
            "unable to parse rules: unable to parse rule {kind}: unrecognized rule type {kind}"
        ));
    }
    let mut rule = Rule { charset: Vec::new(), min_chars: 0 };
    for item in &body.items {
        match key(item) {
            "charset" => match item.node.to_json() {
                Value::String(text) => {
                    let letters: BTreeSet<char> = text.chars().collect();
                    rule.charset = letters.into_iter().collect();
                }
                _ => return Err(format!("line {}: `charset` must be a string", item.line)),
            },
            "min-chars" => {
                // As in Vault, less than none is none.
                rule.min_chars = usize::try_from(whole("min-chars", item)?).unwrap_or_default();
            }
            _ => {}
        }
    }
    if rule.charset.is_empty() {
        return Err("no charset specified".into());
    }
    Ok(rule)
}

fn bodies(node: Node) -> Option<Vec<Body>> {
    match node {
        Node::Object(body) => Some(vec![body]),
        Node::List(list) => list
            .elements
            .into_iter()
            .map(|element| match element.node {
                Node::Object(body) => Some(body),
                Node::List(_) | Node::Scalar(_) => None,
            })
            .collect(),
        Node::Scalar(_) => None,
    }
}

fn whole(name: &str, item: &Item) -> Result<i64, String> {
    let value = item.node.to_json();
    value.as_i64().filter(|_| value.is_number()).ok_or_else(|| {
        format!("line {}: `{name}` must be a whole number, without quotes", item.line)
    })
}

fn key(item: &Item) -> &str {
    item.keys.first().map_or("", |key| key.text.as_str())
}

/// As in Vault.
const LENGTH_MIN: usize = 4;
const LENGTH_MAX: usize = 100;

/// Bytes of one policy's text, after base64 is undone.
pub const TEXT_BYTES_MAX: usize = 64 * 1024;

const RULES_MAX: usize = 64;

#[cfg(test)]
mod tests;
