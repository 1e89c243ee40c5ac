//! `sys/storage/raft/snapshot`: the whole state as one archive.

use super::Node;
use crate::framework::{Call, NoParams, Route};
use crate::request::{Error, Reply};

pub(super) fn routes() -> Vec<Route<Node>> {
    vec![
        Route::new("storage/raft/snapshot", "Save all data, encrypted as they are.")
            .sudo()
            .on_this_node()
            .read(save),
    ]
}

/// Allowed; the archive itself is sent by whoever answers the request.
async fn save(call: &mut Call<'_, Node>, _: NoParams) -> Result<Reply, Error> {
    call.state.check_snapshot()?;
    Ok(Reply::default())
}
