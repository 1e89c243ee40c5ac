use super::*;

fn entry(kind: &str, id: &str, path: &str, more: &str) -> String {
    format!(
        "{{\"time\":\"2026-11-24T0{id}:00:00Z\",\"type\":\"{kind}\",\"auth\":{{\"display_name\":\"ann\",\
         \"entity_id\":\"e1\",\"policy_results\":{{\"allowed\":true,\"granting_policies\":\
         [{{\"name\":\"p\"}}]}}}},\"request\":{{\"id\":\"{id}\",\"operation\":\"read\",\"path\":\
         \"{path}\",\"mount_class\":\"secret\"}}{more}}}"
    )
}

fn refused(kind: &str, id: &str, path: &str) -> String {
    entry(kind, id, path, ",\"error\":\"1 error occurred:\\n\\t* permission denied\\n\\n\"")
        .replace(
            "\"allowed\":true,\"granting_policies\":[{\"name\":\"p\"}]",
            "\"allowed\":false,\"refusal\":\"no rule matches the path\"",
        )
}

fn report(filter: Filter, lines: &[String]) -> Report {
    let mut report = Report::new(filter);
    for line in lines {
        report.line(line.as_bytes());
    }
    report
}

fn log() -> Vec<String> {
    vec![
        "{\"type\":\"chain\",\"time\":\"t\"}".into(),
        entry("request", "1", "secret/data/a", ""),
        entry("response", "1", "secret/data/a", ",\"response\":{}"),
        refused("request", "2", "secret/data/b"),
        format!("prefix {}", refused("response", "2", "secret/data/b")),
        entry("request", "3", "secret/data/<script>", ""),
        entry(
            "response",
            "4",
            "sys/policies/acl/x",
            ",\"error\":\"1 error occurred:\\n\\t* invalid request\\n\\n\"",
        ),
        "garbage".into(),
    ]
}

#[test]
fn each_request_is_one_row_with_its_outcome_and_the_policy_that_decided() {
    let mut report = report(Filter::default(), &log());
    let rows: Vec<String> = report
        .rows()
        .iter()
        .map(|row| {
            let policies = row.policies.join(",");
            format!("{} {:?} {:?} {policies}|{}", row.path, row.kind, row.outcome, row.reason)
        })
        .collect();
    assert_eq!(
        rows,
        [
            "secret/data/a Secret Allowed p|",
            "secret/data/b Secret Refused |no rule matches the path",
            "secret/data/<script> Secret Unanswered p|",
            "sys/policies/acl/x Policy Failed p|invalid request",
        ]
    );
    assert_eq!(report.skipped, 2);
}

#[test]
fn filters_let_through_what_they_name() {
    let at = |text| Timestamp::parse_rfc3339(text);
    let path = |path: &str| Filter { path: Some(path.into()), ..Filter::default() };
    let entity = |entity: &str| Filter { entity: Some(entity.into()), ..Filter::default() };
    for (filter, expected) in [
        (Filter { since: at("2026-11-24T02:00:00Z"), ..Filter::default() }, 3),
        (Filter { until: at("2026-11-24T02:00:00Z"), ..Filter::default() }, 1),
        (Filter { kind: Some(Kind::Policy), ..Filter::default() }, 1),
        (path("secret"), 3),
        (path("secret/data/a/"), 1),
        (path("secret/dat"), 0),
        (path("secret/*/b"), 1),
        (path("*a"), 1),
        (path("sys/*/acl/*"), 1),
        (entity("e1"), 4),
        (entity("ann"), 4),
        (entity("bob"), 0),
    ] {
        let shown = format!("{filter:?}");
        assert_eq!(report(filter, &log()).rows().len(), expected, "{shown}");
    }
}

#[test]
fn kinds_are_told_from_paths() {
    for (path, operation, class, gave_token, expected) in [
        ("sys/policies/acl/x", "update", "secret", false, Kind::Policy),
        ("sys/policy", "list", "secret", false, Kind::Policy),
        ("sys/auth/userpass", "update", "secret", false, Kind::Auth),
        ("sys/mounts/kv", "update", "secret", false, Kind::Mount),
        ("sys/rotate", "update", "secret", false, Kind::Key),
        ("sys/rekey/init", "update", "secret", false, Kind::Key),
        ("sys/audit/file", "update", "secret", false, Kind::Audit),
        ("sys/auditor", "read", "secret", false, Kind::System),
        ("auth/token/create", "update", "auth", true, Kind::Token),
        ("auth/userpass/login/u", "update", "auth", false, Kind::Login),
        ("auth/userpass/users/u", "update", "auth", false, Kind::Auth),
        ("identity/entity", "update", "secret", false, Kind::Auth),
        ("transit/keys/k/rotate", "update", "secret", false, Kind::Key),
        ("secret/data/rotate", "read", "secret", false, Kind::Secret),
    ] {
        assert_eq!(kind::of(path, operation, class, gave_token), expected, "{path}");
    }
}

#[test]
fn the_page_needs_nothing_else_and_shows_text_as_text() {
    let page = report(Filter::default(), &log()).html("2026-11-24T00:00:00Z");
    assert!(page.contains("secret/data/&lt;script&gt;"));
    assert_eq!(page.matches("<script>").count(), 1, "only the page's own");
    for outside in ["http:", "https:", "src=", "@import", "url(", "<link"] {
        assert!(!page.contains(outside), "{outside}");
    }
    for needed in [
        "lang=\"en\"",
        "<caption>",
        "scope=\"col\"",
        "prefers-color-scheme: dark",
        "default-src 'none'",
    ] {
        assert!(page.contains(needed), "{needed}");
    }
    assert_eq!(page.matches("<tr").count(), page.matches("</tr>").count());
}

#[test]
fn csv_cells_are_quoted_and_no_formula_runs() {
    let mut lines = log();
    lines.push(entry("response", "5", "=cmd(),x", ""));
    let text = report(Filter::default(), &lines).csv();
    let rows: Vec<&str> = text.split("\r\n").collect();
    assert_eq!(rows.len(), 7, "a header, five rows and the end");
    assert!(rows[0].starts_with("time,outcome,kind,operation,path,who"));
    assert!(rows[5].contains("\"'=cmd(),x\""), "{}", rows[5]);
}

#[test]
fn the_table_has_no_control_characters() {
    let lines = [entry("response", "1", "a\\u001b[2Jb", "")];
    let table = report(Filter::default(), &lines).table();
    assert!(table.iter().flatten().all(|cell| !cell.contains('\u{1b}')));
}
