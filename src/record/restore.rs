//! A restore as the log carries it: the bytes of a snapshot, piece by piece, and then the one
//! entry that puts its contents in place of the state.

use bytes::Bytes;

/// Names one attempt, drawn by who makes it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RestoreId(pub [u8; 16]);

/// A batch with a step writes nothing else.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Restore {
    pub id: RestoreId,
    pub step: RestoreStep,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub enum RestoreStep {
    /// What was staged before goes.
    Begin,
    /// Numbered from 1, without a gap.
    Piece { number: u32, bytes: Bytes },
    /// Records, directories, keyring and seal configuration become the snapshot's. What names
    /// this cluster and its nodes stays, and what is remembered of requests goes.
    Replace {
        pieces: u32,
        /// Of all pieces together.
        sha256: [u8; 32],
    },
    /// What is staged goes.
    GiveUp,
}

/// What is staged of a snapshot that is to be restored.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Staged {
    pub id: RestoreId,
    pub pieces: u32,
}
