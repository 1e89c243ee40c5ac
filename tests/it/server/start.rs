//! What stops the start, and what is told about it.

use std::fs;
use std::net::TcpListener;
use std::path::Path;

use super::process::{Process, exchange, get};

const LISTENER: &str = "listener \"tcp\" {\n  address = \"127.0.0.1:0\"\n  tls_disable = true\n}\n";

fn raft(path: &Path) -> String {
    format!("storage \"raft\" {{\n  path = {path:?}\n}}\n")
}

/// A process that cannot start: everything that it said.
fn refused(mut process: Process) -> String {
    let status = process.ended();
    assert_eq!(status.code(), Some(1), "{}", process.said);
    std::mem::take(&mut process.said)
}

#[test]
fn a_configuration_that_is_not_there_or_wrong_is_told_with_its_place() {
    let said = refused(Process::start(&[], &[]));
    assert_eq!(said, "must specify at least one config path using -config\n");

    let said = refused(Process::start(&["-config=/no/such.hcl"], &[]));
    assert_eq!(
        said,
        "the configuration cannot be used:\n/no/such.hcl: cannot be read: No such file or directory \
         (os error 2)\n",
    );

    let folder = tempfile::tempdir().unwrap();
    let text = format!("storage \"inmem\" {{}}\n{LISTENER}ui = \"perhaps\"\nreported_version = 1");
    let said = refused(Process::configured(folder.path(), &text));
    let file = folder.path().join("config.hcl");
    let file = file.display();
    assert_eq!(
        said,
        format!(
            "the configuration cannot be used:\n\
             {file}:6: `ui` must be true or false, found \"perhaps\"\n\
             {file}:7: `reported_version` must be a version such as \"1.19.0\", found 1\n"
        ),
    );

    let said = refused(Process::start(&["-dev", "-log-level=loud"], &[]));
    assert_eq!(said, "`loud` is no log level: see `server -help`\n");
    let said = refused(Process::start(&["-dev"], &[("VAULT_REPORTED_VERSION", "one")]));
    assert!(said.contains("VAULT_REPORTED_VERSION: `one` is no version such as 1.19.0"), "{said}");
}

#[test]
fn an_unknown_key_warns_with_file_and_line() {
    let folder = tempfile::tempdir().unwrap();
    let text = format!("storage \"inmem\" {{}}\n{LISTENER}log_leevel = \"debug\"\n");
    let mut server = Process::configured(folder.path(), &text);
    let line = server.line_with("WARN");
    assert!(line.contains("config.hcl:6: "), "{line}");
    assert!(line.contains("log_leevel"), "{line}");
    server.address();
}

#[test]
fn an_address_that_is_taken_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let listener =
        |keys: &str| format!("listener \"tcp\" {{\n  tls_disable = true\n  {keys}\n}}\n");

    let text = format!("storage \"inmem\" {{}}\n{}", listener(&format!("address = \"{address}\"")));
    let said = refused(Process::configured(folder.path(), &text));
    assert_eq!(said.lines().last(), Some(&*format!("cannot listen on {address}: address in use")));

    let keys = format!("address = \"127.0.0.1:0\"\n  cluster_address = \"{address}\"");
    let text = raft(&folder.path().join("data")) + &listener(&keys);
    let said = refused(Process::configured(folder.path(), &text));
    let expected = format!("cannot listen on {address} for the cluster: address in use");
    assert_eq!(said.lines().last(), Some(&*expected));

    let flag = format!("-dev-listen-address={address}");
    let said = refused(Process::start(&["-dev", &flag], &[]));
    assert_eq!(said.lines().last(), Some(&*format!("cannot listen on {address}: address in use")));
}

#[test]
fn tls_files_that_are_missing_or_do_not_fit_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (key, other) = (rcgen::KeyPair::generate().unwrap(), rcgen::KeyPair::generate().unwrap());
    let certificate = rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap();
    fs::write(path("a.crt"), certificate.self_signed(&key).unwrap().pem()).unwrap();
    fs::write(path("b.key"), other.serialize_pem()).unwrap();
    for (certificate, key, message) in [
        ("none.crt", "b.key", format!("cannot read {}", path("none.crt"))),
        ("a.crt", "none.key", format!("cannot read {}", path("none.key"))),
        ("b.key", "b.key", format!("{} holds no certificate in PEM", path("b.key"))),
        (
            "a.crt",
            "b.key",
            format!("{} is not the key of the certificate in {}", path("b.key"), path("a.crt")),
        ),
    ] {
        let text = format!(
            "storage \"inmem\" {{}}\nlistener \"tcp\" {{\n  address = \"127.0.0.1:0\"\n  \
             tls_cert_file = {:?}\n  tls_key_file = {:?}\n}}\n",
            path(certificate),
            path(key),
        );
        let said = refused(Process::configured(folder.path(), &text));
        assert!(said.lines().last().unwrap().starts_with(&message), "{message}\n{said}");
    }
}

#[test]
fn a_data_folder_that_cannot_be_used_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let said = refused(Process::configured(folder.path(), &(raft(&file) + LISTENER)));
    let expected = format!("data folder {}: is not a folder", file.display());
    assert_eq!(said.lines().last(), Some(&*expected));

    // Nobody may write there, not even root.
    let closed = Path::new("/proc/strongroom");
    let said = refused(Process::configured(folder.path(), &(raft(closed) + LISTENER)));
    assert!(said.lines().last().unwrap().starts_with("data folder /proc/strongroom: "), "{said}");

    let data = folder.path().join("data");
    let mut first = Process::configured(folder.path(), &(raft(&data) + LISTENER));
    first.address();
    let said = refused(Process::configured(folder.path(), &(raft(&data) + LISTENER)));
    assert!(said.lines().last().unwrap().ends_with("is in use by another process"), "{said}");
}

#[test]
fn data_of_another_cluster_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let [data, other] = ["data", "other"].map(|name| folder.path().join(name));
    for path in [&data, &other] {
        let mut server = Process::configured(folder.path(), &(raft(path) + LISTENER));
        let address = server.address();
        let body = "{\"secret_shares\":1,\"secret_threshold\":1}";
        let request = format!(
            "PUT /v1/sys/init HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: {}\r\n\r\n\
             {body}",
            body.len(),
        );
        let answer = exchange(&address, request.as_bytes());
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
    let kept = folder.path().join("kept");
    fs::rename(data.join("node"), &kept).unwrap();
    fs::rename(other.join("node"), data.join("node")).unwrap();
    let said = refused(Process::configured(folder.path(), &(raft(&data) + LISTENER)));
    let last = said.lines().last().unwrap();
    assert!(last.contains(": the log was written by node "), "{said}");

    fs::remove_dir_all(data.join("node")).unwrap();
    let said = refused(Process::configured(folder.path(), &(raft(&data) + LISTENER)));
    let last = said.lines().last().unwrap();
    assert!(last.contains(": the log was written by node "), "{said}");

    // Nothing was touched: with what belongs to it, it is the cluster that it was.
    fs::remove_dir_all(data.join("node")).unwrap();
    fs::rename(&kept, data.join("node")).unwrap();
    let mut server = Process::configured(folder.path(), &(raft(&data) + LISTENER));
    let address = server.address();
    // It was killed before it noted what is committed: that shows once it leads again.
    let mut tries = 0..10_000;
    let found = tries
        .any(|_| exchange(&address, &get("/v1/sys/seal-status")).contains("\"initialized\":true"));
    assert!(found, "its data is not found again: {}", server.said);
}

#[test]
fn responses_name_the_node_where_they_are_told_to() {
    let folder = tempfile::tempdir().unwrap();
    let text = raft(&folder.path().join("data"))
        + LISTENER
        + "enable_response_header_hostname = true\nenable_response_header_raft_node_id = true\n\
           reported_version = \"1.20.3+ent\"\npid_file = \""
        + folder.path().join("pid").to_str().unwrap()
        + "\"\n";
    let mut server = Process::configured(folder.path(), &text);
    let address = server.address();
    assert!(server.said.contains("(Vault 1.20.3+ent to clients)"), "{}", server.said);
    let pid = fs::read_to_string(folder.path().join("pid")).unwrap();
    assert_eq!(pid, format!("{}\n", server.id()));

    let id = fs::read_to_string(folder.path().join("data/node/node-id")).unwrap();
    let id: u64 = id.trim().parse().unwrap();
    let host = rustix::system::uname().nodename().to_str().unwrap().to_owned();
    for path in ["/v1/sys/seal-status", "/v1/../x"] {
        let answer = exchange(&address, &get(path)).to_ascii_lowercase();
        let id = format!("\r\nx-vault-raft-node-id: node-{id:016x}\r\n");
        assert!(answer.contains(&id), "{answer}");
        let host = format!("\r\nx-vault-hostname: {host}\r\n").to_ascii_lowercase();
        assert!(answer.contains(&host), "{answer}");
    }
    let answer = exchange(&address, &get("/v1/sys/seal-status"));
    assert!(answer.contains("\"version\":\"1.20.3+ent\""), "{answer}");

    server.signal(rustix::process::Signal::TERM);
    assert_eq!(server.ended().code(), Some(0), "{}", server.said);
    assert!(!folder.path().join("pid").exists());
}

#[test]
fn a_listener_may_be_closed_to_what_needs_keys_and_no_token() {
    let rekey = ["rekey/init", "rekey/update", "rekey-recovery-key/verify", "rekey/init/"];
    let root = ["generate-root/attempt", "generate-root/update"];
    for (closed, open, switch) in [
        (&rekey[..], &root[..], "disable_unauthed_rekey_endpoints"),
        (&root[..], &rekey[..], "disable_unauthed_generate_root_endpoints"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        let text = format!(
            "storage \"raft\" {{\n  path = {data:?}\n}}\nlistener \"tcp\" {{\n  address = \
             \"127.0.0.1:0\"\n  tls_disable = true\n  cluster_address = \"127.0.0.1:0\"\n  \
             {switch} = true\n}}\n"
        );
        let mut node = Process::configured(folder.path(), &text);
        let address = node.address();
        for path in closed {
            let answer = exchange(&address, &get(&format!("/v1/sys/{path}")));
            assert!(answer.starts_with("HTTP/1.1 405"), "{path}: {answer}");
            assert!(answer.contains(switch) && answer.contains("needs a token"), "{answer}");
        }
        for path in open.iter().chain(&["rekey/backup"]) {
            let answer = exchange(&address, &get(&format!("/v1/sys/{path}")));
            assert!(!answer.contains(switch), "{path}: {answer}");
        }
    }
}
