use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};
use strongroom::request::Operation;

use crate::harness::{Server, data, line};

/// What a client can do to one of a few secrets.
#[derive(Clone, Debug)]
enum Step {
    Write { value: u8, cas: Option<u64> },
    Patch { value: u8 },
    DeleteNewest,
    Delete(Vec<u64>),
    Undelete(Vec<u64>),
    Destroy(Vec<u64>),
    Limit(u64),
    Purge,
}

/// A secret as a reader of the API's documentation would keep it.
#[derive(Default)]
struct Model {
    current: u64,
    max: u64,
    versions: BTreeMap<u64, Version>,
}

struct Version {
    data: Value,
    deleted: bool,
    destroyed: bool,
}

/// Found, when put in: a patch of a deleted version, pruning one too few, an undelete of a
/// destroyed version.
#[test]
fn random_steps_leave_what_a_simple_model_says() {
    let paths = prop::sample::select(vec!["a", "a/b", "c"]);
    let steps = prop::collection::vec((paths, step()), 1..80);
    let mut runner =
        TestRunner::new(Config { cases: 64, failure_persistence: None, ..Config::default() });
    runner
        .run(&steps, |steps| {
            let server = Server::new();
            server.mount("kv/", "kv", &[("version", "2")]);
            let mut models: BTreeMap<&str, Model> = BTreeMap::new();
            for (path, step) in steps {
                let said = ask(&server, path, &step);
                let expected = apply(&mut models, path, &step);
                prop_assert_eq!(said, expected, "{} {:?}", path, step);
                check(&server, path, models.get(path))?;
            }
            Ok(())
        })
        .unwrap();
}

fn step() -> impl Strategy<Value = Step> {
    let versions = || prop::collection::vec(0..6u64, 1..4);
    prop_oneof![
        4 => (any::<u8>(), prop::option::of(0..5u64))
            .prop_map(|(value, cas)| Step::Write { value, cas }),
        2 => any::<u8>().prop_map(|value| Step::Patch { value }),
        1 => Just(Step::DeleteNewest),
        2 => versions().prop_map(Step::Delete),
        2 => versions().prop_map(Step::Undelete),
        2 => versions().prop_map(Step::Destroy),
        1 => (0..4u64).prop_map(Step::Limit),
        1 => Just(Step::Purge),
    ]
}

/// The new version's number, or the status.
fn ask(server: &Server, path: &str, step: &Step) -> String {
    let of = |versions: &Vec<u64>| json!({ "versions": versions });
    let (operation, route, params) = match step {
        Step::Write { value, cas: Some(cas) } => {
            let body = json!({"data": {"v": value}, "options": {"cas": cas}});
            (Operation::Update, "data", body)
        }
        Step::Write { value, cas: None } => {
            (Operation::Update, "data", json!({"data": {"v": value}}))
        }
        Step::Patch { value } => {
            (Operation::Patch, "data", json!({"data": {format!("p{}", value % 4): value}}))
        }
        Step::DeleteNewest => (Operation::Delete, "data", json!({})),
        Step::Delete(versions) => (Operation::Update, "delete", of(versions)),
        Step::Undelete(versions) => (Operation::Update, "undelete", of(versions)),
        Step::Destroy(versions) => (Operation::Update, "destroy", of(versions)),
        Step::Limit(max) => (Operation::Update, "metadata", json!({ "max_versions": max })),
        Step::Purge => (Operation::Delete, "metadata", json!({})),
    };
    match server.send(operation, &format!("kv/{route}/{path}"), &params, &server.root) {
        Ok(reply) if route == "data" && operation != Operation::Delete => {
            data(reply)["version"].to_string()
        }
        other => line(other).get(..3).unwrap().to_owned(),
    }
}

fn apply<'p>(models: &mut BTreeMap<&'p str, Model>, path: &'p str, step: &Step) -> String {
    let none = "204".to_owned();
    match step {
        Step::Write { value, cas } => {
            let current = models.get(path).map_or(0, |model| model.current);
            if cas.is_some_and(|cas| cas != current) {
                return "400".into();
            }
            return models.entry(path).or_default().add(json!({ "v": value }));
        }
        Step::Limit(max) => models.entry(path).or_default().max = *max,
        Step::Purge => drop(models.remove(path)),
        _ => {
            let Some(model) = models.get_mut(path) else {
                return if matches!(step, Step::Patch { .. }) { "404".into() } else { none };
            };
            return model.change(step);
        }
    }
    none
}

impl Model {
    fn change(&mut self, step: &Step) -> String {
        let mut each = |versions: &[u64], change: &dyn Fn(&mut Version)| {
            for number in versions {
                if let Some(version) = self.versions.get_mut(number)
                    && !version.destroyed
                {
                    change(version);
                }
            }
        };
        match step {
            Step::Delete(versions) => each(versions, &|version| version.deleted = true),
            Step::Undelete(versions) => each(versions, &|version| version.deleted = false),
            Step::Destroy(versions) => each(versions, &|version| version.destroyed = true),
            Step::DeleteNewest => {
                let newest = [self.current];
                each(&newest, &|version| version.deleted = true);
            }
            Step::Patch { value } => {
                let newest = self.versions.get(&self.current);
                let Some(version) = newest.filter(|version| version.is_live()) else {
                    return "404".into();
                };
                let mut merged = version.data.clone();
                merged[format!("p{}", value % 4)] = json!(value);
                return self.add(merged);
            }
            Step::Write { .. } | Step::Limit(_) | Step::Purge => {}
        }
        "204".into()
    }

    fn add(&mut self, data: Value) -> String {
        self.current += 1;
        let version = Version { data, deleted: false, destroyed: false };
        self.versions.insert(self.current, version);
        let kept = if self.max == 0 { 10 } else { self.max };
        self.versions.retain(|number, _| number + kept > self.current);
        self.current.to_string()
    }
}

impl Version {
    fn is_live(&self) -> bool {
        !self.deleted && !self.destroyed
    }
}

fn check(server: &Server, path: &str, model: Option<&Model>) -> Result<(), TestCaseError> {
    let metadata = server.read(&format!("kv/metadata/{path}"));
    let Some(model) = model else {
        prop_assert_eq!(line(metadata), "404");
        return Ok(());
    };
    let metadata = data(metadata.unwrap());
    prop_assert_eq!(&metadata["current_version"], model.current);
    let versions = metadata["versions"].as_object().unwrap();
    let numbers: Vec<String> = model.versions.keys().map(u64::to_string).collect();
    prop_assert_eq!(versions.keys().cloned().collect::<Vec<_>>(), numbers);
    for (number, version) in &model.versions {
        let told = &versions[&number.to_string()];
        prop_assert_eq!(told["deletion_time"] != "", version.deleted);
        prop_assert_eq!(told["destroyed"] == true, version.destroyed);
        let path = format!("kv/data/{path}");
        let read = server.send(Operation::Read, &path, &json!({ "version": number }), &server.root);
        prop_assert_eq!(read.is_ok(), version.is_live());
        if let Ok(reply) = read {
            prop_assert_eq!(&data(reply)["data"], &version.data);
        }
    }
    Ok(())
}
