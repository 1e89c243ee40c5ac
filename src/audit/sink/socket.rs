//! Lines over a connection, or each in a datagram.

use std::io;
use std::net::{SocketAddr, TcpStream, ToSocketAddrs as _, UdpSocket};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use rustix::event::PollFlags;

use super::stream::wait;
use super::{Sink, Unwritten};
use crate::audit::options::{SocketKind, SocketOptions};

/// # Errors
/// Where nobody takes the connection in time.
pub(super) fn open(options: &SocketOptions) -> io::Result<Box<dyn Sink>> {
    let SocketOptions { address, kind, write_timeout } = options;
    Ok(match kind {
        SocketKind::Tcp => {
            let stream = connect(address, *write_timeout)?;
            stream.set_write_timeout(Some(*write_timeout))?;
            stream.set_nodelay(true)?;
            Box::new(Stream(stream))
        }
        SocketKind::Unix => {
            let stream = UnixStream::connect(address)?;
            stream.set_write_timeout(Some(*write_timeout))?;
            Box::new(Stream(stream))
        }
        SocketKind::Udp => {
            let to = first_address(address)?;
            let any: SocketAddr = if to.is_ipv4() {
                ([0, 0, 0, 0], 0).into()
            } else {
                ([0, 0, 0, 0, 0, 0, 0, 0], 0).into()
            };
            let socket = UdpSocket::bind(any)?;
            socket.connect(to)?;
            socket.set_write_timeout(Some(*write_timeout))?;
            Box::new(Datagrams(socket))
        }
    })
}

fn connect(address: &str, most: Duration) -> io::Result<TcpStream> {
    let mut failure = io::Error::new(io::ErrorKind::NotFound, NO_ADDRESS);
    for to in address.to_socket_addrs()? {
        match TcpStream::connect_timeout(&to, most) {
            Ok(stream) => return Ok(stream),
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

fn first_address(address: &str) -> io::Result<SocketAddr> {
    let first = address.to_socket_addrs()?.next();
    first.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, NO_ADDRESS))
}

struct Stream<S>(S);

impl<S: io::Write + AsFd + Send> Sink for Stream<S> {
    fn write(&mut self, lines: &[String]) -> Result<(), Unwritten> {
        // The first write to whoever has gone would seem to succeed.
        if wait(&self.0, PollFlags::RDHUP, Duration::ZERO)? {
            return Err(io::Error::from(io::ErrorKind::BrokenPipe).into());
        }
        // What a broken connection had taken, nobody knows: the next one is a segment of its own.
        self.0.write_all(lines.concat().as_bytes())?;
        Ok(self.0.flush()?)
    }
}

struct Datagrams(UdpSocket);

impl Sink for Datagrams {
    fn write(&mut self, lines: &[String]) -> Result<(), Unwritten> {
        for (accepted, line) in lines.iter().enumerate() {
            let sent = self.0.send(line.as_bytes());
            sent.map_err(|error| Unwritten { accepted, partial: false, error })?;
        }
        Ok(())
    }
}

const NO_ADDRESS: &str = "the name has no address";
