use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use futures_util::future::select_ok;

use super::device::{Device, Surroundings, Unwritable};
use super::entry::Headers;
use super::options::Options;
use super::shared::share_file;
use super::store::{AuditStore, StoredDevice};
use super::{AuditDevice, Record, Side};
use crate::audit_log::Head;
use crate::clock::{Clock, SystemClock};
use crate::record::Leadership;
use crate::request::{Error, Operation, Request};
use crate::rng::{Rng, SystemRng};
use crate::txn::Scope;

/// Hands every record to every device. With several, one suffices; without any, requests are
/// served, as in Vault.
pub struct Broker {
    around: Surroundings,
    rules: Rules,
    /// Not stored.
    fixed: RwLock<Vec<Arc<dyn AuditDevice>>>,
    table: RwLock<Arc<Table>>,
    /// Held while the table is made anew.
    making: Mutex<()>,
    /// The leadership in which the store was given what the configuration declares.
    declared_in: Mutex<Option<Leadership>>,
    request_failures: AtomicU64,
    response_failures: AtomicU64,
}

/// What the configuration says of all devices.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    /// `allow_audit_log_prefixing`.
    pub may_prefix: bool,
    /// Devices that it declares; their salts mean nothing.
    pub declared: Vec<StoredDevice>,
}

/// Records since the device was opened, or since the start where it is about all.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Counts {
    pub requests: u64,
    pub responses: u64,
    pub request_failures: u64,
    pub response_failures: u64,
}

/// The devices as a request found them. They stay open while it holds them, so that its answer is
/// written where its question was, whatever becomes of the node.
#[derive(Clone, Default)]
pub struct Devices(Arc<Table>);

/// The stored devices as of one generation.
#[derive(Default)]
struct Table {
    /// `None`: nothing was read yet.
    generation: Option<u64>,
    headers: Arc<Headers>,
    /// By path.
    devices: BTreeMap<String, (StoredDevice, Arc<Device>)>,
    /// What cannot be opened at all takes no record.
    broken: Vec<String>,
}

impl Default for Broker {
    fn default() -> Self {
        Self::new(Arc::new(SystemClock), Arc::new(SystemRng), String::new(), Rules::default())
    }
}

impl Broker {
    /// `node`: as this one is called.
    pub fn new(clock: Arc<dyn Clock>, rng: Arc<dyn Rng>, node: String, rules: Rules) -> Self {
        Self {
            around: Surroundings { clock, rng, node },
            rules,
            fixed: RwLock::default(),
            table: RwLock::default(),
            making: Mutex::default(),
            declared_in: Mutex::default(),
            request_failures: AtomicU64::new(0),
            response_failures: AtomicU64::new(0),
        }
    }

    /// A device that is not stored.
    pub fn enable(&self, device: Arc<dyn AuditDevice>) {
        self.fixed.write().unwrap_or_else(PoisonError::into_inner).push(device);
    }

    /// Whether [`Self::declare`] was called, and committed, in this leadership.
    pub fn is_declared_in(&self, leadership: Leadership) -> bool {
        *self.declared_in() == Some(leadership)
    }

    /// Once what [`Self::declare`] wrote is committed.
    pub fn note_declared(&self, leadership: Leadership) {
        *self.declared_in() = Some(leadership);
    }

    fn declared_in(&self) -> MutexGuard<'_, Option<Leadership>> {
        self.declared_in.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes the stored devices those that the configuration of this node declares, beside those
    /// that were enabled by request, unless a declared one takes their place or file. `core`: the
    /// root namespace's.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub fn declare(&self, core: &mut Scope<'_>) -> Result<(), Error> {
        let mut store = AuditStore::new(core);
        let stored = store.devices()?;
        let declared = &self.rules.declared;
        for old in &stored {
            if declared.iter().any(|device| device.path == old.path) {
                continue;
            }
            // Two cannot write to one file: the configuration's does.
            if old.declared || declared.iter().any(|device| share_file(device, old)) {
                store.delete(&old.path)?;
            }
        }
        for device in declared {
            let old = stored.iter().find(|old| old.path == device.path);
            let is_same = old.is_some_and(|old| {
                old.declared
                    && old.kind == device.kind
                    && old.options == device.options
                    && old.description == device.description
                    && old.local == device.local
            });
            if is_same {
                continue;
            }
            let new =
                StoredDevice::new(device.path.clone(), device.kind.clone(), &*self.around.rng);
            let salt = old.map_or(new.salt, |old| old.salt.clone());
            store.put(&StoredDevice { salt, declared: true, ..device.clone() })?;
        }
        Ok(())
    }

    /// As [`Self::open_stored`], for a request: it must not run before the devices that the
    /// configuration declares can be told of it.
    ///
    /// # Errors
    /// [`Error::NotActive`] until [`Self::declare`] has taken effect in this leadership.
    pub fn follow(&self, core: &mut Scope<'_>) -> Result<Devices, Error> {
        if !self.rules.declared.is_empty() && !self.is_declared_in(core.leadership()) {
            return Err(Error::NotActive);
        }
        self.open_stored(core)
    }

    /// Opens what was enabled and closes what was disabled since the last call. `core`: the root
    /// namespace's; what it notes makes a request run again that a change has overtaken.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub fn open_stored(&self, core: &mut Scope<'_>) -> Result<Devices, Error> {
        let mut store = AuditStore::new(core);
        let settings = store.settings()?;
        let is_new = |table: &Table| table.generation.is_none_or(|at| at < settings.generation);
        let table = self.table();
        if !is_new(&table) {
            return Ok(Devices(table));
        }
        let stored = store.devices()?;
        let _making = self.making.lock().unwrap_or_else(PoisonError::into_inner);
        let old = self.table();
        if !is_new(&old) {
            return Ok(Devices(old));
        }
        let headers = Arc::new(settings.headers.clone());
        let table = Arc::new(self.make(&old, stored, settings.generation, headers));
        *self.table.write().unwrap_or_else(PoisonError::into_inner) = table.clone();
        Ok(Devices(table))
    }

    /// Devices that stay the same stay open.
    fn make(
        &self,
        old: &Table,
        stored: Vec<StoredDevice>,
        generation: u64,
        headers: Arc<Headers>,
    ) -> Table {
        let mut table = Table { generation: Some(generation), headers, ..Table::default() };
        for stored in stored {
            let path = stored.path.clone();
            let open = old.devices.get(&path).filter(|(old, _)| {
                old.salt == stored.salt && old.kind == stored.kind && old.options == stored.options
            });
            let device = match open {
                Some((_, device)) => {
                    device.set_headers(table.headers.clone());
                    Ok(device.clone())
                }
                None => self.open(&stored, table.headers.clone()).map(|(device, _)| device),
            };
            match device {
                Ok(device) => drop(table.devices.insert(path, (stored, device))),
                Err(error) => {
                    tracing::error!(device = path, %error, "an audit device cannot be opened");
                    table.broken.push(path);
                }
            }
        }
        table
    }

    fn open(
        &self,
        stored: &StoredDevice,
        headers: Arc<Headers>,
    ) -> Result<(Arc<Device>, Vec<String>), Error> {
        let (options, unknown) =
            Options::read(&stored.kind, &stored.options, self.rules.may_prefix)?;
        let hasher = stored.hasher()?;
        let device = Device::start(stored.path.clone(), options, hasher, headers, &self.around)
            .map_err(Error::internal)?;
        Ok((Arc::new(device), unknown))
    }

    /// Whether a device that is to be enabled takes a record: it is shown one. Returns the
    /// options that mean nothing.
    ///
    /// # Errors
    /// [`Error::BadRequest`] with the reason.
    pub async fn test(&self, stored: &StoredDevice) -> Result<Vec<String>, Error> {
        let (device, unknown) = self.open(stored, Arc::default())?;
        if stored.options.get("skip_test").is_some_and(|skip| matches!(skip.as_str(), "1" | "true"))
        {
            return Ok(unknown);
        }
        let request = Request {
            id: self.around.rng.uuid(),
            operation: Operation::Update,
            path: "sys/audit/test".into(),
            ..Request::default()
        };
        let record = Record {
            request: &request,
            operation: Operation::Update,
            caller: None,
            mount: None,
            policies: None,
            is_repeated: false,
            side: Side::Request(None),
        };
        match device.submit(&record).await {
            Ok(()) => Ok(unknown),
            Err(Unwritable::Open(text)) if stored.kind == "file" => Err(Error::BadRequest(text)),
            Err(error) => {
                Err(Error::BadRequest(format!("audit backend failed test message: {error}")))
            }
        }
    }

    /// # Errors
    /// [`Error::Internal`] where devices are enabled and none took the record.
    pub async fn write(&self, devices: &Devices, record: &Record<'_>) -> Result<(), Error> {
        let Devices(table) = devices;
        let fixed = self.fixed.read().unwrap_or_else(PoisonError::into_inner).clone();
        let stored =
            table.devices.values().map(|(_, device)| device.clone() as Arc<dyn AuditDevice>);
        let all: Vec<Arc<dyn AuditDevice>> = fixed.into_iter().chain(stored).collect();
        let takes = |fallback: bool| {
            let devices = all.iter().filter(move |device| device.is_fallback() == fallback);
            devices.filter(|device| device.takes(record)).collect::<Vec<_>>()
        };
        let mut takers = takes(false);
        if takers.is_empty() {
            takers = takes(true);
        }
        if takers.is_empty() {
            if table.broken.is_empty() {
                return Ok(());
            }
            self.count_failure(record);
            return Err(Error::internal("no audit device can be opened"));
        }
        // Each has the record before the first is waited for.
        let writes: Vec<_> = takers.iter().map(|device| device.write(record)).collect();
        match select_ok(writes).await {
            Ok(_) => Ok(()),
            Err(error) => {
                self.count_failure(record);
                tracing::error!(
                    request_id = record.request.id,
                    side = record.side.name(),
                    error = &error as &dyn std::error::Error,
                    "no audit device took the record"
                );
                Err(error)
            }
        }
    }

    fn count_failure(&self, record: &Record<'_>) {
        let counter = match record.side {
            Side::Request(_) => &self.request_failures,
            Side::Response(_) => &self.response_failures,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// Requests that no device took, and those of each device, for metrics.
    pub fn counts(&self) -> (Counts, BTreeMap<String, Counts>) {
        let all = Counts {
            request_failures: self.request_failures.load(Ordering::Relaxed),
            response_failures: self.response_failures.load(Ordering::Relaxed),
            ..Counts::default()
        };
        let table = self.table();
        let each = table.devices.iter().map(|(path, (_, device))| {
            let [requests, responses, request_failures, response_failures] =
                device.counters().read();
            let counts = Counts { requests, responses, request_failures, response_failures };
            (path.clone(), counts)
        });
        (all, each.collect())
    }

    /// Where the chain of a device has come to on this node.
    pub fn head(&self, path: &str) -> Option<Head> {
        self.table().devices.get(path).and_then(|(_, device)| device.head())
    }

    /// Opens files again, after another program has put them aside.
    pub fn reopen(&self) {
        for (_, device) in self.table().devices.values() {
            device.reopen();
        }
    }

    /// When this node no longer leads, or is sealed. What is queued is still written.
    pub fn close(&self) {
        let making = self.making.lock().unwrap_or_else(PoisonError::into_inner);
        *self.table.write().unwrap_or_else(PoisonError::into_inner) = Arc::default();
        *self.declared_in() = None;
        drop(making);
    }

    fn table(&self) -> Arc<Table> {
        self.table.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
