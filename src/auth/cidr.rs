//! From where a token may be used.

use std::net::IpAddr;

use crate::request::Error;

/// # Errors
/// [`Error::BadRequest`] with the first that is neither an address nor a block.
pub fn check_blocks(blocks: &[String]) -> Result<(), Error> {
    match blocks.iter().find(|block| parse(block).is_none()) {
        Some(block) => Err(Error::BadRequest(format!(
            "{block:?} is no IP address and no block of them, such as 10.0.0.0/8"
        ))),
        None => Ok(()),
    }
}

/// Whether an address is in one of the blocks; none means everywhere. A caller without an
/// address, such as one on a socket in the file system, is nowhere.
pub fn is_within(blocks: &[String], address: Option<IpAddr>) -> bool {
    if blocks.is_empty() {
        return true;
    }
    let Some(address) = address.map(|address| address.to_canonical()) else {
        return false;
    };
    blocks.iter().filter_map(|block| parse(block)).any(|(network, length)| {
        let (network, address, width) = match (network, address) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                (u128::from(network.to_bits()), u128::from(address.to_bits()), 32)
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                (network.to_bits(), address.to_bits(), 128)
            }
            _ => return false,
        };
        let host_bits: u32 = width - length;
        // A shift by the whole width is no shift.
        let prefix = |bits: u128| bits.checked_shr(host_bits).unwrap_or(0);
        prefix(network) == prefix(address)
    })
}

/// Whether each of the blocks lies in one of the others.
pub fn are_within(blocks: &[String], others: &[String]) -> bool {
    let is_in_one = |block: &String| {
        parse(block).is_some_and(|(network, length)| {
            others.iter().any(|other| {
                parse(other).is_some_and(|(_, shorter)| shorter <= length)
                    && is_within(std::slice::from_ref(other), Some(network))
            })
        })
    };
    blocks.iter().all(is_in_one)
}

fn parse(block: &str) -> Option<(IpAddr, u32)> {
    let (address, length) = match block.split_once('/') {
        Some((address, length)) => (address, Some(length)),
        None => (block, None),
    };
    let address: IpAddr = address.trim().parse().ok()?;
    let width = if address.is_ipv4() { 32 } else { 128 };
    let length = match length {
        Some(length) => length.trim().parse().ok().filter(|length| *length <= width)?,
        None => width,
    };
    Some((address, length))
}

#[cfg(test)]
mod tests;
