//! Listeners, over real sockets.

mod harness;
mod limits;
mod listener;
mod wire;
