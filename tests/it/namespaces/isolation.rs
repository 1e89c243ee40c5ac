//! That no token reads or writes outside of its namespace, against a plain model: a namespace is
//! the beginning of a path, and a secret one value at one whole path.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Value, json};
use strongroom::request::{Error, Operation};

use super::{ALL, make, token, write};
use crate::harness::{Server, data};

const NAMESPACES: [&str; 6] = ["", "a/", "b/", "a/a/", "a/b/", "a/b/kw/"];

#[derive(Clone, Debug)]
struct Step {
    operation: Operation,
    /// Whose token it is.
    of: usize,
    header: Vec<&'static str>,
    path: Vec<&'static str>,
}

fn step() -> impl Strategy<Value = Step> {
    let operation = prop_oneof![
        3 => Just(Operation::Read),
        3 => Just(Operation::Update),
        1 => Just(Operation::Delete),
        1 => Just(Operation::List),
    ];
    let segment = || {
        prop::sample::select(vec![
            "a", "a", "b", "b", "kw", "kv", "kv", "kv", "x", "x", "y", "A", "..", ".", "", "a%2Fa",
            "%61", "root", "ns", "core", "@", "a@root",
        ])
    };
    let header = prop_oneof![
        4 => Just(Vec::new()),
        4 => prop::collection::vec(prop::sample::select(vec!["a", "b", "kw"]), 0..4),
        1 => prop::collection::vec(segment(), 0..3),
    ];
    let straight = (prop::collection::vec(prop::sample::select(vec!["a", "b"]), 0..3), segment())
        .prop_map(|(mut path, last)| {
            path.extend(["kv", last]);
            path
        });
    let path = prop_oneof![3 => straight, 2 => prop::collection::vec(segment(), 1..6)];
    (operation, 0..NAMESPACES.len(), header, path).prop_map(|(operation, of, header, path)| Step {
        operation,
        of,
        header,
        path,
    })
}

/// What a request for a path in a namespace means, told by text alone.
enum Meaning {
    /// The header names no namespace.
    Nowhere,
    Secret {
        namespace: &'static str,
        key: String,
    },
    /// Nothing that a secret could be at.
    Other,
}

fn meaning(header: &str, path: &str) -> Meaning {
    if !NAMESPACES.contains(&header) {
        return Meaning::Nowhere;
    }
    let whole = format!("{header}{path}");
    let longest = NAMESPACES.into_iter().filter(|namespace| whole.starts_with(namespace));
    let namespace = longest.max_by_key(|namespace| namespace.len()).unwrap();
    match whole[namespace.len()..].strip_prefix("kv/") {
        Some(key) if !key.split('/').any(|part| ["", ".", ".."].contains(&part)) => {
            Meaning::Secret { namespace, key: key.to_owned() }
        }
        _ => Meaning::Other,
    }
}

struct World {
    server: Server,
    tokens: Vec<String>,
    secrets: BTreeMap<(&'static str, String), String>,
    written: u32,
}

impl World {
    fn new() -> Self {
        let server = Server::new();
        let mut tokens = Vec::new();
        for namespace in NAMESPACES {
            if !namespace.is_empty() {
                make(&server, namespace);
            }
            write(&server, namespace, "sys/mounts/kv", &json!({"type": "kv"})).unwrap();
            tokens.push(token(&server, namespace, ALL));
        }
        Self { server, tokens, secrets: BTreeMap::new(), written: 0 }
    }

    fn apply(&mut self, step: &Step) {
        let header: String = step.header.iter().map(|part| format!("{part}/")).collect();
        let mut path = step.path.join("/");
        if step.operation == Operation::List && !path.ends_with('/') {
            path.push('/');
        }
        self.written += 1;
        let value = format!("{}|{}", self.written, NAMESPACES[step.of]);
        let token = &self.tokens[step.of];
        let params = if step.operation == Operation::Update {
            json!({ "value": value })
        } else {
            Value::Null
        };
        let outcome = self.server.send_in(&header, step.operation, &path, &params, token);
        let told = format!("{step:?} {header:?} {path:?}: {outcome:?}");
        match meaning(&header, &path) {
            Meaning::Nowhere => {
                let is_missing =
                    matches!(&outcome, Err(Error::Missing(text)) if text == "namespace not found");
                assert!(is_missing, "{told}");
            }
            Meaning::Secret { namespace, key } if step.operation != Operation::List => {
                if !namespace.starts_with(NAMESPACES[step.of]) {
                    assert!(matches!(outcome, Err(Error::Denied)), "{told}");
                    return;
                }
                let at = (namespace, key);
                match step.operation {
                    Operation::Update => {
                        assert!(outcome.is_ok(), "{told}");
                        self.secrets.insert(at, value);
                    }
                    Operation::Delete => {
                        assert!(outcome.is_ok(), "{told}");
                        self.secrets.remove(&at);
                    }
                    _ => {
                        let found = outcome.ok().filter(|reply| !reply.is_empty());
                        let found = found.map(|reply| data(reply)["value"].clone());
                        assert_eq!(
                            found,
                            self.secrets.get(&at).map(|value| json!(value)),
                            "{told}"
                        );
                    }
                }
            }
            // Listings and what means nothing may say what they like, but nothing of a secret of
            // another namespace than the token's; that nothing was written is seen at the end.
            Meaning::Secret { .. } | Meaning::Other => {
                for ((namespace, key), value) in &self.secrets {
                    let is_foreign = !namespace.starts_with(NAMESPACES[step.of]);
                    assert!(!(is_foreign && told.contains(value.as_str())), "{key} {told}");
                }
            }
        }
    }

    fn check(&self) {
        let mut found = BTreeMap::new();
        for namespace in NAMESPACES {
            self.collect(namespace, "kv/", &mut found);
        }
        assert_eq!(found, self.secrets);
    }

    /// As root, by the plainest of paths.
    fn collect(
        &self,
        namespace: &'static str,
        directory: &str,
        found: &mut BTreeMap<(&'static str, String), String>,
    ) {
        let root = &self.server.root;
        let send = |operation, path: &str| {
            self.server.send_in(namespace, operation, path, &Value::Null, root).unwrap()
        };
        let listed = send(Operation::List, directory);
        if listed.is_empty() {
            return;
        }
        for key in data(listed)["keys"].as_array().unwrap() {
            let path = format!("{directory}{}", key.as_str().unwrap());
            if path.ends_with('/') {
                self.collect(namespace, &path, found);
                continue;
            }
            let value = data(send(Operation::Read, &path))["value"].as_str().unwrap().to_owned();
            found.insert((namespace, path["kv/".len()..].to_owned()), value);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn no_token_reaches_outside_its_namespace(steps in prop::collection::vec(step(), 1..120)) {
        let mut world = World::new();
        for step in &steps {
            world.apply(step);
        }
        world.check();
    }
}

#[test]
fn listings_show_nothing_of_other_namespaces() {
    let world = World::new();
    let server = &world.server;
    for namespace in NAMESPACES {
        let path = "kv/of";
        write(server, namespace, path, &json!({"value": "secret"})).unwrap();
        write(server, namespace, "identity/entity", &json!({"name": "e"})).unwrap();
        write(server, namespace, "sys/auth/userpass", &json!({"type": "userpass"})).unwrap();
        let user = json!({"password": "x"});
        write(server, namespace, "auth/userpass/users/u", &user).unwrap();
    }
    for (path, number) in [
        ("kv/", 1),
        ("identity/entity/id/", 1),
        ("identity/entity/name/", 1),
        ("auth/userpass/users/", 1),
        ("auth/token/accessors/", 1),
        ("sys/leases/lookup/auth/token/create/", 1),
    ] {
        for namespace in &NAMESPACES[1..] {
            let listed =
                server.send_in(namespace, Operation::List, path, &Value::Null, &server.root);
            let keys = data(listed.unwrap())["keys"].as_array().unwrap().len();
            assert_eq!(keys, number, "{namespace} {path}");
        }
    }
}
