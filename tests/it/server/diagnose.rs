//! `operator validate-config` and `operator diagnose`: what is found, said and answered.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use serde_json::Value;
use strongroom::clock::{Clock as _, SystemClock};

use super::process::{Process, command};

/// Exit code, and all that was said.
fn ran(words: &[&str], env: &[(&str, &str)]) -> (i32, String) {
    let output = command(env).args(words).output().unwrap();
    let text =
        String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
    (output.status.code().unwrap(), text)
}

fn write(folder: &Path, text: &str) -> String {
    let path = folder.join("config.hcl");
    fs::write(&path, text).unwrap();
    path.display().to_string()
}

#[test]
fn a_configuration_is_checked_without_a_server() {
    let folder = tempfile::tempdir().unwrap();
    let good =
        write(folder.path(), "storage \"inmem\" {}\nlistener \"tcp\" { tls_disable = true }\n");
    for words in [
        vec!["operator", "validate-config", "-config", &good],
        vec!["operator", "validate-config", &good],
        vec!["operator", "validate-config"],
    ] {
        let (code, text) = ran(&words, &[("VAULT_CONFIG_PATH", &good)]);
        assert_eq!(
            (code, text.as_str()),
            (0, "The configuration is valid: 0 warnings.\n"),
            "{words:?}"
        );
    }
    let warned = write(
        folder.path(),
        "storage \"inmem\" {}\nlistener \"tcp\" {\n  tls_disable = true\n  adress = \"x\"\n}\n\
         cache_size = 5\n",
    );
    let (code, text) = ran(&["operator", "validate-config", "-config", &warned], &[]);
    assert_eq!(code, 2, "{text}");
    assert!(text.contains("config.hcl:4: unknown key `adress`"), "{text}");
    assert!(text.contains("\n    Write `address`, or remove the line.\n"), "{text}");
    assert!(text.contains("config.hcl:6: `cache_size` has no effect"), "{text}");
    let (code, _) = ran(&["operator", "validate-config"], &[]);
    assert_eq!(code, 1);
}

#[test]
fn every_finding_has_a_place_a_cause_and_a_remedy_also_as_json() {
    let folder = tempfile::tempdir().unwrap();
    let path = write(
        folder.path(),
        "storage \"raft\" {\n  path = \"/data\"\n  performance_multiplier = 50\n}\n\
         listener \"tcp\" {\n  tls_disable = \"perhaps\"\n}\nui = 7\nunheard = 1\n",
    );
    let (code, text) = ran(&["operator", "validate-config", "-config", &path, "-format=json"], &[]);
    assert_eq!(code, 1, "{text}");
    let told: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(told["valid"], false);
    let lines: Vec<(&str, u64)> = told["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|finding| {
            assert_eq!(finding["file"], path.as_str());
            assert!(finding["remedy"].as_str().is_some_and(|text| !text.is_empty()), "{finding}");
            (finding["severity"].as_str().unwrap(), finding["line"].as_u64().unwrap())
        })
        .collect();
    assert_eq!(lines, [("error", 3), ("error", 6), ("error", 8), ("warning", 9)], "{text}");

    // Diagnose says the same, and looks no further.
    let (code, text) = ran(&["operator", "diagnose", "-config", &path], &[]);
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("[ failure ] Parse Configuration"), "{text}");
    assert!(text.contains("config.hcl:8: `ui` must be true or false"), "{text}");
    assert!(text.contains("[ skipped ] Check Storage"), "{text}");
}

/// What one check has found.
fn found<'a>(tree: &'a Value, name: &str) -> &'a Value {
    fn search<'a>(tree: &'a Value, name: &str) -> Option<&'a Value> {
        if tree["name"].as_str().is_some_and(|found| found.starts_with(name)) {
            return Some(tree);
        }
        tree["children"].as_array()?.iter().find_map(|child| search(child, name))
    }
    search(tree, name).unwrap_or_else(|| panic!("no {name} in {tree:#}"))
}

fn diagnosed(path: &str, more: &[&str]) -> (i32, Value) {
    let mut words = vec!["operator", "diagnose", "-format=json", "-config", path];
    words.extend(more);
    let (code, text) = ran(&words, &[]);
    (code, serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}")))
}

fn raft(data: &Path, rest: &str) -> String {
    format!("storage \"raft\" {{\n  path = {data:?}\n  node_id = \"a\"\n{rest}\n}}\n")
}

/// Names and mode of all that is there.
fn listing(folder: &Path) -> Vec<(String, u32, u64)> {
    let mut all = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            let metadata = entry.metadata().unwrap();
            let mode = metadata.permissions().mode();
            all.push((entry.path().display().to_string(), mode, metadata.len()));
            if metadata.is_dir() {
                folders.push(entry.path());
            }
        }
    }
    all.sort();
    all
}

#[test]
fn a_folder_with_data_is_read_while_its_server_runs_and_after_and_nothing_changes() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let config = raft(&data, "")
        + "listener \"tcp\" {\n  address = \"127.0.0.1:0\"\n  tls_disable = true\n}\n";
    let path = write(folder.path(), &config);
    let (_, tree) = diagnosed(&path, &[]);
    let text = &found(&tree, "Check Data Folder")["message"];
    assert!(text.as_str().unwrap().contains("will be made: a new node"), "{text}");
    assert!(!data.exists());

    let mut server = Process::configured(folder.path(), &config);
    let address = server.address();
    let env = [("VAULT_ADDR", &*format!("http://{address}"))];
    let (code, text) = ran(&["operator", "init", "-key-shares=1", "-key-threshold=1"], &env);
    assert_eq!(code, 0, "{text}");
    let (code, tree) = diagnosed(&path, &[]);
    let server_is = &found(&tree, "Check Server")["message"];
    let expected = format!("Process {} has the data folder open.", server.id());
    assert_eq!(server_is, expected.as_str());
    let node = found(&tree, "Check Node");
    assert!(node["message"].as_str().unwrap().contains(" of cluster "), "{node}");
    let log = found(&tree, "Check Log");
    assert_eq!(log["status"], "ok", "{log}");
    assert!(log["message"].as_str().unwrap().contains("Last entry: index "), "{log}");
    assert!(code == 0 || code == 2, "{tree:#}");

    drop(server);
    let before = listing(&data);
    let (_, tree) = diagnosed(&path, &[]);
    assert_eq!(found(&tree, "Check Server")["message"], "No server has the data folder open.");
    assert!(found(&tree, "Check Log")["message"].as_str().unwrap().contains("index "), "{tree:#}");
    assert_eq!(found(&tree, "Check Sync Latency")["children"], Value::Null);
    assert_eq!(listing(&data), before, "diagnose has changed something");

    // Files of two nodes, and a folder that others get into.
    fs::write(data.join("log/owner"), "7\n").unwrap();
    fs::set_permissions(&data, fs::Permissions::from_mode(0o755)).unwrap();
    let (code, tree) = diagnosed(&path, &[]);
    assert_eq!(code, 1);
    let log = found(&tree, "Check Log");
    assert_eq!(log["status"], "fail", "{log}");
    assert!(log["message"].as_str().unwrap().contains("written by node 7"), "{log}");
    let permissions = found(&tree, "Check Data Folder Permissions");
    assert_eq!(permissions["status"], "warn");
    assert!(permissions["advice"].as_str().unwrap().starts_with("chmod 700 "), "{permissions}");
    let (_, tree) = diagnosed(&path, &["-skip=storage,listener", "-skip", "network"]);
    for name in ["Check Storage", "Check Listeners", "Check Other Nodes"] {
        assert_eq!(found(&tree, name)["status"], "skipped");
    }
}

fn pair(folder: &Path, names: &[&str], days: i64) -> (String, String) {
    let key = rcgen::KeyPair::generate().unwrap();
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = rcgen::CertificateParams::new(names).unwrap();
    let now = UNIX_EPOCH + Duration::from_secs(SystemClock.now().seconds());
    params.not_before = (now - Duration::from_secs(90 * 86_400)).into();
    let end = time::OffsetDateTime::from(now) + time::Duration::days(days);
    params.not_after = end;
    let [certificate, file] = ["a.crt", "a.key"].map(|name| folder.join(name));
    fs::write(&certificate, params.self_signed(&key).unwrap().pem()).unwrap();
    fs::write(&file, key.serialize_pem()).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    (certificate.display().to_string(), file.display().to_string())
}

#[test]
fn certificates_are_judged_by_dates_names_and_key() {
    let folder = tempfile::tempdir().unwrap();
    let config = |certificate: &str, key: &str| {
        let text = format!(
            "storage \"inmem\" {{}}\nlistener \"tcp\" {{\n  address = \"127.0.0.1:0\"\n  \
             tls_cert_file = {certificate:?}\n  tls_key_file = {key:?}\n}}\n\
             api_addr = \"https://node1.example.com:8200\"\n"
        );
        write(folder.path(), &text)
    };
    for (names, days, dates, named) in [
        (["node1.example.com"], 400, "ok", "ok"),
        (["*.example.com"], 10, "warn", "ok"),
        (["*.com"], -1, "fail", "fail"),
        (["other.example.com"], 400, "ok", "fail"),
    ] {
        let (certificate, key) = pair(folder.path(), &names, days);
        let (code, tree) = diagnosed(&config(&certificate, &key), &[]);
        assert_eq!(found(&tree, "Read Files")["status"], "ok", "{names:?}");
        assert_eq!(found(&tree, "Check Dates Of")["status"], dates, "{names:?}");
        assert_eq!(found(&tree, "Check Names")["status"], named, "{names:?}");
        assert_eq!(code == 1, dates == "fail" || named == "fail", "{names:?} {tree:#}");
        for check in ["Check Dates Of", "Check Names"].map(|name| found(&tree, name)) {
            assert!(check["status"] == "ok" || check["advice"].is_string(), "{check}");
        }
    }
    let (certificate, key) = pair(folder.path(), &["node1.example.com"], 400);
    fs::write(&key, rcgen::KeyPair::generate().unwrap().serialize_pem()).unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    let (_, tree) = diagnosed(&config(&certificate, &key), &[]);
    let files = found(&tree, "Read Files");
    assert!(files["message"].as_str().unwrap().contains("is not the key of"), "{files}");
    assert_eq!(found(&tree, "Check Key File")["status"], "warn");
}

#[test]
fn addresses_that_are_taken_or_reached_by_nobody_fail() {
    let folder = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let join = format!(
        "  retry_join {{ leader_api_addr = \"https://no.such.host.invalid:8200\" }}\n  \
         retry_join {{ leader_api_addr = \"http://{silent}\" }}"
    );
    let text = raft(&folder.path().join("data"), &join)
        + &format!(
            "listener \"tcp\" {{\n  address = \"{address}\"\n  tls_disable = true\n}}\n\
             api_addr = \"https://127.0.0.1:{}\"\nseal \"static\" {{\n  current_key_id = \"1\"\n  \
             current_key = \"file:///no/such/key\"\n}}\naudit \"file\" \"main\" {{\n  options {{ \
             file_path = \"{}/plain/audit.log\" }}\n}}\n",
            address.port(),
            folder.path().display(),
        );
    fs::write(folder.path().join("plain"), "").unwrap();
    let (code, tree) = diagnosed(&write(folder.path(), &text), &[]);
    assert_eq!(code, 1);
    for (name, status, words) in [
        ("Check api_addr", "fail", "Only this machine reaches it"),
        ("Check Listener Of api_addr", "warn", "plain HTTP"),
        (&*format!("Check Address {address}"), "fail", "Another process listens there."),
        ("Resolve", "fail", ""),
        ("Connect", "warn", "refused"),
        ("Create Seals", "fail", "current_key"),
        ("Check Joining", "warn", "None of them answers"),
        ("Check Audit File", "fail", "is not a folder"),
    ] {
        let check = found(&tree, name);
        assert_eq!(check["status"], status, "{check}");
        let told = [&check["message"], &check["warnings"]].map(ToString::to_string).concat();
        assert!(told.contains(words), "{check}");
        assert!(check["advice"].as_str().is_some_and(|text| !text.is_empty()), "{check}");
    }
    assert_eq!(tree["status"], "fail");
}

#[test]
fn a_node_that_can_be_joined_is_reached_and_its_clock_compared() {
    let folder = tempfile::tempdir().unwrap();
    let other = "storage \"inmem\" {}\nlistener \"tcp\" {\n  address = \"127.0.0.1:0\"\n  \
                 tls_disable = true\n}\n";
    let mut server = Process::configured(folder.path(), other);
    let address = server.address();
    let join = format!("  retry_join {{ leader_api_addr = \"http://{address}\" }}");
    let text = raft(&folder.path().join("data"), &join) + &other[other.find("listener").unwrap()..];
    let path = write(folder.path(), &text);
    let (_, tree) = diagnosed(&path, &[]);
    assert_eq!(found(&tree, "Check api_addr")["status"], "ok", "all is on this machine");
    assert_eq!(found(&tree, "Ask For Health")["status"], "ok", "{tree:#}");
    assert_eq!(found(&tree, "Check Clock")["status"], "ok");

    // As people read it.
    let (code, text) = ran(&["operator", "diagnose", "-config", &path], &[]);
    assert!(code == 0 || code == 2, "{text}");
    assert!(text.contains("\nResults:\n["), "{text}");
    assert!(text.contains("\n    [ success ] Check Open File Limits: "), "{text}");
    assert!(!text.contains('\u{1b}'), "colours are for terminals: {text:?}");
    let (code, text) = ran(&["operator", "diagnose", "-config", &path, "-skip=all"], &[]);
    assert_eq!(code, 1);
    assert!(text.contains("listener"), "{text}");
}
