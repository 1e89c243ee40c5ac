//! Shares that were given, asked about and forgotten from several sides at once.

use std::sync::{Arc, mpsc};
use std::time::Duration;

use strongroom::barrier::Barrier;
use strongroom::clock::SystemClock;
use strongroom::framework::TtlLimits;
use strongroom::rng::{Rng, SystemRng};
use strongroom::server::{Alone, Identity, Node, Parts};
use strongroom::sys::{NodeControl as _, Unseal};

#[test]
fn health_is_told_while_shares_are_forgotten() {
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
        barrier: Arc::new(Barrier::new(rng.clone())),
        clock: Arc::new(SystemClock),
        consensus: Arc::new(Alone::default()),
        identity,
        process: strongroom::server::NodeProcess::default(),
        rng,
        ttl: TtlLimits::default(),
        lockout: strongroom::auth::lockout::LockoutSettings::default(),
        value_bytes_max: strongroom::pipeline::VALUE_BYTES_MAX,
    });
    let control = node.unwrap().control;
    let (done, all_done) = mpsc::channel();
    for resets in [true, false] {
        let (control, done) = (control.clone(), done.clone());
        std::thread::spawn(move || {
            for _ in 0..20_000 {
                if resets {
                    futures_util::future::FutureExt::now_or_never(control.unseal(Unseal::Reset))
                        .unwrap()
                        .unwrap();
                } else {
                    futures_util::future::FutureExt::now_or_never(control.health())
                        .unwrap()
                        .unwrap();
                }
            }
            done.send(()).unwrap();
        });
    }
    for _ in 0..2 {
        all_done.recv_timeout(Duration::from_secs(20)).expect("each waits for the other");
    }
}
