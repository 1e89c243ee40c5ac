//! Keys in pages that are neither swapped out nor dumped.
//!
//! **Invariant:** each key has a page to itself, so that unlocking one never unlocks another.
#![expect(unsafe_code, reason = "the system calls for memory take addresses")]

use std::fmt;
use std::io;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mlock, mmap_anonymous, munmap};
use rustix::process::{
    DumpableBehavior, Resource, Rlimit, getrlimit, set_dumpable_behavior, setrlimit,
};
use zeroize::Zeroize as _;

use crate::rng::Rng;

/// A 256-bit key in a page of its own: locked into memory, left out of core dumps, zeroed when
/// dropped. Has no `Clone` and no `PartialEq`, on purpose.
pub struct LockedKey {
    key: NonNull<[u8; KEY_BYTES]>,
    /// Where the system had no page to give, on the heap.
    is_mapped: bool,
}

impl LockedKey {
    /// The caller zeroes its copy.
    pub fn new(key: &[u8; KEY_BYTES]) -> Self {
        let mut locked = Self::zeroed();
        locked.bytes_mut().copy_from_slice(key);
        locked
    }

    pub fn generate(rng: &dyn Rng) -> Self {
        let mut locked = Self::zeroed();
        rng.fill(locked.bytes_mut());
        locked
    }

    /// `None` where it is not 32 bytes long. The caller zeroes its copy.
    pub fn from_slice(key: &[u8]) -> Option<Self> {
        key.try_into().ok().map(Self::new)
    }

    /// The key itself. Every call is a place to review.
    pub fn expose(&self) -> &[u8; KEY_BYTES] {
        // SAFETY: `key` points to 32 initialised bytes that live until drop, and writing needs
        // `&mut self`.
        unsafe { self.key.as_ref() }
    }

    fn zeroed() -> Self {
        // SAFETY: without an address of ours, a new mapping touches no memory in use.
        let page = unsafe {
            mmap_anonymous(
                ptr::null_mut(),
                KEY_BYTES,
                ProtFlags::READ | ProtFlags::WRITE,
                MapFlags::PRIVATE,
            )
        };
        let page = page.ok().and_then(|page| NonNull::new(page.cast::<[u8; KEY_BYTES]>()));
        let Some(key) = page else {
            IS_LOCKED.store(false, Ordering::Relaxed);
            return Self { key: Box::leak(Box::new([0; KEY_BYTES])).into(), is_mapped: false };
        };
        // SAFETY: the page is ours, whole, and both calls leave its contents as they are.
        let locked = unsafe {
            let advised = madvise(key.as_ptr().cast(), KEY_BYTES, Advice::LinuxDontDump);
            mlock(key.as_ptr().cast(), KEY_BYTES).and(advised)
        };
        if locked.is_err() {
            IS_LOCKED.store(false, Ordering::Relaxed);
        }
        Self { key, is_mapped: true }
    }

    fn bytes_mut(&mut self) -> &mut [u8; KEY_BYTES] {
        // SAFETY: as in `expose`, and `&mut self` means that nobody reads.
        unsafe { self.key.as_mut() }
    }
}

impl Drop for LockedKey {
    fn drop(&mut self) {
        self.bytes_mut().zeroize();
        if self.is_mapped {
            // SAFETY: mapped by `zeroed` with this length, and nothing points to it any more.
            // Unmapping unlocks.
            let unmapped = unsafe { munmap(self.key.as_ptr().cast(), KEY_BYTES) };
            debug_assert!(unmapped.is_ok(), "the mapping was ours");
        } else {
            // SAFETY: leaked by `zeroed` from a box of this type.
            drop(unsafe { Box::from_raw(self.key.as_ptr()) });
        }
    }
}

// SAFETY: it owns its bytes, as a box does; shared access only reads.
unsafe impl Send for LockedKey {}
// SAFETY: as above.
unsafe impl Sync for LockedKey {}

impl fmt::Debug for LockedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LockedKey(..)")
    }
}

/// Keeps this process's memory out of core dumps and away from debuggers of the same user, and
/// lets it lock as much memory as it may. To be called before the first secret is read.
///
/// # Errors
/// Where the system refuses to turn core dumps off.
pub fn protect_process_memory() -> io::Result<()> {
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;
    // Covers dumps through a pipe as well, which ignore the limit (core(5)).
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    let lockable = getrlimit(Resource::Memlock);
    // What is not granted shows in `memory_is_locked` where it matters.
    let _raised = setrlimit(Resource::Memlock, Rlimit { current: lockable.maximum, ..lockable });
    Ok(())
}

/// False once the system has refused to lock the page of a key, as with a small `RLIMIT_MEMLOCK`:
/// such a key works, but may reach the swap device. The server warns.
pub fn memory_is_locked() -> bool {
    IS_LOCKED.load(Ordering::Relaxed)
}

const KEY_BYTES: usize = 32;

static IS_LOCKED: AtomicBool = AtomicBool::new(true);

#[cfg(test)]
mod tests;
