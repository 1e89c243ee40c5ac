//! Address ranges: CIDR, and those that RFCs set apart.

use std::net::IpAddr;
use std::str::FromStr;

/// A range of addresses, as in `10.0.0.0/8`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    prefix_bits: u8,
}

impl Network {
    /// `None` if the prefix is longer than the address.
    pub fn new(address: IpAddr, prefix_bits: u8) -> Option<Self> {
        (prefix_bits <= width(address)).then_some(Self { address, prefix_bits })
    }

    pub fn contains(&self, other: IpAddr) -> bool {
        match (self.address, other) {
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
    type Err = ();

    /// `10.0.0.0/8`, or one address.
    fn from_str(text: &str) -> Result<Self, ()> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits.parse().map_err(drop)?)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(drop)?;
        Self::new(address, bits.unwrap_or_else(|| width(address))).ok_or(())
    }
}

impl std::fmt::Display for Network {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix_bits)
    }
}

fn width(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

/// Whether an address lies in a range that the RFC sets apart; `None` if we do not know that RFC.
pub(super) fn in_rfc(number: u32, address: IpAddr) -> Option<bool> {
    let (_, ranges) = RFCS.iter().find(|(known, _)| *known == number)?;
    Some(
        ranges
            .iter()
            .filter_map(|range| range.parse().ok())
            .any(|net: Network| net.contains(address)),
    )
}

pub(super) fn known_rfcs() -> String {
    let numbers: Vec<String> = RFCS.iter().map(|(number, _)| number.to_string()).collect();
    numbers.join(", ")
}

pub(super) const RFCS: &[(u32, &[&str])] = &[
    (1112, &["224.0.0.0/4"]),
    (1918, &["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"]),
    (3927, &["169.254.0.0/16"]),
    (4193, &["fc00::/7"]),
    (4291, &["::/128", "::1/128", "fe80::/10", "ff00::/8"]),
    (5737, &["192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24"]),
    (6598, &["100.64.0.0/10"]),
    // The special-purpose registries that this RFC made.
    (
        6890,
        &[
            "0.0.0.0/8",
            "10.0.0.0/8",
            "100.64.0.0/10",
            "127.0.0.0/8",
            "169.254.0.0/16",
            "172.16.0.0/12",
            "192.0.0.0/24",
            "192.0.2.0/24",
            "192.88.99.0/24",
            "192.168.0.0/16",
            "198.18.0.0/15",
            "198.51.100.0/24",
            "203.0.113.0/24",
            "240.0.0.0/4",
            "::1/128",
            "::/128",
            "64:ff9b::/96",
            "::ffff:0:0/96",
            "100::/64",
            "2001::/23",
            "2001:db8::/32",
            "2002::/16",
            "fc00::/7",
            "fe80::/10",
        ],
    ),
];
