use std::sync::Arc;

use super::*;
use crate::barrier::{Barrier, Keyring};
use crate::clock::Timestamp;
use crate::log::{MemoryLog, ReplicatedLog as _};
use crate::mount::ROOT_NAMESPACE;
use crate::rng::SystemRng;

#[tokio::test]
async fn an_accessor_is_never_used_again() {
    let barrier = Barrier::new(Arc::new(SystemRng));
    barrier.open(Arc::new(Keyring::generate(&SystemRng, Timestamp(1))));
    let mut txn = barrier.begin(MemoryLog::default().begin().await.unwrap(), Timestamp(1)).unwrap();
    let entry = |table, number: u32| MountEntry {
        table,
        path: format!("m{number}/"),
        kind: "kv".into(),
        description: String::new(),
        uuid: format!("uuid{number}"),
        accessor: format!("a{number}"),
        local: false,
        seal_wrap: false,
        external_entropy_access: false,
        options: BTreeMap::new(),
        config: MountConfig::default(),
        tainted: false,
    };
    for entry in [entry(Table::Secret, 1), entry(Table::Auth, 2)] {
        txn.scope(ROOT_NAMESPACE).put(&entry.table.key(&entry.path), &entry).unwrap();
    }
    let mut core = txn.scope("root/core/");
    MountPlaces::new(&mut core).gone(&entry(Table::Secret, 3)).unwrap();
    TokenStore::new(&mut core).disable_mount("a4").unwrap();
    let mut number = 0;
    let drawn = unused_accessor(&mut core, || {
        number += 1;
        format!("a{number}")
    });
    assert_eq!(drawn.unwrap(), "a5");
    assert!(unused_accessor(&mut core, || "a1".to_owned()).is_err());
}
