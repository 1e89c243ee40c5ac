//! The only source of randomness.

/// Fills buffers with bytes that nobody can predict. Tests use a seeded one.
pub trait Rng: Send + Sync {
    fn fill(&self, buffer: &mut [u8]);
}

impl dyn Rng + '_ {
    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.fill(&mut bytes);
        bytes
    }

    /// `length` characters of `[0-9A-Za-z]`, each equally likely.
    pub fn base62(&self, length: usize) -> String {
        let mut text = String::with_capacity(length);
        while text.len() < length {
            for byte in self.bytes::<64>() {
                // 248 is the largest multiple of 62 in a byte: beyond it some would be favoured.
                if byte < 248
                    && text.len() < length
                    && let Some(digit) = BASE62.get(usize::from(byte % 62))
                {
                    text.push(char::from(*digit));
                }
            }
        }
        text
    }

    /// A version 4 UUID (RFC 9562, section 5.4), in lower case with hyphens.
    pub fn uuid(&self) -> String {
        uuid::Builder::from_random_bytes(self.bytes()).into_uuid().to_string()
    }
}

/// The operating system's generator.
pub struct SystemRng;

impl Rng for SystemRng {
    #[expect(clippy::expect_used, reason = "without randomness no key is safe: better to stop")]
    fn fill(&self, buffer: &mut [u8]) {
        getrandom::fill(buffer).expect("the operating system gives random bytes");
    }
}

const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
