//! Nodes in this process, over real connections on ports that the system chooses.

mod autopilot;
mod backup;
mod founding;
mod handover;
mod joining;
mod membership;
mod restore;

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use strongroom::config::Config;
use strongroom::request::{Body, Error, Operation, Request};
use strongroom::secret::Secret;
use strongroom::server::{self, Replicated, Running};
use tempfile::TempDir;

struct Node {
    running: Running,
    folder: TempDir,
}

impl Node {
    async fn start(name: &str) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), name).await
    }

    async fn start_in(folder: TempDir, name: &str) -> Self {
        Self::configured(folder, name, "").await
    }

    /// With more in its `storage` stanza.
    async fn configured(folder: TempDir, name: &str, storage: &str) -> Self {
        let data = folder.path().join("data");
        let token_file = folder.path().join("token");
        let join = if token_file.exists() {
            format!("join_token_file = {token_file:?}")
        } else {
            String::new()
        };
        let text = format!(
            "storage \"raft\" {{\n path = {data:?}\n node_id = {name:?}\n {join}\n {storage}\n}}\n\
             listener \"tcp\" {{\n address = \"127.0.0.1:0\"\n\
             cluster_address = \"127.0.0.1:0\"\n tls_disable = true\n}}\n"
        );
        let (config, _) = Config::parse("f", &text, &|_| None, &[]).unwrap();
        let mut running = None;
        // What a node has ended lets go of its folder a moment later.
        until("it starts", async || {
            running = server::start(&config).await.ok();
            running.is_some()
        })
        .await;
        Self { running: running.unwrap(), folder }
    }

    fn raft(&self) -> &Replicated {
        self.running.node.control.consensus.replicated().unwrap()
    }

    /// The body of the answer, and its status where the handler has set one.
    async fn write(&self, path: &str, token: &str, body: Value) -> Result<Value, Error> {
        self.ask(Operation::Update, path, token, body).await.map(|(_, body)| body)
    }

    async fn read(&self, path: &str) -> (Option<u16>, Value) {
        self.ask(Operation::Read, path, "", json!({})).await.unwrap()
    }

    async fn ask(
        &self,
        operation: Operation,
        path: &str,
        token: &str,
        body: Value,
    ) -> Result<(Option<u16>, Value), Error> {
        let request = Request {
            operation,
            path: path.to_owned(),
            params: body.as_object().unwrap().clone(),
            token: Some(Arc::new(Secret::new(token.to_owned()))),
            ..Request::default()
        };
        // On the heap: test threads have little stack.
        let reply = Box::pin(self.running.node.service.answer(request)).await.outcome?;
        let body = match reply.body {
            Body::Data(data) => Value::Object(data),
            Body::Bare(value) => value,
            _ => Value::Null,
        };
        Ok((reply.status, body))
    }

    /// Ends it as SIGTERM does.
    async fn stop(self) -> TempDir {
        let Self { running, folder } = self;
        running.shut_down().await;
        folder
    }

    async fn unseal(&self, share: &str) -> Result<Value, Error> {
        self.write("sys/unseal", "", json!({ "key": share })).await
    }

    fn names(&self) -> Vec<String> {
        let members = self.raft().raft().configuration();
        members.into_iter().map(|member| member.info.name).collect()
    }
}

/// One node, initialised and unsealed; its share and its root token.
async fn founded() -> (Node, String, String) {
    let node = Node::start("a").await;
    let init = json!({ "secret_shares": 1, "secret_threshold": 1 });
    let made = node.write("sys/init", "", init).await.unwrap();
    let share = made["keys"][0].as_str().unwrap().to_owned();
    node.unseal(&share).await.unwrap();
    (node, share, made["root_token"].as_str().unwrap().to_owned())
}

/// Three voters, unsealed; the first is active.
async fn three() -> ([Node; 3], String, String) {
    let (a, share, root) = founded().await;
    let (b, c) = (Node::start("b").await, Node::start("c").await);
    for (node, name) in [(&b, "b"), (&c, "c")] {
        joining::join(node, &joining::token(&a, &root).await).await.unwrap();
        joining::settled(&a, node, name).await;
        node.unseal(&share).await.unwrap();
    }
    ([a, b, c], share, root)
}

async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
    while !is_so().await {
        assert!(tokio::time::Instant::now() < deadline, "in time: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
