//! Each record names the one before it, by hash: whoever changes, removes, moves or inserts one
//! breaks the chain there.
//!
//! `hash` is SHA-256 over segment, number, the hash before and the line itself: anyone can check
//! it, and whoever remembers one hash has all that came before it. `mac` is an HMAC of it under a
//! key that only the server and its auditors have: whoever can write the file cannot make one.
//! A segment is what one process wrote without a break. Its first record says what the log ended
//! with before.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::crypto::{equal, hmac_sha256, sha256};
use crate::text::{hex, of_hex};

/// Where a chain has come to: what an auditor remembers. As text `segment:number:hash`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Head {
    /// 16 hexadecimal digits, drawn at random.
    pub segment: String,
    /// Counted from 1 within the segment.
    #[serde(rename = "seq")]
    pub number: u64,
    /// 64 hexadecimal digits.
    pub hash: String,
}

/// What makes and checks the `mac` of records.
#[derive(Clone)]
pub struct ChainKey([u8; 32]);

/// How a line is written.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Style {
    #[default]
    Json,
    /// The same as XML (IBM's JSONx).
    Jsonx,
}

/// A chain that is being written.
#[derive(Clone)]
pub struct Chain {
    key: ChainKey,
    segment: String,
    number: u64,
    hash: [u8; 32],
}

/// What a segment's first record says of what came before.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Link {
    /// The device, with its trailing slash.
    pub device: String,
    /// The node that writes.
    pub node: String,
    /// What the log ended with; `None` where it was empty.
    pub previous: Option<Head>,
    /// Bytes after that: a line that was not finished.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub torn: u64,
}

/// What a log ends with.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Tail {
    pub head: Option<Head>,
    /// Bytes after the last newline.
    pub torn: u64,
}

/// One line of a log, taken apart.
#[derive(Debug)]
pub struct Sealed<'l> {
    /// All that the hash is over.
    pub body: &'l [u8],
    pub head: Head,
    pub previous: [u8; 32],
    mac: [u8; 32],
}

#[derive(Deserialize)]
struct Seal {
    segment: String,
    seq: u64,
    prev: String,
    hash: String,
    mac: String,
}

impl Chain {
    /// `segment`: 8 random bytes.
    pub fn begin(key: ChainKey, segment: [u8; 8]) -> Self {
        Self { key, segment: hex(&segment), number: 0, hash: [0; 32] }
    }

    /// Ends a line: `line` is a whole JSON object, or a JSONx document; afterwards it has the
    /// chain as its last member.
    pub fn seal(&mut self, line: &mut String, style: Style) {
        let end = match style {
            Style::Json => "}",
            Style::Jsonx => JSONX_END,
        };
        line.truncate(line.strip_suffix(end).map_or(line.len(), str::len));
        self.number = self.number.saturating_add(1);
        let hash = hash(&self.segment, self.number, &self.hash, line.as_bytes());
        let (segment, number) = (&self.segment, self.number);
        let (prev, new) = (hex(&self.hash), hex(&hash));
        let mac = hex(&self.key.mac(&hash));
        line.push_str(&match style {
            Style::Json => format!(
                "{JSON_MARK}\"segment\":\"{segment}\",\"seq\":{number},\"prev\":\"{prev}\",\
                 \"hash\":\"{new}\",\"mac\":\"{mac}\"}}}}"
            ),
            Style::Jsonx => format!(
                "{JSONX_MARK}<json:string name=\"segment\">{segment}</json:string>\
                 <json:number name=\"seq\">{number}</json:number>\
                 <json:string name=\"prev\">{prev}</json:string>\
                 <json:string name=\"hash\">{new}</json:string>\
                 <json:string name=\"mac\">{mac}</json:string></json:object>{JSONX_END}"
            ),
        });
        self.hash = hash;
    }

    /// `None` before the first record.
    pub fn head(&self) -> Option<Head> {
        (self.number > 0).then(|| Head {
            segment: self.segment.clone(),
            number: self.number,
            hash: hex(&self.hash),
        })
    }
}

impl<'l> Sealed<'l> {
    /// `None` where the line does not end as a record does.
    pub fn read(line: &'l [u8]) -> Option<Self> {
        let (body, seal) = split(line)?;
        let Seal { segment, seq, prev, hash, mac } = seal;
        if segment.len() != 16 || segment.bytes().any(|byte| !byte.is_ascii_hexdigit()) {
            return None;
        }
        let previous = unhex(&prev)?;
        unhex(&hash)?;
        Some(Self { body, previous, mac: unhex(&mac)?, head: Head { segment, number: seq, hash } })
    }

    /// Whether the line is as it was hashed.
    pub fn is_unchanged(&self) -> bool {
        let Head { segment, number, hash: said } = &self.head;
        unhex(said) == Some(hash(segment, *number, &self.previous, self.body))
    }

    /// Whether this key made it.
    pub fn is_by(&self, key: &ChainKey) -> bool {
        unhex(&self.head.hash).is_some_and(|hash| equal(&key.mac(&hash), &self.mac))
    }

    /// What the first record of a segment says; `None` of any other.
    pub fn link(&self) -> Option<Link> {
        #[derive(Deserialize)]
        struct First {
            r#type: String,
            link: Link,
        }
        let text = std::str::from_utf8(self.body).ok()?;
        let text = match text.find("<json:object") {
            // Links are written as JSON within, whatever the style.
            Some(_) => {
                let (_, rest) = text.split_once(JSONX_LINK)?;
                let (link, _) = rest.split_once("</json:string>")?;
                link.replace("&#34;", "\"").replace("&amp;", "&")
            }
            None => format!("{}}}", text.get(text.find('{')?..)?),
        };
        let first: First = serde_json::from_str(&text).ok()?;
        (first.r#type == LINK_TYPE).then_some(first.link)
    }
}

impl Link {
    /// The record, before it is sealed. `time`: RFC 3339.
    pub fn line(&self, time: &str, prefix: &str, style: Style) -> String {
        let json = serde_json::json!({ "time": time, "type": LINK_TYPE, "link": self }).to_string();
        match style {
            Style::Json => format!("{prefix}{json}"),
            Style::Jsonx => {
                let escaped = json.replace('&', "&amp;").replace('"', "&#34;");
                format!("{prefix}{JSONX_BEGIN}{JSONX_LINK}{escaped}</json:string>{JSONX_END}")
            }
        }
    }
}

impl ChainKey {
    /// Made of a device's salt, which it does not tell.
    pub fn of_salt(salt: &[u8]) -> Self {
        Self(hmac_sha256(salt, &[b"strongroom audit chain key"]))
    }

    pub fn text(&self) -> String {
        hex(&self.0)
    }

    fn mac(&self, hash: &[u8; 32]) -> [u8; 32] {
        hmac_sha256(&self.0, &[hash])
    }
}

impl FromStr for ChainKey {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        unhex(text.trim()).map(Self).ok_or("a key is 64 hexadecimal digits: read sys/audit-chain")
    }
}

impl fmt::Debug for ChainKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ChainKey(..)")
    }
}

impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.segment, self.number, self.hash)
    }
}

impl FromStr for Head {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut parts = text.trim().split(':');
        let (Some(segment), Some(number), Some(hash), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(HEAD_FORM);
        };
        let number = number.parse().map_err(|_| HEAD_FORM)?;
        unhex(hash).ok_or(HEAD_FORM)?;
        Ok(Self { segment: segment.into(), number, hash: hash.to_ascii_lowercase() })
    }
}

fn hash(segment: &str, number: u64, previous: &[u8; 32], body: &[u8]) -> [u8; 32] {
    // Each but the last has a length of its own, so that no two records are one text.
    sha256(&[DOMAIN, segment.as_bytes(), &number.to_be_bytes(), previous, body])
}

fn split(line: &[u8]) -> Option<(&[u8], Seal)> {
    let text = std::str::from_utf8(line).ok()?;
    if text.ends_with("}}") {
        // No string of JSON holds the mark: its quotes would be escaped there. The last one is
        // the record's own, because nothing follows it.
        let at = text.rfind(JSON_MARK)?;
        let (body, seal) = text.split_at_checked(at)?;
        let seal = seal.get(JSON_MARK.len() - 1..)?.strip_suffix('}')?;
        return Some((body.as_bytes(), serde_json::from_str(seal).ok()?));
    }
    let at = text.rfind(JSONX_MARK)?;
    let (body, seal) = text.split_at_checked(at)?;
    let field = |kind: &str, name: &str| {
        let (_, rest) = seal.split_once(&format!("<json:{kind} name=\"{name}\">"))?;
        rest.split_once("</json:").map(|(value, _)| value.to_owned())
    };
    let seal = Seal {
        segment: field("string", "segment")?,
        seq: field("number", "seq")?.parse().ok()?,
        prev: field("string", "prev")?,
        hash: field("string", "hash")?,
        mac: field("string", "mac")?,
    };
    Some((body.as_bytes(), seal))
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    of_hex(text)?.as_slice().try_into().ok()
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde asks")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// Tells these hashes from any others, and this way to make them from later ones.
const DOMAIN: &[u8] = b"strongroom audit record 1\0";

const JSON_MARK: &str = ",\"chain\":{";

const JSONX_MARK: &str = "<json:object name=\"chain\">";

pub(super) const JSONX_BEGIN: &str =
    "<json:object xmlns:json=\"http://www.ibm.com/xmlns/prod/2009/jsonx\">";

const JSONX_END: &str = "</json:object>";

const JSONX_LINK: &str = "<json:string name=\"link\">";

/// Beside Vault's `request` and `response`.
const LINK_TYPE: &str = "chain";

const HEAD_FORM: &str = "a remembered head is `segment:number:hash`, as sys/audit-chain tells it";

#[cfg(test)]
mod tests;
