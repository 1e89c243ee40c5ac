//! What user interfaces ask of Vault's paid editions before they show anything: well-formed
//! answers that there is none of it.

use serde_json::json;

use super::Node;
use crate::framework::{Call, NoParams, Route};
use crate::request::{Error, Reply};

pub(super) fn routes() -> Vec<Route<Node>> {
    vec![
        Route::new("license/status", "The licence: none is needed.").read(license),
        Route::new("replication/status", "Replication to other clusters: there is none.")
            .unauthenticated()
            .read(replication),
        Route::new("replication/dr/status", "Replication for disasters: there is none.")
            .unauthenticated()
            .read(disabled),
        Route::new("replication/performance/status", "Replication for reads: there is none.")
            .unauthenticated()
            .read(disabled),
    ]
}

async fn license(_: &mut Call<'_, Node>, _: NoParams) -> Result<Reply, Error> {
    Reply::of(&json!({
        "autoloaded": null,
        "autoloading_used": false,
        "persisted_autoload": null,
    }))
}

async fn replication(_: &mut Call<'_, Node>, _: NoParams) -> Result<Reply, Error> {
    Reply::of(&json!({
        "mode": "disabled",
        "dr": { "mode": "disabled" },
        "performance": { "mode": "disabled" },
    }))
}

async fn disabled(_: &mut Call<'_, Node>, _: NoParams) -> Result<Reply, Error> {
    Reply::of(&json!({ "mode": "disabled" }))
}
