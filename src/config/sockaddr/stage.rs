//! The functions of a template.

use std::cmp::Ordering;
use std::net::IpAddr;

use regex_lite::Regex;

use super::rfc::{in_rfc, known_rfcs};
use super::{Interface, Yield};
use crate::network::Network;

/// A function and its arguments.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Stage {
    pub(super) name: String,
    arguments: Vec<String>,
}

/// Splits a template at `|`; a bar inside quotes is text.
pub(super) fn parse(template: &str) -> Result<Vec<Stage>, String> {
    let mut stages = Vec::new();
    let mut words: Vec<String> = Vec::new();
    let mut rest = template.trim_start();
    while let Some(character) = rest.chars().next() {
        rest = match character {
            '|' => {
                stages.push(stage(&mut words)?);
                rest.get(1..).unwrap_or_default()
            }
            '"' | '`' => {
                let inside = rest.get(1..).unwrap_or_default();
                let Some((text, after)) = inside.split_once(character) else {
                    return Err(format!("`{character}` is never closed in `{template}`"));
                };
                words.push(text.replace("\\\\", "\\"));
                after
            }
            _ => {
                let end = rest
                    .find(|c: char| c.is_whitespace() || matches!(c, '|' | '"' | '`'))
                    .unwrap_or(rest.len());
                let (word, after) = rest.split_at(end);
                words.push(word.to_owned());
                after
            }
        }
        .trim_start();
    }
    if !(words.is_empty() && stages.is_empty()) {
        stages.push(stage(&mut words)?);
    }
    Ok(stages)
}

fn stage(words: &mut Vec<String>) -> Result<Stage, String> {
    let mut words = std::mem::take(words).into_iter();
    let name = words.next().ok_or_else(|| "a function is missing beside `|`".to_owned())?;
    Ok(Stage { name, arguments: words.collect() })
}

impl Stage {
    /// As the first of a template.
    pub(super) fn source<'a>(&self, all: &'a [Interface]) -> Result<Yield<'a>, String> {
        let all: Vec<&Interface> = all.iter().collect();
        let list = match self.name.as_str() {
            "GetAllInterfaces" => all,
            "GetDefaultInterfaces" => keep(all, |interface| interface.default_route),
            "GetPrivateInterfaces" | "GetPrivateIP" | "GetPrivateIPs" => usable(all, true),
            "GetPublicInterfaces" | "GetPublicIP" | "GetPublicIPs" => usable(all, false),
            "GetInterfaceIP" | "GetInterfaceIPs" => {
                let [name] = self.arguments::<1>()?;
                let mut list = include(all, "name", name, true)?;
                list.sort_by(|left, right| {
                    compare(left, right, "type").then(compare(left, right, "size"))
                });
                return Ok(Yield::Text(if self.name == "GetInterfaceIP" {
                    first_address(&list)
                } else {
                    addresses(&list, " ")
                }));
            }
            other => return Err(format!("`{other}` is not one of {SOURCES}")),
        };
        let [] = self.arguments::<0>()?;
        Ok(match self.name.as_str() {
            name if name.ends_with("IP") => Yield::Text(first_address(&list)),
            name if name.ends_with("IPs") => Yield::Text(addresses(&list, " ")),
            _ => Yield::Interfaces(list),
        })
    }

    /// As a later one.
    pub(super) fn apply<'a>(&self, list: Vec<&'a Interface>) -> Result<Yield<'a>, String> {
        let list = match self.name.as_str() {
            "include" | "exclude" => {
                let [kind, wanted] = self.arguments::<2>()?;
                include(list, kind, wanted, self.name == "include")?
            }
            "sort" => {
                let [keys] = self.arguments::<1>()?;
                sort(list, keys)?
            }
            "limit" => list.into_iter().take(self.count()?).collect(),
            "offset" => list.into_iter().skip(self.count()?).collect(),
            "attr" => {
                let [name] = self.arguments::<1>()?;
                let first = list.first().map(|interface| attribute(interface, name));
                return Ok(Yield::Text(first.transpose()?.unwrap_or_default()));
            }
            "join" => {
                let [name, between] = self.arguments::<2>()?;
                let texts: Result<Vec<_>, _> =
                    list.iter().map(|interface| attribute(interface, name)).collect();
                return Ok(Yield::Text(texts?.join(between)));
            }
            other => return Err(format!("`{other}` is not one of {FILTERS}")),
        };
        Ok(Yield::Interfaces(list))
    }

    fn count(&self) -> Result<usize, String> {
        let [number] = self.arguments::<1>()?;
        number.parse().map_err(|_| format!("`{}` takes a number, found {number:?}", self.name))
    }

    fn arguments<const N: usize>(&self) -> Result<[&str; N], String> {
        let given: Vec<&str> = self.arguments.iter().map(String::as_str).collect();
        let count = given.len();
        given.try_into().map_err(|_| format!("`{}` takes {N} arguments, found {count}", self.name))
    }
}

/// Those that carry traffic beyond this machine, on the default route first, IPv4 first, small
/// networks first.
fn usable(all: Vec<&Interface>, private: bool) -> Vec<&Interface> {
    let mut list = keep(all, |interface| {
        interface.up
            && forwardable(interface.address)
            && in_rfc(6890, interface.address) == Some(private)
    });
    list.sort_by(|left, right| {
        compare(left, right, "default")
            .then(compare(left, right, "type"))
            .then(compare(left, right, "size"))
    });
    list
}

fn include<'a>(
    list: Vec<&'a Interface>,
    kind: &str,
    wanted: &str,
    included: bool,
) -> Result<Vec<&'a Interface>, String> {
    let test: Box<dyn Fn(&Interface) -> bool> = match kind.to_ascii_lowercase().as_str() {
        "name" => {
            let pattern = pattern(wanted)?;
            Box::new(move |interface| pattern.is_match(&interface.name))
        }
        "address" => {
            let pattern = pattern(wanted)?;
            Box::new(move |interface| pattern.is_match(&interface.address.to_string()))
        }
        "type" => match wanted.to_ascii_lowercase().as_str() {
            "ip" => Box::new(|_| true),
            "ipv4" => Box::new(|interface| interface.address.is_ipv4()),
            "ipv6" => Box::new(|interface| interface.address.is_ipv6()),
            _ => return Err(format!("type must be ip, ipv4 or ipv6, found {wanted:?}")),
        },
        "flag" | "flags" => {
            let names: Vec<String> = wanted.split('|').map(|name| name.trim().to_owned()).collect();
            if let Some(unknown) = names.iter().find(|name| flag(name).is_none()) {
                return Err(format!("{unknown:?} is not a flag such as \"up\" or \"loopback\""));
            }
            Box::new(move |interface| {
                names.iter().filter_map(|name| flag(name)).all(|has| has(interface))
            })
        }
        "network" => {
            let network: Network = wanted
                .parse()
                .map_err(|_| format!("{wanted:?} is not a network such as 10.0.0.0/8"))?;
            Box::new(move |interface| network.contains(interface.address))
        }
        "rfc" => {
            let number = wanted.parse().ok().filter(|number| in_rfc(*number, LOCALHOST).is_some());
            let Some(number) = number else {
                return Err(format!("rfc must be one of {}, found {wanted:?}", known_rfcs()));
            };
            Box::new(move |interface| in_rfc(number, interface.address) == Some(true))
        }
        "size" => {
            let bits: u8 = wanted.trim_start_matches('/').parse().map_err(|_| {
                format!("size must be a prefix length such as /24, found {wanted:?}")
            })?;
            Box::new(move |interface| interface.prefix_bits == bits)
        }
        _ => return Err(format!("{kind:?} is not one of {SELECTORS}")),
    };
    Ok(keep(list, |interface| test(interface) == included))
}

fn pattern(text: &str) -> Result<Regex, String> {
    Regex::new(text).map_err(|error| format!("{text:?} is not a regular expression: {error}"))
}

fn flag(name: &str) -> Option<fn(&Interface) -> bool> {
    Some(match name {
        "up" => |interface| interface.up,
        "down" => |interface| !interface.up,
        "loopback" => |interface| interface.loopback,
        "point-to-point" => |interface| interface.point_to_point,
        "broadcast" => |interface| interface.broadcast,
        "multicast" => |interface| interface.multicast,
        "forwardable" => |interface| forwardable(interface.address),
        "global unicast" => |interface| {
            let address = interface.address;
            !(address.is_loopback()
                || address.is_unspecified()
                || address.is_multicast()
                || link_local(address))
        },
        "link-local unicast" => |interface| link_local(interface.address),
        "unspecified" => |interface| interface.address.is_unspecified(),
        _ => return None,
    })
}

/// Whether a router would carry the address further.
fn forwardable(address: IpAddr) -> bool {
    let reserved = match address {
        IpAddr::V4(v4) => v4.octets()[0] == 0 || v4.octets()[0] >= 240,
        IpAddr::V6(_) => false,
    };
    !(reserved
        || address.is_loopback()
        || address.is_multicast()
        || address.is_unspecified()
        || link_local(address))
}

fn link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    }
}

/// `-` before a key turns its order round.
fn sort<'a>(mut list: Vec<&'a Interface>, keys: &str) -> Result<Vec<&'a Interface>, String> {
    let keys: Vec<(&str, bool)> = keys
        .split(',')
        .map(str::trim)
        .map(|key| match key.strip_prefix('-') {
            Some(key) => (key, true),
            None => (key.strip_prefix('+').unwrap_or(key), false),
        })
        .collect();
    if let Some((unknown, _)) = keys.iter().find(|(key, _)| !SORT_KEYS.contains(key)) {
        return Err(format!("{unknown:?} is not one of {}", SORT_KEYS.join(", ")));
    }
    list.sort_by(|left, right| {
        keys.iter().fold(Ordering::Equal, |order, (key, reversed)| {
            let next = compare(left, right, key);
            order.then(if *reversed { next.reverse() } else { next })
        })
    });
    Ok(list)
}

fn compare(left: &Interface, right: &Interface, key: &str) -> Ordering {
    // Size is that of the network: a longer prefix is a smaller network.
    let host_bits = |interface: &Interface| match interface.address {
        IpAddr::V4(_) => 32_u8.saturating_sub(interface.prefix_bits),
        IpAddr::V6(_) => 128_u8.saturating_sub(interface.prefix_bits),
    };
    match key {
        "address" => left.address.cmp(&right.address),
        "default" => right.default_route.cmp(&left.default_route),
        "name" => left.name.cmp(&right.name),
        "private" => in_rfc(6890, right.address).cmp(&in_rfc(6890, left.address)),
        "size" => host_bits(left).cmp(&host_bits(right)),
        "type" => left.address.is_ipv6().cmp(&right.address.is_ipv6()),
        _ => Ordering::Equal,
    }
}

fn attribute(interface: &Interface, name: &str) -> Result<String, String> {
    match name.to_ascii_lowercase().as_str() {
        "address" | "host" => Ok(interface.address.to_string()),
        "name" => Ok(interface.name.clone()),
        "type" => Ok(if interface.address.is_ipv4() { "IPv4" } else { "IPv6" }.to_owned()),
        "mask_bits" => Ok(interface.prefix_bits.to_string()),
        _ => Err(format!("{name:?} is not one of address, name, type, mask_bits")),
    }
}

fn first_address(list: &[&Interface]) -> String {
    list.first().map(|interface| interface.address.to_string()).unwrap_or_default()
}

fn addresses(list: &[&Interface], between: &str) -> String {
    let texts: Vec<String> = list.iter().map(|interface| interface.address.to_string()).collect();
    texts.join(between)
}

fn keep(list: Vec<&Interface>, wanted: impl Fn(&Interface) -> bool) -> Vec<&Interface> {
    list.into_iter().filter(|interface| wanted(interface)).collect()
}

const LOCALHOST: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
const SORT_KEYS: &[&str] = &["address", "default", "name", "private", "size", "type"];
const SELECTORS: &str = "address, flags, name, network, rfc, size, type";
const FILTERS: &str = "include, exclude, sort, limit, offset, attr, join";
const SOURCES: &str = "GetPrivateIP, GetPrivateIPs, GetPublicIP, GetPublicIPs, GetInterfaceIP, \
     GetInterfaceIPs, GetAllInterfaces, GetDefaultInterfaces, GetPrivateInterfaces, \
     GetPublicInterfaces";
