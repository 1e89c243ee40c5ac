mod mounts;
mod policies;
mod remount;
mod wrapping;
