use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use super::*;
use crate::barrier::Keyring;
use crate::clock::Timestamp;
use crate::rng::{Rng, SystemRng};

/// An unseal is acted upon while another thread seals: the node must not stand afterwards.
#[test]
fn seal_that_meets_an_unseal_is_acted_upon_last() {
    let rng: Arc<dyn Rng> = Arc::new(SystemRng);
    let barrier = Arc::new(Barrier::new(rng.clone()));
    let stands = Arc::new(AtomicBool::new(false));
    let own: Arc<OnceLock<Arc<Standing>>> = Arc::default();
    let sealing = Arc::new(Mutex::new(None));
    let act = {
        let (barrier, stands, own, sealing) =
            (barrier.clone(), stands.clone(), own.clone(), sealing.clone());
        move |open: bool| {
            if open {
                barrier.close();
                let standing = own.get().unwrap().clone();
                let sealer = thread::spawn(move || standing.follow());
                // Time enough for whoever does not wait for its turn.
                for _ in 0..10_000 {
                    thread::yield_now();
                }
                *sealing.lock().unwrap() = Some(sealer);
            }
            stands.store(open, Ordering::SeqCst);
        }
    };
    let standing = Arc::new(Standing::new(barrier.clone(), act));
    assert!(own.set(standing.clone()).is_ok());
    barrier.open(Arc::new(Keyring::generate(rng.as_ref(), Timestamp(1))));
    standing.follow();
    let sealer = sealing.lock().unwrap().take().unwrap();
    sealer.join().unwrap();
    assert!(barrier.is_sealed() && !stands.load(Ordering::SeqCst));
}
