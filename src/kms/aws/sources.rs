//! Where credentials come from, in this order: the configuration, the environment, a web identity
//! (such as a Kubernetes service account's), a profile of the file of shared credentials, the
//! container, the machine.
//!
//! It is the order of AWS's own programs. The first source that is set up is the one that is
//! asked: where it fails, no other is tried, so that nobody signs as somebody they did not mean.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Method, Request, Response, header};
use tokio::sync::Mutex;
use zeroize::Zeroizing;

use super::credentials::Credentials;
use crate::client::{Plain, Tls};
use crate::clock::{Clock as _, SystemClock};
use crate::kms::KmsError;
use crate::secret::Secret;
use crate::text::{UNRESERVED, percent_encode};

/// The id of an access key, and its secret.
#[derive(Debug)]
pub struct AccessKey {
    pub id: String,
    pub secret: Secret<String>,
    pub session_token: Option<Secret<String>>,
}

/// Which part of which file of shared credentials.
#[derive(Debug, Default)]
pub struct Profile {
    pub file: Option<PathBuf>,
    pub name: Option<String>,
}

pub(super) struct Sources {
    source: Source,
    plain: Plain,
    /// The last that were given, while they last.
    kept: Mutex<Option<Arc<Credentials>>>,
}

/// Never printed: it may hold an access key.
enum Source {
    /// Of the configuration or the environment.
    Fixed(Arc<Credentials>),
    WebIdentity {
        role: String,
        token_file: PathBuf,
        session: String,
        service: String,
    },
    /// Read anew each time: whoever writes the file may change the key.
    File {
        path: PathBuf,
        profile: String,
    },
    Container {
        url: String,
        authorization: Authorization,
    },
    Machine {
        service: String,
    },
}

enum Authorization {
    None,
    Text(Secret<String>),
    File(PathBuf),
}

type Env<'a> = &'a dyn Fn(&str) -> Option<String>;

impl Sources {
    pub(super) fn new(
        access_key: Option<AccessKey>,
        profile: Profile,
        region: &str,
        env: Env<'_>,
    ) -> Result<Self, String> {
        let plain = Plain::new(&Tls::default(), ANSWER_TIME, REPLY_BYTES_MAX);
        let plain = plain.map_err(|error| error.to_string())?;
        let source = Source::find(access_key, profile, region, env)?;
        Ok(Self { source, plain, kept: Mutex::new(None) })
    }

    /// Kept ones, unless they end soon.
    pub(super) async fn credentials(&self) -> Result<Arc<Credentials>, KmsError> {
        if let Source::Fixed(credentials) = &self.source {
            return Ok(Arc::clone(credentials));
        }
        let mut kept = self.kept.lock().await;
        if let Some(credentials) = &*kept
            && credentials.ends.is_none_or(|ends| ends.since(SystemClock.now()) > RENEW_BEFORE)
        {
            return Ok(Arc::clone(credentials));
        }
        let credentials = Arc::new(self.source.ask(&self.plain).await?);
        let is_kept = !matches!(self.source, Source::File { .. });
        *kept = is_kept.then(|| Arc::clone(&credentials));
        Ok(credentials)
    }

    /// They were refused as ended.
    pub(super) async fn forget(&self) {
        *self.kept.lock().await = None;
    }
}

impl Source {
    fn find(
        access_key: Option<AccessKey>,
        profile: Profile,
        region: &str,
        env: Env<'_>,
    ) -> Result<Self, String> {
        let env = |name: &str| env(name).filter(|value| !value.is_empty());
        let fixed = |key| Ok(Self::Fixed(Arc::new(Credentials::new(key, None))));
        if let Some(key) = access_key {
            return fixed(key);
        }
        if let (Some(id), Some(secret)) = (env("AWS_ACCESS_KEY_ID"), env("AWS_SECRET_ACCESS_KEY")) {
            let session_token = env("AWS_SESSION_TOKEN").map(Secret::new);
            return fixed(AccessKey { id, secret: Secret::new(secret), session_token });
        }
        if let (Some(file), Some(role)) = (env("AWS_WEB_IDENTITY_TOKEN_FILE"), env("AWS_ROLE_ARN"))
        {
            let session = env("AWS_ROLE_SESSION_NAME").unwrap_or_else(|| "strongroom".to_owned());
            let domain =
                if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
            let service = env("AWS_ENDPOINT_URL_STS")
                .unwrap_or_else(|| format!("https://sts.{region}.{domain}"));
            return Ok(Self::WebIdentity { role, token_file: file.into(), session, service });
        }
        let home = || env("HOME").map(|home| PathBuf::from(home).join(".aws/credentials"));
        let file = env("AWS_SHARED_CREDENTIALS_FILE").map(PathBuf::from).or(profile.file);
        let name = env("AWS_PROFILE").or(profile.name);
        // What was named must be there; the usual file need not.
        let is_named = file.is_some() || name.is_some();
        if let Some(path) = file.or_else(home)
            && (is_named || path.exists())
        {
            return Ok(Self::File { path, profile: name.unwrap_or_else(|| "default".into()) });
        }
        let of_container = env("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI")
            .map(|path| format!("http://169.254.170.2{path}"))
            .or_else(|| env("AWS_CONTAINER_CREDENTIALS_FULL_URI"));
        if let Some(url) = of_container {
            let file = env("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE").map(PathBuf::from);
            let text = env("AWS_CONTAINER_AUTHORIZATION_TOKEN").map(Secret::new);
            let authorization = file.map(Authorization::File).or(text.map(Authorization::Text));
            let authorization = authorization.unwrap_or(Authorization::None);
            return match is_of_this_machine(&url) {
                true => Ok(Self::Container { url, authorization }),
                false => Err(format!(
                    "AWS_CONTAINER_CREDENTIALS_FULL_URI must be https, or http to this machine: {url}"
                )),
            };
        }
        if env("AWS_EC2_METADATA_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true"))
        {
            return Err("no source of AWS credentials: set `access_key` and `secret_key`, \
                        or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
                .into());
        }
        let service = env("AWS_EC2_METADATA_SERVICE_ENDPOINT");
        let service = service.unwrap_or_else(|| "http://169.254.169.254".to_owned());
        Ok(Self::Machine { service: service.trim_end_matches('/').to_owned() })
    }

    async fn ask(&self, plain: &Plain) -> Result<Credentials, KmsError> {
        let refused = |reason: String| {
            KmsError::Refused(format!("no AWS credentials from {}: {reason}", self.name()))
        };
        match self {
            Self::Fixed(_) => Err(refused("they are fixed".into())),
            Self::File { path, profile } => {
                let text = tokio::fs::read_to_string(path).await.map(Zeroizing::new);
                let text = text.map_err(|error| refused(error.to_string()))?;
                Credentials::read_profile(&text, profile).map_err(refused)
            }
            Self::WebIdentity { role, token_file, session, service } => {
                let token = tokio::fs::read_to_string(token_file).await.map(Zeroizing::new);
                let token = token.map_err(|error| refused(error.to_string()))?;
                let body = assume_role(role, session, token.trim());
                let request = Request::builder()
                    .method(Method::POST)
                    .uri(format!("{}/", service.trim_end_matches('/')))
                    .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
                    .body(Full::new(Bytes::from(body)));
                let reply = self.send(plain, request).await?;
                let text = std::str::from_utf8(reply.body()).unwrap_or_default();
                Credentials::read_xml(text).map_err(refused)
            }
            Self::Container { url, authorization } => {
                let mut request = Request::builder().uri(url);
                let file;
                let token = match authorization {
                    Authorization::None => None,
                    Authorization::Text(text) => Some(text.expose().as_str()),
                    Authorization::File(path) => {
                        let text = tokio::fs::read_to_string(path).await.map(Zeroizing::new);
                        file = text.map_err(|error| refused(error.to_string()))?;
                        Some(file.trim())
                    }
                };
                if let Some(token) = token {
                    request = request.header(header::AUTHORIZATION, token);
                }
                let reply = self.send(plain, request.body(Full::default())).await?;
                Credentials::read_json(reply.body()).map_err(refused)
            }
            Self::Machine { service } => self.ask_machine(plain, service).await,
        }
    }

    /// The second version of the instance metadata service: a token first, by PUT, which a
    /// forwarded request cannot do.
    async fn ask_machine(&self, plain: &Plain, service: &str) -> Result<Credentials, KmsError> {
        let refused = |reason: String| {
            KmsError::Refused(format!("no AWS credentials from {}: {reason}", self.name()))
        };
        let request = Request::builder()
            .method(Method::PUT)
            .uri(format!("{service}/latest/api/token"))
            .header("x-aws-ec2-metadata-token-ttl-seconds", "300")
            .body(Full::default());
        let token = self.send(plain, request).await?.into_body();
        let read = async |path: &str| {
            let request = Request::builder()
                .uri(format!("{service}/latest/meta-data/iam/security-credentials/{path}"))
                .header("x-aws-ec2-metadata-token", &*token)
                .body(Full::default());
            self.send(plain, request).await
        };
        let role = read("").await?;
        let role = std::str::from_utf8(role.body()).unwrap_or_default();
        let role = role.lines().next().unwrap_or_default().trim();
        if role.is_empty() {
            return Err(refused("the machine has no role".into()));
        }
        Credentials::read_json(read(role).await?.body()).map_err(refused)
    }

    async fn send(
        &self,
        plain: &Plain,
        request: Result<Request<Full<Bytes>>, hyper::http::Error>,
    ) -> Result<Response<Bytes>, KmsError> {
        let failed = |reason: String| {
            KmsError::Unreachable(format!("no AWS credentials from {}: {reason}", self.name()))
        };
        let request = request.map_err(|error| failed(error.to_string()))?;
        let reply = plain.send(request).await.map_err(|error| failed(error.to_string()))?;
        let status = reply.status();
        // What a web identity is refused with is told by its body.
        if status.is_success() || matches!(self, Self::WebIdentity { .. }) && status.as_u16() < 500
        {
            return Ok(reply);
        }
        Err(failed(format!("it answers {status}")))
    }

    fn name(&self) -> String {
        match self {
            Self::Fixed(_) => "the configuration".to_owned(),
            Self::WebIdentity { service, .. } => format!("the web identity at {service}"),
            Self::File { path, .. } => path.display().to_string(),
            Self::Container { url, .. } => format!("the container's service {url}"),
            Self::Machine { service } => format!("the machine's service {service}"),
        }
    }
}

fn assume_role(role: &str, session: &str, token: &str) -> String {
    let encoded = |text: &str| {
        let mut encoded = String::new();
        percent_encode(text, UNRESERVED, &mut encoded);
        encoded
    };
    format!(
        "Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleArn={}&RoleSessionName={}&WebIdentityToken={}",
        encoded(role),
        encoded(session),
        encoded(token)
    )
}

/// Whether what is sent there, a token, stays on this machine or is encrypted.
fn is_of_this_machine(url: &str) -> bool {
    let Ok(uri) = url.parse::<hyper::Uri>() else {
        return false;
    };
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
    let is_loopback = host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
    let of_services = ["localhost", "169.254.170.2", "169.254.170.23", "fd00:ec2::23"];
    uri.scheme_str() == Some("https")
        || (uri.scheme_str() == Some("http") && (is_loopback || of_services.contains(&host)))
}

/// Of one request; these services are near.
const ANSWER_TIME: Duration = Duration::from_secs(4);

const REPLY_BYTES_MAX: usize = 1 << 16;

/// Others are asked for while the present ones last yet.
const RENEW_BEFORE: Duration = Duration::from_secs(300);
