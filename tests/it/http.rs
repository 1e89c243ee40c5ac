//! Listeners, over real sockets.

mod client_certificates;
mod harness;
mod http2;
mod limits;
mod listener;
mod tls;
mod wire;
