use std::fs;

use super::*;
use crate::rng::SystemRng;

#[test]
fn a_key_is_what_it_was_made_of() {
    assert_eq!(LockedKey::new(&[7; 32]).expose(), &[7; 32]);
    assert_eq!(LockedKey::from_slice(&[7; 32]).unwrap().expose(), &[7; 32]);
    assert!(LockedKey::from_slice(&[7; 31]).is_none());
    assert!(LockedKey::from_slice(&[7; 33]).is_none());
    let generated = LockedKey::generate(&SystemRng);
    assert_ne!(generated.expose(), LockedKey::generate(&SystemRng).expose());
    assert_ne!(generated.expose(), &[0; 32]);
}

#[test]
fn printing_a_key_shows_none_of_it() {
    assert_eq!(format!("{:?}", LockedKey::new(&[7; 32])), "LockedKey(..)");
}

#[test]
fn the_page_of_a_key_is_locked_and_left_out_of_core_dumps() {
    let key = LockedKey::new(&[7; 32]);
    let flags = flags_of(key.expose().as_ptr() as usize);
    // proc_pid_smaps(5): `dd` is "do not include area into core dump", `lo` is "pages are locked".
    assert!(flags.contains(&"dd".to_owned()), "{flags:?}");
    assert!(flags.contains(&"lo".to_owned()) || !memory_is_locked(), "{flags:?}");
}

#[test]
fn a_protected_process_leaves_no_core_dump() {
    protect_process_memory().unwrap();
    let limits = fs::read_to_string("/proc/self/limits").unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().skip(4).take(2).collect::<Vec<_>>(), ["0", "0"]);
    assert_eq!(rustix::process::dumpable_behavior().unwrap(), DumpableBehavior::NotDumpable);
    let lockable = getrlimit(Resource::Memlock);
    assert_eq!(lockable.current, lockable.maximum);
    protect_process_memory().unwrap();
}

/// The flags that the kernel shows of the mapping that holds `address`.
fn flags_of(address: usize) -> Vec<String> {
    let smaps = fs::read_to_string("/proc/self/smaps").unwrap();
    let mut is_ours = false;
    for line in smaps.lines() {
        let range = line.split(' ').next().unwrap().split_once('-').and_then(|(start, end)| {
            let parse = |text| usize::from_str_radix(text, 16).ok();
            Some(parse(start)?..parse(end)?)
        });
        if let Some(range) = range {
            is_ours = range.contains(&address);
        } else if let Some(flags) = line.strip_prefix("VmFlags: ")
            && is_ours
        {
            return flags.split_whitespace().map(str::to_owned).collect();
        }
    }
    panic!("no mapping holds {address:x}");
}
