//! What a node shows to whoever watches it.

use super::process::{Process, exchange, get};

fn server(folder: &std::path::Path, telemetry: &str, top: &str) -> Process {
    let data = folder.join("data");
    let text = format!(
        "storage \"raft\" {{\n  path = {data:?}\n}}\nlistener \"tcp\" {{\n  address = \
         \"127.0.0.1:0\"\n  tls_disable = true\n  cluster_address = \"127.0.0.1:0\"\n  telemetry \
         {{\n{telemetry}\n  }}\n}}\n{top}"
    );
    Process::configured(folder, &text)
}

const PROMETHEUS: &str = "/v1/sys/metrics?format=prometheus";

#[test]
fn a_sealed_node_shows_its_metrics_where_the_listener_is_open() {
    let folder = tempfile::tempdir().unwrap();
    let mut node = server(folder.path(), "unauthenticated_metrics_access = true", "");
    let address = node.address();
    let answer = exchange(&address, &get(PROMETHEUS));
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let lower = answer.to_ascii_lowercase();
    assert!(lower.contains("content-type: text/plain; version=0.0.4"), "{answer}");
    for line in ["vault_core_unsealed 0", "vault_core_active 0", "vault_seal_unseal_progress 0"] {
        assert!(answer.lines().any(|found| found == line), "{line}: {answer}");
    }
    assert!(answer.contains("vault_storage_disk_free_bytes "), "{answer}");
    let again = exchange(&address, &get(PROMETHEUS));
    assert!(again.contains("vault_http_requests{status=\"200\"} 1"), "{again}");
    let json = exchange(&address, &get("/v1/sys/metrics"));
    assert!(json.contains("{\"Name\":\"vault.core.unsealed\",\"Value\":0.0,"), "{json}");
    let wrong = exchange(&address, &get("/v1/sys/metrics?format=xml"));
    assert!(wrong.starts_with("HTTP/1.1 400"), "{wrong}");
    assert!(wrong.contains("xml"), "{wrong}");
}

#[test]
fn elsewhere_a_sealed_node_shows_none() {
    let folder = tempfile::tempdir().unwrap();
    let mut node = server(folder.path(), "", "");
    let answer = exchange(&node.address(), &get(PROMETHEUS));
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
}

#[test]
fn a_listener_may_be_closed_to_metrics_or_be_there_for_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let telemetry = "disallow_metrics = true\nunauthenticated_metrics_access = true";
    let mut node = server(folder.path(), telemetry, "");
    let address = node.address();
    for path in [PROMETHEUS, "/v1/sys/metrics", "/v1/sys/metrics/", "/v1/sys/metrics%2F"] {
        let answer = exchange(&address, &get(path));
        assert!(answer.starts_with("HTTP/1.1 403"), "{path}: {answer}");
    }

    let folder = tempfile::tempdir().unwrap();
    let telemetry = "metrics_only = true\nunauthenticated_metrics_access = true";
    let mut node = server(folder.path(), telemetry, "");
    let address = node.address();
    for path in [PROMETHEUS, "/v1/sys/metrics/"] {
        let answer = exchange(&address, &get(path));
        assert!(answer.starts_with("HTTP/1.1 200"), "{path}: {answer}");
    }
    let answer = exchange(&address, &get("/v1/sys/health"));
    assert!(answer.starts_with("HTTP/1.1 404"), "{answer}");
}

#[test]
fn prefix_and_host_are_as_configured_and_the_format_can_be_off() {
    let open = "unauthenticated_metrics_access = true";
    let folder = tempfile::tempdir().unwrap();
    let top = "telemetry {\n  metrics_prefix = \"room\"\n  enable_hostname_label = true\n}\n";
    let mut node = server(folder.path(), open, top);
    let answer = exchange(&node.address(), &get(PROMETHEUS));
    assert!(answer.contains("room_core_unsealed{host=\""), "{answer}");
    assert!(!answer.contains("\nvault_"), "{answer}");

    let folder = tempfile::tempdir().unwrap();
    let top = "telemetry {\n  prometheus_retention_time = 0\n}\n";
    let mut node = server(folder.path(), open, top);
    let address = node.address();
    let answer = exchange(&address, &get(PROMETHEUS));
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    assert!(exchange(&address, &get("/v1/sys/metrics")).starts_with("HTTP/1.1 200"));
}
