//! Bytes and text as text that is safe elsewhere: in hexadecimal, in URLs, in names of records.

use zeroize::Zeroizing;

/// Two digits for each byte, in lower case. Of the full size at once, so that no copies of a
/// secret are left behind.
pub fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        for digit in [byte >> 4, byte & 0xf] {
            text.extend(char::from_digit(digit.into(), 16));
        }
    }
    text
}

/// Bytes of an even number of digits, at least two, in upper or lower case; `None` where the text
/// is anything else. Zeroed when dropped, since it may be a secret.
pub fn of_hex(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if pairs.is_empty() || !rest.is_empty() {
        return None;
    }
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let mut bytes = Zeroizing::new(Vec::with_capacity(pairs.len()));
    for [high, low] in pairs {
        bytes.push(digit(*high)? << 4 | digit(*low)?);
    }
    Some(bytes)
}

/// A path, or whatever may hold slashes, as one name in a directory.
pub fn as_name(path: &str) -> String {
    path.replace('%', "%25").replace('/', "%2F")
}

/// What [`as_name`] made a name of.
pub fn of_name(name: &str) -> String {
    name.replace("%2F", "/").replace("%25", "%")
}

/// Appends `text`, with everything escaped but letters, digits and the bytes in `kept` (RFC 3986,
/// section 2.1).
pub fn percent_encode(text: &str, kept: &[u8], encoded: &mut String) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || kept.contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push('%');
            for digit in [byte >> 4, byte & 0xf] {
                let digit = char::from_digit(digit.into(), 16);
                encoded.extend(digit.map(|digit| digit.to_ascii_uppercase()));
            }
        }
    }
}

/// What needs no escape in a path, slashes included (RFC 3986, section 3.3: `pchar`).
pub const PATH_KEPT: &[u8] = b"/-._~!$&'()*+,;=:@";

/// What needs no escape anywhere (RFC 3986, section 2.3).
pub const UNRESERVED: &[u8] = b"-._~";

#[cfg(test)]
mod tests;
