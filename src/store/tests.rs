//! What several tests of the store use.

/// As golden files hold bytes: 32 a line.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let line =
        |line: &[u8]| line.iter().map(|byte| format!("{byte:02x}")).collect::<String>() + "\n";
    bytes.chunks(32).map(line).collect()
}

pub(crate) fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<char> = text.chars().filter(|digit| !digit.is_whitespace()).collect();
    let byte = |pair: &[char]| {
        pair.iter().fold(0, |sum, digit| sum * 16 + digit.to_digit(16).unwrap() as u8)
    };
    digits.chunks(2).map(byte).collect()
}
