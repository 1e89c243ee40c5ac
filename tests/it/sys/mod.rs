mod keys;
mod mounts;
mod policies;
mod remount;
