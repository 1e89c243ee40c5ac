//! Every acknowledged write is there as the version that was told, no write is there twice, and
//! versions have no holes. Every node answers the same.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;
use strongroom::client::{Client, Request};
use tokio::task::JoinSet;

use crate::canary::Canary;
use crate::cluster::{Cluster, TIMEOUT, ask};
use crate::workload::{Outcome, Write};

/// What is found at a path: payloads by version.
pub(crate) type Found = BTreeMap<u64, u64>;

/// Reads everything through every node, and answers what is wrong; nothing where all is well.
pub(crate) async fn check(
    cluster: &Cluster,
    canary: &Canary,
    writes: &[Write],
) -> Result<Vec<String>, String> {
    let mut paths: BTreeMap<String, Vec<Write>> = BTreeMap::new();
    for write in writes {
        paths.entry(write.path.clone()).or_default().push(write.clone());
    }
    let mut clients = Vec::new();
    for node in &cluster.nodes {
        clients.push(node.client(Some(&cluster.root_token), TIMEOUT)?);
    }
    let clients = Arc::new(clients);
    let mut problems = listed(&clients, canary, &paths).await?;
    let left = Arc::new(Mutex::new(paths));
    let mut readers = JoinSet::new();
    for _ in 0..READERS {
        let (left, clients, canary) = (Arc::clone(&left), Arc::clone(&clients), canary.clone());
        let reader = async move {
            let mut problems = Vec::new();
            loop {
                let next = left.lock().unwrap_or_else(PoisonError::into_inner).pop_first();
                let Some((path, writes)) = next else { return Ok::<_, String>(problems) };
                let found = read(&clients, &canary, &path, &mut problems).await?;
                problems.extend(compare(&path, &writes, &found));
            }
        };
        drop(readers.spawn(reader));
    }
    while let Some(ended) = readers.join_next().await {
        problems.extend(ended.map_err(|error| error.to_string())??);
    }
    Ok(problems)
}

/// Every path that has an acknowledged write is in every node's list, and no path that nobody wrote.
async fn listed(
    clients: &[Client],
    canary: &Canary,
    paths: &BTreeMap<String, Vec<Write>>,
) -> Result<Vec<String>, String> {
    let mut problems = Vec::new();
    for client in clients {
        let answer = ask(client, &Request::list(&canary.metadata_path(""))).await?;
        let keys = answer["data"]["keys"].as_array().cloned().unwrap_or_default();
        let keys: BTreeSet<&str> = keys.iter().filter_map(Value::as_str).collect();
        for (path, writes) in paths {
            let is_there = |write: &Write| matches!(write.outcome, Outcome::Acknowledged(_));
            if writes.iter().any(is_there) && !keys.contains(path.as_str()) {
                problems.push(format!("{path}: not listed"));
            }
        }
        for key in keys.iter().filter(|key| !paths.contains_key(**key)) {
            problems.push(format!("{key}: listed, but never written"));
        }
    }
    Ok(problems)
}

/// The versions as every node tells them, and each one's payload as one node tells it.
async fn read(
    clients: &[Client],
    canary: &Canary,
    path: &str,
    problems: &mut Vec<String>,
) -> Result<Found, String> {
    let mut told: Vec<Value> = Vec::new();
    for client in clients {
        let answer = ask(client, &Request::read(&canary.metadata_path(path))).await?;
        told.push(answer["data"].clone());
    }
    let Some(first) = told.first() else { return Err("no nodes".into()) };
    if told.iter().any(|other| other != first) {
        problems.push(format!("{path}: nodes differ: {told:?}"));
    }
    let versions: BTreeSet<u64> = first["versions"]
        .as_object()
        .into_iter()
        .flatten()
        .filter_map(|(version, _)| version.parse().ok())
        .collect();
    let current = first["current_version"].as_u64().unwrap_or_default();
    if current != versions.last().copied().unwrap_or_default() {
        problems.push(format!("{path}: the current version is {current}, of {versions:?}"));
    }
    let mut found = Found::new();
    for (version, client) in versions.into_iter().zip(clients.iter().cycle()) {
        let request = Request::read(&canary.data_path(path)).query("version", &version.to_string());
        let answer = ask(client, &request).await?;
        match canary.id(&answer["data"]["data"]) {
            Some(id) => drop(found.insert(version, id)),
            None => problems.push(format!("{path}: version {version} is {answer}")),
        }
    }
    Ok(found)
}

/// What is wrong with what was found at a path, after these writes to it.
pub(crate) fn compare(path: &str, writes: &[Write], found: &Found) -> Vec<String> {
    let mut problems = Vec::new();
    let outcomes: BTreeMap<u64, Outcome> =
        writes.iter().map(|write| (write.id, write.outcome)).collect();
    for (id, outcome) in &outcomes {
        if let Outcome::Acknowledged(version) = outcome
            && found.get(version) != Some(id)
        {
            let there = found.get(version);
            problems.push(format!(
                "{path}: write {id} was acknowledged as version {version}, where {there:?} is"
            ));
        }
    }
    let mut seen = BTreeMap::new();
    for (version, id) in found {
        if let Some(earlier) = seen.insert(*id, *version) {
            problems.push(format!("{path}: write {id} is version {earlier} and {version}"));
        }
        match outcomes.get(id) {
            Some(Outcome::Refused) => {
                problems.push(format!("{path}: write {id} was refused, and is version {version}"));
            }
            None => problems.push(format!("{path}: version {version} was never written here")),
            Some(_) => {}
        }
    }
    let last = found.last_key_value().map_or(0, |(version, _)| *version);
    let count = u64::try_from(found.len()).unwrap_or(u64::MAX);
    if count != last {
        problems.push(format!("{path}: {count} versions, the last of which is {last}"));
    }
    problems
}

const READERS: usize = 12;

#[cfg(test)]
mod tests;
