//! `user_lockout "…" { … }`

use std::time::Duration;

use super::stanza::{Check, Found, KeyDoc, Reader, Setting, labelled, stanza};

stanza! {
    /// When users are locked out after failed logins; what an auth mount is tuned to wins.
    pub struct UserLockout in "user_lockout \"all\"" {
        /// Failed logins after which a user is locked out; 5 if not set.
        pub lockout_threshold: Option<u32>,
        /// For how long; 15 minutes if not set.
        pub lockout_duration: Option<Duration>,
        /// Time without a failure after which they are counted from 0; 15 minutes if not set.
        pub lockout_counter_reset: Option<Duration>,
        /// Whether nobody is locked out.
        pub disable_lockout: Option<bool>,
    }
    no_effect {}
}

impl Check for UserLockout {}

/// By kind of auth method, or `all`.
#[derive(Debug, Default)]
pub struct UserLockouts(pub Vec<(String, UserLockout)>);

impl Setting for UserLockouts {
    fn kind() -> String {
        "blocks `user_lockout \"all\"`, `\"approle\"`, `\"ldap\"` or `\"userpass\"`".to_owned()
    }

    fn read(found: &Found<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        let mut read = Vec::new();
        let mut all = true;
        for block in labelled(found, reader) {
            if !KINDS.contains(&block.label) {
                let text = format!(
                    "`user_lockout` must be \"all\", \"approle\", \"ldap\" or \"userpass\", found \
                     {:?}",
                    block.label
                );
                reader.problem(&block.body.place, text);
                all = false;
                continue;
            }
            match UserLockout::read_body(&block.body, reader) {
                Some(body) => read.push((block.label.to_owned(), body)),
                None => all = false,
            }
        }
        all.then_some(Self(read))
    }

    fn absent() -> Option<Self> {
        Some(Self::default())
    }

    fn document(into: &mut Vec<KeyDoc>) {
        UserLockout::document(into);
    }
}

const KINDS: &[&str] = &["all", "approle", "ldap", "userpass"];
