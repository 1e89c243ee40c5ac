//! Lists of revoked certificates (CRL; RFC 5280, section 5).
//!
//! A list is that of a name and a key, not of an issuer's record: whoever checks a certificate
//! knows no other difference, and an authority that is deleted and imported again has not
//! forgotten what it revoked.
//!
//! Its entries are stored in pieces, and beside them what was signed around them: revoking writes
//! one piece and that, however long the list is, and reading it puts together what is there.

use std::collections::BTreeSet;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};

use super::issuer::{self, Facts, Issuer};
use super::key::Manner;
use super::{config, der};
use crate::clock::Timestamp;
use crate::crypto::sha256;
use crate::framework::Call;
use crate::request::Error;
use crate::text::hex;

/// As stored.
#[derive(Clone, Default, Deserialize, Serialize)]
struct Head {
    /// Of the last list that was signed; it never goes back (RFC 5280, section 5.2.3).
    number: u64,
    /// In which order the pieces are listed.
    pieces: Vec<u64>,
    next_piece: u64,
    /// What ended before it is over for good.
    tidied_until: Timestamp,
    /// `None` where nobody could sign what has changed.
    signed: Option<Signed>,
}

/// All of a list but its entries, byte for byte as it was signed.
#[derive(Clone, Deserialize, Serialize)]
struct Signed {
    this_update: Timestamp,
    next_update: Timestamp,
    /// Entries are left out.
    is_empty: bool,
    /// Base64, as are those below.
    before: String,
    after: String,
    algorithm: String,
    signature: String,
}

/// Of one revoked certificate.
#[derive(Clone, Deserialize, Serialize)]
pub(super) struct Entry {
    /// DER in base64.
    der: String,
    /// The certificate's end; when it was revoked, where it was over already.
    until: Timestamp,
}

/// Some of a list's entries. Decoded once, and kept while its record stands.
#[derive(Deserialize)]
#[serde(try_from = "Vec<Entry>")]
struct Piece {
    entries: Vec<Entry>,
    der: Vec<u8>,
}

impl TryFrom<Vec<Entry>> for Piece {
    type Error = base64::DecodeError;

    fn try_from(entries: Vec<Entry>) -> Result<Self, Self::Error> {
        let mut der = Vec::new();
        for entry in &entries {
            BASE64.decode_vec(&entry.der, &mut der)?;
        }
        Ok(Self { entries, der })
    }
}

impl Entry {
    pub(super) fn new(serial: &[u8], at: Timestamp, not_after: Timestamp) -> Self {
        Self { der: BASE64.encode(der::revoked(serial, at)), until: not_after.max(at) }
    }
}

/// What the lists of two issuers have in common where they are one.
fn id(of: &Facts) -> String {
    let length = (of.subject.len() as u64).to_be_bytes();
    hex(&sha256(&[&length, &of.subject, &of.public_key]))
}

fn head_path(id: &str) -> String {
    format!("{LISTS}/{id}/head")
}

fn piece_path(id: &str, number: u64) -> String {
    format!("{LISTS}/{id}/piece/{number}")
}

/// What is written of a list, once it is signed.
struct Change {
    pieces: Vec<(u64, Arc<Piece>)>,
    written: BTreeSet<u64>,
    gone: Vec<u64>,
}

impl Change {
    /// Leaves out what ended before `over`, and puts what is left of a piece to that before it
    /// where it has room. What this takes is bounded: the rest is left to the next time.
    fn compact(pieces: Vec<(u64, Arc<Piece>)>, over: Timestamp) -> Result<Self, Error> {
        let mut change = Self { pieces: Vec::new(), written: BTreeSet::new(), gone: Vec::new() };
        for (number, piece) in pieces {
            let is_over = |entry: &Entry| entry.until < over;
            let budget = COMPACTED_MAX.saturating_sub(change.written.len() + change.gone.len());
            if budget == 0 || !piece.entries.iter().any(is_over) {
                change.pieces.push((number, piece));
                continue;
            }
            let left: Vec<Entry> =
                piece.entries.iter().filter(|entry| !is_over(entry)).cloned().collect();
            let before = change.pieces.pop_if(|(_, before)| {
                budget > 1 && before.entries.len() + left.len() <= ENTRIES_MAX
            });
            match before {
                // Nothing of it is left: the one before stays as it is.
                Some(before) if left.is_empty() => {
                    change.pieces.push(before);
                    change.gone.push(number);
                }
                Some((at, before)) => {
                    let whole = before.entries.iter().cloned().chain(left).collect();
                    change.put(at, whole)?;
                    change.gone.push(number);
                }
                None if left.is_empty() => change.gone.push(number),
                None => change.put(number, left)?,
            }
        }
        Ok(change)
    }

    fn put(&mut self, number: u64, entries: Vec<Entry>) -> Result<(), Error> {
        let piece = Piece::try_from(entries).map_err(Error::internal)?;
        self.pieces.push((number, Arc::new(piece)));
        self.written.insert(number);
        Ok(())
    }

    /// Returns true where `next` was taken as the number of a new piece.
    fn add(&mut self, entry: Entry, next: u64) -> Result<bool, Error> {
        let last = self.pieces.pop_if(|(_, last)| last.entries.len() < ENTRIES_MAX);
        let is_new = last.is_none();
        let (number, mut entries) =
            last.map_or((next, Vec::new()), |(number, last)| (number, last.entries.clone()));
        entries.push(entry);
        self.put(number, entries)?;
        Ok(is_new)
    }

    fn ders(&self) -> Vec<&[u8]> {
        self.pieces.iter().map(|(_, piece)| piece.der.as_slice()).collect()
    }
}

fn pieces(call: &mut Call<'_>, id: &str, head: &Head) -> Result<Vec<(u64, Arc<Piece>)>, Error> {
    let mut pieces = Vec::with_capacity(head.pieces.len());
    for number in &head.pieces {
        let piece = call.storage.get_shared::<Piece>(&piece_path(id, *number))?;
        let piece = piece.ok_or_else(|| Error::internal("a part of a CRL is missing"))?;
        pieces.push((*number, piece));
    }
    Ok(pieces)
}

/// Signs an issuer's list anew, with one entry more where one is given. Where its key is not here
/// the entry is kept for when it is.
///
/// Certificates that are over are left out once a list of after their end has named them
/// (RFC 5280, section 3.3), unless they are wanted; those that ended before `tidied` always.
///
/// # Errors
/// Where the store cannot be read.
pub(super) fn sign(
    call: &mut Call<'_>,
    of: &Issuer,
    added: Option<Entry>,
    tidied: Timestamp,
) -> Result<(), Error> {
    let id = id(&of.facts()?);
    let mut head: Head = call.storage.get(&head_path(&id))?.unwrap_or_default();
    let settings = config::crl(call)?;
    head.tidied_until = head.tidied_until.max(tidied);
    let named = head.signed.as_ref().filter(|signed| !signed.is_empty);
    let named = named.filter(|_| !settings.allow_expired_cert_revocation);
    let named = named.map(|signed| signed.this_update).unwrap_or_default();
    let before = pieces(call, &id, &head)?;
    let mut change = Change::compact(before, named.max(head.tidied_until))?;
    if let Some(entry) = added
        && change.add(entry, head.next_piece)?
    {
        head.next_piece += 1;
    }
    head.pieces = change.pieces.iter().map(|(number, _)| *number).collect();
    if !of.key_id.is_empty() {
        head.number = head.number.saturating_add(1);
        let entries = if settings.disable { Vec::new() } else { change.ders() };
        head.signed = Some(signed(call, of, head.number, &entries, &settings)?);
    } else if !change.written.is_empty() || !change.gone.is_empty() {
        head.signed = None;
    }
    for (number, piece) in change.pieces.iter().filter(|(at, _)| change.written.contains(at)) {
        call.storage.put(&piece_path(&id, *number), &piece.entries)?;
    }
    for number in change.gone {
        call.storage.delete(&piece_path(&id, number))?;
    }
    call.storage.put(&head_path(&id), &head)
}

fn signed(
    call: &mut Call<'_>,
    of: &Issuer,
    number: u64,
    entries: &[&[u8]],
    settings: &config::Crl,
) -> Result<Signed, Error> {
    let signer = issuer::signer(call, &of.id)?;
    let (manner, key) = (Manner::default(), &signer.key.key);
    let algorithm = key.algorithm(manner);
    let this_update = Timestamp::from_seconds(call.now.seconds());
    let end = call.now.seconds().saturating_add(settings.expiry_seconds());
    let next_update = Timestamp::from_seconds(end);
    let before = der::before_revoked(&algorithm, &signer.facts.subject, this_update, next_update);
    let after = der::after_revoked(&[
        der::authority_key_identifier(&signer.facts.key_identifier),
        der::crl_number(number),
    ]);
    let signature = key.sign(manner, &der::revocation_list(&before, entries, &after))?;
    Ok(Signed {
        this_update,
        next_update,
        is_empty: settings.disable,
        before: BASE64.encode(before),
        after: BASE64.encode(after),
        algorithm: BASE64.encode(algorithm),
        signature: BASE64.encode(signature),
    })
}

/// All lists, each once.
///
/// # Errors
/// As [`sign`].
pub(super) fn sign_all(call: &mut Call<'_>, tidied: Timestamp) -> Result<(), Error> {
    let mut done = BTreeSet::new();
    for one in issuer::all(call)? {
        if done.insert(id(&one.facts()?)) {
            sign(call, &one, None, tidied)?;
        }
    }
    Ok(())
}

/// An issuer's list in DER; signed anew where it is about to end, if that is wanted. Where that
/// fails it is the old one: better than none.
///
/// # Errors
/// Where the store cannot be read.
pub(super) fn current(call: &mut Call<'_>, of: &Issuer) -> Result<Option<Vec<u8>>, Error> {
    let id = id(&of.facts()?);
    let head = call.storage.get_shared::<Head>(&head_path(&id))?;
    let is_due = match head.as_ref().and_then(|head| head.signed.as_ref()) {
        None => !of.key_id.is_empty(),
        Some(signed) => {
            let settings = config::crl(call)?;
            let soon = call.now.seconds().saturating_add(settings.grace_seconds());
            settings.auto_rebuild && soon >= signed.next_update.seconds()
        }
    };
    let mut head = head;
    if is_due {
        match sign(call, of, None, Timestamp::ZERO) {
            Ok(()) => head = call.storage.get_shared(&head_path(&id))?,
            Err(error) => tracing::error!(%error, "a CRL could not be signed anew"),
        }
    }
    let Some((head, signed)) = head.as_ref().and_then(|head| Some((head, head.signed.as_ref()?)))
    else {
        return Ok(None);
    };
    let pieces = if signed.is_empty { Vec::new() } else { pieces(call, &id, head)? };
    let entries: Vec<&[u8]> = pieces.iter().map(|(_, piece)| piece.der.as_slice()).collect();
    let decode = |text: &str| BASE64.decode(text).map_err(Error::internal);
    let list = der::revocation_list(&decode(&signed.before)?, &entries, &decode(&signed.after)?);
    Ok(Some(der::signed(&list, &decode(&signed.algorithm)?, &decode(&signed.signature)?)))
}

const LISTS: &str = "crl";

/// Of a piece: it is written again for each that is added.
const ENTRIES_MAX: usize = 512;

/// Pieces that are written or deleted at one time, beside what is added.
const COMPACTED_MAX: usize = 16;

#[cfg(test)]
mod tests;
