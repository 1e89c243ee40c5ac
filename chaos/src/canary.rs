//! Names and values that nothing but this run writes, to be searched for on disk.

use serde_json::{Value, json};
use strongroom::client::Request;

use crate::cluster::{Cluster, TIMEOUT, ask};

/// Each with a random part, so that nothing is found by chance.
#[derive(Clone)]
pub(crate) struct Canary {
    mount: String,
    path: String,
    field: String,
    value: String,
    policy: String,
    metadata: String,
}

impl Canary {
    pub(crate) fn new(random: u64) -> Self {
        let name = |what: &str| format!("canary-{what}-{random:016x}");
        Self {
            mount: name("mount"),
            path: name("path"),
            field: name("field"),
            value: name("value"),
            policy: name("policy"),
            metadata: name("metadata"),
        }
    }

    pub(crate) fn payload(&self, id: u64) -> Value {
        json!({ &self.field: format!("{}-{id}", self.value) })
    }

    /// Which write this is the payload of.
    pub(crate) fn id(&self, payload: &Value) -> Option<u64> {
        let value = payload[&self.field].as_str()?;
        value.strip_prefix(&self.value)?.strip_prefix('-')?.parse().ok()
    }

    pub(crate) fn data_path(&self, path: &str) -> String {
        format!("{}/data/{}/{path}", self.mount, self.path)
    }

    pub(crate) fn metadata_path(&self, path: &str) -> String {
        format!("{}/metadata/{}/{path}", self.mount, self.path)
    }

    /// Mounts the engine of the writers, and writes a policy and a token: what a node must not show
    /// is more than secrets. Answers all that is to be searched for.
    pub(crate) async fn prepare(&self, cluster: &Cluster) -> Result<Vec<String>, String> {
        let client = cluster.active().await?.client(Some(&cluster.root_token), TIMEOUT)?;
        let write =
            async |path: &str, body: Value| ask(&client, &Request::write(path, &body)).await;
        let mount = format!("sys/mounts/{}", self.mount);
        write(&mount, json!({ "type": "kv", "options": { "version": "2" } })).await?;
        // None may be pruned: every one is to be seen again.
        let configured = json!({ "max_versions": 100_000 });
        write(&format!("{}/config", self.mount), configured).await?;
        let policy = format!("path \"{}/*\" {{ capabilities = [\"read\"] }}", self.value);
        let path = format!("sys/policies/acl/{}", self.policy);
        write(&path, json!({ "policy": policy })).await?;
        let body = json!({ "policies": [self.policy], "meta": { "about": self.metadata } });
        let made = write("auth/token/create", body).await?;
        let token = made["auth"]["client_token"].as_str().ok_or("no token")?;
        let mut all = vec![token.to_owned(), cluster.root_token.clone()];
        all.extend(cluster.shares.iter().cloned());
        for name in
            [&self.mount, &self.path, &self.field, &self.value, &self.policy, &self.metadata]
        {
            all.push(name.clone());
        }
        Ok(all)
    }
}
