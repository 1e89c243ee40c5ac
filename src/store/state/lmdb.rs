use std::path::Path;

use bytes::Bytes;
use heed::types::Bytes as Raw;
use heed::{CommitOrAbort, Database, Env, EnvOpenOptions, RoTxn, WithoutTls};

use super::checkpoint::{Change, Checkpoint, Point, RawRange, Visit};
use crate::store::Error;

/// A checkpoint in LMDB: every commit is synced, a reader is a point and stalls nobody.
pub(super) struct Lmdb {
    environment: Env<WithoutTls>,
    table: Database<'static, Raw, Raw>,
}

impl Lmdb {
    /// Opens or makes it. `map_bytes` bounds its size until the next start; the map is as large
    /// as twice the file at least.
    pub(super) fn open(folder: &Path, map_bytes: u64) -> Result<Self, Error> {
        let file = std::fs::metadata(folder.join("data.mdb")).map_or(0, |file| file.len());
        let map_bytes = map_bytes.max(file.saturating_mul(2)).next_multiple_of(MAP_STEP);
        let map_bytes = usize::try_from(map_bytes).unwrap_or(usize::MAX / 2 + 1);
        let mut options = EnvOpenOptions::new().read_txn_without_tls();
        options.map_size(map_bytes).max_readers(READERS_MAX);
        #[expect(
            unsafe_code,
            reason = "maps a file: nobody else may change it. The folder is ours alone (locked by \
                      the log beside it, mode 0700), its flags keep locks and syncs on"
        )]
        let environment = unsafe { options.open(folder) }.map_err(failed)?;
        let transaction = environment.write_txn().map_err(failed)?;
        let opened = environment.create_databases_and_commit(transaction, |opener, transaction| {
            let table = opener.create_database::<Raw, Raw>(transaction, None)?;
            Ok::<_, heed::Error>(CommitOrAbort::<_, ()>::Commit(table))
        });
        let table = opened.map_err(failed)?.commit();
        let table = table.ok_or_else(|| Error::Database("the table was not opened".to_owned()))?;
        Ok(Self { environment, table })
    }
}

impl Checkpoint for Lmdb {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, Error> {
        let transaction = self.environment.read_txn().map_err(failed)?;
        let value = self.table.get(&transaction, key).map_err(failed)?;
        Ok(value.map(Bytes::copy_from_slice))
    }

    fn point(&self) -> Result<Box<dyn Point + '_>, Error> {
        let transaction = self.environment.read_txn().map_err(failed)?;
        Ok(Box::new(Reader { lmdb: self, transaction }))
    }

    fn commit(&self, changes: &mut dyn Iterator<Item = Change>) -> Result<(), Error> {
        let mut transaction = self.environment.write_txn().map_err(failed)?;
        for (key, value) in changes {
            match value {
                Some(value) => self.table.put(&mut transaction, key.as_slice(), &value),
                None => self.table.delete(&mut transaction, key.as_slice()).map(|_| ()),
            }
            .map_err(failed)?;
        }
        transaction.commit().map_err(failed)
    }

    fn bytes(&self) -> Result<u64, Error> {
        self.environment.real_disk_size().map_err(failed)
    }
}

struct Reader<'a> {
    lmdb: &'a Lmdb,
    transaction: RoTxn<'a, WithoutTls>,
}

impl Point for Reader<'_> {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, Error> {
        let value = self.lmdb.table.get(&self.transaction, key).map_err(failed)?;
        Ok(value.map(Bytes::copy_from_slice))
    }

    fn scan(&self, range: RawRange<'_>, visit: &mut Visit<'_>) -> Result<(), Error> {
        for item in self.lmdb.table.range(&self.transaction, &range).map_err(failed)? {
            let (key, value) = item.map_err(failed)?;
            if visit(key, value)?.is_break() {
                break;
            }
        }
        Ok(())
    }
}

fn failed(error: heed::Error) -> Error {
    match error {
        heed::Error::Mdb(heed::MdbError::MapFull) => {
            let what = "it has reached the size of its map: restart this node to enlarge it";
            Error::Database(what.to_owned())
        }
        error => Error::Database(error.to_string()),
    }
}

/// Every thread that reads takes one for the time of a look-up, every snapshot until it is done.
const READERS_MAX: u32 = 2048;
/// The map's size is a multiple of every page size there is.
const MAP_STEP: u64 = 1 << 20;
