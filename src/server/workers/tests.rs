use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::watch;

use super::super::consensus::{Alone, Consensus, Founded, Leader, Progress};
use super::super::{Identity, Node, Parts, Tasks};
use super::*;
use crate::barrier::{Barrier, Keyring};
use crate::clock::{SystemClock, Timestamp};
use crate::cluster::{BodyChunks, ForwardError, Forwarded, Outcome};
use crate::expiry::{Expiry, Filing};
use crate::framework::{Mount, TtlLimits};
use crate::job::{Job, JobKind};
use crate::log::{BoxFuture, ReplicatedLog};
use crate::mount::ROOT_NAMESPACE;
use crate::namespace::Namespace;
use crate::record::{Leadership, View};
use crate::rng::{Rng, SystemRng};
use crate::sys;
use crate::telemetry::{self, Telemetry};
use crate::txn::Txn;

#[tokio::test]
async fn leadership_that_was_lost_and_won_again_unseen_is_another() {
    let role = watch::Sender::new(Role::Active);
    let consensus =
        Arc::new(Again { alone: Arc::default(), term: AtomicU64::new(3), role: role.clone() });
    let node = node(consensus.clone());
    let workers = Tasks::default();
    workers.spawn("workers", run_workers(node.control.clone(), node.pipeline.clone()));
    settled(&role).await;
    let before = mount(&node.pipeline).await;
    // The same leadership, told again, as when a node joins.
    role.send_replace(Role::Active);
    settled(&role).await;
    assert!(Arc::ptr_eq(&before, &mount(&node.pipeline).await), "nothing is forgotten");
    // In between it was a standby: nobody looked then.
    consensus.term.store(5, Ordering::SeqCst);
    role.send_replace(Role::Active);
    settled(&role).await;
    assert!(!Arc::ptr_eq(&before, &mount(&node.pipeline).await), "what it kept is of term 3");
    workers.abort();
}

#[tokio::test]
async fn a_key_that_cannot_be_rotated_stops_neither_the_others_nor_the_sweep() {
    let role = watch::Sender::new(Role::Active);
    let consensus =
        Arc::new(Again { alone: Arc::default(), term: AtomicU64::new(3), role: role.clone() });
    let node = node(consensus);
    let key = |algorithm: &str| {
        let public = serde_json::json!({ "kid": "k", "algorithm": algorithm, "numbers": {} });
        serde_json::json!({
            "algorithm": algorithm, "rotation_period": 60, "verification_ttl": 60,
            "allowed_client_ids": [], "current": { "public": public, "pkcs8": "" }, "next": null,
            "next_rotation": 0, "retired": [],
        })
    };
    let code = "identity/oidc/code/1/x";
    let keys = [("a", "of the future".into()), ("b", key("nosuch")), ("c", key("ES256"))];
    let write = node.pipeline.internal(|txn| {
        let mut core = txn.scope(CORE);
        for (name, key) in &keys {
            core.put::<serde_json::Value>(&format!("identity/oidc/key/{name}"), key)?;
        }
        core.put(code, &())
    });
    write.await.unwrap();
    assert!(keep_identity(&node.pipeline, ROOT_PLACE).await.is_err());
    let left = node.pipeline.internal(|txn| {
        let mut core = txn.scope(CORE);
        Ok((core.get_bytes(code)?, core.get::<serde_json::Value>("identity/oidc/key/c")?))
    });
    let (code, key) = left.await.unwrap();
    assert!(code.is_none());
    assert_ne!(key.unwrap().pointer("/current/public/kid").unwrap(), "k");
}

#[tokio::test]
async fn jobs_are_worked_off_in_turns_so_that_what_is_due_ends_in_time() {
    let node = node(Arc::new(Again {
        alone: Arc::default(),
        term: AtomicU64::new(3),
        role: watch::Sender::new(Role::Active),
    }));
    let pipeline = &node.pipeline;
    let long = |txn: &mut Txn| {
        for name in ["a", "b"] {
            for number in 0..1100 {
                txn.scope(ROOT_NAMESPACE).put(&format!("gone/{name}/{number}"), &0)?;
            }
            let kind = JobKind::DeleteTree { directory: format!("gone/{name}") };
            Job { kind }.file(name, &mut txn.scope(CORE))?;
        }
        let past = Timestamp(60_000);
        Expiry::new(&mut txn.scope(CORE)).file("token.gone", past, Filing::default()).map(drop)
    };
    pipeline.internal(long).await.unwrap();
    let mut stepped = String::new();
    assert_eq!(work_off(pipeline, ROOT_PLACE, &mut stepped, 1).await.unwrap(), Worked::Some);
    assert_eq!(left_to_delete(pipeline).await, [100, 1100]);
    assert_eq!(pipeline.internal(expiry::due).await.unwrap().len(), 1, "was due all along");
    end_what_is_due(pipeline).await.unwrap();
    assert!(pipeline.internal(expiry::due).await.unwrap().is_empty());
    assert_eq!(work_off(pipeline, ROOT_PLACE, &mut stepped, 1).await.unwrap(), Worked::Some);
    assert_eq!(left_to_delete(pipeline).await, [100, 100], "neither waits for the other");
    assert_eq!(work_off(pipeline, ROOT_PLACE, &mut stepped, 2).await.unwrap(), Worked::All);
    assert_eq!(left_to_delete(pipeline).await, [0, 0]);
    assert!(pipeline.internal(jobs::jobs).await.unwrap().is_empty());
}

/// Of each job.
async fn left_to_delete(pipeline: &Pipeline) -> [u64; 2] {
    let look = |txn: &mut Txn| {
        let mut scope = txn.scope(ROOT_NAMESPACE);
        Ok([scope.directory_records("gone/a")?, scope.directory_records("gone/b")?])
    };
    pipeline.internal(look).await.unwrap()
}

/// On one thread: whoever can go on has done so after a while.
async fn settled(role: &watch::Sender<Role>) {
    for _ in 0..1000 {
        tokio::task::yield_now().await;
    }
    assert_eq!(role.receiver_count(), 1, "the workers look at it");
}

async fn mount(pipeline: &Pipeline) -> Arc<dyn Mount> {
    let open =
        pipeline.internal(|txn| pipeline.router.resolve(txn, &Namespace::root(), "secret/x"));
    open.await.unwrap().unwrap().mount
}

fn node(consensus: Arc<Again>) -> Node {
    let rng: Arc<dyn Rng> = Arc::new(SystemRng);
    let barrier = Arc::new(Barrier::new(rng.clone()));
    barrier.open(Arc::new(Keyring::generate(rng.as_ref(), Timestamp(1))));
    let node = Node::new(Parts {
        seals: Arc::default(),
        audit: crate::audit::Rules::default(),
        barrier,
        clock: Arc::new(SystemClock),
        consensus,
        identity: Identity {
            api_address: String::new(),
            cluster_address: String::new(),
            cluster_name: String::new(),
            version: String::new(),
            retry_join: Vec::new(),
            joins_by_token: false,
        },
        process: crate::server::NodeProcess::default(),
        rng: rng.clone(),
        telemetry: Arc::new(Telemetry::new(telemetry::Settings::default()).unwrap()),
        ttl: TtlLimits::default(),
        lockout: crate::auth::lockout::LockoutSettings::default(),
        value_bytes_max: 1 << 20,
    });
    let node = node.unwrap();
    let write = node.pipeline.internal(|txn| {
        sys::write_first_records(txn, rng.as_ref(), None)?;
        let entry = crate::mount::MountEntry {
            kind: "kv".into(),
            uuid: "u".into(),
            path: "secret/".into(),
            ..sys::system_entry(rng.as_ref())
        };
        txn.scope(ROOT_NAMESPACE).put(&entry.table.key(&entry.path), &entry)
    });
    futures_util::FutureExt::now_or_never(write).unwrap().unwrap();
    node
}

/// As [`Alone`], but that others could lead in between.
struct Again {
    alone: Arc<Alone>,
    term: AtomicU64,
    role: watch::Sender<Role>,
}

impl Consensus for Again {
    fn log(self: Arc<Self>) -> Arc<dyn ReplicatedLog> {
        self.alone.clone().log()
    }

    fn view(&self) -> Arc<dyn View> {
        self.alone.view()
    }

    fn role(&self) -> Role {
        self.role.borrow().clone()
    }

    fn roles(&self) -> watch::Receiver<Role> {
        self.role.subscribe()
    }

    fn leadership(&self) -> Option<Leadership> {
        Some(Leadership { term: self.term.load(Ordering::SeqCst), node: 1 })
    }

    fn progress(&self) -> Option<Progress> {
        None
    }

    fn initialize<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<Option<Founded>, Error>> {
        self.alone.initialize(id)
    }

    fn forward<'a>(
        &'a self,
        leader: &'a Leader,
        forwarded: &'a Forwarded,
    ) -> BoxFuture<'a, Result<Outcome, ForwardError>> {
        self.alone.forward(leader, forwarded)
    }

    fn upload<'a>(
        &'a self,
        leader: &'a Leader,
        forwarded: &'a Forwarded,
        body: BodyChunks,
    ) -> BoxFuture<'a, Result<Outcome, ForwardError>> {
        self.alone.upload(leader, forwarded, body)
    }

    fn hand_over(&self) -> BoxFuture<'_, Result<(), Error>> {
        self.alone.hand_over()
    }

    fn follow_seal(&self) {}

    fn stopped(&self) -> watch::Receiver<Option<String>> {
        self.alone.stopped()
    }

    fn shut_down(&self) -> BoxFuture<'_, ()> {
        self.alone.shut_down()
    }

    fn storage_type(&self) -> &'static str {
        "inmem"
    }
}
