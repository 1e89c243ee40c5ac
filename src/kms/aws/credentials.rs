//! Who signs.

use aws_credential_types::Credentials as AwsCredentials;
use serde::Deserialize;

use super::sources::AccessKey;
use crate::clock::Timestamp;
use crate::secret::Secret;

/// An access key, perhaps one that ends.
#[derive(Debug)]
pub(super) struct Credentials {
    key: AccessKey,
    pub(super) ends: Option<Timestamp>,
}

impl Credentials {
    pub(super) fn new(key: AccessKey, ends: Option<Timestamp>) -> Self {
        Self { key, ends }
    }

    pub(super) fn signer(&self) -> AwsCredentials {
        let token = self.key.session_token.as_ref().map(|token| token.expose().clone());
        AwsCredentials::new(
            self.key.id.clone(),
            self.key.secret.expose().clone(),
            token,
            None,
            "strongroom",
        )
    }

    /// As the services of containers and machines answer. `text` is zeroed by whoever holds it.
    ///
    /// # Errors
    /// What is missing.
    pub(super) fn read_json(text: &[u8]) -> Result<Self, String> {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Answer {
            access_key_id: String,
            secret_access_key: Secret<String>,
            token: Option<Secret<String>>,
            expiration: Option<String>,
        }
        let answer: Answer = serde_json::from_slice(text)
            .map_err(|_| "its answer holds no access key".to_owned())?;
        let ends = answer.expiration.as_deref().map(read_time).transpose()?;
        let key = AccessKey {
            id: answer.access_key_id,
            secret: answer.secret_access_key,
            session_token: answer.token,
        };
        Ok(Self::new(key, ends))
    }

    /// As the Security Token Service answers `AssumeRoleWithWebIdentity`. The elements sought hold
    /// text that needs no escape in XML.
    ///
    /// # Errors
    /// What is missing, or what the service says.
    pub(super) fn read_xml(text: &str) -> Result<Self, String> {
        let element = |name: &str| {
            let (_, rest) = text.split_once(&format!("<{name}>"))?;
            rest.split_once(&format!("</{name}>")).map(|(value, _)| value.trim().to_owned())
        };
        let (Some(id), Some(secret), Some(token)) =
            (element("AccessKeyId"), element("SecretAccessKey"), element("SessionToken"))
        else {
            let code = element("Code").unwrap_or_else(|| "no access key in its answer".to_owned());
            return Err(format!("{code}: {}", element("Message").unwrap_or_default()));
        };
        let ends = element("Expiration").as_deref().map(read_time).transpose()?;
        let (secret, session_token) = (Secret::new(secret), Some(Secret::new(token)));
        Ok(Self::new(AccessKey { id, secret, session_token }, ends))
    }

    /// Of a profile in a file of shared credentials (INI).
    ///
    /// # Errors
    /// Where the profile is not there, or has no whole key.
    pub(super) fn read_profile(text: &str, profile: &str) -> Result<Self, String> {
        let (mut is_inside, mut is_there) = (false, false);
        let (mut id, mut secret, mut session_token) = (None, None, None);
        for line in text.lines().map(str::trim) {
            if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
                is_inside = name.trim() == profile;
                is_there |= is_inside;
            } else if let Some((key, value)) = line.split_once('=')
                && is_inside
                && !line.starts_with(['#', ';'])
            {
                let value = value.trim();
                match key.trim() {
                    "aws_access_key_id" => id = Some(value.to_owned()),
                    "aws_secret_access_key" => secret = Some(Secret::new(value.to_owned())),
                    "aws_session_token" => session_token = Some(Secret::new(value.to_owned())),
                    _ => {}
                }
            }
        }
        match (id, secret) {
            (Some(id), Some(secret)) => {
                Ok(Self::new(AccessKey { id, secret, session_token }, None))
            }
            _ if !is_there => Err(format!("there is no profile [{profile}]")),
            _ => Err(format!(
                "the profile [{profile}] needs `aws_access_key_id` and `aws_secret_access_key`"
            )),
        }
    }
}

fn read_time(text: &str) -> Result<Timestamp, String> {
    Timestamp::parse_rfc3339(text).ok_or_else(|| "its access key ends at no readable time".into())
}
