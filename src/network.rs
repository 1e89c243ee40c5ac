//! Ranges of addresses, as configurations and tokens name them.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// A range of addresses, such as `10.0.0.0/8`; a single address is a range of one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Network {
    address: IpAddr,
    prefix_bits: u8,
}

#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("`{0}` is neither an address nor a network such as 10.0.0.0/8")]
pub struct NetworkError(String);

impl Network {
    /// `None` if the prefix is longer than the address.
    pub fn new(address: IpAddr, prefix_bits: u8) -> Option<Self> {
        (prefix_bits <= width(address)).then_some(Self { address, prefix_bits })
    }

    /// An IPv4 address counts as such where it comes dressed as one of IPv6 (`::ffff:10.0.0.1`):
    /// so it does on sockets that take both.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                self.same(u128::from(own.to_bits()) << 96, u128::from(other.to_bits()) << 96)
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => self.same(own.to_bits(), other.to_bits()),
            _ => false,
        }
    }

    fn same(&self, left: u128, right: u128) -> bool {
        let ignored = 128 - u32::from(self.prefix_bits);
        (left ^ right).checked_shr(ignored).unwrap_or(0) == 0
    }
}

impl FromStr for Network {
    type Err = NetworkError;

    /// `10.0.0.0/8`, or one address.
    fn from_str(text: &str) -> Result<Self, NetworkError> {
        let failed = || NetworkError(text.to_owned());
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits.trim().parse().map_err(|_| failed())?)),
            None => (text, None),
        };
        let address: IpAddr = address.trim().parse().map_err(|_| failed())?;
        Self::new(address, bits.unwrap_or_else(|| width(address))).ok_or_else(failed)
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix_bits)
    }
}

fn width(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

#[cfg(test)]
mod tests;
