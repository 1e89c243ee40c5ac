//! Effective policies of nested groups, against a plain model.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use serde_json::json;

use super::{server, write};
use crate::harness::{Server, data, line};

const ENTITIES: usize = 3;
const GROUPS: usize = 6;

#[derive(Clone, Debug)]
enum Step {
    Members(usize, BTreeSet<usize>),
    Nest(usize, BTreeSet<usize>),
    Policies(usize, BTreeSet<u8>),
    Own(usize, BTreeSet<u8>),
    Delete(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let groups = prop::collection::btree_set(0..GROUPS, 0..3);
    let entities = prop::collection::btree_set(0..ENTITIES, 0..3);
    let policies = || prop::collection::btree_set(0..5_u8, 0..3);
    prop_oneof![
        3 => (0..GROUPS, entities).prop_map(|(group, set)| Step::Members(group, set)),
        4 => (0..GROUPS, groups).prop_map(|(group, set)| Step::Nest(group, set)),
        2 => (0..GROUPS, policies()).prop_map(|(group, set)| Step::Policies(group, set)),
        1 => (0..ENTITIES, policies()).prop_map(|(entity, set)| Step::Own(entity, set)),
        1 => (0..GROUPS).prop_map(Step::Delete),
    ]
}

/// All that matters, as sets.
#[derive(Default)]
struct Model {
    members: BTreeMap<usize, BTreeSet<usize>>,
    nested: BTreeMap<usize, BTreeSet<usize>>,
    policies: BTreeMap<usize, BTreeSet<u8>>,
    own: BTreeMap<usize, BTreeSet<u8>>,
}

impl Model {
    /// The groups below one, itself among them.
    fn below(&self, group: usize) -> BTreeSet<usize> {
        let mut seen = BTreeSet::from([group]);
        loop {
            let more: BTreeSet<usize> = seen
                .iter()
                .flat_map(|one| self.nested.get(one).cloned().unwrap_or_default())
                .collect();
            let before = seen.len();
            seen.extend(more);
            if seen.len() == before {
                return seen;
            }
        }
    }

    fn closes_circle(&self, group: usize, wanted: &BTreeSet<usize>) -> bool {
        wanted.iter().any(|inner| self.below(*inner).contains(&group))
    }

    fn effective(&self, entity: usize) -> BTreeSet<u8> {
        let mut policies = self.own.get(&entity).cloned().unwrap_or_default();
        for group in 0..GROUPS {
            let has = |one: &usize| self.members.get(one).is_some_and(|set| set.contains(&entity));
            if self.below(group).iter().any(has) {
                policies.extend(self.policies.get(&group).into_iter().flatten());
            }
        }
        policies
    }
}

struct Real {
    server: Server,
    entities: Vec<String>,
    tokens: Vec<String>,
    groups: Vec<String>,
}

impl Real {
    fn new() -> Self {
        let server = server();
        let logins: Vec<_> = (0..ENTITIES)
            .map(|number| super::log_in(&server, &format!("e{number}"), &json!({})))
            .collect();
        let groups = (0..GROUPS)
            .map(|number| write(&server, "identity/group", &json!({"name": format!("g{number}")})))
            .collect();
        let entities = logins.iter().map(|auth| auth.entity_id.clone()).collect();
        let tokens = logins.into_iter().map(|auth| auth.client_token).collect();
        Self { server, entities, tokens, groups }
    }

    fn names(policies: &BTreeSet<u8>) -> Vec<String> {
        policies.iter().map(|number| format!("p{number}")).collect()
    }

    fn apply(&mut self, model: &mut Model, step: &Step) {
        match step {
            Step::Members(group, set) => {
                let ids: Vec<&String> = set.iter().map(|number| &self.entities[*number]).collect();
                self.change(*group, &json!({"member_entity_ids": ids}), "204");
                model.members.insert(*group, set.clone());
            }
            Step::Nest(group, set) => {
                let ids: Vec<&String> = set.iter().map(|number| &self.groups[*number]).collect();
                let params = json!({"member_group_ids": ids});
                // What is nested already and stays is no new circle: none can have been there.
                if model.closes_circle(*group, set) {
                    self.change(*group, &params, "400");
                } else {
                    self.change(*group, &params, "204");
                    model.nested.insert(*group, set.clone());
                }
            }
            Step::Policies(group, set) => {
                self.change(*group, &json!({"policies": Self::names(set)}), "204");
                model.policies.insert(*group, set.clone());
            }
            Step::Own(entity, set) => {
                let path = format!("identity/entity/id/{}", self.entities[*entity]);
                self.server.write(&path, &json!({"policies": Self::names(set)})).unwrap();
                model.own.insert(*entity, set.clone());
            }
            Step::Delete(group) => {
                let path = format!("identity/group/id/{}", self.groups[*group]);
                self.server.delete(&path).unwrap();
                // Sometimes the job that clears up comes late.
                if group % 2 == 0 {
                    crate::token::work_off(&self.server);
                }
                self.groups[*group] =
                    write(&self.server, "identity/group", &json!({"name": format!("g{group}")}));
                model.members.remove(group);
                model.nested.remove(group);
                model.policies.remove(group);
                for nested in model.nested.values_mut() {
                    nested.remove(group);
                }
            }
        }
    }

    fn change(&self, group: usize, params: &serde_json::Value, status: &str) {
        let path = format!("identity/group/id/{}", self.groups[group]);
        let answer = line(self.server.write(&path, params));
        assert!(answer.starts_with(status), "{params}: {answer}");
    }

    fn check(&self, model: &Model) {
        for (number, token) in self.tokens.iter().enumerate() {
            let looked = self.server.write("auth/token/lookup", &json!({"token": token}));
            let looked = data(looked.unwrap());
            let expected = Self::names(&model.effective(number));
            let found = looked.get("identity_policies").cloned().unwrap_or_else(|| json!([]));
            assert_eq!(found, json!(expected), "entity {number}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn effective_policies_are_those_of_the_model(steps in prop::collection::vec(step(), 1..25)) {
        let (mut real, mut model) = (Real::new(), Model::default());
        for step in &steps {
            real.apply(&mut model, step);
            real.check(&model);
        }
    }
}
