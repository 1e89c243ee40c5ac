use super::Row;

pub(super) const COLUMNS: [&str; 11] = [
    "Time",
    "Outcome",
    "Kind",
    "Operation",
    "Path",
    "Who",
    "Entity",
    "Remote",
    "Policies",
    "Reason",
    "Request",
];

pub(super) fn cells(row: &Row) -> [String; 11] {
    [
        row.time.clone(),
        row.outcome.name().to_owned(),
        row.kind.name().to_owned(),
        row.operation.clone(),
        format!("{}{}", row.namespace, row.path),
        if row.who.is_empty() { "(no token)".into() } else { row.who.clone() },
        row.entity.clone(),
        row.remote.clone(),
        row.policies.join(" "),
        row.reason.clone(),
        row.request_id.clone(),
    ]
}

/// What fits a terminal: without entity and request.
pub(super) fn table(rows: &[Row]) -> Vec<Vec<String>> {
    let shown = |cells: &[String]| -> Vec<String> {
        let cells = cells.iter().enumerate().filter(|(at, _)| !matches!(at, 6 | 10));
        // A path may hold what moves a terminal's cursor.
        cells.map(|(_, cell)| cell.replace(|c: char| c.is_control(), " ")).collect()
    };
    let mut table = vec![shown(&COLUMNS.map(str::to_owned))];
    table.extend(rows.iter().map(|row| shown(&cells(row))));
    table
}

/// RFC 4180.
pub(super) fn csv(rows: &[Row]) -> String {
    let mut text = COLUMNS.map(str::to_lowercase).join(",");
    text.push_str("\r\n");
    for row in rows {
        let cells: Vec<String> = cells(row).iter().map(|cell| csv_cell(cell)).collect();
        text.push_str(&cells.join(","));
        text.push_str("\r\n");
    }
    text
}

fn csv_cell(cell: &str) -> String {
    // A spreadsheet takes such a cell for a formula, and paths are anyone's text.
    let is_formula = cell.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let cell = if is_formula { format!("'{cell}") } else { cell.to_owned() };
    if cell.contains([',', '"', '\n', '\r']) {
        return format!("\"{}\"", cell.replace('"', "\"\""));
    }
    cell
}

impl super::Outcome {
    pub fn name(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::Refused => "refused",
            Self::Failed => "failed",
            Self::Unanswered => "unanswered",
        }
    }
}
