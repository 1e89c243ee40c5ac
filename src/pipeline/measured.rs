//! What the pipeline counts and times. Handles are kept: looking one up costs more than using it.

use std::collections::BTreeMap;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use metrics::{Counter, Histogram, counter, histogram};

use super::Known;
use crate::request::Operation;

/// Of one pipeline, in the recorder that the process had when it was first used.
#[derive(Default)]
pub(super) struct Measured {
    common: OnceLock<Common>,
    /// By operation and mount.
    routes: Mutex<BTreeMap<(Operation, String), Histogram>>,
}

struct Common {
    apply: Counter,
    check: Histogram,
    commit: Histogram,
    conflict: Counter,
    login: Histogram,
    log_request: Histogram,
    log_response: Histogram,
    request: Histogram,
}

impl Measured {
    fn common(&self) -> &Common {
        self.common.get_or_init(|| Common {
            apply: counter!("raft.apply"),
            check: histogram!("core.check_token"),
            commit: histogram!("raft.commitTime"),
            conflict: counter!("request.conflicts"),
            login: histogram!("core.handle_login_request"),
            log_request: histogram!("audit.log_request"),
            log_response: histogram!("audit.log_response"),
            request: histogram!("core.handle_request"),
        })
    }

    pub(super) fn check(&self, time: Duration) {
        self.common().check.record(milliseconds(time));
    }

    pub(super) fn commit(&self, time: Duration) {
        self.common().apply.increment(1);
        self.common().commit.record(milliseconds(time));
    }

    pub(super) fn conflict(&self) {
        self.common().conflict.increment(1);
    }

    pub(super) fn audit(&self, is_request: bool, time: Duration, accepted: bool) {
        let common = self.common();
        let (summary, failure) = if is_request {
            (&common.log_request, "audit.log_request_failure")
        } else {
            (&common.log_response, "audit.log_response_failure")
        };
        summary.record(milliseconds(time));
        if !accepted {
            counter!(failure).increment(1);
        }
    }

    /// There are few methods, and their names are this program's.
    pub(super) fn token(&self, method: &str) {
        counter!("token.creation", "auth_method" => method.to_owned()).increment(1);
    }

    #[expect(clippy::unused_self, reason = "all that is measured is told to this")]
    pub(super) fn lease_refused(&self) {
        counter!("quota.lease_count.violation").increment(1);
    }

    pub(super) fn request(&self, known: &Known, time: Duration) {
        let common = self.common();
        let summary = if known.is_login { &common.login } else { &common.request };
        summary.record(milliseconds(time));
        let Some(mount) = &known.mount else {
            return;
        };
        let key = (known.operation, mount.api_path());
        let mut routes = self.routes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(route) = routes.get(&key) {
            route.record(milliseconds(time));
        } else if routes.len() < ROUTES_MAX {
            let name = format!("route.{}.{}", known.operation.name(), key.1.replace('/', "-"));
            let route = histogram!(name);
            route.record(milliseconds(time));
            routes.insert(key, route);
        }
    }
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

/// As Vault's `maximum_gauge_cardinality`: whoever mounts thousands does not watch each.
const ROUTES_MAX: usize = 500;
