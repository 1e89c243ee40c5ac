//! Commands, and all that a caller sees of them.

use std::os::unix::fs::PermissionsExt as _;

use tempfile::tempdir;

use super::server::Server;
use super::{run, run_with};

const MOUNT: (&str, u16, &str) = (
    "GET /v1/sys/internal/ui/mounts/secret/a",
    200,
    r#"{"data":{"path":"secret/","type":"kv","options":{"version":"2"}}}"#,
);

const SECRET: &str = r#"{"request_id":"r","lease_id":"","renewable":false,"lease_duration":0,
    "data":{"data":{"long":12345678901234567890123,"user":"bob"},"metadata":{
        "created_time":"2026-01-01T00:00:00Z","custom_metadata":null,"deletion_time":"",
        "destroyed":false,"version":3}},
    "wrap_info":null,"warnings":null,"auth":null}"#;

#[test]
fn kv_get_asks_for_the_mount_and_prints_the_secret() {
    let home = tempdir().unwrap();
    let server = Server::json(&[MOUNT, ("GET /v1/secret/data/a", 200, SECRET)]);
    std::fs::write(home.path().join(".vault-token"), "hvs.t\n").unwrap();
    assert_eq!(
        run(&server, home.path(), &["kv", "get", "secret/a"], ""),
        "exit 0
== Secret Path ==
secret/data/a

======= Metadata =======
Key                Value
---                -----
created_time       2026-01-01T00:00:00Z
custom_metadata    <nil>
deletion_time      n/a
destroyed          false
version            3

==== Data ====
Key     Value
---     -----
long    12345678901234567890123
user    bob
"
    );
    assert_eq!(
        server.seen(),
        [
            "GET /v1/sys/internal/ui/mounts/secret/a x-vault-token=hvs.t",
            "GET /v1/secret/data/a x-vault-token=hvs.t",
        ]
    );
}

#[test]
fn kv_get_prints_a_field_or_json() {
    let home = tempdir().unwrap();
    let server = Server::json(&[MOUNT, ("GET /v1/secret/data/a?version=3", 200, SECRET)]);
    let kv_get = |words: &[&str]| {
        let words = [&["kv", "get", "-version=3"], words, &["secret/a"]].concat();
        run(&server, home.path(), &words, "")
    };
    assert_eq!(kv_get(&["-field=user"]), "exit 0\nbob");
    assert_eq!(kv_get(&["--field", "long"]), "exit 0\n12345678901234567890123");
    assert_eq!(kv_get(&["-field=none"]), "exit 1\n--- stderr\nField \"none\" not present in map\n");
    let json = kv_get(&["-format=json"]);
    assert!(json.contains("\"long\": 12345678901234567890123,\n      \"user\""), "{json}");
}

#[test]
fn what_is_missing_exits_with_2() {
    let home = tempdir().unwrap();
    let server = Server::json(&[MOUNT]);
    for (words, wanted) in [
        (&["kv", "get", "secret/a"][..], "No value found at secret/data/a\n"),
        (&["read", "kv/a"], "No value found at kv/a\n"),
        (&["read", "-format=raw", "kv/a"], "No value found at kv/a\n"),
        (&["list", "kv/a"], "No value found at kv/a\n"),
        (
            &["policy", "read", "nope"],
            "No policy named: nope\n\nHint: `vault policy list` shows the names of all policies.\n",
        ),
    ] {
        let seen = run(&server, home.path(), words, "");
        assert_eq!(seen, format!("exit 2\n--- stderr\n{wanted}"), "{words:?}");
    }
    assert_eq!(run(&server, home.path(), &["list", "-format=json", "kv"], ""), "exit 2\n{}\n");
}

#[test]
fn warnings_without_data_go_to_standard_error() {
    let home = tempdir().unwrap();
    let body = r#"{"data":null,"warnings":["Invalid path."]}"#;
    let server = Server::json(&[("GET /v1/secret/a", 404, body)]);
    assert_eq!(
        run(&server, home.path(), &["read", "secret/a"], ""),
        "exit 0\n--- stderr\nWARNING! The following warnings were returned from Vault:\n\n  \
         * Invalid path.\n\n"
    );
}

#[test]
fn a_refusal_shows_the_url_the_code_and_what_to_try() {
    let home = tempdir().unwrap();
    let server = Server::json(&[(
        "GET /v1/kv/a",
        403,
        r#"{"errors":["1 error occurred:\n\t* permission denied\n\n"]}"#,
    )]);
    let variables = [("VAULT_TOKEN", "t"), ("VAULT_NAMESPACE", "ns1")];
    assert_eq!(
        run_with(&server, home.path(), &["read", "kv/a"], "", &variables),
        "exit 2
--- stderr
Error reading kv/a: Error making API request.

Namespace: ns1/
URL: GET ADDR/v1/kv/a
Code: 403. Errors:

* 1 error occurred:
\t* permission denied



Hint: `vault token lookup` shows whether the token is valid, and its policies.
Hint: `vault token capabilities kv/a` shows what it may do there.
"
    );
    assert_eq!(server.seen(), ["GET /v1/kv/a x-vault-token=t x-vault-namespace=ns1/"]);
    let seen = run(&server, home.path(), &["read", "kv/a"], "");
    assert!(seen.ends_with("\nHint: `vault login` logs in; no token was sent.\n"), "{seen}");
}

#[test]
fn write_sends_arguments_and_standard_input() {
    let home = tempdir().unwrap();
    let server = Server::json(&[("PUT /v1/kv/a", 204, "")]);
    let seen = run(&server, home.path(), &["write", "kv/a", "a=1", "-"], r#"{"b":1.10}"#);
    assert_eq!(seen, "exit 0\nSuccess! Data written to: kv/a\n");
    assert_eq!(server.seen(), [r#"PUT /v1/kv/a {"a":"1","b":1.10}"#]);
    let seen = run(&server, home.path(), &["write", "kv/a"], "");
    assert_eq!(seen, "exit 1\n--- stderr\nMust supply data or use -force\n");
    assert_eq!(
        run(&server, home.path(), &["write", "-f", "kv/a"], ""),
        "exit 0\nSuccess! Data written to: kv/a\n"
    );
    assert_eq!(server.seen(), ["PUT /v1/kv/a"]);
}

#[test]
fn flags_may_stand_anywhere_and_wrap_only_what_was_asked_for() {
    let home = tempdir().unwrap();
    let server = Server::json(&[MOUNT]);
    run(&server, home.path(), &["-wrap-ttl=1m", "kv", "get", "secret/a", "-ns", "n"], "");
    assert_eq!(
        server.seen(),
        [
            "GET /v1/sys/internal/ui/mounts/secret/a x-vault-namespace=n/",
            "GET /v1/secret/data/a x-vault-namespace=n/ x-vault-wrap-ttl=60s",
        ]
    );
}

#[test]
fn kv_patch_falls_back_to_read_and_write() {
    let home = tempdir().unwrap();
    let written = r#"{"data":{"version":4}}"#;
    let server = Server::json(&[
        MOUNT,
        ("PATCH /v1/secret/data/a", 403, r#"{"errors":["permission denied"]}"#),
        ("GET /v1/secret/data/a", 200, SECRET),
        ("PUT /v1/secret/data/a", 200, written),
    ]);
    let words = ["kv", "patch", "-field=version", "-remove-data=user", "secret/a", "new=1"];
    assert_eq!(run(&server, home.path(), &words, ""), "exit 0\n4");
    assert_eq!(
        server.seen()[1..],
        [
            r#"PATCH /v1/secret/data/a content-type=application/merge-patch+json {"data":{"new":"1","user":null},"options":{}}"#,
            "GET /v1/secret/data/a",
            r#"PUT /v1/secret/data/a {"data":{"long":12345678901234567890123,"new":"1"},"options":{"cas":3}}"#,
        ]
    );
}

const LOOKUP: (&str, u16, &str) = (
    "GET /v1/auth/token/lookup-self",
    200,
    r#"{"data":{"accessor":"acc","id":"hvs.t","policies":["default"],"ttl":3600,"renewable":true,
        "meta":{"team":"a"},"entity_id":"","orphan":true}}"#,
);

#[test]
fn login_keeps_the_token_for_its_owner_alone() {
    let home = tempdir().unwrap();
    let server = Server::json(&[LOOKUP]);
    assert_eq!(
        run(&server, home.path(), &["login", "-"], "hvs.t\n"),
        "exit 0
Success! You are now authenticated.
The token below is stored: later vault commands use it by themselves.

Key                  Value
---                  -----
token                hvs.t
token_accessor       acc
token_duration       1h
token_renewable      true
token_policies       [\"default\"]
identity_policies    []
policies             [\"default\"]
token_meta_team      a
"
    );
    let kept = home.path().join(".vault-token");
    assert_eq!(std::fs::read(&kept).unwrap(), b"hvs.t");
    assert_eq!(std::fs::metadata(&kept).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(run(&server, home.path(), &["print", "token"], ""), "exit 0\nhvs.t\n");
}

#[test]
fn login_can_leave_no_trace() {
    let home = tempdir().unwrap();
    let server = Server::json(&[LOOKUP]);
    for (words, wanted) in [
        (&["login", "-token-only", "hvs.t"][..], "exit 0\nhvs.t"),
        (&["login", "-no-store", "-no-print", "token=hvs.t"], "exit 0\n"),
        (&["login", "-no-store", "-field=token", "hvs.t"], "exit 0\nhvs.t"),
    ] {
        assert_eq!(run(&server, home.path(), words, ""), wanted, "{words:?}");
    }
    assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 0);
}

#[test]
fn login_by_a_method_writes_to_its_mount_without_a_token() {
    let home = tempdir().unwrap();
    std::fs::write(home.path().join(".vault-token"), "old").unwrap();
    let auth = r#"{"auth":{"client_token":"hvs.n"}}"#;
    let server = Server::json(&[
        ("PUT /v1/auth/people/login/bob", 200, auth),
        ("PUT /v1/auth/approle/login", 200, auth),
    ]);
    let words =
        ["login", "-token-only", "-method=userpass", "-path=people/", "username=bob", "password=-"];
    assert_eq!(run(&server, home.path(), &words, "pw"), "exit 0\nhvs.n");
    let words = ["login", "-token-only", "-method=approle", "role_id=r", "secret_id=s"];
    assert_eq!(run(&server, home.path(), &words, ""), "exit 0\nhvs.n");
    assert_eq!(
        server.seen(),
        [
            r#"PUT /v1/auth/people/login/bob {"password":"pw"}"#,
            r#"PUT /v1/auth/approle/login {"role_id":"r","secret_id":"s"}"#,
        ]
    );
    let words = ["login", "-method=userpass", "username=bob"];
    let seen = run(&server, home.path(), &words, "");
    assert_eq!(
        seen,
        "exit 2\n--- stderr\nError authenticating: cannot ask for the Password: standard input is \
         not a terminal\n\nHint: `vault login -method=userpass username=bob password=-` reads it \
         from standard input.\n"
    );
}

#[test]
fn status_exits_with_the_state_of_the_seal() {
    let home = tempdir().unwrap();
    let leader = ("GET /v1/sys/leader", 200, r#"{"ha_enabled":false}"#);
    for (body, exit) in [
        (r#"{"type":"shamir","sealed":false}"#, "exit 0\n"),
        (r#"{"type":"shamir","sealed":true}"#, "exit 2\n"),
        ("<html>", "exit 1\n--- stderr\nError checking seal status"),
    ] {
        let server = Server::json(&[("GET /v1/sys/seal-status", 200, body), leader]);
        let seen = run(&server, home.path(), &["status"], "");
        assert!(seen.starts_with(exit), "{seen}");
    }
}

#[test]
fn operator_init_prints_what_scripts_read() {
    let home = tempdir().unwrap();
    let server = Server::json(&[
        ("GET /v1/sys/seal-status", 200, r#"{"recovery_seal":false}"#),
        ("PUT /v1/sys/init", 200, r#"{"keys":["aa"],"keys_base64":["qg=="],"root_token":"hvs.r"}"#),
    ]);
    let words = ["operator", "init", "-n", "1", "-key-threshold=1"];
    let seen = run(&server, home.path(), &words, "");
    assert!(
        seen.starts_with("exit 0\nUnseal Key 1: qg==\n\nInitial Root Token: hvs.r\n\n"),
        "{seen}"
    );
    assert_eq!(
        server.seen(),
        ["GET /v1/sys/seal-status", r#"PUT /v1/sys/init {"secret_shares":1,"secret_threshold":1}"#]
    );
}

#[test]
fn an_outline_is_printed_instead_of_sent() {
    let home = tempdir().unwrap();
    let server = Server::json(&[MOUNT]);
    let put = |flag: &str| {
        run_with(
            &server,
            home.path(),
            &["kv", "put", flag, "secret/a", "a=it's"],
            "",
            &[("VAULT_TOKEN", "hvs.hidden")],
        )
    };
    assert_eq!(
        put("-output-curl-string"),
        "exit 0\ncurl -X PUT -H \"X-Vault-Request: true\" \
         -H \"X-Vault-Token: $(vault print token)\" \
         -d '{\"data\":{\"a\":\"it'\\''s\"},\"options\":{}}' \"ADDR/v1/secret/data/a\"\n"
    );
    assert_eq!(
        put("-output-policy"),
        "exit 0\npath \"secret/data/a\" {\n  capabilities = [\"create\", \"update\"]\n}\n"
    );
    assert!(server.seen().iter().all(|line| line.starts_with("GET /v1/sys/internal/ui/mounts/")));
}

#[test]
fn wrong_words_exit_with_1_and_unknown_commands_with_127() {
    let home = tempdir().unwrap();
    let server = Server::json(&[]);
    for (words, start) in [
        (&["nosuch"][..], "exit 127\n--- stderr\n"),
        (&[], "exit 127\n--- stderr\n"),
        (&["kv"], "exit 1\n--- stderr\n"),
        (&["kv", "nosuch"], "exit 1\n--- stderr\n"),
        (&["read"], "exit 1\n--- stderr\n"),
        (&["status", "-nosuch"], "exit 1\n--- stderr\nunexpected argument '-nosuch' found"),
        (&["status", "-format=bad"], "exit 1\n--- stderr\nInvalid output format: bad\n"),
        (&["kv", "put", "secret/a"], "exit 1\n--- stderr\nMust supply data\n"),
        (&["-h"], "exit 0\n"),
        (&["kv", "get", "-h"], "exit 0\nRead a secret\n"),
        (&["-version"], "exit 0\nVault v1.19.0 (Strongroom v"),
        (&["version"], "exit 0\nVault v1.19.0 (Strongroom v"),
    ] {
        let seen = run(&server, home.path(), words, "");
        assert!(seen.starts_with(start), "{words:?}: {seen}");
    }
    assert!(server.seen().is_empty());
}

#[test]
fn server_is_handed_over_with_its_flags() {
    let home = tempdir().unwrap();
    let server = Server::json(&[]);
    let words = ["server", "-dev", "-config=a.hcl", "-config", "b.hcl", "-log-level=debug"];
    let seen = run(&server, home.path(), &words, "");
    for part in ["exit 0\nserver Args", r#"config: ["a.hcl", "b.hcl"]"#, "dev: true", "debug"] {
        assert!(seen.contains(part), "{part}: {seen}");
    }
}

#[test]
fn policy_fmt_writes_the_file_again() {
    let home = tempdir().unwrap();
    let server = Server::json(&[]);
    let file = home.path().join("p.hcl");
    let name = file.to_str().unwrap();
    std::fs::write(&file, "path \"a\" { capabilities=[\"read\"] }").unwrap();
    let seen = run(&server, home.path(), &["policy", "fmt", name], "");
    assert_eq!(seen, format!("exit 0\nSuccess! Formatted policy: {name}\n"));
    let formatted = "path \"a\" {\n  capabilities = [\"read\"]\n}\n";
    assert_eq!(std::fs::read_to_string(&file).unwrap(), formatted);
    std::fs::write(&file, "path {").unwrap();
    let seen = run(&server, home.path(), &["policy", "fmt", name], "");
    assert!(seen.starts_with("exit 1\n--- stderr\nError formatting policy: "), "{seen}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "path {");
}

/// What each command asks of the server, apart from the question for the mount.
#[test]
#[expect(clippy::too_many_lines, reason = "one table")]
fn commands_send_what_vaults_own_send() {
    let home = tempdir().unwrap();
    let server = Server::json(&[MOUNT]);
    for (words, wanted) in [
        ("read kv/a version=1", "GET /v1/kv/a?version=1"),
        ("list kv", "GET /v1/kv?list=true"),
        ("delete kv/a b=c", "DELETE /v1/kv/a?b=c"),
        ("kv list -mount=secret a", "GET /v1/sys/internal/ui/mounts/secret"),
        (
            "kv put -cas=0 secret/a x=1",
            r#"PUT /v1/secret/data/a {"data":{"x":"1"},"options":{"cas":0}}"#,
        ),
        ("kv delete secret/a", "DELETE /v1/secret/data/a"),
        ("kv delete -versions=1,2 secret/a", r#"PUT /v1/secret/delete/a {"versions":["1","2"]}"#),
        ("kv undelete -versions=1 secret/a", r#"PUT /v1/secret/undelete/a {"versions":["1"]}"#),
        ("kv destroy -versions 1 secret/a", r#"PUT /v1/secret/destroy/a {"versions":["1"]}"#),
        ("kv metadata delete secret/a", "DELETE /v1/secret/metadata/a"),
        (
            "kv metadata put -max-versions=5 -cas-required=false -custom-metadata=k=v secret/a",
            r#"PUT /v1/secret/metadata/a {"max_versions":5,"cas_required":false,"custom_metadata":{"k":"v"}}"#,
        ),
        (
            "kv metadata patch -remove-custom-metadata=k secret/a",
            r#"PATCH /v1/secret/metadata/a content-type=application/merge-patch+json {"custom_metadata":{"k":null}}"#,
        ),
        (
            "kv enable-versioning secret/",
            r#"POST /v1/sys/mounts/secret/tune {"options":{"version":"2"}}"#,
        ),
        (
            "token create -policy=a -policy=b -ttl=1h -metadata=k=v -orphan -renewable=false",
            r#"POST /v1/auth/token/create {"ttl":"3600s","policies":["a","b"],"meta":{"k":"v"},"renewable":false,"no_parent":true,"no_default_policy":false,"num_uses":0,"type":"service"}"#,
        ),
        ("token lookup t", r#"POST /v1/auth/token/lookup {"token":"t"}"#),
        ("token lookup -accessor a", r#"POST /v1/auth/token/lookup-accessor {"accessor":"a"}"#),
        ("token renew -increment=1h", r#"PUT /v1/auth/token/renew-self {"increment":3600}"#),
        ("token revoke -self", "PUT /v1/auth/token/revoke-self"),
        ("token revoke -mode=orphan t", r#"PUT /v1/auth/token/revoke-orphan {"token":"t"}"#),
        ("token revoke -mode=path auth/x", "PUT /v1/sys/leases/revoke-prefix/auth/x"),
        ("token capabilities kv/a", r#"POST /v1/sys/capabilities-self {"path":"kv/a"}"#),
        ("token capabilities t kv/a", r#"POST /v1/sys/capabilities {"token":"t","path":"kv/a"}"#),
        ("policy list", "GET /v1/sys/policies/acl?list=true"),
        ("policy write Name -", r#"PUT /v1/sys/policies/acl/name {"policy":""}"#),
        ("policy delete name", "DELETE /v1/sys/policies/acl/name"),
        (
            "secrets enable -version=2 -path=a/b/ -max-lease-ttl=1d kv",
            r#"POST /v1/sys/mounts/a/b {"type":"kv","description":"","local":false,"seal_wrap":false,"external_entropy_access":false,"config":{"max_lease_ttl":"86400s"},"options":{"version":"2"}}"#,
        ),
        ("secrets disable a/b", "DELETE /v1/sys/mounts/a/b"),
        ("secrets tune -description=d kv", r#"POST /v1/sys/mounts/kv/tune {"description":"d"}"#),
        ("secrets move a b", r#"POST /v1/sys/remount {"from":"a/","to":"b/"}"#),
        ("auth move auth/a b", r#"POST /v1/sys/remount {"from":"auth/a/","to":"auth/b/"}"#),
        ("auth disable userpass", "DELETE /v1/sys/auth/userpass"),
        (
            "lease renew -increment=60 l",
            r#"PUT /v1/sys/leases/renew {"lease_id":"l","increment":60}"#,
        ),
        ("lease revoke -sync l/1", r#"PUT /v1/sys/leases/revoke/l/1 {"sync":true}"#),
        ("lease revoke -prefix l", r#"PUT /v1/sys/leases/revoke-prefix/l {"sync":false}"#),
        (
            "audit enable file file_path=/x",
            r#"PUT /v1/sys/audit/file {"type":"file","description":"","options":{"file_path":"/x"},"local":false}"#,
        ),
        ("operator seal", "PUT /v1/sys/seal"),
        ("operator step-down", "PUT /v1/sys/step-down"),
        ("operator unseal -reset", r#"PUT /v1/sys/unseal {"reset":true}"#),
        ("operator unseal key", r#"PUT /v1/sys/unseal {"key":"key","migrate":false}"#),
        (
            "operator raft remove-peer n1",
            r#"POST /v1/sys/storage/raft/remove-peer {"server_id":"n1"}"#,
        ),
        (
            "operator raft join -retry http://a:1/",
            r#"POST /v1/sys/storage/raft/join {"leader_api_addr":"http://a:1","retry":true,"non_voter":false}"#,
        ),
        ("operator generate-root -init", "PUT /v1/sys/generate-root/attempt {}"),
        ("operator rekey -cancel -target=recovery", "DELETE /v1/sys/rekey-recovery-key/init"),
        ("operator rekey -cancel -nonce=n", "DELETE /v1/sys/rekey/init?nonce=n"),
        ("operator generate-root -cancel -nonce=n", "DELETE /v1/sys/generate-root/attempt?nonce=n"),
        ("path-help kv/a", "GET /v1/kv/a?help=1"),
        ("unwrap w", "PUT /v1/sys/wrapping/unwrap x-vault-token=w"),
    ] {
        run(&server, home.path(), &words.split(' ').collect::<Vec<_>>(), "");
        let seen = server.seen();
        let sent = seen.iter().find(|line| !line.ends_with("/ui/mounts/secret/a"));
        assert_eq!(sent.map(String::as_str), Some(wanted), "{words}");
    }
}

#[test]
fn tables_of_several_columns_are_as_vaults() {
    let home = tempdir().unwrap();
    let server = Server::json(&[
        (
            "GET /v1/sys/mounts",
            200,
            r#"{"secret/":{"type":"kv"},"data":{"secret/":{"type":"kv","accessor":"kv_1",
                "description":"","config":{"default_lease_ttl":0},"options":{"version":"2"}}}}"#,
        ),
        (
            "GET /v1/sys/storage/raft/configuration",
            200,
            r#"{"data":{"config":{"servers":[
                {"node_id":"n1","address":"a:1","leader":true,"voter":true},
                {"node_id":"n2","address":"b:1","leader":false,"voter":false}]}}}"#,
        ),
    ]);
    assert_eq!(
        run(&server, home.path(), &["secrets", "list"], ""),
        "exit 0
Path       Type    Accessor    Description
----       ----    --------    -----------
secret/    kv      kv_1        n/a
"
    );
    assert_eq!(
        run(&server, home.path(), &["operator", "raft", "list-peers"], ""),
        "exit 0
Node    Address    State       Voter
----    -------    -----       -----
n1      a:1        leader      true
n2      b:1        follower    false
"
    );
}

#[test]
fn kv_metadata_shows_each_version() {
    let home = tempdir().unwrap();
    let server = Server::json(&[
        MOUNT,
        (
            "GET /v1/secret/metadata/a",
            200,
            r#"{"data":{"current_version":10,"custom_metadata":{"k":"v"},"versions":{
                "10":{"deletion_time":"","destroyed":false},
                "9":{"deletion_time":"","destroyed":true}}}}"#,
        ),
    ]);
    assert_eq!(
        run(&server, home.path(), &["kv", "metadata", "get", "secret/a"], ""),
        "exit 0
= Metadata Path =
secret/metadata/a

======= Metadata =======
Key                Value
---                -----
current_version    10
custom_metadata    map[k:v]

====== Version 9 ======
Key              Value
---              -----
deletion_time    n/a
destroyed        true

===== Version 10 =====
Key              Value
---              -----
deletion_time    n/a
destroyed        false
"
    );
}
