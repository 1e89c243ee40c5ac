//! `server -dev`

use std::fs;

use super::process::{Process, command, exchange, get};

#[test]
fn it_tells_how_to_use_it_and_logs_in() {
    let mut server = Process::start(
        &["-dev", "-dev-listen-address=127.0.0.1:0", "-log-level=error"],
        &[("VAULT_DEV_ROOT_TOKEN_ID", "from-env"), ("VAULT_REPORTED_VERSION", "1.15.6")],
    );
    server.line_with("Root Token: ");
    let said = server.said.clone();
    let between = |start: &str| {
        let rest = said.split_once(start).unwrap().1;
        rest.split(['\'', '\n']).next().unwrap().to_owned()
    };
    let (url, key) = (between("VAULT_ADDR='"), between("Unseal Key: "));
    assert_eq!(
        said,
        format!(
            "==> Strongroom is running in development mode: unsealed, in memory, one root token.\n\
             ==> What you write is gone when it ends. Never use it for real secrets.\n\n\
             In another terminal:\n\n    $ export VAULT_ADDR='{url}'\n\n\
             The command line is logged in with the root token.\n\n\
             Unseal Key: {key}\nRoot Token: from-env\n"
        ),
    );
    assert_eq!(fs::read_to_string(server.home().join(".vault-token")).unwrap(), "from-env");

    let home = server.home().to_str().unwrap();
    let run = |arguments: &[&str]| {
        let env = [("VAULT_ADDR", url.as_str()), ("HOME", home)];
        let output = command(&env).args(arguments).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    run(&["kv", "put", "-mount=secret", "a", "b=c"]);
    assert_eq!(run(&["kv", "get", "-mount=secret", "-field=b", "a"]), "c");
    assert!(run(&["status"]).contains("1.15.6"));
}

#[test]
fn flags_go_before_the_environment_and_the_token_may_stay_out_of_the_home() {
    let mut server = Process::start(
        &[
            "-dev",
            "-dev-listen-address=127.0.0.1:0",
            "-dev-root-token-id=from-flag",
            "-dev-no-store-token",
            "-dev-kv-v1",
            "-combine-logs",
            "-log-format=json",
        ],
        &[("VAULT_DEV_ROOT_TOKEN_ID", "from-env"), ("VAULT_DEV_LISTEN_ADDRESS", "no address")],
    );
    assert_eq!(server.line_with("Root Token: "), "Root Token: from-flag");
    assert!(server.said.contains("or set VAULT_TOKEN to it"), "{}", server.said);
    assert!(server.said.contains("{\"timestamp\":"), "{}", server.said);
    assert!(!server.home().join(".vault-token").exists());
    let url = server.said.split_once("VAULT_ADDR='").unwrap().1.split('\'').next().unwrap();
    let request = "GET /v1/sys/mounts HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\
                   X-Vault-Token: from-flag\r\n\r\n";
    let answer = exchange(url.strip_prefix("http://").unwrap(), request.as_bytes());
    assert!(answer.contains("\"options\":{\"version\":\"1\"}"), "{answer}");
}

#[test]
fn tls_is_made_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let files = folder.path().join("tls");
    let flag = format!("-dev-tls-cert-dir={}", files.display());
    let mut server =
        Process::start(&["-dev", "-dev-tls", "-dev-listen-address=127.0.0.1:0", &flag], &[]);
    server.line_with("Root Token: ");
    let ca = files.join("vault-ca.pem").display().to_string();
    assert!(
        server.said.contains(&format!("    $ export VAULT_CACERT='{ca}'\n")),
        "{}",
        server.said
    );
    let url = server.said.split_once("VAULT_ADDR='").unwrap().1.split('\'').next().unwrap();
    let port = url.strip_prefix("https://127.0.0.1:").unwrap();
    for host in ["127.0.0.1", "localhost"] {
        let url = format!("https://{host}:{port}");
        let env = [("VAULT_ADDR", url.as_str()), ("VAULT_CACERT", ca.as_str())];
        let output = command(&env).arg("status").output().unwrap();
        assert!(output.status.success(), "{output:?}");
    }
    let plain = exchange(url.strip_prefix("https://").unwrap(), &get("/v1/sys/health"));
    assert!(!plain.contains("200 OK"), "{plain}");
}
