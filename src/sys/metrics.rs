//! `sys/metrics`: what this node has counted. Any node answers for itself.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{MetricsFormat, Node};
use crate::framework::{Call, Route};
use crate::request::{Error, Reply};

pub(super) fn routes() -> Vec<Route<Node>> {
    vec![Route::new("metrics", "What this node has counted.").on_this_node().read(metrics)]
}

#[derive(Deserialize, JsonSchema)]
struct ReadMetrics {
    /// `prometheus`, or JSON where it is empty.
    #[serde(default)]
    format: String,
}

async fn metrics(call: &mut Call<'_, Node>, input: ReadMetrics) -> Result<Reply, Error> {
    let accepts = |kind: &str| {
        let accepted = call.request.headers.get("accept").into_iter().flatten();
        accepted.flat_map(|value| value.split(',')).any(|value| value.trim().starts_with(kind))
    };
    let format = match input.format.as_str() {
        "prometheus" => MetricsFormat::Prometheus,
        "" if accepts("application/openmetrics-text") || accepts("text/plain") => {
            MetricsFormat::Prometheus
        }
        "" | "json" => MetricsFormat::Json,
        other => {
            return Err(Error::BadRequest(format!(
                "metric response format {other:?} unknown: \"prometheus\", or leave it out for JSON"
            )));
        }
    };
    call.state.metrics(format)
}
