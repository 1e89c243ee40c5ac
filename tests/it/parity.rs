//! What clients of Vault know against what our route tables have: `tests/parity.tsv`, which may
//! only get better.
//!
//! `STRONGROOM_WRITE_PARITY=1 cargo test --test it parity` writes the table anew.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use strongroom::framework::{Access, Needs, RouteFacts, Template};
use strongroom::mount::{MountConfig, MountEntry, Table};
use strongroom::request::Operation;
use strongroom::{auth, engines, sys};

/// From worst to best.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum State {
    Absent,
    Differs,
    Same,
}

impl State {
    fn word(self) -> &'static str {
        match self {
            Self::Absent => "absent",
            Self::Differs => "differs",
            Self::Same => "same",
        }
    }

    fn of(word: &str) -> Self {
        [Self::Absent, Self::Differs, Self::Same]
            .into_iter()
            .find(|state| state.word() == word)
            .unwrap_or_else(|| panic!("{word:?} is no state"))
    }
}

struct Row {
    state: State,
    /// `yes` where the differential test sends it to both servers.
    compared: bool,
    why: String,
}

type Rows = BTreeMap<(String, String), Row>;

#[test]
fn nothing_that_was_there_is_lost() {
    let rows = rows();
    let file = folder().join("../parity.tsv");
    if std::env::var_os("STRONGROOM_WRITE_PARITY").is_some() {
        fs::write(&file, written(&rows)).unwrap();
    }
    let before = fs::read_to_string(&file).unwrap();
    let mut worse = Vec::new();
    for line in before.lines().filter(|line| !line.starts_with('#')) {
        let fields: Vec<&str> = line.split('\t').collect();
        let key = (fields[0].to_owned(), fields[1].to_owned());
        let Some(row) = rows.get(&key) else {
            worse.push(format!("{} {}: no longer in paths.tsv", key.1, key.0));
            continue;
        };
        let was = State::of(fields[2]);
        if row.state < was || (!row.compared && fields[3] == "yes") {
            let now = row.state.word();
            worse.push(format!("{} {}: was {}, is {now} {}", key.1, key.0, was.word(), row.why));
        }
    }
    assert!(worse.is_empty(), "worse than tests/parity.tsv:\n{}", worse.join("\n"));
    assert!(before.lines().count() > 500, "the table is whole");
}

/// A reason for what is as it should be says that it is not looked at any more.
#[test]
fn every_reason_is_needed() {
    let rows = rows();
    for (path, methods, _) in differs() {
        for method in methods.split(',') {
            let covered = rows.iter().any(|((known, by), row)| {
                by == method && covers(&path, known) && row.state != State::Same
            });
            assert!(covered, "{method} {path}: not in paths.tsv, or the same by now");
        }
    }
}

fn rows() -> Rows {
    let tables = tables();
    let reasons = differs();
    let compared = compared();
    let mut rows = Rows::new();
    for line in fs::read_to_string(folder().join("paths.tsv")).unwrap().lines() {
        if line.starts_with('#') {
            continue;
        }
        let fields: Vec<&str> = line.split('\t').collect();
        let (path, flags) = (fields[0], fields.get(2).copied().unwrap_or_default());
        for method in fields[1].split(',') {
            let reason = reasons.iter().find(|(covered, methods, _)| {
                covers(covered, path) && methods.split(',').any(|one| one == method)
            });
            let mut row = look(&tables, path, method, flags);
            if let Some((_, _, why)) = reason {
                row.why.clone_from(why);
                row.state = row.state.min(State::Differs);
            }
            row.compared = compared.iter().any(|(by, asked)| by == method && fits(path, asked));
            rows.insert((path.to_owned(), method.to_owned()), row);
        }
    }
    rows
}

fn look(tables: &[(String, Vec<RouteFacts>)], path: &str, method: &str, flags: &str) -> Row {
    let mut row = Row { state: State::Absent, compared: false, why: String::new() };
    let path = path.trim_start_matches('/');
    let Some((mount, facts)) = tables.iter().find(|(mount, _)| path.starts_with(mount.as_str()))
    else {
        return row;
    };
    // A capture of theirs may be anything: ours must take it where no literal of ours does.
    let asked: String = path
        .strip_prefix(mount.as_str())
        .unwrap()
        .split('/')
        .map(|part| if part.starts_with('{') { "any" } else { part })
        .collect::<Vec<_>>()
        .join("/");
    let found = facts.iter().find(|route| {
        Template::parse(route.template).captures(&asked).is_some()
            && route.operations.iter().any(|(operation, _)| is_by(*operation, method))
    });
    let Some(route) = found else { return row };
    row.state = State::Same;
    let open = matches!(route.access, Access::Unauthenticated | Access::OptionalToken);
    let wants_open = flags.contains("unauthenticated");
    if wants_open != open && route.needs != Needs::Nothing {
        row.state = State::Differs;
        row.why = if open { "asks for no token" } else { "asks for a token" }.into();
    } else if flags.contains("sudo") && route.access != Access::Sudo {
        row.state = State::Differs;
        row.why = "asks for no sudo".into();
    }
    row
}

/// Every mount that there can be, by its path in `paths.tsv`; the longest first.
fn tables() -> Vec<(String, Vec<RouteFacts>)> {
    let mut tables = vec![(
        "sys/".to_owned(),
        sys::engine().unwrap().routes().map(RouteFacts::of).collect::<Vec<_>>(),
    )];
    for kind in auth::KINDS.iter().chain(&["token"]) {
        let entry = entry(Table::Auth, kind, &[]);
        if let Some(mount) = auth::open(&entry).unwrap() {
            tables.push((format!("auth/{kind}/"), mount.routes()));
        }
    }
    for kind in engines::KINDS.iter().chain(&["cubbyhole", "identity"]) {
        let (path, options): (&str, &[(&str, &str)]) = match *kind {
            "kv" => ("secret", &[("version", "2")]),
            other => (other, &[]),
        };
        let entry = entry(Table::Secret, kind, options);
        if let Some(mount) = engines::open(&entry).unwrap() {
            tables.push((format!("{path}/"), mount.routes()));
        }
    }
    tables.sort_by_key(|(path, _)| std::cmp::Reverse(path.len()));
    tables
}

pub(crate) fn entry(table: Table, kind: &str, options: &[(&str, &str)]) -> MountEntry {
    let options = options.iter().map(|(name, value)| ((*name).into(), (*value).into()));
    MountEntry {
        table,
        path: format!("{kind}/"),
        kind: kind.into(),
        description: String::new(),
        uuid: format!("uuid-{kind}"),
        accessor: format!("{kind}_00000000"),
        local: false,
        seal_wrap: false,
        external_entropy_access: false,
        options: options.collect(),
        config: MountConfig::default(),
        tainted: false,
    }
}

fn is_by(operation: Operation, method: &str) -> bool {
    matches!(
        (operation, method),
        (Operation::Read, "GET")
            | (Operation::List, "LIST")
            | (Operation::Update | Operation::Create, "POST")
            | (Operation::Delete, "DELETE")
            | (Operation::Patch, "PATCH")
    )
}

fn differs() -> Vec<(String, String, String)> {
    let text = fs::read_to_string(folder().join("differs.tsv")).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| match line.split('\t').collect::<Vec<_>>().as_slice() {
            [path, methods, why] => ((*path).into(), (*methods).into(), (*why).into()),
            _ => panic!("{line:?}: path, methods and why"),
        })
        .collect()
}

fn covers(covered: &str, path: &str) -> bool {
    match covered.strip_suffix('*') {
        Some(prefix) => path.starts_with(prefix),
        None => covered == path,
    }
}

/// What the differential test sends, by method.
fn compared() -> BTreeSet<(String, String)> {
    let text: String =
        ["requests_to_compare.py", "requests_of_sys.py", "requests_of_namespaces.py"]
            .map(|file| fs::read_to_string(folder().join("../e2e").join(file)).unwrap())
            .concat();
    let mut compared = BTreeSet::new();
    for line in text.lines().filter_map(|line| line.trim().strip_prefix("row(")) {
        // Only what stands in quotes counts: a title, a method, a path.
        let mut quoted = line.split('"').skip(1).step_by(2);
        if let (Some(_), Some(method), Some(path)) = (quoted.next(), quoted.next(), quoted.next()) {
            let method = if method == "PUT" { "POST" } else { method };
            let path = path.split('?').next().unwrap().to_owned();
            compared.insert((method.to_owned(), path));
        }
    }
    assert!(compared.len() > 100, "the rows of requests_to_compare.py are found");
    compared
}

/// Whether a request's path is of a path in `paths.tsv`: a capture at the end takes what is left.
fn fits(path: &str, asked: &str) -> bool {
    let asked = asked.trim_end_matches('/');
    let mut segments = asked.split('/');
    let mut parts = path.trim_matches('/').split('/').peekable();
    while let Some(part) = parts.next() {
        let Some(segment) = segments.next() else { return false };
        let captures = part.starts_with('{');
        if !captures && part != segment {
            return false;
        }
        if captures && parts.peek().is_none() {
            return true;
        }
    }
    segments.next().is_none()
}

fn written(rows: &Rows) -> String {
    let count = |state| rows.values().filter(|row| row.state == state).count();
    let mut text = format!(
        "# Generated by `tests/it/parity.rs`; may only get better. Of {} pairs of path and method \
         {} are the same,\n# {} differ, {} are absent; {} are compared with OpenBao's answers.\n\
         # path\tmethod\tstate\tcompared\twhy\n",
        rows.len(),
        count(State::Same),
        count(State::Differs),
        count(State::Absent),
        rows.values().filter(|row| row.compared).count(),
    );
    for ((path, method), row) in rows {
        let compared = if row.compared { "yes" } else { "no" };
        let line = format!("{path}\t{method}\t{}\t{compared}\t{}", row.state.word(), row.why);
        writeln!(text, "{}", line.trim_end()).unwrap();
    }
    text
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/parity")
}
