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
