//! Properties of the source itself.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Each module under `src`, lowest first, with what it may import. What is missing is the point:
/// `store` cannot name `txn`, so it never holds plaintext, and `engines` cannot name `pipeline`.
const LAYERS: &[(&str, &[&str])] = &[
    ("clock", &[]),
    ("duration", &[]),
    ("hcl", &[]),
    ("key", &[]),
    ("network", &[]),
    ("proto", &[]),
    ("rng", &[]),
    ("secret", &[]),
    ("text", &[]),
    ("mount", &["text"]),
    ("client", &["rng", "secret", "text"]),
    ("config", &["duration", "hcl", "network", "secret"]),
    ("crypto", &["rng", "secret"]),
    ("password", &["hcl", "rng", "secret"]),
    ("record", &["clock", "proto"]),
    ("telemetry", &["clock"]),
    ("audit_log", &["clock", "crypto", "text"]),
    ("request", &["clock", "proto", "record", "secret"]),
    ("costly", &["request"]),
    ("store", &["clock", "record"]),
    ("http", &["clock", "duration", "network", "record", "request", "rng", "secret", "text"]),
    ("log", &["record", "store"]),
    ("policy", &["clock", "duration", "hcl", "request"]),
    ("txn", &["clock", "key", "record", "request", "rng", "secret"]),
    ("namespace", &["record", "request", "txn"]),
    (
        "audit",
        &[
            "audit_log",
            "clock",
            "crypto",
            "duration",
            "log",
            "mount",
            "record",
            "request",
            "rng",
            "text",
            "txn",
        ],
    ),
    (
        "barrier",
        &["clock", "crypto", "key", "log", "proto", "record", "request", "rng", "secret", "txn"],
    ),
    ("expiry", &["clock", "request", "txn"]),
    ("framework", &["clock", "duration", "log", "mount", "request", "rng", "txn"]),
    ("policy_store", &["clock", "policy", "request", "text", "txn"]),
    ("raft", &["clock", "log", "proto", "record", "store"]),
    ("cluster", &["clock", "log", "proto", "raft", "record", "request", "rng", "secret"]),
    ("lease", &["clock", "expiry", "mount", "request", "text", "txn"]),
    ("quota", &["lease", "namespace", "record", "request", "txn"]),
    ("router", &["framework", "mount", "namespace", "record", "request", "txn"]),
    ("seal", &["barrier", "clock", "crypto", "proto", "record", "rng", "secret", "text"]),
    ("backup", &["barrier", "record", "seal", "store", "text"]),
    ("job", &["clock", "lease", "mount", "namespace", "request", "txn"]),
    ("kms", &["client", "clock", "crypto", "rng", "seal", "secret", "text"]),
    (
        "cli",
        &[
            "audit_log",
            "backup",
            "client",
            "clock",
            "config",
            "duration",
            "hcl",
            "policy",
            "rng",
            "seal",
            "secret",
        ],
    ),
    ("identity", &["clock", "crypto", "job", "policy", "request", "rng", "text", "txn"]),
    (
        "auth",
        &[
            "client",
            "clock",
            "costly",
            "crypto",
            "duration",
            "expiry",
            "framework",
            "identity",
            "job",
            "lease",
            "mount",
            "namespace",
            "policy",
            "policy_store",
            "request",
            "rng",
            "secret",
            "text",
            "txn",
        ],
    ),
    (
        "engines",
        &[
            "auth",
            "client",
            "clock",
            "costly",
            "crypto",
            "duration",
            "expiry",
            "framework",
            "identity",
            "job",
            "lease",
            "log",
            "mount",
            "namespace",
            "password",
            "record",
            "request",
            "rng",
            "secret",
            "text",
            "txn",
        ],
    ),
    (
        "pipeline",
        &[
            "audit",
            "auth",
            "barrier",
            "clock",
            "crypto",
            "framework",
            "identity",
            "lease",
            "log",
            "mount",
            "namespace",
            "policy",
            "policy_store",
            "quota",
            "record",
            "request",
            "rng",
            "router",
            "secret",
            "text",
            "txn",
        ],
    ),
    (
        "sys",
        &[
            "audit",
            "audit_log",
            "auth",
            "barrier",
            "clock",
            "crypto",
            "duration",
            "engines",
            "expiry",
            "framework",
            "identity",
            "job",
            "lease",
            "log",
            "mount",
            "namespace",
            "password",
            "policy",
            "policy_store",
            "quota",
            "record",
            "request",
            "rng",
            "seal",
            "secret",
            "text",
            "txn",
        ],
    ),
    (
        "server",
        &[
            "audit",
            "auth",
            "backup",
            "barrier",
            "client",
            "clock",
            "cluster",
            "config",
            "crypto",
            "engines",
            "expiry",
            "framework",
            "http",
            "job",
            "key",
            "kms",
            "lease",
            "log",
            "mount",
            "namespace",
            "pipeline",
            "proto",
            "raft",
            "record",
            "request",
            "rng",
            "router",
            "seal",
            "secret",
            "store",
            "sys",
            "telemetry",
            "text",
            "txn",
        ],
    ),
    (
        "diagnose",
        &[
            "cli", "client", "clock", "cluster", "config", "crypto", "http", "rng", "server",
            "store",
        ],
    ),
    (
        "serve",
        &[
            "cli", "client", "clock", "config", "crypto", "duration", "http", "rng", "secret",
            "server",
        ],
    ),
];

/// Who may make a `Ciphertext` of bytes: the barrier, which has sealed them, and what reads back
/// what it sealed.
const MAY_CALL_FROM_SEALED: &[&str] = &["barrier", "raft", "record", "store"];

/// Files with `unsafe` code. Each says in an expectation why.
const MAY_BE_UNSAFE: &[&str] = &["src/crypto/memory.rs", "src/store/state/lmdb.rs"];

const FILE_LINES_MAX: usize = 600;

#[test]
fn modules_import_only_lower_layers() {
    let mut seen = BTreeSet::new();
    for (file, text) in sources() {
        let module = module_of(&file);
        if module == "lib" || module == "main" {
            continue;
        }
        let (_, allowed) = LAYERS
            .iter()
            .find(|(name, _)| *name == module)
            .unwrap_or_else(|| panic!("{}: add `{module}` to LAYERS", file.display()));
        let is_test = file.file_stem().is_some_and(|stem| stem == "tests")
            || file.components().any(|part| part.as_os_str() == "tests");
        for (number, line) in text.lines().enumerate() {
            for used in line.split("crate::").skip(1) {
                let used = used.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap();
                assert!(
                    used == module || allowed.contains(&used) || is_test,
                    "{}:{}: `{module}` may not import `{used}`",
                    file.display(),
                    number + 1,
                );
                seen.insert((module.clone(), used.to_owned()));
            }
        }
    }
    let mut lower = BTreeSet::new();
    for (module, allowed) in LAYERS {
        for used in *allowed {
            assert!(lower.contains(used), "LAYERS: `{used}` must stand before `{module}`");
            let edge = ((*module).to_owned(), (*used).to_owned());
            assert!(seen.contains(&edge), "LAYERS: `{module}` no longer imports `{used}`");
        }
        assert!(lower.insert(*module), "LAYERS: `{module}` stands twice");
    }
}

#[test]
fn only_those_who_read_ciphertext_back_make_it_of_bytes() {
    for (file, text) in sources() {
        let module = module_of(&file);
        if text.contains("Ciphertext::from_sealed") {
            assert!(
                MAY_CALL_FROM_SEALED.contains(&module.as_str()),
                "{}: `{module}` may not call `Ciphertext::from_sealed`: plaintext could pass",
                file.display(),
            );
        }
    }
}

#[test]
fn unsafe_is_only_where_it_was_reviewed() {
    let lint = ["unsafe", "_code"].concat();
    let found: BTreeSet<String> = all_rust()
        .into_iter()
        .filter(|(_, text)| text.contains(&lint))
        .map(|(file, _)| file.strip_prefix(root()).unwrap().to_str().unwrap().to_owned())
        .collect();
    assert_eq!(found, MAY_BE_UNSAFE.iter().map(|file| (*file).to_owned()).collect());
}

/// Logs are read by many: they name mounts and request ids, never paths, leases, or what an
/// engine's backend or a client has said.
#[test]
fn what_serves_requests_logs_no_text_of_theirs() {
    for (file, source) in sources() {
        let file = file.display().to_string();
        let serves =
            ["src/pipeline/", "src/lease/", "src/server/workers.rs", "src/server/revoker.rs"];
        if !serves.iter().any(|part| file.contains(part)) && !file.ends_with("src/audit/broker.rs")
        {
            continue;
        }
        for call in source.split("tracing::").skip(1) {
            let call = call.split(");").next().unwrap_or_default();
            for told in [".path", "lease = ", "{error", "request.params", "text_of"] {
                assert!(!call.contains(told), "{file}: tells `{told}`: {call}");
            }
            let by_itself = call.contains("%error") && !file.ends_with("src/audit/broker.rs");
            assert!(!by_itself, "{file}: tells an error's text: {call}");
        }
    }
}

#[test]
fn files_are_short() {
    for (file, text) in sources() {
        let lines = text.lines().count();
        assert!(
            lines <= FILE_LINES_MAX,
            "{}: {lines} lines: find the second idea in it",
            file.display()
        );
    }
}

#[test]
fn source_has_no_leftovers() {
    // Put together here, so that this file does not find itself.
    let marks =
        [["TO", "DO"], ["FIX", "ME"], ["XX", "X"], ["#[ig", "nore"]].map(|mark| mark.concat());
    for (file, text) in all_rust() {
        for (number, line) in text.lines().enumerate() {
            for mark in &marks {
                assert!(!line.contains(mark), "{}:{}: `{mark}`", file.display(), number + 1);
            }
        }
    }
}

#[test]
fn every_test_file_runs() {
    let root = root().join("tests/it");
    let main = fs::read_to_string(root.join("main.rs")).unwrap();
    for file in files(&root) {
        let relative = file.strip_prefix(&root).unwrap();
        let stem = file.file_stem().unwrap().to_str().unwrap();
        let parent = relative.parent().filter(|parent| !parent.as_os_str().is_empty());
        let declared = match parent {
            None => stem == "main" || main.contains(&format!("mod {stem};")),
            Some(parent) if stem == "mod" => {
                main.contains(&format!("mod {};", parent.to_str().unwrap()))
            }
            Some(parent) => {
                [root.join(parent).join("mod.rs"), root.join(parent).with_extension("rs")]
                    .iter()
                    .filter_map(|owner| fs::read_to_string(owner).ok())
                    .any(|owner| owner.contains(&format!("mod {stem};")))
            }
        };
        assert!(declared, "{}: its `mod {stem};` is missing", file.display());
    }
}

#[test]
fn every_bad_input_has_tests_that_exist() {
    let list = fs::read_to_string(root().join("tests/bad-input.md")).unwrap();
    let mut checked = 0;
    for line in list.lines() {
        for (file, test) in line.split('`').filter_map(|word| word.split_once("::")) {
            let text = fs::read_to_string(root().join(file));
            let text = text.unwrap_or_else(|error| panic!("{line}: {error}"));
            let names = [format!("fn {test}("), format!("def {test}(")];
            assert!(names.iter().any(|name| text.contains(name)), "no test {file}::{test}");
            checked += 1;
        }
    }
    assert!(checked > 22, "{checked} tests");
}

fn sources() -> Vec<(PathBuf, String)> {
    read(files(&root().join("src")))
}

fn all_rust() -> Vec<(PathBuf, String)> {
    let folders = ["src", "tests", "chaos", "benches"];
    read(folders.iter().flat_map(|folder| files(&root().join(folder))).collect())
}

fn read(files: Vec<PathBuf>) -> Vec<(PathBuf, String)> {
    files.into_iter().map(|file| (file.clone(), fs::read_to_string(file).unwrap())).collect()
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.ends_with("target") {
            found.extend(files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn module_of(file: &Path) -> String {
    let first = file.strip_prefix(root().join("src")).unwrap().components().next().unwrap();
    first.as_os_str().to_str().unwrap().trim_end_matches(".rs").to_owned()
}
