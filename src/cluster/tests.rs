mod harness;
mod replication;
mod trust;
