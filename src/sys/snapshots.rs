//! `sys/storage/raft/snapshot`: the whole state as one archive, and back.

use super::Node;
use crate::framework::{Call, NoParams, Route};
use crate::request::{Error, Reply};

pub(super) fn routes() -> Vec<Route<Node>> {
    vec![
        Route::new(
            "storage/raft/snapshot",
            "Save all data, encrypted as they are; or put those of a snapshot in their place, \
             where it was taken under the present unseal keys.",
        )
        .sudo()
        .on_this_node()
        .read(save)
        .write(restore),
        Route::new(
            "storage/raft/snapshot-force",
            "Put the data of a snapshot in place of all data, whatever its unseal keys are.",
        )
        .sudo()
        .on_this_node()
        .write(restore),
    ]
}

/// Allowed; the archive itself is sent by whoever answers the request.
async fn save(call: &mut Call<'_, Node>, _: NoParams) -> Result<Reply, Error> {
    call.state.check_snapshot()?;
    Ok(Reply::default())
}

/// Allowed; whoever answers the request takes the archive.
async fn restore(call: &mut Call<'_, Node>, _: NoParams) -> Result<Reply, Error> {
    call.state.check_snapshot()?;
    Ok(Reply::default())
}
