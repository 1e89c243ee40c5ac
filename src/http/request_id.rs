//! The id under which a proxy sends a request again, to another node.

use std::net::SocketAddr;

use hyper::header::{HeaderMap, HeaderName};

use super::status::Refusal;
use crate::clock::Timestamp;
use crate::network::Network;
use crate::record::RequestId;

/// What an authorised proxy calls the request. Anyone else's header is not looked at: whoever
/// chose an id could ask what came of another's request.
pub(super) fn of(
    authorized: &[Network],
    headers: &HeaderMap,
    peer: Option<SocketAddr>,
) -> Result<Option<RequestId>, Refusal> {
    let is_authorized =
        peer.is_some_and(|peer| authorized.iter().any(|network| network.contains(peer.ip())));
    if !is_authorized {
        return Ok(None);
    }
    let mut sent = headers.get_all(&REQUEST_ID).iter();
    let (Some(first), another) = (sent.next(), sent.next()) else { return Ok(None) };
    let id = first.to_str().ok().filter(|_| another.is_none()).and_then(parse);
    let text = "x-strongroom-request-id must be set once, to milliseconds since 1970, a hyphen and \
                a UUID";
    id.map(Some).ok_or_else(|| Refusal::text(400, text))
}

/// `<unix milliseconds>-<uuid>`
fn parse(text: &str) -> Option<RequestId> {
    let (made, uuid) = text.split_once('-')?;
    if !made.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let groups: Vec<&str> = uuid.split('-').collect();
    if groups.iter().map(|group| group.len()).ne([8, 4, 4, 4, 12])
        || !groups.iter().all(|group| group.bytes().all(|byte| byte.is_ascii_hexdigit()))
    {
        return None;
    }
    let id = u128::from_str_radix(&groups.concat(), 16).ok()?.to_be_bytes();
    Some(RequestId::Proxied { made: Timestamp(made.parse().ok()?), id })
}

const REQUEST_ID: HeaderName = HeaderName::from_static("x-strongroom-request-id");

#[cfg(test)]
mod tests;
