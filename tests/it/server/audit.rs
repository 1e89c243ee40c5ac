//! Audit logs of a real process: signals under load, and what a crash leaves.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use rustix::process::Signal;
use serde_json::Value;

use super::process::{Process, command, exchange};

fn send(address: &str, method: &str, path: &str, token: &str, body: &str) -> String {
    let request = format!(
        "{method} /v1/{path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\nX-Vault-Token: {token}\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    exchange(address, request.as_bytes())
}

fn member<'a>(answer: &'a str, name: &str) -> &'a str {
    let start = format!("\"{name}\":\"");
    let (_, rest) = answer.split_once(&start).unwrap_or_else(|| panic!("{name}: {answer}"));
    rest.split('"').next().unwrap()
}

/// With its exit status.
fn verify(files: &[PathBuf], more: &[&str]) -> (Option<i32>, String) {
    let output = command(&[("HOME", "/")])
        .args(["audit", "verify"])
        .args(more)
        .args(files)
        .output()
        .unwrap();
    (output.status.code(), String::from_utf8(output.stdout).unwrap())
}

fn logs(folder: &Path) -> Vec<PathBuf> {
    let mut logs: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with("audit"))
        .collect();
    // `audit.1` and so on were put aside in this order, before `audit.log`.
    logs.sort();
    logs
}

/// Which sides of each request are in the logs.
fn sides(files: &[PathBuf]) -> BTreeMap<String, Vec<String>> {
    let mut sides: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for file in files {
        for line in fs::read_to_string(file).unwrap().lines() {
            let line: Value = serde_json::from_str(line).unwrap();
            if let Some(id) = line["request"]["id"].as_str() {
                let side = line["type"].as_str().unwrap().to_owned();
                sides.entry(id.to_owned()).or_default().push(side);
            }
        }
    }
    sides
}

#[test]
fn hang_up_under_load_loses_no_record() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.log");
    let flags = ["-dev", "-dev-listen-address=127.0.0.1:0", "-dev-root-token-id=root"];
    let mut server = Process::start(&flags, &[]);
    server.line_with("Root Token: ");
    let (_, url) = server.said.split_once("VAULT_ADDR='http://").unwrap();
    let address = url.split('\'').next().unwrap().to_owned();
    let body = format!("{{\"type\":\"file\",\"options\":{{\"file_path\":{path:?}}}}}");
    let answer = send(&address, "PUT", "sys/audit/log", "root", &body);
    assert!(answer.starts_with("HTTP/1.1 204"), "{answer}");

    let (ends, count) = (AtomicBool::new(false), AtomicUsize::new(0));
    let answered: Vec<String> = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let mut ids = Vec::new();
                    while !ends.load(Ordering::Relaxed) {
                        let answer = send(&address, "GET", "sys/mounts", "root", "");
                        ids.push(member(&answer, "request_id").to_owned());
                        count.fetch_add(1, Ordering::Relaxed);
                    }
                    ids
                })
            })
            .collect();
        for number in 1..=5 {
            while count.load(Ordering::Relaxed) < number * 8 {
                std::thread::yield_now();
            }
            fs::rename(&path, folder.path().join(format!("audit.{number}"))).unwrap();
            server.signal(Signal::HUP);
            server.line_with("audit log opened again");
        }
        ends.store(true, Ordering::Relaxed);
        clients.into_iter().flat_map(|client| client.join().unwrap()).collect()
    });
    let files = logs(folder.path());
    assert_eq!(files.len(), 6);
    let sides = sides(&files);
    assert!(answered.len() >= 40, "{}", answered.len());
    for id in &answered {
        assert_eq!(sides[id], ["request", "response"], "{id}");
    }
    let chain = send(&address, "GET", "sys/audit-chain/log", "root", "");
    let (key, head) = (member(&chain, "key"), member(&chain, "head"));
    let flags = [format!("-key={key}"), format!("-head={head}")];
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    let (status, text) = verify(&files, &flags);
    assert_eq!(status, Some(0), "{text}");
    assert!(text.ends_with("The log is whole.\n"), "{text}");

    // One byte, in a file of the middle.
    let text = fs::read_to_string(&files[2]).unwrap();
    fs::write(&files[2], text.replacen("sys/mounts", "sys/mountz", 1)).unwrap();
    let (status, text) = verify(&files, &flags);
    assert_eq!(status, Some(2), "{text}");
    let finding = format!("{}:1: the record was changed", files[2].display());
    let place = format!("{}:", files[2].display());
    assert!(
        text.starts_with(&place) && text.contains("the record was changed"),
        "{finding}\n{text}"
    );
}

#[test]
fn a_killed_process_leaves_a_log_that_verifies_and_the_next_goes_on_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    fs::create_dir(&data).unwrap();
    let path = folder.path().join("audit.log");
    let text = format!(
        "storage \"raft\" {{\n  path = {data:?}\n  node_id = \"n1\"\n}}\n\
         listener \"tcp\" {{\n  address = \"127.0.0.1:0\"\n  cluster_address = \"127.0.0.1:0\"\n  \
         tls_disable = true\n}}\n\
         audit \"file\" \"declared\" {{\n  description = \"of the configuration\"\n  \
         options {{\n    file_path = {path:?}\n  }}\n}}\n"
    );
    let mut server = Process::configured(folder.path(), &text);
    let mut address = server.address();
    let body = "{\"secret_shares\":1,\"secret_threshold\":1}";
    let made = send(&address, "PUT", "sys/init", "", body);
    let (_, rest) = made.split_once("\"keys\":[\"").unwrap();
    let share = rest.split('"').next().unwrap().to_owned();
    let root = member(&made, "root_token").to_owned();
    let unseal = format!("{{\"key\":\"{share}\"}}");
    let mut answered = Vec::new();
    for _ in 0..2 {
        send(&address, "PUT", "sys/unseal", "", &unseal);
        // Held until the node leads and has enabled what is declared: the very first is audited.
        for _ in 0..20 {
            let answer = send(&address, "GET", "sys/mounts", &root, "");
            answered.push(member(&answer, "request_id").to_owned());
        }
        server.signal(Signal::KILL);
        server.ended();
        server = Process::configured(folder.path(), &text);
        address = server.address();
    }
    let sides = sides(std::slice::from_ref(&path));
    for id in &answered {
        assert_eq!(sides[id], ["request", "response"], "{id}");
    }
    let (status, said) = verify(std::slice::from_ref(&path), &[]);
    assert_eq!(status, Some(0), "{said}");
    assert!(said.contains(" in 2 segments"), "{said}");

    send(&address, "PUT", "sys/unseal", "", &unseal);
    let answer = send(&address, "DELETE", "sys/audit/declared", &root, "");
    assert!(answer.contains("is declared in the configuration"), "{answer}");
    // Out of the configuration, it goes.
    server.signal(Signal::TERM);
    server.ended();
    let without = text.split("audit \"file\"").next().unwrap().to_owned();
    server = Process::configured(folder.path(), &without);
    address = server.address();
    send(&address, "PUT", "sys/unseal", "", &unseal);
    loop {
        let answer = send(&address, "GET", "sys/audit", &root, "");
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        if !answer.contains("\"declared/\"") {
            break;
        }
    }
}
