//! One operation on one item, or on many at once.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Map, Value};

use super::key::Key;
use super::kind::Kind;
use super::material::Extra;
use crate::request::{Error, Reply};

/// What one item brings; a request without a batch is one item.
#[derive(Clone, Debug, Default)]
pub(super) struct Item(Map<String, Value>);

impl Item {
    pub(super) fn new(fields: impl IntoIterator<Item = (&'static str, Option<Value>)>) -> Self {
        let fields = fields.into_iter();
        Self(fields.filter_map(|(name, value)| Some((name.to_owned(), value?))).collect())
    }

    /// As it came; `None` where it is missing.
    ///
    /// # Errors
    /// [`Error::BadRequest`] where it is no text.
    pub(super) fn text(&self, name: &str) -> Result<Option<&str>, Error> {
        match self.0.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(Error::BadRequest(format!("{name} must be a string"))),
        }
    }

    /// Out of base64; `None` where it is missing.
    ///
    /// # Errors
    /// [`Error::BadRequest`] where it is none.
    pub(super) fn bytes(&self, name: &str) -> Result<Option<Vec<u8>>, Error> {
        let Some(text) = self.text(name)? else {
            return Ok(None);
        };
        // Some clients break lines.
        let text: String = text.chars().filter(|letter| !matches!(letter, '\n' | '\r')).collect();
        BASE64
            .decode(text)
            .map(Some)
            .map_err(|error| Error::BadRequest(format!("failed to base64-decode {name}: {error}")))
    }

    /// # Errors
    /// [`Error::BadRequest`] where it is no whole number.
    pub(super) fn number(&self, name: &str) -> Result<i64, Error> {
        let number = match self.0.get(name) {
            None | Some(Value::Null) => Some(0),
            Some(Value::Number(number)) => number.to_string().parse().ok(),
            Some(Value::String(text)) if text.is_empty() => Some(0),
            Some(Value::String(text)) => text.parse().ok(),
            Some(_) => None,
        };
        number.ok_or_else(|| Error::BadRequest(format!("{name} must be a whole number")))
    }

    /// # Errors
    /// [`Error::BadRequest`] where the key needs what is missing, or takes it not.
    pub(super) fn extra(&self, key: &Key) -> Result<Extra, Error> {
        let context = self.bytes("context")?.filter(|context| !context.is_empty());
        let context = match (key.derived, context) {
            (true, None) => return Err(Error::bad_request(CONTEXT)),
            (true, context) => context,
            (false, _) => None,
        };
        if self.text("nonce")?.is_some_and(|nonce| !nonce.is_empty()) {
            return Err(Error::bad_request(
                "provided nonce not allowed for this key: it is chosen here",
            ));
        }
        let associated = self.bytes("associated_data")?.unwrap_or_default();
        if !associated.is_empty() && !key.kind.is_aead() {
            return Err(Error::BadRequest(format!(
                "associated data is not supported for {} keys",
                key.kind.name()
            )));
        }
        Ok(Extra { context, associated, convergent: key.convergent })
    }
}

/// The items of a request, and whether they were given as a batch.
pub(super) struct Items {
    items: Vec<Item>,
    is_batch: bool,
    /// Instead of 400, where some items failed and others did not.
    partial_code: Option<u16>,
}

impl Items {
    /// # Errors
    /// [`Error::BadRequest`] where the batch is none.
    pub(super) fn new(
        single: Item,
        batch: Option<Value>,
        partial_code: Option<i64>,
    ) -> Result<Self, Error> {
        let partial_code = match partial_code {
            None | Some(0) => None,
            Some(code) => {
                Some(u16::try_from(code).ok().filter(|code| (200..600).contains(code)).ok_or_else(
                    || Error::bad_request("partial_failure_response_code must be from 200 to 599"),
                )?)
            }
        };
        let batch = match batch {
            None | Some(Value::Null) => {
                return Ok(Self { items: vec![single], is_batch: false, partial_code });
            }
            // Of a form or a command line.
            Some(Value::String(text)) => serde_json::from_str(&text).map_err(|error| {
                Error::BadRequest(format!("failed to parse batch input: {error}"))
            })?,
            Some(batch) => batch,
        };
        let Value::Array(batch) = batch else {
            return Err(Error::bad_request("batch_input must be a list of objects"));
        };
        if batch.is_empty() {
            return Err(Error::bad_request("missing batch input to process"));
        }
        if batch.len() > ITEMS_MAX {
            return Err(Error::BadRequest(format!("batch_input has more than {ITEMS_MAX} items")));
        }
        let items = batch.into_iter().map(|item| match item {
            Value::Object(fields) => Ok(Item(fields)),
            _ => Err(Error::bad_request("batch_input must be a list of objects")),
        });
        Ok(Self { items: items.collect::<Result<_, _>>()?, is_batch: true, partial_code })
    }

    pub(super) fn items(&self) -> &[Item] {
        &self.items
    }

    /// Runs every item with a key of this type. One that is wrong does not stop the others of its
    /// batch. Between them others' requests get their turn.
    ///
    /// # Errors
    /// Where the only item is wrong, there are too many, or the node fails.
    pub(super) async fn each(
        &self,
        kind: Kind,
        mut run: impl FnMut(&Item) -> Result<Map<String, Value>, Error>,
    ) -> Result<Reply, Error> {
        if !self.is_batch {
            let Some(item) = self.items.first() else {
                return Err(Error::internal("a request without an item"));
            };
            return run(item).map(Reply::data);
        }
        if kind.is_rsa() && self.items.len() > RSA_ITEMS_MAX {
            return Err(Error::BadRequest(format!(
                "batch_input has more than {RSA_ITEMS_MAX} items, which is the most for RSA keys"
            )));
        }
        let at_once = if kind.is_asymmetric() { 1 } else { ITEMS_AT_ONCE };
        let (mut results, mut failed) = (Vec::with_capacity(self.items.len()), 0_usize);
        for (at, item) in self.items.iter().enumerate() {
            if at > 0 && at % at_once == 0 {
                tokio::task::yield_now().await;
            }
            let mut result = match run(item) {
                Ok(result) => result,
                Err(error) if error.is_callers() => {
                    failed += 1;
                    Map::from_iter([("error".to_owned(), error.to_string().into())])
                }
                Err(error) => return Err(error),
            };
            let reference = item.text("reference").ok().flatten().unwrap_or_default();
            result.insert("reference".into(), reference.into());
            results.push(Value::Object(result));
        }
        let all_failed = failed == results.len();
        let mut reply =
            Reply::data(Map::from_iter([("batch_results".to_owned(), Value::Array(results))]));
        if failed > 0 {
            reply.status = Some(self.partial_code.filter(|_| !all_failed).unwrap_or(400));
        }
        Ok(reply)
    }
}

/// `vault:v3:…`: the version, and what follows.
///
/// # Errors
/// [`Error::BadRequest`] where it is nothing of the kind.
pub(super) fn split<'t>(text: &'t str, what: &str) -> Result<(u32, &'t str), Error> {
    let bad = |why: &str| Error::BadRequest(format!("invalid {what}: {why}"));
    let rest = text.strip_prefix(PREFIX).ok_or_else(|| bad("no prefix"))?;
    let (number, rest) = rest.split_once(':').ok_or_else(|| bad("wrong number of fields"))?;
    let number = number.parse().map_err(|_| bad("version number could not be decoded"))?;
    // As in Vault, 0 stands for the first.
    Ok((if number == 0 { 1 } else { number }, rest))
}

pub(super) fn joined(version: u32, text: &str) -> String {
    format!("{PREFIX}{version}:{text}")
}

const PREFIX: &str = "vault:v";

/// Each is a cryptographic operation.
const ITEMS_MAX: usize = 50_000;

/// With a private key of 4096 bits, each takes some milliseconds.
const RSA_ITEMS_MAX: usize = 1000;

/// Of a symmetric key: some tens of microseconds.
const ITEMS_AT_ONCE: usize = 16;

const CONTEXT: &str = "missing 'context' for key derivation; the key was created using a derived \
                       key, which means additional, per-request information must be included in \
                       order to perform operations with the key";
