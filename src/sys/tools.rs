//! `sys/tools`: random bytes, and hashes.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::Node;
use crate::crypto::Algorithm;
use crate::framework::{Call, Route};
use crate::request::{Error, Reply};
use crate::text::hex;

pub(super) fn routes() -> Vec<Route<Node>> {
    vec![
        Route::new("tools/random", "Random bytes.").write(random),
        Route::new("tools/random/{source}", "So many random bytes, or those of a source.")
            .write(random),
        Route::new("tools/random/{source}/{urlbytes}", "So many random bytes of a source.")
            .write(random),
        Route::new("tools/hash", "The hash of some bytes.").write(hash),
        Route::new("tools/hash/{urlalgorithm}", "The hash of some bytes.").write(hash),
    ]
}

#[derive(Deserialize, JsonSchema)]
struct Random {
    /// How many bytes; 32 where nothing is said.
    bytes: Option<i64>,
    /// The same, as part of the path.
    urlbytes: Option<String>,
    /// `platform`, `seal` or `all`; all are this node's generator.
    source: Option<String>,
    /// `base64` or `hex`.
    format: Option<String>,
}

async fn random(call: &mut Call<'_, Node>, input: Random) -> Result<Reply, Error> {
    let mut source = input.source.unwrap_or_else(|| "platform".into());
    let mut in_path = input.urlbytes;
    // As in Vault, one segment is a source or a number.
    let is_of_path = call.request.path.trim_end_matches('/').ends_with(&format!("/{source}"));
    if in_path.is_none() && is_of_path && !SOURCES.contains(&source.as_str()) {
        in_path = Some(std::mem::replace(&mut source, "platform".into()));
    }
    let bytes = match in_path {
        Some(text) => text.parse::<i64>().map_err(|_| {
            Error::BadRequest(format!("error parsing url-set byte count: {text:?} is no number"))
        })?,
        None => input.bytes.unwrap_or(BYTES),
    };
    let length = usize::try_from(bytes).unwrap_or_default();
    if length < 1 {
        return Err(Error::bad_request("'bytes' cannot be less than 1"));
    }
    if length > BYTES_MAX {
        return Err(Error::BadRequest(format!("'bytes' should be less than {BYTES_MAX}")));
    }
    if !SOURCES.contains(&source.as_str()) {
        return Err(Error::BadRequest(format!(
            "unsupported entropy source {source:?}; must be \"platform\" or \"seal\", or \"all\""
        )));
    }
    let format = Format::of(input.format.as_deref(), "base64")?;
    let mut drawn = vec![0; length];
    call.rng.fill(&mut drawn);
    let reply = Reply::of(&json!({ "random_bytes": format.text(&drawn) }))?;
    if source == "seal" {
        return Ok(
            reply.warn("no seal/entropy augmentation available, using platform entropy source")
        );
    }
    Ok(reply)
}

#[derive(Deserialize, JsonSchema)]
struct Hash {
    /// What is hashed, in base64.
    #[serde(default)]
    input: String,
    /// `sha2-224` to `sha2-512`, `sha3-224` to `sha3-512`; `sha2-256` where nothing is said.
    algorithm: Option<String>,
    /// The same, as part of the path.
    urlalgorithm: Option<String>,
    /// `hex` or `base64`.
    format: Option<String>,
}

async fn hash(_: &mut Call<'_, Node>, input: Hash) -> Result<Reply, Error> {
    let bytes = STANDARD
        .decode(&input.input)
        .map_err(|error| Error::BadRequest(format!("unable to decode input as base64: {error}")))?;
    let name = input.urlalgorithm.or(input.algorithm).unwrap_or_else(|| "sha2-256".into());
    let format = Format::of(input.format.as_deref(), "hex")?;
    let algorithm = Algorithm::of_name(&name)
        .ok_or_else(|| Error::BadRequest(format!("unsupported algorithm {name}")))?;
    Reply::of(&json!({ "sum": format.text(&algorithm.digest(&bytes)) }))
}

#[derive(Clone, Copy)]
enum Format {
    Base64,
    Hex,
}

impl Format {
    fn of(name: Option<&str>, usual: &str) -> Result<Self, Error> {
        match name.unwrap_or(usual) {
            "base64" => Ok(Self::Base64),
            "hex" => Ok(Self::Hex),
            other => Err(Error::BadRequest(format!(
                "unsupported encoding format {other:?}; must be \"hex\" or \"base64\""
            ))),
        }
    }

    fn text(self, bytes: &[u8]) -> String {
        match self {
            Self::Base64 => STANDARD.encode(bytes),
            Self::Hex => hex(bytes),
        }
    }
}

const SOURCES: &[&str] = &["platform", "seal", "all"];

const BYTES: i64 = 32;

/// As in Vault.
const BYTES_MAX: usize = 128 * 1024;
