//! One page, for auditors: no asset from elsewhere, no request to anyone.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::text::{COLUMNS, cells};
use super::{Kind, Outcome, Row};

pub(super) fn page(rows: &[Row], left_out: u64, made: &str) -> String {
    let mut page = String::with_capacity(rows.len().saturating_mul(300).saturating_add(8192));
    let period = match (rows.first(), rows.last()) {
        (Some(first), Some(last)) => format!("{} to {}", escape(&first.time), escape(&last.time)),
        _ => "no requests".to_owned(),
    };
    page.push_str(HEAD);
    let count = |outcome| rows.iter().filter(|row| row.outcome == outcome).count();
    write(
        &mut page,
        format_args!(
            "<header><h1>Audit report</h1><p>{period}. Made {}.</p></header>\n<main>\n\
         <section aria-labelledby=\"totals\"><h2 id=\"totals\">Totals</h2><dl class=\"totals\">\
         <div><dt>Requests</dt><dd>{}</dd></div><div><dt>Allowed</dt><dd>{}</dd></div>\
         <div><dt>Refused</dt><dd>{}</dd></div><div><dt>Failed</dt><dd>{}</dd></div>\
         <div><dt>Unanswered</dt><dd>{}</dd></div></dl>",
            escape(made),
            rows.len(),
            count(Outcome::Allowed),
            count(Outcome::Refused),
            count(Outcome::Failed),
            count(Outcome::Unanswered),
        ),
    );
    if left_out > 0 {
        write(
            &mut page,
            format_args!(
                "<p class=\"warning\">{left_out} further requests are not shown: choose a shorter time.</p>"
            ),
        );
    }
    page.push_str("</section>\n");
    accesses(&mut page, rows);
    let is_change = |row: &&Row| {
        row.kind.is_administration()
            && matches!(row.operation.as_str(), "create" | "update" | "patch" | "delete")
    };
    table(
        &mut page,
        "changes",
        "Changes to policies, auth, mounts, keys and audit",
        rows.iter().filter(is_change),
    );
    table(
        &mut page,
        "refused",
        "Refused requests",
        rows.iter().filter(|row| row.outcome == Outcome::Refused),
    );
    table(&mut page, "all", "All requests", rows.iter());
    page.push_str(TAIL);
    page
}

/// Which secret was asked for by whom, how often, when last.
fn accesses(page: &mut String, rows: &[Row]) {
    let mut seen: BTreeMap<(String, String), (u64, u64, String)> = BTreeMap::new();
    for row in rows.iter().filter(|row| row.kind == Kind::Secret) {
        let [_, _, _, _, path, who, ..] = cells(row);
        let entry = seen.entry((path, who)).or_default();
        match row.outcome {
            Outcome::Allowed => entry.0 += 1,
            _ => entry.1 += 1,
        }
        entry.2.clone_from(&row.time);
    }
    let columns = ["Path", "Who", "Allowed", "Not allowed or failed", "Last"];
    begin(page, "secrets", "Secrets, and who asked for them", seen.len(), &columns);
    for ((path, who), (allowed, other, last)) in &seen {
        line(page, &[path, who, &allowed.to_string(), &other.to_string(), last], "");
    }
    page.push_str("</tbody></table></div></section>\n");
}

fn table<'r>(
    page: &mut String,
    id: &str,
    title: &str,
    rows: impl Iterator<Item = &'r Row> + Clone,
) {
    begin(page, id, title, rows.clone().count(), &COLUMNS);
    for row in rows {
        let cells = cells(row);
        line(page, &cells.each_ref().map(String::as_str), row.outcome.name());
    }
    page.push_str("</tbody></table></div></section>\n");
}

fn begin(page: &mut String, id: &str, title: &str, count: usize, columns: &[&str]) {
    write(
        page,
        format_args!(
            "<section aria-labelledby=\"{id}\"><h2 id=\"{id}\">{title}</h2>\
         <div class=\"scroll\" role=\"region\" aria-labelledby=\"{id}\" tabindex=\"0\">\
         <table class=\"sortable\"><caption>{count} rows. A column's button sorts by it.</caption>\
         <thead><tr>"
        ),
    );
    for column in columns {
        write(
            page,
            format_args!("<th scope=\"col\"><button type=\"button\">{column}</button></th>"),
        );
    }
    page.push_str("</tr></thead><tbody>\n");
}

fn line(page: &mut String, cells: &[&str], class: &str) {
    write(page, format_args!("<tr class=\"{class}\">"));
    for cell in cells {
        write(page, format_args!("<td>{}</td>", escape(cell)));
    }
    page.push_str("</tr>\n");
}

fn write(page: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a string does not fail.
    let _written = page.write_fmt(text);
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c if c.is_control() => escaped.push(char::REPLACEMENT_CHARACTER),
            c => escaped.push(c),
        }
    }
    escaped
}

const HEAD: &str = r#"<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'">
<meta name="color-scheme" content="light dark">
<title>Audit report</title>
<style>
:root { color-scheme: light dark; --ink: #1b1f24; --paper: #fff; --line: #c8ced6; --soft: #f2f4f7;
  --bad: #a4201c; --mark: #0b5cad; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e7eaee; --paper: #14171b; --line: #3a424d; --soft: #1f242b; --bad: #ff9a93;
    --mark: #8cc4ff; } }
body { margin: 0 auto; max-width: 90rem; padding: 1rem; color: var(--ink); background: var(--paper);
  font: 1rem/1.5 system-ui, sans-serif; }
.totals { display: flex; flex-wrap: wrap; gap: 1rem; margin: 0; }
.totals div { padding: .5rem 1rem; border: 1px solid var(--line); border-radius: .5rem; }
.totals dd { margin: 0; font-size: 1.5rem; font-variant-numeric: tabular-nums; }
.scroll { overflow-x: auto; max-height: 70vh; }
.scroll:focus-visible, button:focus-visible { outline: 3px solid var(--mark); }
table { border-collapse: collapse; width: 100%; font-size: .875rem; }
caption { text-align: left; padding: .25rem 0; }
th, td { padding: .3rem .5rem; border-bottom: 1px solid var(--line); text-align: left;
  vertical-align: top; overflow-wrap: anywhere; }
thead th { position: sticky; top: 0; background: var(--soft); white-space: nowrap; }
th button { font: inherit; font-weight: 600; color: inherit; background: none; border: 0; padding: 0;
  cursor: pointer; }
th[aria-sort="ascending"] button::after { content: " \2191"; }
th[aria-sort="descending"] button::after { content: " \2193"; }
tr.refused td:nth-child(2), tr.failed td:nth-child(2), .warning { color: var(--bad); font-weight: 600; }
@media print { .scroll { max-height: none; overflow: visible; } }
</style>
</head>
<body>
"#;

const TAIL: &str = r#"</main>
<script>
"use strict";
for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => head.querySelector("button").addEventListener("click", () => {
    const down = head.getAttribute("aria-sort") === "ascending";
    for (const other of heads) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const body = table.tBodies[0];
    const key = row => row.cells[column].textContent;
    const rows = [...body.rows];
    rows.sort((a, b) => key(a).localeCompare(key(b), "en", { numeric: true }));
    if (down) rows.reverse();
    body.append(...rows);
  }));
}
</script>
</body>
</html>
"#;
