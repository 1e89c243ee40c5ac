//! Address ranges that RFCs set apart.

use std::net::IpAddr;

use crate::network::Network;

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
