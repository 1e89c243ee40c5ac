//! The whole verdict against a plain model of the rules: choose one pattern, add up what policies
//! grant for it, let `deny` win.

use proptest::prelude::*;

use super::choice::{naive, path, pattern};
use super::{Access, Acl, Capability, Operation, Params, Refusal, Timestamp, policy};

/// A pattern, and the capabilities that one stanza names for it.
type Stanza = (String, Vec<Capability>);

fn stanza() -> impl Strategy<Value = Stanza> {
    let capability = prop::sample::select(vec![
        Capability::Create,
        Capability::Delete,
        Capability::Deny,
        Capability::List,
        Capability::Patch,
        Capability::Read,
        Capability::Sudo,
        Capability::Update,
    ]);
    (pattern(), prop::collection::vec(capability, 0..5))
}

/// What should come of it: `None` where it is allowed.
fn expected(
    policies: &[Vec<Stanza>],
    operation: Operation,
    path: &str,
    access: Access,
) -> Option<Refusal> {
    let needed = Capability::needed_for(operation)?;
    let all: Vec<&Stanza> = policies.iter().flatten().collect();
    let patterns: Vec<String> = all.iter().map(|(pattern, _)| pattern.clone()).collect();
    let Some(chosen) = naive::choose(&patterns, path, operation == Operation::List) else {
        return Some(Refusal::NoRule);
    };
    let mut denying = Vec::new();
    let mut granted = Vec::new();
    for (number, stanzas) in policies.iter().enumerate() {
        for (_, capabilities) in stanzas.iter().filter(|(pattern, _)| pattern == chosen) {
            let name = format!("p{number}");
            if capabilities.contains(&Capability::Deny) && !denying.contains(&name) {
                denying.push(name);
            }
            granted.extend(capabilities);
        }
    }
    if !denying.is_empty() {
        return Some(Refusal::Deny(denying));
    }
    if !granted.contains(&needed) {
        return Some(Refusal::Missing(needed));
    }
    if access == Access::Sudo && !granted.contains(&Capability::Sudo) {
        return Some(Refusal::Missing(Capability::Sudo));
    }
    None
}

proptest! {
    #![proptest_config(ProptestConfig { cases: super::cases(), failure_persistence: None, ..ProptestConfig::default() })]

    /// Caught when put in: `deny` of the last policy alone, capabilities of other patterns added.
    #[test]
    fn verdicts_agree_with_a_plain_model(
        policies in prop::collection::vec(prop::collection::vec(stanza(), 0..6), 0..4),
        paths in prop::collection::vec(path(), 1..6),
    ) {
        let parsed: Vec<_> = policies
            .iter()
            .enumerate()
            .map(|(number, stanzas)| {
                // The slash is stripped again, so that a pattern may itself start with one.
                let text: String = stanzas
                    .iter()
                    .map(|(pattern, capabilities)| {
                        let names: Vec<&str> =
                            capabilities.iter().map(|capability| capability.name()).collect();
                        format!("path \"/{pattern}\" {{ capabilities = {names:?} }}\n")
                    })
                    .collect();
                policy(&format!("p{number}"), &text)
            })
            .collect();
        let acl = Acl::compile(&parsed, None, Timestamp::ZERO);
        for path in &paths {
            for operation in [
                Operation::Create,
                Operation::Delete,
                Operation::List,
                Operation::Patch,
                Operation::Read,
                Operation::Update,
            ] {
                for access in [Access::Ordinary, Access::Sudo] {
                    let verdict = acl.check(operation, path, &Params::new(), None, access);
                    let expected = expected(&policies, operation, path, access);
                    prop_assert_eq!(verdict.refusal, expected, "{:?} {}", operation, path);
                }
            }
        }
    }
}
