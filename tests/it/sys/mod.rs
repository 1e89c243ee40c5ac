mod audit;
mod mounts;
mod policies;
mod remount;
