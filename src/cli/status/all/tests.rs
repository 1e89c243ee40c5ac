use super::*;

#[test]
fn metrics_are_read_under_any_prefix() {
    let text = "# TYPE x gauge\n\
        vault_raft_storage_stats_term{cluster=\"c\"} 7\n\
        vault_raft_storage_stats_applied_index 90\n\
        vault_raft_storage_stats_commit_index 95\n\
        vault_listener_cert_not_after_seconds{listener=\"a\"} 2000000\n\
        vault_cluster_cert_not_after_seconds 1000000\n\
        vault_build_info{version=\"0.1.0\",vault_version=\"1.19.0\"} 1\n\
        damaged\n";
    for text in [text.to_owned(), text.replace("vault_", "acme_")] {
        let metrics = Metrics::read(&text);
        assert_eq!(metrics.term, Some(7.0));
        assert_eq!(metrics.certificate_end, Some(1_000_000.0));
        assert_eq!(metrics.version.as_deref(), Some("0.1.0"));
        let shown = Shown { metrics, ..Shown::default() };
        assert_eq!(shown.lag(95.0), Some(5.0));
        assert_eq!(shown.certificate_days(1_000_000.0 - 86_400.0 * 3.5), Some(3.0));
        assert_eq!(shown.certificate_days(1_000_001.0), Some(-1.0));
    }
    assert_eq!(Metrics::read("").term, None);
}

#[test]
fn the_worst_node_decides() {
    let of = |role, error: Option<&str>| Shown {
        role,
        error: error.map(str::to_owned),
        ..Shown::default()
    };
    let exit = |shown: &[Shown]| verdict(shown).map_or_else(|failure| failure.exit, |()| 0);
    assert_eq!(exit(&[of("active", None), of("standby", None)]), 0);
    for role in ["sealed", "no leader", "removed", "uninitialized"] {
        assert_eq!(exit(&[of("active", None), of(role, None)]), 2, "{role}");
    }
    assert_eq!(exit(&[of("sealed", None), of("unreachable", Some("refused"))]), 1);
}
