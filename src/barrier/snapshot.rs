use std::ops::ControlFlow;
use std::sync::Arc;

use bytes::Bytes;

use super::Keyring;
use crate::key::Key;
use crate::record::{Ciphertext, Directory, Part, Revision, SystemKey, View};
use crate::request::Error;
use crate::rng::Rng;
use crate::secret::Secret;
use crate::txn::{Snapshot, Stored};

/// The replicated state, seen through a keyring.
pub(super) struct Opened {
    keyring: Arc<Keyring>,
    view: Arc<dyn View>,
}

impl Opened {
    pub(super) fn new(keyring: Arc<Keyring>, view: Arc<dyn View>) -> Self {
        Self { keyring, view }
    }
}

impl Snapshot for Opened {
    fn get(&self, key: &Key) -> Result<Stored, Error> {
        let stored_key = self.keyring.stored_key(key);
        let Some(record) = self.view.get(&stored_key).map_err(Error::internal)? else {
            return Ok(Stored { revision: Revision::ABSENT, value: None });
        };
        let (_, value) =
            self.keyring.open_record(&stored_key, &record.value).map_err(Error::internal)?;
        Ok(Stored { revision: record.revision, value: Some(value) })
    }

    fn revision(&self, key: &Key) -> Result<Revision, Error> {
        let record = self.view.get(&self.keyring.stored_key(key)).map_err(Error::internal)?;
        Ok(record.map_or(Revision::ABSENT, |record| record.revision))
    }

    fn names(
        &self,
        directory: &str,
        after: Option<&str>,
        names_max: usize,
    ) -> Result<(Directory, Vec<String>), Error> {
        let after =
            after.map(|name| self.keyring.stored_key(&Key::new(format!("{directory}{name}"))));
        let part = Part { after, records_max: names_max };
        let directory = self.keyring.stored_directory(directory);
        let (mut names, mut damage) = (Vec::new(), None);
        let listed = self.view.list(&directory, part, &mut |key, record| {
            match self.keyring.open_record(&key, &record.value) {
                Ok((name, _)) => names.push(name),
                Err(error) => damage = Some(error),
            }
            if damage.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        let state = listed.map_err(Error::internal)?;
        damage.map_or(Ok((state, names)), |error| Err(Error::internal(error)))
    }

    fn directory(&self, directory: &str) -> Result<Directory, Error> {
        let directory = self.keyring.stored_directory(directory);
        self.view.directory(&directory).map_err(Error::internal)
    }

    fn system(&self, key: SystemKey) -> Result<Option<(Revision, Bytes)>, Error> {
        self.view.system(key).map_err(Error::internal)
    }

    fn seal(&self, rng: &dyn Rng, context: &[u8], plaintext: &[u8]) -> Result<Vec<u8>, Error> {
        let sealed =
            self.keyring.seal_response(rng, context, plaintext).map_err(Error::internal)?;
        Ok(sealed.as_bytes().to_vec())
    }

    fn open(&self, context: &[u8], sealed: &[u8]) -> Option<Secret<Vec<u8>>> {
        let sealed = Ciphertext::from_sealed(Bytes::copy_from_slice(sealed));
        self.keyring.open_response(context, &sealed).ok()
    }
}
