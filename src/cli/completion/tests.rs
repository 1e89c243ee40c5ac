use clap::CommandFactory as _;

use super::{candidates, split};
use crate::cli::env::Env;
use crate::cli::{CommandLine, args};

fn completed(line: &str, shell: Option<&str>) -> Vec<String> {
    let root = args::with_go_flags(CommandLine::command());
    // Nobody listens there.
    let mut env = vec![("VAULT_ADDR", "http://127.0.0.1:1"), ("HOME", "/nowhere")];
    env.extend(shell.map(|shell| ("STRONGROOM_COMPLETION", shell)));
    candidates(line, &root, &Env::of(env))
}

#[test]
fn words_are_split_as_a_shell_does() {
    for (line, expected) in [
        ("a b", vec!["a", "b"]),
        ("a  b ", vec!["a", "b", ""]),
        ("a 'b c' \"d e\" f\\ g", vec!["a", "b c", "d e", "f g"]),
        ("a \"open", vec!["a", "open"]),
        ("", vec![""]),
    ] {
        assert_eq!(split(line), expected, "{line:?}");
    }
}

#[test]
fn commands_flags_and_fixed_values_are_completed() {
    for (line, expected) in [
        ("vault rea", vec!["read"]),
        ("vault kv meta", vec!["metadata"]),
        ("vault operator raft snap", vec!["snapshot"]),
        ("vault -address=http://127.0.0.1:1 operator raft snapshot v", vec!["verify"]),
        ("vault operator raft -format json snapshot v", vec!["verify"]),
        ("vault kv get -mo", vec!["-mount"]),
        ("vault kv get --mo", vec!["--mount"]),
        ("vault status -wat", vec!["-watch"]),
        ("vault read -tls-sk", vec!["-tls-skip-verify"]),
        ("vault read -format js", vec!["json"]),
        ("vault read -format=js", vec!["json"]),
        ("vault completion ", vec!["bash", "fish", "powershell", "zsh"]),
        ("vault operator diagnose -skip=a", vec!["autounseal"]),
        ("vault read secret/", vec![]),
        ("vault no-such-command ", vec![]),
        ("vault", vec![]),
    ] {
        assert_eq!(completed(line, None), expected, "{line:?}");
    }
    let all = completed("vault ", None);
    assert!(["read", "kv", "operator", "server"].iter().all(|name| all.iter().any(|a| a == name)));
    // Other shells than bash replace the whole word.
    assert_eq!(completed("vault read -format=js", Some("zsh")), ["-format=json"]);
    assert_eq!(completed("vault read -format=js", Some("bash")), ["json"]);
}

#[test]
fn files_are_completed_where_a_file_is_wanted() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("node.hcl"), "").unwrap();
    std::fs::write(folder.path().join(".hidden"), "").unwrap();
    std::fs::create_dir(folder.path().join("nodes")).unwrap();
    let at = folder.path().display();
    let found = completed(&format!("vault server -config={at}/no"), None);
    assert_eq!(found, [format!("{at}/node.hcl"), format!("{at}/nodes/")]);
    let found = completed(&format!("vault policy write name {at}/"), None);
    assert_eq!(found, [format!("{at}/node.hcl"), format!("{at}/nodes/")]);
}
