mod forwarding;
mod harness;
mod replication;
mod trust;
