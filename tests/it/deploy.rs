//! What `deploy/` says of this program holds.

use std::path::{Path, PathBuf};

use strongroom::telemetry::{Kind, METRICS};

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy").join(name)
}

/// Words of a text that look like metrics of ours.
fn metrics(text: &str) -> impl Iterator<Item = &str> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter(|word| word.starts_with("vault_") && !word.ends_with("vault_version"))
}

fn names() -> Vec<String> {
    let mut names = Vec::new();
    for metric in METRICS {
        let name = format!("vault_{}", metric.name.replace('.', "_"));
        if metric.kind == Kind::Histogram {
            names.extend(["_bucket", "_count", "_sum"].map(|part| format!("{name}{part}")));
        }
        names.push(name);
    }
    names
}

#[test]
fn dashboards_and_alerts_ask_for_metrics_that_exist() {
    let known = names();
    for file in ["grafana/strongroom.json", "prometheus/alerts.yml", "prometheus/alerts_test.yml"] {
        let text = std::fs::read_to_string(folder(file)).unwrap();
        let mut found = 0;
        for name in metrics(&text) {
            found += 1;
            assert!(known.iter().any(|known| known == name), "{file}: there is no `{name}`");
        }
        assert!(found > 20, "{file}");
    }
}

#[test]
fn the_dashboard_is_json_and_each_panel_asks_for_something() {
    let text = std::fs::read_to_string(folder("grafana/strongroom.json")).unwrap();
    let dashboard: serde_json::Value = serde_json::from_str(&text).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let ids: std::collections::BTreeSet<_> =
        panels.iter().map(|panel| panel["id"].to_string()).collect();
    assert_eq!(ids.len(), panels.len());
    for panel in panels.iter().filter(|panel| panel["type"] != "row") {
        assert!(!panel["targets"][0]["expr"].as_str().unwrap().is_empty(), "{}", panel["title"]);
    }
}
