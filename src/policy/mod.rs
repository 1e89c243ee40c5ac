//! ACL policies: text to [`Policy`], policies to [`Acl`], and the `Acl`'s answers.
//!
//! Everything here is pure: no storage, no clock, no randomness.
//!
//! **Invariant:** what no rule grants is refused; a rule that cannot be understood, resolved or
//! enforced grants nothing.

mod acl;
mod builtin;
mod capability;
mod expectations;
mod explain;
mod parse;
mod pattern;
mod template;

pub use acl::{Access, Acl, Refusal, Verdict};
pub use builtin::{
    CONTROL_GROUP, DEFAULT, NAME_BYTES_MAX, RESPONSE_WRAPPING, ROOT, TEXTS, is_hidden,
    is_permanent, is_reserved, normalize_name, sanitize_names,
};
pub use capability::{Capabilities, Capability};
pub use expectations::{Checked, Expectations, ExpectationsError};
pub use explain::{Explanation, Question, Source, explain};
pub use parse::{
    PATH_BYTES_MAX, PATHS_MAX, Parameters, PathRules, Permissions, Policy, PolicyError,
    TEXT_BYTES_MAX, format,
};
pub use template::{Identity, IdentityAlias, IdentityGroup, TemplateLimits};
