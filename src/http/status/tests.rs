use super::{Refusal, status_of};
use crate::request::Error;

#[test]
fn statuses_and_texts_are_those_of_vault() {
    let text = || "why".to_owned();
    for (error, status, errors) in [
        (Error::BadRequest(text()), 400, vec!["why"]),
        (Error::Denied, 403, vec!["1 error occurred:\n\t* permission denied\n\n"]),
        (Error::Forbidden(text()), 403, vec!["why"]),
        (Error::NotFound, 404, vec![]),
        (Error::NotFoundWith(Box::default()), 404, vec![]),
        (Error::Missing(text()), 404, vec!["why"]),
        (
            Error::NoRoute("a/b".to_owned()),
            404,
            vec!["no handler for route \"a/b\". route entry not found."],
        ),
        (Error::UnsupportedPath, 404, vec!["1 error occurred:\n\t* unsupported path\n\n"]),
        (
            Error::UnsupportedOperation,
            405,
            vec!["1 error occurred:\n\t* unsupported operation\n\n"],
        ),
        (Error::StateNotPresent, 412, vec!["required index state not present"]),
        (Error::TooLarge(text()), 413, vec!["why"]),
        (Error::TooMany(text()), 429, vec!["why"]),
        (Error::Failed(text()), 500, vec!["1 error occurred:\n\t* why\n\n"]),
        (Error::internal("a path on the disk"), 500, vec!["internal error"]),
        (Error::Uninitialized, 501, vec!["Vault is not initialized"]),
        (Error::Sealed, 503, vec!["Vault is sealed"]),
        (Error::Unavailable(text()), 503, vec!["why"]),
        (
            Error::DiskFull,
            507,
            vec![
                "not enough free disk space to write: make room where the nodes keep their data; \
                 reads go on",
            ],
        ),
    ] {
        let (actual, texts) = status_of(&error);
        assert_eq!(
            (actual, texts.iter().map(String::as_str).collect()),
            (status, errors),
            "{error:?}"
        );
    }
}

#[test]
fn only_what_passes_by_itself_says_when_to_come_back() {
    for (error, seconds) in [
        (Error::Unavailable(String::new()), Some(1)),
        (Error::LeadershipLost, Some(1)),
        (Error::Conflict, Some(1)),
        (Error::Sealed, None),
        (Error::Denied, None),
        (Error::DiskFull, None),
    ] {
        assert_eq!(Refusal::from(&error).retry_after_seconds, seconds, "{error:?}");
    }
}
