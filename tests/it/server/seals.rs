//! A node whose seal opens by itself, and who may open it once it was sealed.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use serde_json::{Map, Value, json};
use strongroom::barrier::{Barrier, Keyring, Repeat};
use strongroom::clock::{SystemClock, Timestamp};
use strongroom::crypto::LockedKey;
use strongroom::framework::TtlLimits;
use strongroom::kms::{Kms, KmsError, Seal, Seals};
use strongroom::log::BoxFuture;
use strongroom::record::SystemKey;
use strongroom::request::{Body, Error, Operation, Request};
use strongroom::rng::{Rng, SystemRng};
use strongroom::seal::{KeyringRecord, SealConfiguration, SealKind};
use strongroom::secret::Secret;
use strongroom::server::{
    Alone, Consensus, Control, Identity, Node, Parts, settle_seals, watch_seals,
};
use strongroom::sys::{Init, NodeControl as _, Unseal};

type Hook = Box<dyn FnOnce() -> BoxFuture<'static, ()> + Send>;

/// A key service in memory.
#[derive(Default)]
struct Service {
    keys: Mutex<BTreeMap<Vec<u8>, [u8; 32]>>,
    unwrapped: AtomicUsize,
    wrapped: AtomicUsize,
    is_away: AtomicBool,
    /// Done while it is asked to unwrap.
    meanwhile: Mutex<Option<Hook>>,
}

struct Handle(Arc<Service>);

impl Kms for Handle {
    fn kind(&self) -> SealKind {
        SealKind::Transit
    }

    fn wrap<'a>(
        &'a self,
        key: &'a LockedKey,
    ) -> futures_util::future::BoxFuture<'a, Result<(String, Vec<u8>), KmsError>> {
        Box::pin(async {
            let number = self.0.wrapped.fetch_add(1, Ordering::Relaxed);
            let wrapped = number.to_be_bytes().to_vec();
            self.0.keys.lock().unwrap().insert(wrapped.clone(), *key.expose());
            Ok(("1".into(), wrapped))
        })
    }

    fn unwrap<'a>(
        &'a self,
        _: &'a str,
        wrapped: &'a [u8],
    ) -> futures_util::future::BoxFuture<'a, Result<LockedKey, KmsError>> {
        Box::pin(async {
            self.0.unwrapped.fetch_add(1, Ordering::Relaxed);
            if self.0.is_away.load(Ordering::Relaxed) {
                return Err(KmsError::Unreachable("it is away".into()));
            }
            let meanwhile = self.0.meanwhile.lock().unwrap().take();
            if let Some(meanwhile) = meanwhile {
                meanwhile().await;
            }
            let keys = self.0.keys.lock().unwrap();
            keys.get(wrapped).map(LockedKey::new).ok_or(KmsError::WrongKey)
        })
    }
}

struct Sealed {
    node: Node,
    service: Arc<Service>,
    shares: Vec<String>,
}

fn node(seals: Seals) -> Node {
    let barrier = Arc::new(Barrier::new(Arc::new(SystemRng)));
    let consensus = Arc::new(Alone::of(&barrier));
    node_of(seals, barrier, consensus)
}

fn node_of(seals: Seals, barrier: Arc<Barrier>, consensus: Arc<dyn Consensus>) -> Node {
    let rng: Arc<dyn Rng> = Arc::new(SystemRng);
    let identity = Identity {
        api_address: String::new(),
        cluster_address: String::new(),
        cluster_name: String::new(),
        version: String::new(),
        retry_join: Vec::new(),
        joins_by_token: false,
    };
    let node = Node::new(Parts {
        audit: strongroom::audit::Rules::default(),
        telemetry: Arc::new(strongroom::telemetry::Telemetry::new(Default::default()).unwrap()),
        consensus,
        barrier,
        clock: Arc::new(SystemClock),
        identity,
        process: strongroom::server::NodeProcess::default(),
        rng,
        seals: Arc::new(seals),
        ttl: TtlLimits::default(),
        lockout: strongroom::auth::lockout::LockoutSettings::default(),
        value_bytes_max: strongroom::pipeline::VALUE_BYTES_MAX,
    });
    node.unwrap()
}

fn seals(service: &Arc<Service>) -> Seals {
    let kms = Box::new(Handle(service.clone()));
    Seals::new(vec![Seal { name: "a".into(), priority: 1, disabled: false, kms }])
}

async fn initialised(node: &Node, numbers: [i64; 4]) -> Vec<String> {
    let [secret_shares, secret_threshold, recovery_shares, recovery_threshold] = numbers;
    let init = Init {
        secret_shares,
        secret_threshold,
        recovery_shares,
        recovery_threshold,
        stored_shares: 0,
        pgp_keys: Vec::new(),
        recovery_pgp_keys: Vec::new(),
        root_token_pgp_key: None,
    };
    let made = node.control.init(init).await.unwrap();
    made.shares.iter().map(|share| share.hex.expose().clone()).collect()
}

async fn write(node: &Node, path: &str, body: Value) -> Result<Map<String, Value>, Error> {
    let params = body.as_object().cloned().unwrap_or_default();
    let operation = Operation::Update;
    let request = Request { operation, path: path.into(), params, ..Request::default() };
    match node.pipeline.handle(&request).await?.body {
        Body::Bare(Value::Object(body)) => Ok(body),
        other => panic!("{other:?}"),
    }
}

/// A cluster of one node that was open and that someone has sealed.
async fn sealed(recovery_shares: i64, recovery_threshold: i64) -> Sealed {
    let service = Arc::new(Service::default());
    let node = node(seals(&service));
    let shares = initialised(&node, [0, 0, recovery_shares, recovery_threshold]).await;
    assert!(!node.control.barrier.is_sealed());
    node.control.seal().await.unwrap();
    service.unwrapped.store(0, Ordering::Relaxed);
    Sealed { node, service, shares }
}

impl Sealed {
    async fn give(&self, share: &str) -> Result<usize, Error> {
        let share = Unseal::Share(Secret::new(share.to_owned()));
        self.node.control.unseal(share).await.map(|status| status.progress)
    }

    fn is_sealed(&self) -> bool {
        self.node.control.barrier.is_sealed()
    }

    fn asked(&self) -> usize {
        self.service.unwrapped.load(Ordering::Relaxed)
    }
}

fn changed(share: &str) -> String {
    let first = if share.starts_with("00") { "01" } else { "00" };
    format!("{first}{}", &share[2..])
}

#[tokio::test]
async fn a_node_that_was_sealed_opens_to_recovery_shares_alone() {
    let sealed = sealed(3, 2).await;
    let shares = &sealed.shares;
    for _ in 0..3 {
        assert_eq!(sealed.give(&changed(&shares[0])).await.unwrap(), 1);
        let told = sealed.give(&changed(&shares[1])).await.unwrap_err();
        assert!(matches!(told, Error::BadRequest(_)), "{told}");
        assert!(sealed.is_sealed());
    }
    assert_eq!(sealed.asked(), 1, "whatever is typed asks the key service once");
    assert_eq!(sealed.give(&shares[0]).await.unwrap(), 1);
    sealed.service.is_away.store(true, Ordering::Relaxed);
    let told = sealed.give(&shares[2]).await.unwrap_err();
    assert!(matches!(told, Error::Unavailable(_)), "{told}");
    assert!(sealed.is_sealed());
    sealed.service.is_away.store(false, Ordering::Relaxed);
    sealed.give(&shares[2]).await.unwrap();
    assert!(!sealed.is_sealed(), "the shares that were given are still there");
}

#[tokio::test]
async fn without_a_recovery_key_only_a_restart_opens_a_node_that_was_sealed() {
    let sealed = sealed(0, 0).await;
    let told = sealed.give(&"ab".repeat(33)).await.unwrap_err().to_string();
    assert!(told.contains("restart it"), "{told}");
    assert!(sealed.is_sealed());
    assert_eq!(sealed.asked(), 0);
}

/// Stores what another node makes of the keyring's record. What was stored before.
async fn put_keyring(
    control: &Control,
    service: &Service,
    change: impl FnOnce(&Keyring, &KeyringRecord) -> Bytes,
) -> Bytes {
    let view = control.consensus.view();
    let before = view.system(SystemKey::Keyring).unwrap().unwrap().1;
    let record = KeyringRecord::decode(&before).unwrap();
    let key = *service.keys.lock().unwrap().values().next().unwrap();
    let root_key = record.open_root_key(&LockedKey::new(&key)).unwrap();
    let keyring = record.open_with(&root_key).unwrap();
    let stored = change(&keyring, &record);
    let leader = Barrier::new(Arc::new(SystemRng));
    leader.open(Arc::new(keyring));
    let log = control.consensus.clone().log();
    let mut txn = leader.begin(log.begin().await.unwrap(), Timestamp(1)).unwrap();
    txn.put_system(SystemKey::Keyring, stored);
    let batch = txn.into_batch().unwrap().unwrap();
    log.propose(leader.seal(batch, Repeat::default()).unwrap()).await.unwrap();
    before
}

fn rotated(keyring: &Keyring, record: &KeyringRecord) -> Bytes {
    strongroom::seal::rotate(&SystemRng, Timestamp(1), keyring, record).unwrap().1.encode()
}

#[tokio::test]
async fn a_keyring_that_changes_while_the_key_service_is_asked_is_followed() {
    let sealed = sealed(1, 1).await;
    sealed.give(&changed(&sealed.shares[0])).await.unwrap_err();
    let (control, service) = (sealed.node.control.clone(), sealed.service.clone());
    let meanwhile = move || -> BoxFuture<'static, ()> {
        Box::pin(async move { drop(put_keyring(&control, &service, rotated).await) })
    };
    *sealed.service.meanwhile.lock().unwrap() = Some(Box::new(meanwhile));
    sealed.give(&sealed.shares[0]).await.unwrap();
    let keyring = sealed.node.control.barrier.keyring().unwrap();
    assert_eq!(keyring.active_term(), 2);
}

#[tokio::test]
async fn a_keyring_that_is_restored_while_the_key_service_is_asked_is_gone_back_to() {
    let sealed = sealed(1, 1).await;
    sealed.give(&changed(&sealed.shares[0])).await.unwrap_err();
    let (control, service) = (sealed.node.control.clone(), sealed.service.clone());
    let first = put_keyring(&control, &service, rotated).await;
    let meanwhile = move || -> BoxFuture<'static, ()> {
        Box::pin(async move { drop(put_keyring(&control, &service, |_, _| first).await) })
    };
    *sealed.service.meanwhile.lock().unwrap() = Some(Box::new(meanwhile));
    sealed.give(&sealed.shares[0]).await.unwrap();
    // With the newer one, what this node seals could not be read by others.
    let keyring = sealed.node.control.barrier.keyring().unwrap();
    assert_eq!(keyring.active_term(), 1);
}

#[tokio::test]
async fn a_seal_is_asked_whether_it_answers_by_the_node_and_not_by_whoever_wants_to_know() {
    let service = Arc::new(Service::default());
    let node = node(seals(&service));
    for _ in 0..3 {
        let [told] = node.control.seal_backends().await.try_into().unwrap();
        assert!(told.healthy);
        assert_eq!(service.wrapped.load(Ordering::Relaxed), 1);
    }
    service.is_away.store(true, Ordering::Relaxed);
    let watch = std::pin::pin!(watch_seals(node.control.clone()));
    assert!(futures_util::FutureExt::now_or_never(watch).is_none(), "it goes on");
    for _ in 0..3 {
        let [told] = node.control.seal_backends().await.try_into().unwrap();
        assert!(told.error.unwrap().contains("it is away"));
        assert_eq!(service.wrapped.load(Ordering::Relaxed), 2);
    }
}

#[tokio::test]
async fn a_rekey_asks_the_key_service_once_enough_shares_were_given() {
    let Sealed { node, service, shares } = sealed(3, 2).await;
    for share in &shares[..2] {
        let share = Unseal::Share(Secret::new(share.clone()));
        node.control.unseal(share).await.unwrap();
    }
    let asked = || service.wrapped.load(Ordering::Relaxed);
    let before = asked();
    let begin = json!({ "secret_shares": 1, "secret_threshold": 1 });
    let nonce = write(&node, "sys/rekey/init", begin).await.unwrap()["nonce"].clone();
    let give =
        |share: &str| write(&node, "sys/rekey/update", json!({ "key": share, "nonce": nonce }));
    assert_eq!(give(&shares[0]).await.unwrap()["progress"], 1);
    give(&changed(&shares[1])).await.unwrap_err();
    assert_eq!(asked(), before);
    give(&shares[2]).await.unwrap();
    assert_eq!(give(&shares[0]).await.unwrap()["complete"], true);
    assert_eq!(asked(), before + 1);
}

#[tokio::test]
async fn a_migration_that_a_rekey_has_overtaken_is_forgotten() {
    for rekeyed in [false, true] {
        let service = Arc::new(Service::default());
        let barrier = Arc::new(Barrier::new(Arc::new(SystemRng)));
        let consensus: Arc<dyn Consensus> = Arc::new(Alone::of(&barrier));
        let old = node_of(Seals::default(), barrier, consensus.clone());
        let shares = initialised(&old, [1, 1, 0, 0]).await;
        let barrier = Arc::new(Barrier::new(Arc::new(SystemRng)));
        let new = node_of(seals(&service), barrier, consensus.clone());
        let share = || Secret::new(shares[0].clone());
        old.control.unseal(Unseal::Share(share())).await.unwrap();
        new.control.unseal(Unseal::Migrate(share())).await.unwrap();
        if rekeyed {
            let begin = json!({ "secret_shares": 1, "secret_threshold": 1 });
            let nonce = write(&old, "sys/rekey/init", begin).await.unwrap()["nonce"].clone();
            let give = json!({ "key": shares[0], "nonce": nonce });
            write(&old, "sys/rekey/update", give).await.unwrap();
        }
        let settle = std::pin::pin!(settle_seals(new.control.clone(), new.pipeline.clone()));
        assert!(futures_util::FutureExt::now_or_never(settle).is_none(), "it goes on");
        let stored = consensus.view().system(SystemKey::SealConfiguration).unwrap().unwrap().1;
        let kind = SealConfiguration::decode(&stored).unwrap().kind();
        let expected = if rekeyed { SealKind::Shamir } else { SealKind::Transit };
        assert_eq!(kind, expected);
    }
}
