//! What is counted, timed and looked up for whoever watches a node, under Vault's names.
//!
//! What happens is counted where it happens, through the `metrics` crate. What simply is (sealed
//! or not, how far behind) is looked up when someone asks, so that it is never stale.

mod names;
mod process;
mod text;

pub use names::{Kind, METRICS, Metric};

use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusRecorder};
use metrics_util::MetricKindMask;
use serde_json::Value;

use crate::clock::Timestamp;

/// How metrics are named and kept.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What every name begins with, such as `vault`.
    pub prefix: String,
    /// How long a counter or a summary is shown after its last change. Zero: the Prometheus
    /// format is off.
    pub retention: Duration,
    /// A label `host` for each.
    pub host: Option<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self { prefix: "vault".into(), retention: Duration::from_secs(24 * 60 * 60), host: None }
    }
}

/// What a process has counted, and what it looks up.
pub struct Telemetry {
    settings: Settings,
    events: Arc<PrometheusRecorder>,
    sources: Mutex<Vec<Source>>,
}

/// Sets the gauges of one part of the node, through the macros of `metrics`.
pub type Source = Box<dyn Fn() + Send + Sync>;

impl Telemetry {
    /// # Errors
    /// Where the tables of this program do not fit together.
    pub fn new(settings: Settings) -> Result<Self, BuildError> {
        let idle = Some(settings.retention).filter(|retention| !retention.is_zero());
        let events = recorder(idle)?;
        metrics::with_local_recorder(&events, || describe(false));
        let sources: Vec<Source> = vec![Box::new(process::gauges)];
        Ok(Self { settings, events: Arc::new(events), sources: Mutex::new(sources) })
    }

    /// From now on this process counts here. Where several nodes share a process, as in tests,
    /// the first one has the counts of all.
    pub fn install(&self) {
        drop(metrics::set_global_recorder(self.events.clone()));
    }

    /// Whether the Prometheus format is offered.
    pub fn has_prometheus(&self) -> bool {
        !self.settings.retention.is_zero()
    }

    /// Moves what was timed into summaries; must be called now and then even if nobody asks.
    pub fn upkeep(&self) {
        self.events.handle().run_upkeep();
    }

    /// What `source` sets is shown from now on.
    pub fn add(&self, source: Source) {
        self.sources.lock().unwrap_or_else(PoisonError::into_inner).push(source);
    }

    /// In Prometheus' text format, version 0.0.4.
    ///
    /// # Errors
    /// Where the tables of this program do not fit together.
    pub fn prometheus(&self, cluster: Option<&str>) -> Result<String, BuildError> {
        let labels = self.labels(cluster);
        let rendered = self.rendered()?;
        Ok(text::with(&rendered, &self.settings.prefix, &labels))
    }

    /// As Vault answers where no format is asked for; the interval is the time since the process
    /// began.
    ///
    /// # Errors
    /// As [`Self::prometheus`].
    pub fn json(&self, cluster: Option<&str>, now: Timestamp) -> Result<Value, BuildError> {
        let labels = self.labels(cluster);
        let rendered = self.rendered()?;
        let uptime = process::uptime().unwrap_or_default().as_secs_f64().max(1.0);
        Ok(text::json(&rendered, &self.settings.prefix, &labels, now, uptime))
    }

    fn rendered(&self) -> Result<String, BuildError> {
        metrics::with_local_recorder(&self.events, || {
            for name in SHOWN_AT_ZERO {
                metrics::counter!(name).increment(0);
            }
        });
        let moment = recorder(None)?;
        metrics::with_local_recorder(&moment, || {
            describe(true);
            let sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
            sources.iter().for_each(|source| source());
        });
        let mut rendered = self.events.handle().render();
        rendered.push_str(&moment.handle().render());
        Ok(rendered)
    }

    fn labels(&self, cluster: Option<&str>) -> Vec<(&'static str, String)> {
        let cluster = cluster.map(|name| ("cluster", name.to_owned()));
        let host = self.settings.host.clone().map(|host| ("host", host));
        cluster.into_iter().chain(host).collect()
    }
}

#[derive(Debug, thiserror::Error)]
#[error("metrics cannot be kept: {0}")]
pub struct BuildError(#[from] metrics_exporter_prometheus::BuildError);

fn recorder(idle: Option<Duration>) -> Result<PrometheusRecorder, BuildError> {
    let builder = PrometheusBuilder::new()
        .set_quantiles(&QUANTILES)?
        .set_bucket_duration(SUMMARY_PERIOD)?
        .set_bucket_count(SUMMARY_PERIODS)
        .set_buckets_for_metric(Matcher::Suffix("_seconds".into()), &SECONDS)?
        .idle_timeout(MetricKindMask::COUNTER | MetricKindMask::HISTOGRAM, idle);
    Ok(builder.build_recorder())
}

/// Of the tables those that are looked up, or those that are counted.
fn describe(looked_up: bool) {
    for metric in METRICS.iter().filter(|metric| (metric.kind == Kind::LookedUp) == looked_up) {
        match metric.kind {
            Kind::Counter => metrics::describe_counter!(metric.name, metric.about),
            Kind::Gauge | Kind::LookedUp => metrics::describe_gauge!(metric.name, metric.about),
            Kind::Summary | Kind::Histogram => {
                metrics::describe_histogram!(metric.name, metric.about);
            }
        }
    }
}

/// What alerts watch the growth of: from nothing to one is none, from zero to one is. Looked up each
/// time, since what does not change for long is forgotten.
const SHOWN_AT_ZERO: [&str; 2] = ["audit.log_request_failure", "audit.log_response_failure"];

/// Those of Vault, and the least and the greatest, for the JSON form.
const QUANTILES: [f64; 5] = [0.0, 0.5, 0.9, 0.99, 1.0];

/// Summaries forget after `SUMMARY_PERIODS` of these.
const SUMMARY_PERIOD: Duration = Duration::from_secs(20);

const SUMMARY_PERIODS: NonZeroU32 = NonZeroU32::MIN.saturating_add(2);

/// Of histograms: from half a millisecond to the longest that a request may take.
const SECONDS: [f64; 16] = [
    0.0005, 0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128, 0.256, 0.512, 1.0, 2.5, 10.0,
    30.0, 90.0,
];

#[cfg(test)]
mod tests;
