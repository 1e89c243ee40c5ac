mod mounts;
mod policies;
