use super::Ciphertext;
use crate::clock::Timestamp;

/// Names a request across nodes and failovers, so that it takes effect once.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum RequestId {
    /// Given by the node that the client reached. Numbers of an origin rise with time.
    Numbered { origin: OriginId, number: u64 },
    /// Given by a proxy, which says when.
    Proxied { made: Timestamp, id: [u8; 16] },
}

/// One start of one node.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct OriginId(pub [u8; 16]);

/// Numbers of an origin's requests, the first and the last included.
pub type Numbers = (u64, u64);

/// What the state knows of a step of a request.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Remembered {
    /// Nothing: it may take effect.
    New,
    /// It took effect, and this is its response, where one is kept.
    Done(Option<Ciphertext>),
    /// Whether it did is no longer known, or was told to whoever asked: it may not take effect.
    Forgotten,
    /// Nothing, but what is remembered of others leaves no room: it has to wait.
    NoRoom,
}

impl RequestId {
    /// As in the log and in keys of the state.
    pub fn encode(&self) -> [u8; ENCODED_BYTES] {
        let (kind, first, number) = match self {
            Self::Numbered { origin, number } => (NUMBERED, origin.0, *number),
            Self::Proxied { made, id } => (PROXIED, *id, made.0),
        };
        let mut encoded = [0; ENCODED_BYTES];
        let (place, rest) = encoded.split_at_mut(1);
        place.fill(kind);
        // Numbers last in one and first in the other: each kind is ordered by what it ages by.
        let number = number.to_be_bytes();
        let (left, right): (&[u8], &[u8]) =
            if kind == NUMBERED { (&first, &number) } else { (&number, &first) };
        let (place_left, place_right) = rest.split_at_mut(left.len());
        place_left.copy_from_slice(left);
        place_right.copy_from_slice(right);
        encoded
    }

    /// `None` where the bytes are not what [`Self::encode`] makes.
    pub fn decode(encoded: &[u8]) -> Option<Self> {
        let (kind, rest) = encoded.split_first()?;
        match *kind {
            NUMBERED => {
                let (origin, number) = rest.split_first_chunk::<16>()?;
                let number = u64::from_be_bytes(number.try_into().ok()?);
                Some(Self::Numbered { origin: OriginId(*origin), number })
            }
            PROXIED => {
                let (made, id) = rest.split_first_chunk::<8>()?;
                let made = Timestamp(u64::from_be_bytes(*made));
                Some(Self::Proxied { made, id: id.try_into().ok()? })
            }
            _ => None,
        }
    }
}

/// Of [`RequestId::encode`].
pub const ENCODED_BYTES: usize = 1 + 16 + 8;
const NUMBERED: u8 = 1;
const PROXIED: u8 = 2;
