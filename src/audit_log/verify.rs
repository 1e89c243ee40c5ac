//! Whether a log is whole, and if not, where.

use std::collections::BTreeMap;
use std::fmt;

use super::chain::{ChainKey, Head, Sealed};

/// Reads a log line by line, in the order in which it was written, over any number of files.
pub struct Verifier {
    keys: Vec<ChainKey>,
    /// Heads that someone has remembered, and whether they were met.
    remembered: Vec<(Head, bool)>,
    last: Option<Last>,
    /// Lines that are no records, since the last one that was.
    strange: Vec<(Place, u64)>,
    /// Which key made a segment's records: the one that made the first.
    made_by: BTreeMap<String, usize>,
    verdict: Verdict,
}

struct Last {
    head: Head,
    file: String,
}

/// A line, counted from 1.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Place {
    pub file: String,
    pub line: u64,
}

/// Something that is not as it was written.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Finding {
    /// `None`: at the end of all that was given.
    pub place: Option<Place>,
    pub what: What,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub enum What {
    /// The line's content, or what it says of its place, was changed.
    Changed,
    /// The record before was replaced by another with the same number.
    Replaced,
    /// Records from this number on, up to the one before the second, are not there.
    Missing { from: u64, to: u64 },
    /// It has stood, or belongs, further up.
    OutOfOrder { number: u64 },
    /// No record of the chain.
    Foreign,
    /// No key that was given made it.
    NotByKey,
    /// The next segment says that the one before went on, or was another.
    EndMissing { said: Option<Head>, found: Option<Head> },
    /// A segment that does not begin with its first record.
    WithoutLink,
    /// What was remembered is not there: the end was cut off, or a file was not given.
    NotMet(Head),
    /// What was remembered has another hash.
    OtherHash(Head),
}

/// What was found.
#[derive(Debug, Default)]
pub struct Verdict {
    pub records: u64,
    pub segments: u64,
    /// Lines that a crash left unfinished; the segment after tells of them.
    pub torn: u64,
    /// Where what was given begins.
    pub first: Option<Head>,
    /// What to remember.
    pub last: Option<Head>,
    pub findings: Vec<Finding>,
    /// Too many to list: only counted.
    pub further: u64,
}

impl Verifier {
    /// Without keys only hashes are checked: then whoever could write the file, and has computed
    /// all of it anew, is found by a remembered head alone.
    pub fn new(keys: Vec<ChainKey>, remembered: Vec<Head>) -> Self {
        Self {
            keys,
            remembered: remembered.into_iter().map(|head| (head, false)).collect(),
            last: None,
            strange: Vec::new(),
            made_by: BTreeMap::new(),
            verdict: Verdict::default(),
        }
    }

    /// One line, without its newline.
    pub fn line(&mut self, file: &str, number: u64, line: &[u8]) {
        let place = Place { file: file.to_owned(), line: number };
        let Some(sealed) = Sealed::read(line) else {
            let length = u64::try_from(line.len()).unwrap_or(u64::MAX);
            if self.strange.len() >= FINDINGS_MAX {
                self.find(Some(place), What::Foreign);
            } else {
                self.strange.push((place, length));
            }
            return;
        };
        self.verdict.records += 1;
        self.verdict.first.get_or_insert_with(|| sealed.head.clone());
        let follows = self.place_in_chain(&place, &sealed);
        if !sealed.is_unchanged() {
            self.find(Some(place), What::Changed);
        } else if !self.is_by_key(&sealed) {
            self.find(Some(place), What::NotByKey);
        } else {
            self.meet(&place, &sealed.head);
        }
        // What is out of order does not move the place where the next one belongs.
        if follows {
            self.last = Some(Last { head: sealed.head, file: file.to_owned() });
        }
    }

    pub fn end(mut self) -> Verdict {
        self.report_strange(0);
        let missed: Vec<Head> =
            self.remembered.iter().filter(|(_, met)| !met).map(|(head, _)| head.clone()).collect();
        for head in missed {
            self.find(None, What::NotMet(head));
        }
        self.verdict.last = self.last.map(|last| last.head);
        self.verdict
    }

    /// Whether the next record is to follow this one.
    fn place_in_chain(&mut self, place: &Place, sealed: &Sealed<'_>) -> bool {
        let head = &sealed.head;
        let last = self.last.as_ref().map(|last| (last.head.clone(), last.file != place.file));
        let Some((last, other_file)) = last else {
            self.verdict.segments += 1;
            let link = sealed.link().filter(|_| head.number == 1);
            self.report_strange(link.map_or(0, |link| link.torn));
            return true;
        };
        if last.segment == head.segment {
            self.report_strange(0);
            let next = last.number.saturating_add(1);
            if head.number > next {
                let missing = What::Missing { from: next, to: head.number };
                self.find(Some(place.clone()), missing);
            } else if head.number < next {
                self.find(Some(place.clone()), What::OutOfOrder { number: head.number });
                return false;
            } else if super::chain::hex(&sealed.previous) != last.hash {
                self.find(Some(place.clone()), What::Replaced);
            }
            return true;
        }
        self.verdict.segments += 1;
        let Some(link) = sealed.link().filter(|_| head.number == 1) else {
            self.report_strange(0);
            self.find(Some(place.clone()), What::WithoutLink);
            return true;
        };
        self.report_strange(link.torn);
        // In another file it may be another node's, or the log was taken away and begun anew.
        let begins_anew = link.previous.is_none() && other_file;
        if link.previous.as_ref() != Some(&last) && !begins_anew {
            let missing = What::EndMissing { said: link.previous, found: Some(last) };
            self.find(Some(place.clone()), missing);
        }
        true
    }

    /// What is no record: a torn line, if the segment after says so, or else put there.
    fn report_strange(&mut self, torn: u64) {
        let strange = std::mem::take(&mut self.strange);
        let count = strange.len();
        for (at, (place, length)) in strange.into_iter().enumerate() {
            if torn > 0 && length == torn && at + 1 == count {
                self.verdict.torn += 1;
            } else {
                self.find(Some(place), What::Foreign);
            }
        }
    }

    fn is_by_key(&mut self, sealed: &Sealed<'_>) -> bool {
        if self.keys.is_empty() {
            return true;
        }
        let segment = &sealed.head.segment;
        if let Some(key) = self.made_by.get(segment).and_then(|at| self.keys.get(*at)) {
            return sealed.is_by(key);
        }
        match self.keys.iter().position(|key| sealed.is_by(key)) {
            Some(at) => {
                self.made_by.insert(segment.clone(), at);
                true
            }
            None => false,
        }
    }

    fn meet(&mut self, place: &Place, head: &Head) {
        let mut others = Vec::new();
        for (remembered, met) in &mut self.remembered {
            if remembered.segment == head.segment && remembered.number == head.number {
                *met = true;
                if remembered.hash != head.hash {
                    others.push(remembered.clone());
                }
            }
        }
        for other in others {
            self.find(Some(place.clone()), What::OtherHash(other));
        }
    }

    fn find(&mut self, place: Option<Place>, what: What) {
        if self.verdict.findings.len() < FINDINGS_MAX {
            self.verdict.findings.push(Finding { place, what });
        } else {
            self.verdict.further = self.verdict.further.saturating_add(1);
        }
    }
}

impl Verdict {
    pub fn is_whole(&self) -> bool {
        self.findings.is_empty()
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Some(Place { file, line }) => write!(f, "{file}:{line}: {}", self.what),
            None => write!(f, "at the end: {}", self.what),
        }
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Changed => f.write_str("the record was changed"),
            Self::Replaced => f.write_str("the record before this one was replaced"),
            Self::Missing { from, to } if from.saturating_add(1) == *to => {
                write!(f, "record {from} is missing before this one")
            }
            Self::Missing { from, to } => {
                write!(f, "records {from} to {} are missing before this one", to.saturating_sub(1))
            }
            Self::OutOfOrder { number } => {
                write!(f, "record {number} stands here a second time, or too late")
            }
            Self::Foreign => f.write_str(
                "the line is no record of the chain: it was put here, or what it was is lost",
            ),
            Self::NotByKey => f.write_str("the record was not made with the key"),
            Self::EndMissing { said, found } => write!(
                f,
                "the segment before ended with {}, says this one, but what stands here ends with {}",
                shown(said.as_ref()),
                shown(found.as_ref())
            ),
            Self::WithoutLink => f.write_str("a segment begins here without its first record"),
            Self::NotMet(head) => {
                write!(f, "record {head} is not there: the end was cut off, or a file is not given")
            }
            Self::OtherHash(head) => {
                write!(
                    f,
                    "the record is not the remembered one, {head}: it or one before was changed"
                )
            }
        }
    }
}

fn shown(head: Option<&Head>) -> String {
    head.map_or("nothing".into(), |head| format!("record {} of {}", head.number, head.segment))
}

/// What is listed; a log that is another's has one in each line.
const FINDINGS_MAX: usize = 1000;

#[cfg(test)]
mod tests;
