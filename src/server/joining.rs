//! The joiner's side: ask for a challenge, collect shares, answer, and open when the log has
//! arrived.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::CertificateDer;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::admission::{admitted_mac, answer_mac, context};
use super::control::Control;
use super::removal::REMOVED;
use crate::client::{Address, Client, Config, Request, Tls};
use crate::crypto::{LockedKey, equal};
use crate::request::Error;
use crate::seal::{self, Added, KeyringRecord, SealConfiguration, Share, ShareCollector};
use crate::secret::Secret;
use crate::sys::{Admitted, Answer, Challenge, Join};

/// A way into a cluster: `retry_join`, or `operator raft join`.
#[derive(Clone, Debug)]
pub struct JoinTarget {
    pub api_address: String,
    pub tls: Tls,
    pub non_voter: bool,
}

/// What was asked, and what is still missing: shares.
pub(super) struct Pending {
    target: JoinTarget,
    challenge: Challenge,
    pub(super) configuration: SealConfiguration,
    record: KeyringRecord,
    pub(super) collector: ShareCollector,
}

impl From<Join> for JoinTarget {
    fn from(join: Join) -> Self {
        let tls = Tls {
            ca_cert_pem: join.leader_ca_cert.filter(|pem| !pem.is_empty()),
            server_name: join.leader_tls_servername.filter(|name| !name.is_empty()),
            ..Tls::default()
        };
        Self { api_address: join.leader_api_addr, tls, non_voter: join.non_voter }
    }
}

impl JoinTarget {
    fn client(&self) -> Result<Client, Error> {
        let failed = |error: crate::client::Error| Error::BadRequest(error.to_string());
        let mut config = Config::new(Address::parse(&self.api_address).map_err(failed)?);
        config.tls = self.tls.clone();
        config.timeout = ANSWER_TIME;
        config.retries_max = 0;
        Client::new(config).map_err(failed)
    }

    async fn call<T: DeserializeOwned>(&self, path: &str, body: &Value) -> Result<T, Error> {
        let response = self.client()?.send(&Request::write(path, body)).await;
        let body = response.and_then(|response| response.json());
        let body = body.map_err(|error| {
            Error::Unavailable(format!("{} could not be joined: {error}", self.api_address))
        })?;
        let data = body.get("data").cloned().unwrap_or_default();
        serde_json::from_value(data).map_err(Error::internal)
    }

    /// Whether a cluster is there already.
    pub(super) async fn is_initialized(&self) -> bool {
        let Ok(client) = self.client() else {
            return false;
        };
        let answer = client.send(&Request::read("sys/init")).await;
        let answer = answer.and_then(|response| response.json());
        answer.is_ok_and(|answer| answer.get("initialized") == Some(&Value::Bool(true)))
    }
}

impl Control {
    /// Asks for a challenge; shares are then taken as if this node were initialised. Nothing
    /// where it belongs to a cluster already.
    pub(super) async fn ask_to_join(&self, target: JoinTarget) -> Result<(), Error> {
        let Some(node) = self.consensus.replicated() else {
            return Err(Error::bad_request("raft storage is not in use"));
        };
        if node.is_removed() {
            return Err(Error::bad_request(REMOVED));
        }
        if node.cluster().identity().issued().is_some() || self.cluster()?.is_some() {
            return Ok(());
        }
        let joiner = json!({
            "server_id": node.info().name,
            "raft_id": node.raft().id().to_string(),
        });
        let challenge: Challenge =
            target.call("sys/storage/raft/bootstrap/challenge", &joiner).await?;
        let configuration = SealConfiguration::decode(&decoded(&challenge.seal_configuration)?)
            .map_err(Error::internal)?;
        let record =
            KeyringRecord::decode(&decoded(&challenge.root_key)?).map_err(Error::internal)?;
        let collector = ShareCollector::default();
        if configuration.kind().opens_itself() {
            let root_key = self.root_key_by_seals(&record).await?;
            let asked = Pending { target, challenge, configuration, record, collector };
            return self.answer_challenge(&asked, &root_key).await;
        }
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        // Shares typed so far stay good while they are for the same key.
        let collector = match pending.take() {
            Some(before) if before.configuration == configuration => before.collector,
            _ => collector,
        };
        *pending = Some(Pending { target, challenge, configuration, record, collector });
        Ok(())
    }

    /// One share for the cluster that this node wants to join; with the last, it joins and opens.
    ///
    /// # Errors
    /// Where the share is none, or the shares do not open the challenge.
    pub(super) async fn join_with(&self, share: Share) -> Result<(), Error> {
        let complete = {
            let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(asked) = pending.as_mut() else {
                return Err(Error::bad_request("Vault is not initialized"));
            };
            let (rng, configuration) = (self.rng(), asked.configuration);
            let added = asked.collector.add(rng, &configuration, share);
            match added.map_err(|error| Error::BadRequest(error.to_string()))? {
                Added::Progress | Added::Duplicate => return Ok(()),
                Added::Complete(shares) => pending.take().map(|asked| (asked, shares)),
            }
        };
        let Some((asked, shares)) = complete else {
            return Ok(());
        };
        let root_key = seal::open_root_key(&asked.record, &shares)
            .map_err(|error| Error::BadRequest(error.to_string()));
        let joined = match root_key {
            Ok(root_key) => self.answer_challenge(&asked, &root_key).await,
            Err(error) => Err(error),
        };
        if joined.is_err() {
            // What was asked is still good: shares can be typed again.
            let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
            pending.get_or_insert(asked);
        }
        joined?;
        self.open_when_arrived(&shares).await
    }

    async fn answer_challenge(&self, asked: &Pending, root_key: &LockedKey) -> Result<(), Error> {
        let node = self.consensus.replicated().ok_or(Error::NotActive)?;
        let Pending { target, challenge, .. } = asked;
        let id = node.raft().id();
        let context = context(&challenge.cluster_id, id, challenge.expires);
        let sealed = decoded(&challenge.challenge)?;
        let key = seal::open_challenge_with(root_key, &context, &sealed)
            .map_err(|error| Error::BadRequest(error.to_string()))?;
        let identity = node.cluster().identity();
        let request = identity.request().map_err(Error::internal)?;
        let mut answer = Answer {
            server_id: node.info().name.clone(),
            raft_id: id.to_string(),
            cluster_addr: node.info().cluster_address.clone(),
            api_addr: node.info().api_address.clone(),
            non_voter: target.non_voter,
            challenge: challenge.challenge.clone(),
            expires: challenge.expires,
            request: STANDARD.encode(request),
            answer: String::new(),
        };
        answer.answer = STANDARD.encode(answer_mac(&key, &challenge.cluster_id, &answer));
        let answer = serde_json::to_value(&answer).map_err(Error::internal)?;
        let admitted: Admitted = target.call("sys/storage/raft/bootstrap/answer", &answer).await?;
        let certificate = CertificateDer::from(decoded(&admitted.certificate)?);
        let mut authorities = Vec::new();
        for der in &admitted.authorities {
            authorities.push(CertificateDer::from(decoded(der)?));
        }
        let mac = admitted_mac(&key, &certificate, &authorities);
        if !equal(&mac, &decoded(&admitted.mac)?) {
            return Err(Error::Unavailable(
                "whoever answered does not know the cluster's key: nothing was taken from it"
                    .into(),
            ));
        }
        node.cluster().install(certificate, &authorities).map_err(Error::internal)?;
        tracing::info!(cluster = challenge.cluster_id, "joined");
        Ok(())
    }

    /// Waits for the keyring, which comes with the log, and opens it. Where it takes longer, the
    /// shares are forgotten and can be typed again.
    async fn open_when_arrived(&self, shares: &[Share]) -> Result<(), Error> {
        let node = self.consensus.replicated().ok_or(Error::NotActive)?;
        let (_, record) = match self.records_arrive().await {
            Ok(records) => records,
            Err(Error::Unavailable(_)) => {
                tracing::warn!("the log has not arrived yet: unseal this node once it has");
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        let keyring = seal::try_open(&record, shares).map_err(Error::internal)?;
        self.open(Arc::new(keyring), &record)?;
        node.checkpoint().await;
        Ok(())
    }

    /// Waits for what shares are checked by, which comes with the log: from the leader, or from
    /// this node's own disk.
    ///
    /// # Errors
    /// [`Error::Unavailable`] where it takes long.
    pub(super) async fn records_arrive(&self) -> Result<(SealConfiguration, KeyringRecord), Error> {
        let node = self.consensus.replicated().ok_or(Error::NotActive)?;
        let mut applied = node.raft().applied();
        let arriving = async {
            loop {
                applied.mark_unchanged();
                if let (Some(configuration), Some(record)) =
                    (self.seal_configuration()?, self.keyring_record()?)
                {
                    return Ok((configuration, record));
                }
                applied.changed().await.map_err(Error::internal)?;
            }
        };
        let arrived = tokio::time::timeout(ARRIVAL_TIME, arriving).await;
        arrived.unwrap_or_else(|_| Err(Error::Unavailable(NOT_ARRIVED.into())))
    }
}

/// Until this node belongs to a cluster, asks one target after the other.
pub async fn retry_join(control: Arc<Control>, targets: Vec<JoinTarget>) {
    let mut asked = false;
    while control
        .consensus
        .replicated()
        .is_some_and(|node| node.cluster().identity().issued().is_none())
    {
        for target in &targets {
            match control.ask_to_join(target.clone()).await {
                Ok(()) => {
                    if !asked {
                        tracing::info!(through = target.api_address, "asked to join: unseal me");
                    }
                    asked = true;
                    break;
                }
                Err(error) => tracing::debug!(%error, "not joined yet"),
            }
        }
        // A challenge lasts for minutes; it is renewed well before.
        tokio::time::sleep(if asked { RENEW_PAUSE } else { RETRY_PAUSE }).await;
    }
}

fn decoded(text: &str) -> Result<Vec<u8>, Error> {
    STANDARD.decode(text).map_err(|_| Error::bad_request("the answer is not base64"))
}

/// As it was typed, for whoever waits for it.
pub(super) fn parse_share(share: &Secret<String>) -> Result<Share, Error> {
    Share::parse(share.expose()).map_err(|error| Error::BadRequest(error.to_string()))
}

const ANSWER_TIME: Duration = Duration::from_secs(15);

const ARRIVAL_TIME: Duration = Duration::from_secs(15);

const NOT_ARRIVED: &str = "this node belongs to a cluster, whose log has not arrived here yet: \
                           try again once a node leads that this one can reach";

const RETRY_PAUSE: Duration = Duration::from_millis(500);

const RENEW_PAUSE: Duration = Duration::from_secs(120);
