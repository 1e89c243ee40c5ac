//! `sys/internal/counters`: how many tokens and entities there are.
//!
//! Nothing is counted for them: the store knows how many records each directory has.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Node;
use crate::clock::Timestamp;
use crate::framework::{Call, NoParams, Route};
use crate::request::{Error, Reply};

pub(super) fn routes() -> Vec<Route<Node>> {
    vec![
        Route::new("internal/counters/tokens", "How many service tokens there are.").read(tokens),
        Route::new("internal/counters/entities", "How many entities there are.").read(entities),
        Route::new("internal/counters/requests", "What Vault no longer counts.").read(requests),
        Route::new("internal/counters/activity", "Clients by time: none are counted.")
            .read(activity),
        Route::new(
            "internal/counters/activity/monthly",
            "Clients of this month: none are counted.",
        )
        .read(monthly),
        Route::new("internal/counters/config", "Whether clients are counted.").read(config),
    ]
}

async fn tokens(call: &mut Call<'_, Node>, _: NoParams) -> Result<Reply, Error> {
    let total = call.storage.directory_records(TOKENS)?;
    Reply::of(&json!({ "counters": { "service_tokens": { "total": total } } }))
}

async fn entities(call: &mut Call<'_, Node>, _: NoParams) -> Result<Reply, Error> {
    let total = call.storage.directory_records(ENTITIES)?;
    Reply::of(&json!({ "counters": { "entities": { "total": total } } }))
}

async fn requests(_: &mut Call<'_, Node>, _: NoParams) -> Result<Reply, Error> {
    Err(Error::Missing("The functionality has been removed on this path".into()))
}

#[derive(Deserialize, JsonSchema)]
struct Period {
    /// RFC 3339, or seconds since 1970.
    #[serde(default)]
    start_time: String,
    /// RFC 3339, or seconds since 1970; now where nothing is said.
    #[serde(default)]
    end_time: String,
}

/// Well formed, because dashboards read it.
async fn activity(call: &mut Call<'_, Node>, input: Period) -> Result<Reply, Error> {
    let time = |name: &str, text: &str, usual: Timestamp| match text.trim() {
        "" => Ok(usual),
        text => text
            .parse()
            .ok()
            .map(Timestamp::from_seconds)
            .or_else(|| Timestamp::parse_rfc3339(text))
            .ok_or_else(|| Error::BadRequest(format!("`{name}` must be a time in RFC 3339"))),
    };
    let start = time("start_time", &input.start_time, call.now)?;
    let end = time("end_time", &input.end_time, call.now)?;
    if end < start {
        return Err(Error::bad_request("`start_time` is later than `end_time`"));
    }
    Reply::of(&json!({
        "start_time": start.rfc3339(),
        "end_time": end.rfc3339(),
        "by_namespace": [],
        "months": [],
        "total": nobody(),
    }))
}

async fn monthly(_: &mut Call<'_, Node>, _: NoParams) -> Result<Reply, Error> {
    let Value::Object(mut data) = nobody() else {
        return Err(Error::internal("counts are an object"));
    };
    data.insert("by_namespace".into(), json!([]));
    data.insert("months".into(), json!([]));
    Ok(Reply::data(data))
}

fn nobody() -> Value {
    json!({
        "acme_clients": 0,
        "clients": 0,
        "distinct_entities": 0,
        "entity_clients": 0,
        "non_entity_clients": 0,
        "non_entity_tokens": 0,
        "secret_syncs": 0,
    })
}

async fn config(_: &mut Call<'_, Node>, _: NoParams) -> Result<Reply, Error> {
    Reply::of(&json!({
        "billing_start_timestamp": null,
        "default_report_months": 12,
        "enabled": "default-disabled",
        "minimum_retention_months": 0,
        "queries_available": false,
        "reporting_enabled": false,
        "retention_months": 0,
    }))
}

const TOKENS: &str = "token/id";

const ENTITIES: &str = "identity/entity/id";
