//! What is asked of Kubernetes: whether a token is good, and what namespaces and service accounts
//! are called and labelled.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value, json};

use super::config::Config;
use crate::client::Web;
use crate::request::Answer;
use crate::secret::Secret;

/// What a mount keeps in memory.
pub struct State {
    pod: PathBuf,
    web: Arc<Mutex<Option<Trusting>>>,
}

/// A client, and the authority in PEM that it trusts.
type Trusting = (String, Arc<Web>);

impl Default for State {
    fn default() -> Self {
        Self::in_pod(POD.into())
    }
}

impl State {
    /// With `ca.crt` and `token` of a pod's service account in this folder.
    pub fn in_pod(folder: PathBuf) -> Self {
        Self { pod: folder, web: Arc::default() }
    }

    pub(super) fn pod(&self) -> Pod {
        Pod(self.pod.clone())
    }

    pub(super) fn api(&self, config: &Config, token: &str) -> Api {
        Api {
            host: config.kubernetes_host.clone(),
            ca_pem: config.kubernetes_ca_cert.clone(),
            reviewer: Secret::new(config.token_reviewer_jwt.clone()),
            token: Secret::new(token.to_owned()),
            uses_pod: !config.disable_local_ca_jwt,
            pod: self.pod(),
            web: Arc::clone(&self.web),
        }
    }
}

/// The pod that this server runs in, if it does. Kubernetes renews what is in there: it is read
/// each time.
#[derive(Clone)]
pub(super) struct Pod(PathBuf);

impl Pod {
    /// Whether there is an authority.
    pub(super) async fn check(self) -> Answer {
        let pem = self.read("ca.crt").await?;
        Web::new(&pem).map(|_| Value::Null).map_err(|error| error.to_string())
    }

    async fn read(&self, name: &str) -> Result<String, String> {
        let path = self.0.join(name);
        let text = tokio::fs::read_to_string(&path).await;
        text.map_err(|error| format!("open {}: {error}", path.display()))
    }
}

/// For one login.
pub(super) struct Api {
    host: String,
    ca_pem: String,
    reviewer: Secret<String>,
    /// Of whoever logs in.
    token: Secret<String>,
    uses_pod: bool,
    pod: Pod,
    web: Arc<Mutex<Option<Trusting>>>,
}

impl Api {
    /// A `TokenReview` (`authentication.k8s.io/v1`): its `status`.
    pub(super) async fn review(self, audience: String) -> Answer {
        let audiences = (!audience.is_empty()).then(|| json!([audience]));
        let mut spec = json!({ "token": self.token.expose() });
        if let (Some(audiences), Some(spec)) = (audiences, spec.as_object_mut()) {
            spec.insert("audiences".into(), audiences);
        }
        let review = json!({
            "apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": spec,
        });
        let url = format!("{}/apis/authentication.k8s.io/v1/tokenreviews", self.host);
        let (web, bearer) = (self.web().await?, self.bearer().await);
        let body = review.to_string().into();
        let got = web.post(&url, Some(&bearer), "application/json", body).await;
        part(got.and_then(|got| got.ok(&url)), "status")
    }

    /// What Kubernetes knows of a namespace, or of a service account: its `metadata`. The names
    /// must be Kubernetes' own: they go into a path.
    pub(super) async fn metadata(self, path: String) -> Answer {
        let url = format!("{}/api/v1/{path}", self.host);
        let (web, bearer) = (self.web().await?, self.bearer().await);
        let got = web.get_as(&url, &bearer).await;
        part(got.and_then(|got| got.ok(&url)), "metadata")
    }

    async fn web(&self) -> Result<Arc<Web>, String> {
        let ca_pem = if self.ca_pem.is_empty() && self.uses_pod {
            self.pod.read("ca.crt").await?
        } else {
            self.ca_pem.clone()
        };
        let mut kept = self.web.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((of, web)) = kept.as_ref()
            && *of == ca_pem
        {
            return Ok(Arc::clone(web));
        }
        let web = Arc::new(Web::new(&ca_pem).map_err(|error| error.to_string())?);
        *kept = Some((ca_pem, Arc::clone(&web)));
        Ok(web)
    }

    /// The reviewer's token, the pod's, or that of whoever logs in, who then must have the right.
    async fn bearer(&self) -> Secret<String> {
        if !self.reviewer.expose().is_empty() {
            return Secret::new(format!("Bearer {}", self.reviewer.expose().trim()));
        }
        let own = if self.uses_pod { self.pod.read("token").await.ok() } else { None };
        let token = own.map(Secret::new);
        let token = token.as_ref().unwrap_or(&self.token).expose().trim();
        Secret::new(format!("Bearer {token}"))
    }
}

fn part(got: Result<bytes::Bytes, crate::client::Error>, name: &str) -> Answer {
    let body = got.map_err(|error| error.to_string())?;
    let body: Value = serde_json::from_slice(&body)
        .map_err(|_| "the answer of Kubernetes is no JSON".to_owned())?;
    body.get(name).cloned().ok_or_else(|| format!("the answer of Kubernetes has no {name}"))
}

/// Where Kubernetes puts it.
const POD: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
