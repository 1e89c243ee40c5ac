//! Kubernetes' label selectors (`metav1.LabelSelector`): all that is demanded must hold.

use std::collections::BTreeMap;

use serde::Deserialize;

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Selector {
    match_labels: BTreeMap<String, String>,
    match_expressions: Vec<Expression>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Expression {
    key: String,
    operator: Operator,
    #[serde(default)]
    values: Vec<String>,
}

#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
enum Operator {
    DoesNotExist,
    Exists,
    In,
    NotIn,
}

impl Selector {
    /// # Errors
    /// With what is wrong with it.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let selector: Self = serde_json::from_str(text).map_err(|error| {
            format!("a label selector as JSON is expected, such as {EXAMPLE}: {error}")
        })?;
        for Expression { key, operator, values } in &selector.match_expressions {
            let wants_values = matches!(operator, Operator::In | Operator::NotIn);
            if wants_values == values.is_empty() {
                let have = if wants_values { "needs values" } else { "takes no values" };
                return Err(format!("{operator:?} of {key:?} {have}"));
            }
        }
        if selector.match_labels.is_empty() && selector.match_expressions.is_empty() {
            return Err("it demands nothing, and so would select every namespace".into());
        }
        Ok(selector)
    }

    pub(super) fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        let holds = |expression: &Expression| {
            let value = labels.get(&expression.key);
            match expression.operator {
                Operator::DoesNotExist => value.is_none(),
                Operator::Exists => value.is_some(),
                Operator::In => value.is_some_and(|value| expression.values.contains(value)),
                // As in Kubernetes, also where there is no such label.
                Operator::NotIn => value.is_none_or(|value| !expression.values.contains(value)),
            }
        };
        self.match_labels.iter().all(|(name, value)| labels.get(name) == Some(value))
            && self.match_expressions.iter().all(holds)
    }
}

const EXAMPLE: &str = r#"{"matchLabels":{"team":"a"}}"#;

#[cfg(test)]
mod tests;
