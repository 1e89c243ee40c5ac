use super::*;

#[test]
fn names_are_declared_once_and_in_order() {
    let order = |metric: &Metric| (format!("{:?}", metric.kind), metric.name);
    for pair in METRICS.windows(2) {
        let [a, b] = pair else { unreachable!() };
        assert!(order(a) < order(b), "{} and {}", a.name, b.name);
    }
}

#[test]
fn samples_get_the_prefix_and_the_common_labels() {
    let telemetry = Telemetry::new(Settings { host: Some("a\"b".into()), ..Settings::default() });
    let telemetry = telemetry.unwrap();
    telemetry.add(Box::new(|| {
        metrics::gauge!("core.unsealed").set(1.0);
        metrics::gauge!("raft.peers", "of" => "x y").set(3.0);
    }));
    let text = telemetry.prometheus(Some("main")).unwrap();
    for line in [
        "# TYPE vault_core_unsealed gauge",
        "# HELP vault_core_unsealed 1 where this node has its keys.",
        "vault_core_unsealed{cluster=\"main\",host=\"a\\\"b\"} 1",
        "vault_raft_peers{cluster=\"main\",host=\"a\\\"b\",of=\"x y\"} 3",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
    }
    assert!(text.contains("\nprocess_resident_memory_bytes{"), "{text}");
}

/// Otherwise an alert on their growth would miss the first failure.
#[test]
fn failures_of_audit_are_shown_before_there_is_one() {
    let telemetry = Telemetry::new(Settings::default()).unwrap();
    for count in [0, 1] {
        let text = telemetry.prometheus(None).unwrap();
        for name in SHOWN_AT_ZERO {
            assert!(METRICS.iter().any(|known| known.name == name), "{name}");
            let line = format!("vault_{} {count}", name.replace('.', "_"));
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
            metrics::with_local_recorder(&telemetry.events, || {
                metrics::counter!(name).increment(1);
            });
        }
    }
}

#[test]
fn what_is_looked_up_is_gone_with_what_it_was_of() {
    let telemetry = Telemetry::new(Settings::default()).unwrap();
    let peers = Arc::new(Mutex::new(vec!["a", "b"]));
    let seen = peers.clone();
    telemetry.add(Box::new(move || {
        for peer in seen.lock().unwrap().iter() {
            metrics::gauge!("raft_storage.follower.last_heartbeat_ms", "peer_id" => *peer).set(1.0);
        }
    }));
    assert!(telemetry.prometheus(None).unwrap().contains("peer_id=\"b\""));
    peers.lock().unwrap().pop();
    assert!(!telemetry.prometheus(None).unwrap().contains("peer_id=\"b\""));
}

#[test]
fn the_json_form_tells_gauges_counters_and_samples_apart() {
    let telemetry = Telemetry::new(Settings::default()).unwrap();
    metrics::with_local_recorder(&telemetry.events, || {
        metrics::counter!("http.requests", "status" => "200").increment(2);
        metrics::histogram!("core.handle_request").record(3.0);
        metrics::histogram!("core.handle_request").record(5.0);
        metrics::histogram!("route.read.secret-").record(1.0);
    });
    telemetry.add(Box::new(|| metrics::gauge!("core.active").set(1.0)));
    let json = telemetry.json(None, Timestamp(0)).unwrap();
    let find = |list: &str, name: &str| {
        let list = json[list].as_array().unwrap();
        list.iter()
            .find(|metric| metric["Name"] == name)
            .unwrap_or_else(|| panic!("{name}: {json}"))
            .clone()
    };
    assert_eq!(find("Gauges", "vault.core.active")["Value"], 1.0);
    let counter = find("Counters", "vault.http.requests");
    assert_eq!((&counter["Count"], &counter["Labels"]["status"]), (&2.0.into(), &"200".into()));
    let sample = find("Samples", "vault.core.handle_request");
    assert_eq!((&sample["Count"], &sample["Sum"]), (&2.0.into(), &8.0.into()));
    find("Samples", "vault.route.read.secret_");
}

#[test]
fn every_metric_that_the_source_names_is_in_the_table() {
    let mut folders = vec![std::path::PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src")];
    let mut found = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            if path.ends_with("telemetry/tests.rs") {
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap_or_default();
            for macro_name in ["counter!(\"", "gauge!(\"", "histogram!(\""] {
                for use_of in text.split(macro_name).skip(1) {
                    let name = use_of.split('"').next().unwrap();
                    found += 1;
                    assert!(
                        METRICS.iter().any(|metric| metric.name == name),
                        "{}: `{name}` is not in METRICS",
                        path.display()
                    );
                }
            }
        }
    }
    assert!(found > 20);
}
