use std::panic::AssertUnwindSafe;

use futures_util::FutureExt as _;

use crate::log::LogError;
use crate::request::Error;

/// What is told where the log did not take or show something.
pub(super) fn log_error(error: LogError) -> Error {
    match error {
        LogError::DiskFull => Error::DiskFull,
        LogError::NotLeader => Error::NotActive,
        LogError::Unknown => Error::LeadershipLost,
        LogError::TooLarge { size, limit } => Error::TooLarge(format!(
            "the request writes {size} bytes in all; a transaction may have {limit} \
             (max_transaction_size): nothing was written, write less at once"
        )),
        other => Error::internal(other),
    }
}

/// What an engine does, where even a panic is an outcome: what it had written is rolled back, and
/// what it may have done outside is given up, as after an error.
pub(super) async fn guarded<T>(work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    // What it may have left half-way is its transaction's alone, which an error ends.
    let outcome = AssertUnwindSafe(work).catch_unwind().await;
    outcome.unwrap_or_else(|_| Err(Error::internal(PANICKED)))
}

const PANICKED: &str = "the handler panicked: standard error says where";
