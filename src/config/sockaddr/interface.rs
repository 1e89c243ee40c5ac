//! The addresses of this machine's network interfaces.

use std::fs;
use std::io;
use std::net::IpAddr;

use nix::ifaddrs::getifaddrs;
use nix::net::if_::InterfaceFlags;
use nix::sys::socket::SockaddrStorage;

/// One address of one interface: an interface with two addresses is two of these.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    pub name: String,
    pub address: IpAddr,
    /// Length of the network's prefix in bits.
    pub prefix_bits: u8,
    pub up: bool,
    pub loopback: bool,
    pub point_to_point: bool,
    pub broadcast: bool,
    pub multicast: bool,
    /// Whether the default route leaves through this interface.
    pub default_route: bool,
}

impl Interface {
    /// What the operating system has, in its order.
    pub fn all() -> io::Result<Vec<Self>> {
        let default_names = default_route_names();
        let found = getifaddrs()?.filter_map(|entry| {
            let address = ip(entry.address.as_ref()?)?;
            let bits = match ip(entry.netmask.as_ref()?)? {
                IpAddr::V4(mask) => mask.to_bits().count_ones(),
                IpAddr::V6(mask) => mask.to_bits().count_ones(),
            };
            Some(Self {
                address,
                prefix_bits: u8::try_from(bits).ok()?,
                up: entry.flags.contains(InterfaceFlags::IFF_UP),
                loopback: entry.flags.contains(InterfaceFlags::IFF_LOOPBACK),
                point_to_point: entry.flags.contains(InterfaceFlags::IFF_POINTOPOINT),
                broadcast: entry.flags.contains(InterfaceFlags::IFF_BROADCAST),
                multicast: entry.flags.contains(InterfaceFlags::IFF_MULTICAST),
                default_route: default_names.contains(&entry.interface_name),
                name: entry.interface_name,
            })
        });
        Ok(found.collect())
    }
}

fn ip(address: &SockaddrStorage) -> Option<IpAddr> {
    match (address.as_sockaddr_in(), address.as_sockaddr_in6()) {
        (Some(v4), _) => Some(IpAddr::V4(v4.ip())),
        (_, Some(v6)) => Some(IpAddr::V6(v6.ip())),
        _ => None,
    }
}

/// From `/proc/net/route`, whose second column is the destination in hexadecimal. Elsewhere than
/// on Linux the file is missing and no interface counts as the default.
fn default_route_names() -> Vec<String> {
    let table = fs::read_to_string("/proc/net/route").unwrap_or_default();
    let routes = table.lines().skip(1).filter_map(|line| {
        let mut columns = line.split_whitespace();
        let name = columns.next()?;
        (columns.next()? == "00000000").then(|| name.to_owned())
    });
    routes.collect()
}
