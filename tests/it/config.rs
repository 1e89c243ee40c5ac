//! Configurations that start a server, those that do not, and what operators are told.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use strongroom::config::sockaddr::Interface;
use strongroom::config::{
    self, Config, HaProfile, Listener, LogFormat, LogLevel, ProxyProtocol, RaftStorage, StateStore,
    Storage, TcpListener, TlsVersion,
};

const GOOD: &str = "storage \"inmem\" {}\nlistener \"tcp\" { tls_disable = true }\n";

#[test]
fn every_sample_starts_without_warnings() {
    let folder = root().join("deploy/config");
    let mut read = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|end| end == "hcl" || end == "json") {
            let (_, warnings) = load(std::slice::from_ref(&path)).unwrap();
            // A listener on every address is what these samples want, and they set `api_addr`.
            assert!(warnings.is_empty(), "{}: {warnings:?}", path.display());
            read += 1;
        }
    }
    assert_eq!(read, 5);
}

#[test]
fn defaults_are_vaults() {
    let (config, warnings) = parse(GOOD).unwrap();
    assert_eq!(warnings, "");
    let settings = &config.settings;
    assert_eq!(config.api_addr.to_string(), "http://127.0.0.1:8200");
    assert_eq!(config.cluster_addr.to_string(), "https://127.0.0.1:8201");
    assert_eq!(settings.default_lease_ttl, Duration::from_hours(768));
    assert_eq!(settings.max_lease_ttl, Duration::from_hours(768));
    assert_eq!(settings.default_max_request_duration, Duration::from_secs(90));
    assert_eq!((settings.log_level, settings.log_format), (LogLevel::Info, LogFormat::Standard));
    assert_eq!(settings.telemetry.prometheus_retention_time, Duration::from_hours(24));
    assert_eq!(settings.telemetry.metrics_prefix, "vault");
    assert!(!settings.ui && !settings.raw_storage_endpoint && !settings.disable_mlock);
    let tcp = tcp(&config, 0);
    assert_eq!(tcp.cluster_address().to_string(), "127.0.0.1:8201");
    assert_eq!(tcp.max_request_size.0, Some(33_554_432));
    assert_eq!(tcp.http_idle_timeout, Duration::from_mins(5));
    assert_eq!(tcp.http_read_timeout, Duration::from_secs(30));
    assert_eq!(tcp.http_read_header_timeout, Duration::from_secs(10));
    assert_eq!((tcp.tls_min_version, tcp.tls_max_version), (TlsVersion::Tls12, TlsVersion::Tls13));
    assert!(tcp.x_forwarded_for_reject_not_authorized && tcp.x_forwarded_for_reject_not_present);
    assert!(tcp.tls().is_none());
}

/// As in Vault: charts write empty text for what nobody has set.
#[test]
fn empty_text_is_as_good_as_none() {
    let empty =
        "api_addr = \"\"\nmax_lease_ttl = \"\"\nlog_level = \"\"\nui = \"\"\npid_file = \"\"\n";
    let (config, warnings) = parse(&format!("{GOOD}{empty}")).unwrap();
    let (plain, _) = parse(GOOD).unwrap();
    assert_eq!(format!("{config:?}"), format!("{plain:?}"));
    assert_eq!(warnings, "");
    let json = r#"{"storage": {"raft": {"path": null}}, "listener": {"tcp": {"tls_disable": 1}}}"#;
    assert_eq!(failure(json), "f:1: `path` must be set: a path");
}

#[test]
fn hcl_and_json_mean_the_same() {
    let hcl = r#"
        backend "raft" {
          path = "/data", node_id = "n1"
          retry_join { leader_api_addr = "https://a:8200" }
          retry_join { leader_api_addr = "https://b:8200" leader_tls_servername = "b" }
          ha_profile = "wan"
          max_entry_size = 2097152
        }
        listener "tcp" {
          address = "10.0.0.1:8200"
          tls_cert_file = "/c" tls_key_file = "/k"
          max_request_duration = 30
          telemetry { unauthenticated_metrics_access = 1 }
          proxy_protocol_behavior = "deny_unauthorized"
          proxy_protocol_authorized_addrs = "10.0.0.0/8, ::1"
          custom_response_headers {
            default { "X-Frame-Options" = ["DENY"], "X-A" = "all" }
            "4xx" = { "X-A" = ["four", "hundred"] }
            "404" = { "x-a" = "lost" }
          }
        }
        listener "unix" { address = "/run/s.sock" socket_mode = "660" socket_group = "ops" }
        max_lease_ttl = "90d"
        ui = true
    "#;
    let json = r#"{
        "storage": { "raft": [{
          "path": "/data", "node_id": "n1",
          "retry_join": [
            { "leader_api_addr": "https://a:8200" },
            { "leader_api_addr": "https://b:8200", "leader_tls_servername": "b" }
          ],
          "ha_profile": "wan", "max_entry_size": "2MiB"
        }]},
        "listener": [
          { "tcp": {
            "address": "10.0.0.1:8200", "tls_cert_file": "/c", "tls_key_file": "/k",
            "max_request_duration": "30s",
            "telemetry": [{ "unauthenticated_metrics_access": "true" }],
            "proxy_protocol_behavior": "deny_unauthorized",
            "proxy_protocol_authorized_addrs": ["10.0.0.0/8", "::1"],
            "custom_response_headers": {
              "default": { "X-Frame-Options": ["DENY"], "X-A": ["all"] },
              "4xx": { "X-A": ["four", "hundred"] },
              "404": { "x-a": ["lost"] }
            }
          } },
          { "type": "unix", "address": "/run/s.sock", "socket_mode": "0660", "socket_group": "ops" }
        ],
        "max_lease_ttl": 7776000,
        "ui": "1"
    }"#;
    let (hcl, hcl_warnings) = parse(hcl).unwrap();
    let (json, json_warnings) = parse(json).unwrap();
    assert_eq!(format!("{hcl:#?}"), format!("{json:#?}"));
    assert_eq!((hcl_warnings, json_warnings), (String::new(), String::new()));
    let raft = raft(&hcl);
    assert_eq!((raft.ha_profile, raft.state_store), (HaProfile::Wan, StateStore::Lmdb));
    assert_eq!(raft.retry_join[1].leader_api_addr.to_string(), "https://b:8200");
    let tcp = tcp(&hcl, 0);
    assert_eq!(tcp.proxy_protocol_behavior, Some(ProxyProtocol::DenyUnauthorized));
    let files = tcp.tls().unwrap();
    assert_eq!((files.certificate, files.key), (Path::new("/c"), Path::new("/k")));
    for (status, expected) in [(200, "all"), (403, "four; hundred"), (404, "lost")] {
        let headers = tcp.custom_response_headers.for_status(status);
        assert_eq!(headers["x-a"], expected, "{status}");
        assert_eq!(headers["x-frame-options"], "DENY", "{status}");
    }
    let Listener::Unix(unix) = &hcl.settings.listener[1] else { panic!("{hcl:?}") };
    assert_eq!(unix.socket_mode.unwrap().0, 0o660);
}

#[test]
fn wrong_values_stop_the_start_with_file_and_line() {
    for (text, messages) in [
        (
            "",
            "f: `storage` must be set: a block `storage \"raft\"` or `storage \"inmem\"`\n\
             f: `listener` must be set: a block `listener \"tcp\"` or `listener \"unix\"`, repeatable",
        ),
        (
            "storage \"file\" {}\nlistener \"pipe\" {}",
            "f:1: `storage` must be \"raft\" or \"inmem\", found \"file\"\n\
             f:2: `listener` must be \"tcp\" or \"unix\", found \"pipe\"",
        ),
        (
            "storage = \"raft\"",
            "f: `listener` must be set: a block `listener \"tcp\"` or `listener \"unix\"`, repeatable\n\
             f:1: `storage` must be a block, found \"raft\"",
        ),
        (
            "storage {}\nlistener = []",
            "f:1: `storage` must be a block `storage \"raft\"` or `storage \"inmem\"`",
        ),
        ("storage \"inmem\" {}\nlistener = []", "f:2: at least one `listener` must be set"),
        // All at once, each where it stands.
        (
            "storage \"raft\" {\n  ha_profile = \"mars\"\n}\nlistener \"tcp\" {\n  tls_disable = \"maybe\"\n  \
          max_request_size = \"big\"\n}\nui = 2\nlog_level = \"loud\"\nmax_lease_ttl = \"1 week\"",
            "f:1: `path` must be set: a path\n\
             f:2: `ha_profile` must be \"lan\", \"fast\" or \"wan\", found \"mars\"\n\
             f:5: `tls_disable` must be true or false, found \"maybe\"\n\
             f:6: `max_request_size` must be a number of bytes such as 33554432 or \"32MiB\", or -1 for no limit, found \"big\"\n\
             f:8: `ui` must be true or false, found 2\n\
             f:9: `log_level` must be \"trace\", \"debug\", \"info\", \"warn\" or \"error\", found \"loud\"\n\
             f:10: `max_lease_ttl` must be a duration such as 90, \"90s\", \"1h30m\" or \"7d\", found \"1 week\"",
        ),
        (
            "{ \"storage\": {\"inmem\": {}},\n \"listener\": {\"tcp\": {\n \"tls_disable\": [],\n \"address\": \"host:1\"}}}",
            "f:3: `tls_disable` must be true or false, found a list\n\
             f:4: `address` must be an IP address and port such as \"127.0.0.1:8200\", found \"host:1\"",
        ),
    ] {
        assert_eq!(failure(text), messages, "{text}");
    }
}

#[test]
fn listeners_are_checked_as_wholes() {
    for (text, message) in [
        (
            "listener \"tcp\" {}",
            "f:2: `tls_cert_file` and `tls_key_file` must be set, or `tls_disable` be true",
        ),
        (
            "listener \"tcp\" {\n tls_key_file = \"/k\"\n}",
            "f:3: `tls_cert_file` and `tls_key_file` must be set together",
        ),
        (
            "listener \"tcp\" {\n tls_disable = true\n tls_min_version = \"tls13\"\n tls_max_version = \"tls12\"\n}",
            "f:4: `tls_min_version` must not be later than `tls_max_version`",
        ),
        (
            "listener \"tcp\" {\n tls_disable = true\n tls_min_version = \"tls11\"\n}",
            "f:4: `tls_min_version` must be \"tls12\" or \"tls13\", found \"tls11\"",
        ),
        (
            "listener \"tcp\" {\n tls_disable = true\n tls_require_and_verify_client_cert = true\n}",
            "f:4: `tls_require_and_verify_client_cert` needs TLS, which `tls_disable` turns off",
        ),
        (
            "listener \"tcp\" {\n tls_cert_file = \"/c\"\n tls_key_file = \"/k\"\n tls_require_and_verify_client_cert = true\n}",
            "f:5: `tls_require_and_verify_client_cert` needs `tls_client_ca_file`",
        ),
        (
            "listener \"tcp\" {\n tls_disable = true\n address = \"127.0.0.1:65535\"\n}",
            "f:4: `cluster_address` must be set: `address` has the last port",
        ),
        (
            "listener \"tcp\" {\n tls_disable = true\n cluster_address = \"127.0.0.1:8200\"\n}",
            "f:4: `cluster_address` must not be `address`",
        ),
        (
            "listener \"tcp\" {\n tls_disable = true\n proxy_protocol_behavior = \"allow_authorized\"\n}",
            "f:4: `proxy_protocol_authorized_addrs` must be set with this `proxy_protocol_behavior`",
        ),
        (
            "listener \"tcp\" {\n tls_disable = true\n proxy_protocol_behavior = \"deny_unauthorized\"\n}",
            "f:4: `proxy_protocol_authorized_addrs` must be set with this `proxy_protocol_behavior`",
        ),
        (
            "listener \"tcp\" {\n tls_disable = true\n http_read_header_timeout = 0\n}",
            "f:4: `http_read_header_timeout` must be more than 0",
        ),
        (
            "listener \"tcp\" {\n tls_disable = true\n max_request_duration = 0\n}",
            "f:4: `max_request_duration` must be more than 0",
        ),
        (
            "listener \"tcp\" {\n tls_disable = true\n custom_response_headers {\n \"6xx\" = {}\n}\n}",
            "f:5: `custom_response_headers` must name a status such as \"default\", \"2xx\" or \"404\", found \"6xx\"",
        ),
        (
            "listener \"tcp\" {\n tls_disable = true\n custom_response_headers {\n default {\n X-Vault-Token = \"x\"\n }\n}\n}",
            "f:6: a custom header must not begin with X-Vault-, found \"X-Vault-Token\"",
        ),
        (
            "listener \"tcp\" {\n tls_disable = true\n custom_response_headers {\n default {\n X-A = \"a\\r\\nB: c\"\n }\n}\n}",
            "f:6: header \"X-A\" must be printable ASCII",
        ),
    ] {
        assert_eq!(failure(&format!("storage \"inmem\" {{}}\n{text}")), message, "{text}");
    }
}

#[test]
fn what_stands_outside_of_listeners_is_checked_as_a_whole() {
    for (text, message) in [
        (
            "listener \"unix\" {\n address = \"/s\"\n max_request_duration = 0\n}",
            "f:4: `max_request_duration` must be more than 0",
        ),
        ("listener \"unix\" {}", "f:2: `address` must be set: a path"),
        (
            "listener \"unix\" { address = \"/s\" }",
            "f: `api_addr` must be set: there is no `listener \"tcp\"` to take it from",
        ),
        (
            "listener \"tcp\" { tls_disable = 1 }\nlistener \"tcp\" { tls_disable = 1 }",
            "f:3: two listeners use the address 127.0.0.1:8200\nf:3: two listeners use the address 127.0.0.1:8201",
        ),
        (
            "listener \"tcp\" { tls_disable = 1 }\nmax_lease_ttl = \"1h\"\ndefault_lease_ttl = \"2h\"",
            "f:4: `default_lease_ttl` must not be more than `max_lease_ttl`",
        ),
        (
            "listener \"tcp\" { tls_disable = 1 }\ndefault_max_request_duration = 0",
            "f:3: `default_max_request_duration` must be more than 0",
        ),
        (
            "listener \"tcp\" { tls_disable = 1 }\napi_addr = \"https://a:65535\"",
            "f:3: `cluster_addr` must be set: `api_addr` has the last port",
        ),
        (
            "listener \"tcp\" { tls_disable = 1 }\nlog_rotate_max_files = -2",
            "f:3: `log_rotate_max_files` must be -1 or more",
        ),
        (
            "listener \"tcp\" { tls_disable = 1 }\nseal \"gcpckms\" {}",
            "f:3: `seal` must be \"shamir\", \"static\", \"transit\", \"awskms\" or \"pkcs11\", found \"gcpckms\"",
        ),
        (
            "listener \"tcp\" { tls_disable = 1 }\ntelemetry \"x\" {}",
            "f:3: `telemetry` takes no label, found \"x\"",
        ),
        (
            "listener \"tcp\" { tls_disable = 1 }\nstorage \"inmem\" {}",
            "f:3: only one `storage` may be set",
        ),
        (
            "listener \"tcp\" { tls_disable = 1 }\napi_addr = \"{{ GetInterfaceIP \\\"eth7\\\" }}:1\"",
            "f:3: `api_addr` has a wrong template: `{{ GetInterfaceIP \"eth7\" }}` matches no address of this machine",
        ),
    ] {
        assert_eq!(failure(&format!("storage \"inmem\" {{}}\n{text}")), message, "{text}");
    }
}

#[test]
fn raft_storage_is_checked_as_a_whole() {
    for (text, message) in [
        (
            "performance_multiplier = 11",
            "f:3: `performance_multiplier` must be from 1 to 10, found 11",
        ),
        ("snapshot_threshold = 0", "f:3: `snapshot_threshold` must be more than 0"),
        ("node_id = \" \"", "f:3: `node_id` must not be empty"),
        ("max_entry_size = 1", "f:3: `max_entry_size` must be 65536 bytes or more"),
        (
            "max_transaction_size = 65536",
            "f:3: `max_transaction_size` must not be less than `max_entry_size`",
        ),
        (
            "retry_join {\n}",
            "f:3: `leader_api_addr` must be set: a URL such as \"https://10.0.0.5:8200\"",
        ),
        (
            "retry_join {\n leader_api_addr = \"a\"\n leader_client_key_file = \"/k\"\n}",
            "f:5: `leader_client_cert_file` and `leader_client_key_file` must be set together",
        ),
        (
            "retry_join {\n leader_api_addr = \"a\"\n leader_ca_cert_file = \"/k\"\n leader_ca_cert = \"x\"\n}",
            "f:6: `leader_ca_cert` and `leader_ca_cert_file` must not both be set",
        ),
        (
            "retry_join {\n leader_api_addr = \"a\"\n leader_client_key = [\"secret\"]\n}",
            "f:5: `leader_client_key` must be text, found another kind",
        ),
        ("retry_join = 1", "f:3: `retry_join` must be a block, found 1"),
    ] {
        let text = format!(
            "listener \"tcp\" {{ tls_disable = true }}\nstorage \"raft\" {{ path = \"/data\"\n{text}\n}}"
        );
        assert_eq!(failure(&text), message, "{text}");
    }
}

#[test]
fn what_is_not_read_warns_with_file_and_line() {
    for (text, warnings) in [
        ("foo = 1", "f:3: unknown key `foo`"),
        ("api_adr = 1", "f:3: unknown key `api_adr`: did you mean `api_addr`?"),
        ("disable_mlokc = 1", "f:3: unknown key `disable_mlokc`: did you mean `disable_mlock`?"),
        ("api_addrs = 1", "f:3: unknown key `api_addrs`: did you mean `api_addr`?"),
        ("disable_mlck = 1", "f:3: unknown key `disable_mlck`: did you mean `disable_mlock`?"),
        ("log_lebel = 1", "f:3: unknown key `log_lebel`: did you mean `log_level`?"),
        ("foo {\n a = 1\n}", "f:3: unknown key `foo`"),
        ("telemetry {\n  bar = 1\n}", "f:4: unknown key `bar` in `telemetry`"),
        (
            "telemetry = {\n  statsd_address = \"x\"\n}",
            "f:4: `statsd_address` in `telemetry` has no effect here: metrics are fetched from sys/metrics, not sent",
        ),
        (
            "cache_size = 1",
            "f:3: `cache_size` has no effect here: state is read where it lies, without a cache to size",
        ),
        ("seal \"gcpckms\" {\n disabled = true\n}", ""),
        ("seal \"pkcs11\" {\n disabled = true\n}", ""),
        ("ui = true\nui = false", "f:4: `ui` overrides the one at f:3"),
        ("telemetry {}\ntelemetry {}", "f:4: `telemetry` overrides the one at f:3"),
        (
            "listener \"tcp\" {\n address = \"10.1.2.3:80\"\n tls_disable = true\n}",
            "f:5: `tls_disable` on 10.1.2.3:80: secrets and tokens travel in clear unless a proxy adds TLS",
        ),
    ] {
        let (_, shown) = parse(&format!("{GOOD}{text}")).unwrap();
        assert_eq!(shown, warnings, "{text}");
    }
}

#[test]
fn addresses_are_derived_and_templates_replaced() {
    let tls = "tls_cert_file = \"/c\" tls_key_file = \"/k\"";
    for (text, api, cluster, warnings) in [
        (
            format!("listener \"tcp\" {{ address = \":8300\" {tls} }}"),
            "https://10.1.2.3:8300",
            "https://10.1.2.3:8301",
            "f:2: `api_addr` is not set and the listener is on 0.0.0.0:8300: others will be sent to https://10.1.2.3:8300",
        ),
        (
            format!("listener \"tcp\" {{ address = \"{{{{ GetPrivateIP }}}}:8200\" {tls} }}"),
            "https://10.1.2.3:8200",
            "https://10.1.2.3:8201",
            "",
        ),
        (
            format!("listener \"tcp\" {{ address = \"[::1]:8200\" {tls} }}"),
            "https://[::1]:8200",
            "https://[::1]:8201",
            "",
        ),
        (
            format!(
                "listener \"tcp\" {{ {tls} }}\napi_addr = \"https://a\"\ncluster_addr = \"http://b\""
            ),
            "https://a:443",
            "https://b:8201",
            "",
        ),
        (
            format!("listener \"tcp\" {{ address = \"127.0.0.1:0\" {tls} }}"),
            "https://127.0.0.1:0",
            "https://127.0.0.1:0",
            "",
        ),
    ] {
        let (config, shown) = parse(&format!("storage \"inmem\" {{}}\n{text}")).unwrap();
        assert_eq!(config.api_addr.to_string(), api, "{text}");
        assert_eq!(config.cluster_addr.to_string(), cluster, "{text}");
        assert_eq!(shown, warnings, "{text}");
    }
}

#[test]
fn environment_goes_before_files() {
    let text = "storage \"raft\" { path = \"/data\" node_id = \"file\" }\n\
                listener \"tcp\" { tls_disable = true }\napi_addr = \"not a URL\"";
    let variables = [
        ("VAULT_API_ADDR", "https://vault:1"),
        ("BAO_API_ADDR", "https://bao:1"),
        ("VAULT_REDIRECT_ADDR", "https://redirect:1"),
        ("VAULT_CLUSTER_INTERFACE", "eth0"),
        ("VAULT_RAFT_NODE_ID", "env"),
        ("VAULT_RAFT_PATH", "/env"),
        ("VAULT_LOG_LEVEL", "DEBUG"),
        ("VAULT_LOG_FORMAT", "json"),
        ("VAULT_UI", "true"),
        ("VAULT_DISABLE_MLOCK", "1"),
    ];
    let env = |name: &str| {
        variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
    };
    let (config, warnings) = Config::parse("f", text, &env, &machine()).unwrap();
    assert_eq!(warnings, []);
    assert_eq!(config.api_addr.to_string(), "https://bao:1");
    assert_eq!(config.cluster_addr.to_string(), "https://10.1.2.3:8201");
    assert_eq!(raft(&config).node_id.as_deref(), Some("env"));
    assert_eq!(raft(&config).path, Path::new("/env"));
    let settings = &config.settings;
    assert_eq!((settings.log_level, settings.log_format), (LogLevel::Debug, LogFormat::Json));
    assert!(settings.ui && settings.disable_mlock);

    let env = |name: &str| (name == "VAULT_UI").then(|| "perhaps".to_owned());
    let wrong = Config::parse("f", GOOD, &env, &machine()).unwrap_err();
    assert_eq!(
        wrong.to_string(),
        "environment variable VAULT_UI: `ui` must be true or false, found \"perhaps\""
    );
}

#[test]
fn files_and_folders_are_merged_in_alphabetical_order() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    };
    write(
        "conf/b.json",
        r#"{"log_level": "warn", "listener": {"tcp": {"address": "127.0.0.1:9000", "tls_disable": 1}}}"#,
    );
    write("conf/a.hcl", GOOD);
    write("conf/c.txt", "this is not read");
    // JSON in a file that says HCL, as Helm charts write it.
    let last = write("last.hcl", "\n{ \"log_level\": \"error\" }");
    let first = folder.path().join("conf");
    let (config, warnings) = load(&[first.clone(), last.clone()]).unwrap();
    assert_eq!(config.settings.log_level, LogLevel::Error);
    assert_eq!(tcp(&config, 1).address.to_string(), "127.0.0.1:9000");
    let shown: Vec<_> = warnings.iter().map(ToString::to_string).collect();
    let expected = format!(
        "{}:2: `log_level` overrides the one at {}/b.json:1",
        last.display(),
        first.display(),
    );
    assert_eq!(shown, [expected]);

    let empty = folder.path().join("empty");
    fs::create_dir(&empty).unwrap();
    let missing = folder.path().join("missing.hcl");
    let broken = write("broken.hcl", "a");
    let wrong = load(&[empty.clone(), missing.clone(), broken.clone()]).unwrap_err().to_string();
    let lines: Vec<_> = wrong.lines().collect();
    assert_eq!(lines[0], format!("{}: holds no file that ends in .hcl or .json", empty.display()));
    assert!(lines[1].starts_with(&format!("{}: cannot be read: ", missing.display())), "{wrong}");
    assert!(lines[2].starts_with(&format!("{}:1: expected ", broken.display())), "{wrong}");
    assert_eq!(load(&[]).unwrap_err().to_string(), "configuration: no file or folder was named");
}

#[test]
fn lockout_is_set_for_all_or_for_a_kind_of_method() {
    let base = "storage \"inmem\" {}\nlistener \"tcp\" { tls_disable = true }\n";
    let text = format!(
        "{base}user_lockout \"all\" {{ lockout_threshold = \"3\" lockout_duration = \"10m\" }}\n\
         user_lockout \"userpass\" {{ disable_lockout = true lockout_counter_reset = 60 }}\n"
    );
    let (config, _) = parse(&text).unwrap();
    let read: Vec<_> = config.settings.user_lockout.0.iter().collect();
    let (all, of_kind) = (&read[0].1, &read[1].1);
    assert_eq!((read[0].0.as_str(), read[1].0.as_str()), ("all", "userpass"));
    assert_eq!((all.lockout_threshold, all.disable_lockout), (Some(3), None));
    assert_eq!(all.lockout_duration.map(|length| length.as_secs()), Some(600));
    assert_eq!(of_kind.disable_lockout, Some(true));
    assert_eq!(of_kind.lockout_counter_reset.map(|length| length.as_secs()), Some(60));
    let wrong = failure(&format!("{base}user_lockout \"token\" {{}}"));
    assert!(wrong.contains("`user_lockout` must be \"all\""), "{wrong}");
}

/// Run with `UPDATE_DOCS=1` to write the file anew.
#[test]
fn documentation_of_the_keys_is_current() {
    let path = root().join("deploy/config/KEYS.md");
    let text = format!("# Keys of the server's configuration\n\n{}", config::markdown());
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, &text).unwrap();
    }
    let written = fs::read_to_string(&path).unwrap_or_default();
    assert!(written == text, "{}: run this test with UPDATE_DOCS=1", path.display());
}

fn parse(text: &str) -> Result<(Config, String), config::ConfigErrors> {
    let (config, warnings) = Config::parse("f", text, &|_| None, &machine())?;
    let warnings: Vec<_> = warnings.iter().map(ToString::to_string).collect();
    Ok((config, warnings.join("\n")))
}

fn failure(text: &str) -> String {
    parse(text).unwrap_err().to_string()
}

fn load(paths: &[PathBuf]) -> Result<(Config, Vec<config::Warning>), config::ConfigErrors> {
    Config::load(paths, &|_| None, &machine())
}

fn tcp(config: &Config, index: usize) -> &TcpListener {
    match &config.settings.listener[index] {
        Listener::Tcp(tcp) => tcp,
        Listener::Unix(unix) => panic!("{unix:?}"),
    }
}

fn raft(config: &Config) -> &RaftStorage {
    match &config.settings.storage {
        Storage::Raft(raft) => raft,
        Storage::Inmem(inmem) => panic!("{inmem:?}"),
    }
}

/// One interface, so that no test depends on where it runs.
fn machine() -> Vec<Interface> {
    vec![Interface {
        name: "eth0".to_owned(),
        address: [10, 1, 2, 3].into(),
        prefix_bits: 8,
        up: true,
        loopback: false,
        point_to_point: false,
        broadcast: true,
        multicast: true,
        default_route: true,
    }]
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
