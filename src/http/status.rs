//! The one table of statuses and public texts.

use crate::request::Error;

/// Status and `errors` that a client sees.
pub fn status_of(error: &Error) -> (u16, Vec<String>) {
    let text = error.to_string();
    match error {
        Error::BadRequest(_) | Error::InvalidCredentials(_) | Error::UnknownUser(_) => {
            (400, vec![text])
        }
        Error::Forbidden(_) => (403, vec![text]),
        // As in Vault: these come through a formatter of many errors, and logs are searched for it.
        Error::Denied => (403, vec![decorated(&text)]),
        Error::UnsupportedPath => (404, vec![decorated(&text)]),
        Error::UnsupportedOperation => (405, vec![decorated(&text)]),
        Error::Failed(_) => (500, vec![decorated(&text)]),
        Error::NotFound | Error::NotFoundWith(_) => (404, Vec::new()),
        Error::Missing(_) | Error::NoRoute(_) => (404, vec![text]),
        Error::StateNotPresent => (412, vec![text]),
        Error::TooLarge(_) => (413, vec![text]),
        Error::TooMany(_) | Error::TooManyWith { .. } => (429, vec![text]),
        Error::Internal(_) => (500, vec![text]),
        Error::Uninitialized => (501, vec![text]),
        Error::Conflict
        | Error::LeadershipLost
        | Error::NotActive
        | Error::Sealed
        | Error::Unresolved
        | Error::Unavailable(_) => (503, vec![text]),
        Error::DiskFull => (507, vec![text]),
    }
}

/// Seconds after which it is worth to ask again, where it is.
fn retry_after_seconds(error: &Error) -> Option<u64> {
    match error {
        Error::Conflict | Error::LeadershipLost | Error::NotActive | Error::Unavailable(_) => {
            Some(1)
        }
        _ => None,
    }
}

/// A request that never became a [`crate::request::Request`], or an answer to a failed one.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Refusal {
    pub(super) status: u16,
    pub(super) errors: Vec<String>,
    pub(super) retry_after_seconds: Option<u64>,
    pub(super) connection: Connection,
}

/// Whether the connection can carry another request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Connection {
    Close,
    Keep,
}

impl Refusal {
    pub(super) fn new(status: u16, errors: impl IntoIterator<Item = String>) -> Self {
        Self {
            status,
            errors: errors.into_iter().collect(),
            retry_after_seconds: None,
            connection: Connection::Keep,
        }
    }

    pub(super) fn text(status: u16, text: impl Into<String>) -> Self {
        Self::new(status, [text.into()])
    }

    /// The body was not read to its end.
    pub(super) fn closing(mut self) -> Self {
        self.connection = Connection::Close;
        self
    }
}

impl From<&Error> for Refusal {
    fn from(error: &Error) -> Self {
        let (status, errors) = status_of(error);
        Self { retry_after_seconds: retry_after_seconds(error), ..Self::new(status, errors) }
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self::from(&error)
    }
}

fn decorated(text: &str) -> String {
    format!("1 error occurred:\n\t* {text}\n\n")
}

#[cfg(test)]
mod tests;
