use clap::CommandFactory as _;

use super::{escaped, walk};
use crate::cli::{CommandLine, args};

#[test]
fn every_command_and_flag_has_its_place_on_a_page() {
    let root = args::with_go_flags(CommandLine::command().name("strongroom"));
    let mut pages = Vec::new();
    walk(&root, &["strongroom".to_owned()], &root, "2026-11-24", &mut pages);
    let page = |name: &str| &pages.iter().find(|(found, _)| found == name).unwrap().1;
    assert!(pages.len() > 60, "{}", pages.len());
    for (name, words) in [
        ("strongroom", r"\fB\-address\fR="),
        ("strongroom", r"VAULT_TOKEN"),
        ("strongroom-kv-get", r"\fB\-mount\fR="),
        ("strongroom-operator-raft-snapshot-verify", ".SH \"NAME\"\nstrongroom\\-operator\\-"),
        ("strongroom-server", r"\fB\-dev\fR"),
        ("strongroom-kv", r"strongroom\-kv\-get(1)"),
    ] {
        assert!(page(name).contains(words), "{name}: {words}\n{}", page(name));
    }
    for (name, text) in &pages {
        for line in text.lines() {
            let is_request = [".TH ", ".SH ", ".TP", ".PP"].iter().any(|r| line.starts_with(r));
            assert!(!line.starts_with(['.', '\'']) || is_request, "{name}: {line:?}");
        }
    }
}

#[test]
fn what_roff_would_read_as_its_own_is_escaped() {
    assert_eq!(escaped(r"a-b\c `d` 'e'"), r"a\-b\ec \(gad\(ga \(aqe\(aq");
}
