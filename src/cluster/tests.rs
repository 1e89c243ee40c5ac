mod forwarding;
mod harness;
mod joining;
mod replication;
mod trust;
