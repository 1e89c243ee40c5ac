//! Audit logs as they lie in files: how their records are chained, whether a chain is whole, and
//! what they tell. Knows nothing of a server: whoever checks a log need not trust one.

mod chain;
mod report;
mod verify;

pub use chain::{Chain, ChainKey, Head, Link, Sealed, Style, Tail, hex};
pub use report::{Filter, Kind, Outcome, ROWS_MAX, Report, Row};
pub use verify::{Finding, Verdict, Verifier};
