mod mounts;
mod policies;
mod remount;
