//! Prometheus' text format: names and labels are added to it, and it is read for the JSON form.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::names::METRICS;
use crate::clock::Timestamp;

/// With a prefix for each name, but for those of the process, and labels for each sample.
pub(super) fn with(rendered: &str, prefix: &str, labels: &[(&str, String)]) -> String {
    let labels: Vec<String> =
        labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
    let labels = labels.join(",");
    let mut text = String::with_capacity(rendered.len().saturating_mul(5) / 4);
    for line in rendered.lines().filter(|line| !line.is_empty()) {
        if let Some(comment) = line.strip_prefix("# ") {
            let (word, rest) = comment.split_once(' ').unwrap_or((comment, ""));
            text.push_str("# ");
            text.push_str(word);
            text.push(' ');
            push_name(&mut text, prefix, rest);
        } else if let Some(sample) = Sample::parse(line) {
            push_name(&mut text, prefix, sample.name);
            let both = !labels.is_empty() && !sample.labels.is_empty();
            if !labels.is_empty() || !sample.labels.is_empty() {
                text.push('{');
                text.push_str(&labels);
                text.push_str(if both { "," } else { "" });
                text.push_str(sample.labels);
                text.push('}');
            }
            text.push(' ');
            text.push_str(sample.value);
        }
        text.push('\n');
    }
    text
}

fn push_name(text: &mut String, prefix: &str, name: &str) {
    if !prefix.is_empty() && !name.starts_with("process_") {
        text.push_str(prefix);
        text.push('_');
    }
    text.push_str(name);
}

/// As Vault's, with `Stddev` left out: it is not kept.
pub(super) fn json(
    rendered: &str,
    prefix: &str,
    labels: &[(&str, String)],
    now: Timestamp,
    interval: f64,
) -> Value {
    let families = families(rendered, labels);
    let (mut gauges, mut counters, mut samples) = (Vec::new(), Vec::new(), Vec::new());
    for ((name, labels), family) in &families {
        let dotted = dotted(name);
        let name = if prefix.is_empty() || name.starts_with("process_") {
            dotted
        } else {
            format!("{prefix}.{dotted}")
        };
        let labels: Map<String, Value> =
            labels.iter().map(|(name, value)| (name.clone(), value.clone().into())).collect();
        match family.kind {
            "counter" => counters.push(json!({
                "Name": name, "Count": family.value, "Rate": family.value / interval,
                "Sum": family.value, "Min": family.value, "Max": family.value,
                "Mean": family.value, "Labels": labels,
            })),
            "summary" | "histogram" => samples.push(json!({
                "Name": name, "Count": family.count, "Rate": family.sum / interval,
                "Sum": family.sum, "Min": family.least, "Max": family.greatest,
                "Mean": if family.count > 0.0 { family.sum / family.count } else { 0.0 },
                "Labels": labels,
            })),
            _ => gauges.push(json!({ "Name": name, "Value": family.value, "Labels": labels })),
        }
    }
    json!({
        "Timestamp": now.rfc3339(),
        "Gauges": gauges,
        "Points": [],
        "Counters": counters,
        "Samples": samples,
    })
}

type Labels = BTreeMap<String, String>;

#[derive(Default)]
struct Family<'a> {
    kind: &'a str,
    value: f64,
    count: f64,
    sum: f64,
    least: f64,
    greatest: f64,
}

fn families<'a>(
    rendered: &'a str,
    common: &[(&str, String)],
) -> BTreeMap<(&'a str, Labels), Family<'a>> {
    let mut kinds = BTreeMap::new();
    let mut families: BTreeMap<(&str, Labels), Family<'_>> = BTreeMap::new();
    for line in rendered.lines() {
        if let Some(kind) = line.strip_prefix("# TYPE ") {
            kinds.extend(kind.split_once(' '));
            continue;
        }
        let Some(sample) = Sample::parse(line) else {
            continue;
        };
        let base = ["_count", "_sum", "_bucket"]
            .iter()
            .find_map(|suffix| Some((sample.name.strip_suffix(suffix)?, *suffix)))
            .filter(|(base, _)| kinds.contains_key(base));
        let (name, part) = base.unwrap_or((sample.name, ""));
        let mut labels: Labels =
            common.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        labels.extend(parse_labels(sample.labels));
        let quantile = labels.remove("quantile");
        let bucket = labels.remove("le");
        let family = families.entry((name, labels)).or_default();
        family.kind = kinds.get(name).copied().unwrap_or_default();
        let Ok(value) = sample.value.parse() else {
            continue;
        };
        match (part, quantile.as_deref(), bucket) {
            ("_count", ..) => family.count = value,
            ("_sum", ..) => family.sum = value,
            (_, Some("0"), _) => family.least = value,
            (_, Some("1"), _) => family.greatest = value,
            (_, None, None) => family.value = value,
            _ => {}
        }
    }
    families
}

struct Sample<'a> {
    name: &'a str,
    /// Between the braces.
    labels: &'a str,
    value: &'a str,
}

impl<'a> Sample<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        if line.starts_with('#') {
            return None;
        }
        let (start, value) = line.rsplit_once(' ')?;
        let (name, labels) = match start.split_once('{') {
            Some((name, labels)) => (name, labels.strip_suffix('}')?),
            None => (start, ""),
        };
        Some(Self { name, labels, value })
    }
}

fn parse_labels(text: &str) -> Labels {
    let mut labels = Labels::new();
    let mut rest = text;
    while let Some((name, after)) = rest.split_once("=\"") {
        let mut value = String::new();
        let mut letters = after.char_indices();
        let end = loop {
            match letters.next() {
                Some((_, '\\')) => match letters.next() {
                    Some((_, 'n')) => value.push('\n'),
                    Some((_, letter)) => value.push(letter),
                    None => return labels,
                },
                Some((at, '"')) => break at,
                Some((_, letter)) => value.push(letter),
                None => return labels,
            }
        };
        labels.insert(name.trim_start_matches(',').to_owned(), value);
        rest = after.get(end.saturating_add(1)..).unwrap_or_default();
    }
    labels
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

/// As Vault spells it in JSON: Prometheus takes no dots.
fn dotted(name: &str) -> String {
    if let Some(metric) = METRICS.iter().find(|metric| metric.name.replace('.', "_") == name) {
        return metric.name.to_owned();
    }
    match name.strip_prefix("route_").and_then(|rest| rest.split_once('_')) {
        Some((operation, mount)) => format!("route.{operation}.{mount}"),
        None => name.to_owned(),
    }
}
