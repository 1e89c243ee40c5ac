//! A node that was taken out of its cluster knows it, for good.

use std::sync::Arc;
use std::time::Duration;

use super::consensus::Role;
use super::control::Control;

/// Watches whether this node was removed; returns once it was and has sealed itself.
pub async fn watch_removal(control: Arc<Control>) {
    let Some(node) = control.consensus.replicated() else {
        return;
    };
    let hint = node.cluster().removed();
    let mut looks = 0_u32;
    while !node.is_removed() {
        // Removed while it leads, it first sees its own removal through.
        let listed = node.is_listed_as_removed() && control.consensus.role() != Role::Active;
        let is_alone = node.raft().since_leader() > ALONE;
        let asks = is_alone && (*hint.borrow() || looks.is_multiple_of(LOOKS_BETWEEN_ASKS));
        looks = looks.wrapping_add(1);
        if listed || asks && node.is_removed_by_others().await {
            match node.note_own_removal() {
                Ok(()) => break,
                Err(error) => tracing::error!(%error, "the removal cannot be noted"),
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
    tracing::error!("{REMOVED}");
    control.close();
}

/// What whoever asks a removed node is told.
pub(super) const REMOVED: &str = "this node was removed from its cluster: empty its data folder, \
                                  and it can join as another";

const PAUSE: Duration = Duration::from_secs(1);

/// Whoever hears a leader is a member: nobody else's word counts.
const ALONE: Duration = Duration::from_secs(10);

const LOOKS_BETWEEN_ASKS: u32 = 10;
