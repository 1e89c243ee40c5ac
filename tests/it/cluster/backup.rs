//! `sys/storage/raft/snapshot`, on each node.

use std::sync::Arc;

use futures_util::StreamExt as _;
use serde_json::json;
use strongroom::backup::{Unpacked, deep, unpack, walk};
use strongroom::request::{Error, Operation, Request};
use strongroom::seal::{Share, try_open};
use strongroom::secret::Secret;

use super::{Node, founded, three};

pub(super) async fn ask(node: &Node, token: &str) -> Result<Vec<u8>, Error> {
    let request = Request {
        operation: Operation::Read,
        path: "sys/storage/raft/snapshot".to_owned(),
        token: Some(Arc::new(Secret::new(token.to_owned()))),
        ..Request::default()
    };
    let answer = Box::pin(node.running.node.service.answer(request)).await;
    answer.outcome?;
    let download = answer.download.unwrap();
    assert_eq!(download.content_type, "application/gzip");
    let chunks: Vec<_> = download.chunks.collect().await;
    Ok(chunks.into_iter().flat_map(|chunk| chunk.unwrap()).collect())
}

/// Checks all of an archive, and opens each of its records.
fn check(archive: &[u8], share: &str) -> Unpacked {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    let unpacked = unpack(archive, std::fs::File::create(&state).unwrap()).unwrap();
    let checked = walk(&state).unwrap();
    assert_eq!(checked.problems, Vec::<String>::new());
    let shares = [Share::parse(share).unwrap()];
    let keyring = try_open(checked.keyring.as_ref().unwrap(), &shares).unwrap();
    let opened = deep(&state, &unpacked, &keyring).unwrap();
    assert_eq!(opened.problems, Vec::<String>::new());
    assert_eq!(opened.records, checked.kinds.records);
    assert!(opened.secrets_mounts > 0 && opened.auth_mounts > 0, "{opened:?}");
    unpacked
}

#[tokio::test(flavor = "multi_thread")]
async fn each_node_saves_all_that_was_acknowledged_before_it_was_asked() {
    let ([a, b, c], share, root) = three().await;
    for round in 0..5 {
        for node in [&a, &b, &c] {
            let path = format!("cubbyhole/{round}");
            a.write(&path, &root, json!({ "a": "b" })).await.unwrap();
            let written = *a.raft().raft().applied().borrow();
            let unpacked = check(&ask(node, &root).await.unwrap(), &share);
            assert!(unpacked.meta.index >= written, "{} < {written}", unpacked.meta.index);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_saved_under_writes_is_one_point() {
    let ([a, b, _c], share, root) = three().await;
    let writes = async {
        for number in 0..200 {
            let path = format!("cubbyhole/{}/{number}", number % 7);
            a.write(&path, &root, json!({ "a": number })).await.unwrap();
        }
    };
    let saves = async {
        let mut archives = Vec::new();
        for _ in 0..4 {
            archives.push(ask(&a, &root).await.unwrap());
            archives.push(ask(&b, &root).await.unwrap());
        }
        archives
    };
    let ((), archives) = tokio::join!(writes, saves);
    for archive in archives {
        check(&archive, &share);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_may_not_save_gets_nothing_and_a_wrong_share_opens_nothing() {
    let (a, _, root) = founded().await;
    assert!(matches!(ask(&a, "").await, Err(Error::Denied)));
    let policy = json!({ "policy": "path \"sys/storage/raft/*\" { capabilities = [\"read\"] }" });
    a.write("sys/policies/acl/reader", &root, policy).await.unwrap();
    let request = Request {
        operation: Operation::Update,
        path: "auth/token/create".to_owned(),
        params: json!({ "policies": ["reader"] }).as_object().unwrap().clone(),
        token: Some(Arc::new(Secret::new(root.clone()))),
        ..Request::default()
    };
    let made = a.running.node.service.answer(request).await.outcome.unwrap();
    let token = made.auth.unwrap().client_token;
    assert!(matches!(ask(&a, &token).await, Err(Error::Denied)), "it takes sudo");
    let archive = ask(&a, &root).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    unpack(archive.as_slice(), std::fs::File::create(&state).unwrap()).unwrap();
    let checked = walk(&state).unwrap();
    let wrong = Share::parse(&"07".repeat(32)).unwrap();
    assert!(try_open(checked.keyring.as_ref().unwrap(), &[wrong]).is_err());
    a.write("sys/seal", &root, json!({})).await.unwrap();
    assert!(matches!(ask(&a, &root).await, Err(Error::Sealed)));
}
