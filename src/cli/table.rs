//! Tables of text, as Vault prints them: columns four spaces apart.

/// A table whose first row names the columns; a row of dashes follows it.
pub(super) fn with_header<T: AsRef<str>>(rows: &[Vec<T>]) -> String {
    let mut rows: Vec<Vec<String>> =
        rows.iter().map(|row| row.iter().map(|cell| cell.as_ref().to_owned()).collect()).collect();
    if let Some(header) = rows.first() {
        let dashes = header.iter().map(|cell| "-".repeat(cell.chars().count())).collect();
        rows.insert(1, dashes);
    }
    plain(&rows)
}

/// A table of `Key` and `Value`.
pub(super) fn of_pairs(pairs: &[(String, String)]) -> String {
    let mut rows = vec![vec!["Key", "Value"]];
    rows.extend(pairs.iter().map(|(key, value)| vec![key.as_str(), value.as_str()]));
    with_header(&rows)
}

/// A table without a header.
pub(super) fn plain(rows: &[Vec<String>]) -> String {
    let cells: Vec<Vec<&str>> = rows
        .iter()
        .map(|row| row.iter().map(|cell| or_not_applicable(cell.trim())).collect())
        .collect();
    let columns = cells.iter().map(Vec::len).max().unwrap_or_default();
    let widths: Vec<usize> = (0..columns)
        .map(|column| {
            let cells = cells.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or_default()
        })
        .collect();
    let lines: Vec<String> = cells
        .iter()
        .map(|row| {
            let last = row.len().saturating_sub(1);
            let mut line = String::new();
            for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
                line.push_str(cell);
                if column < last {
                    let gap = width.saturating_sub(cell.chars().count()) + COLUMN_GAP;
                    line.push_str(&" ".repeat(gap));
                }
            }
            line
        })
        .collect();
    lines.join("\n")
}

/// `= Title =`, about as wide as the table of these keys below it.
pub(super) fn title<'a>(title: &str, keys: impl Iterator<Item = &'a str>) -> String {
    let keys = keys.map(|key| key.chars().count()).max().unwrap_or_default();
    title_of_width(title, keys + COLUMN_GAP + "Value".len())
}

pub(super) fn title_of_width(title: &str, width: usize) -> String {
    let signs = width.saturating_sub(title.chars().count() + 2);
    let side = "=".repeat(if signs == 0 { 2 } else { signs.div_ceil(2) });
    format!("{side} {title} {side}")
}

fn or_not_applicable(cell: &str) -> &str {
    if cell.is_empty() { "n/a" } else { cell }
}

const COLUMN_GAP: usize = 4;

#[cfg(test)]
mod tests;
