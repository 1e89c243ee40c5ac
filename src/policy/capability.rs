use std::fmt;
use std::ops::BitOrAssign;

use crate::request::Operation;

/// What a rule may grant, or withhold.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Capability {
    Create,
    Delete,
    /// Withholds everything, whatever other policies grant for the same pattern.
    Deny,
    List,
    Patch,
    Read,
    /// Known from Vault Enterprise; no operation here asks for it.
    Recover,
    /// Known from OpenBao; no operation here asks for it.
    Scan,
    /// Known from Vault Enterprise; no operation here asks for it.
    Subscribe,
    /// Needed on top, on the paths that say so.
    Sudo,
    Update,
}

impl Capability {
    /// In the order of their names.
    pub const ALL: [Self; 11] = [
        Self::Create,
        Self::Delete,
        Self::Deny,
        Self::List,
        Self::Patch,
        Self::Read,
        Self::Recover,
        Self::Scan,
        Self::Subscribe,
        Self::Sudo,
        Self::Update,
    ];

    /// As policies have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Delete => "delete",
            Self::Deny => "deny",
            Self::List => "list",
            Self::Patch => "patch",
            Self::Read => "read",
            Self::Recover => "recover",
            Self::Scan => "scan",
            Self::Subscribe => "subscribe",
            Self::Sudo => "sudo",
            Self::Update => "update",
        }
    }

    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|capability| capability.name() == name)
    }

    /// `None`: help, which everyone may ask for.
    pub fn needed_for(operation: Operation) -> Option<Self> {
        match operation {
            Operation::Create => Some(Self::Create),
            Operation::Delete => Some(Self::Delete),
            Operation::Header | Operation::Read => Some(Self::Read),
            Operation::Help => None,
            Operation::List => Some(Self::List),
            Operation::Patch => Some(Self::Patch),
            Operation::Update => Some(Self::Update),
        }
    }

    fn bit(self) -> u16 {
        1 << self as u16
    }
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A set of them.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Capabilities(u16);

impl Capabilities {
    pub const NONE: Self = Self(0);

    pub fn contains(self, capability: Capability) -> bool {
        self.0 & capability.bit() != 0
    }

    pub fn insert(&mut self, capability: Capability) {
        self.0 |= capability.bit();
    }

    pub fn remove(&mut self, capability: Capability) {
        self.0 &= !capability.bit();
    }

    pub fn denies(self) -> bool {
        self.contains(Capability::Deny)
    }

    /// At least one, and no `deny`.
    pub fn grants_any(self) -> bool {
        self != Self::NONE && !self.denies()
    }

    /// In the order of their names.
    pub fn iter(self) -> impl Iterator<Item = Capability> {
        Capability::ALL.into_iter().filter(move |capability| self.contains(*capability))
    }

    /// Sorted, and `["deny"]` where nothing is granted: as `sys/capabilities` answers.
    pub fn names(self) -> Vec<&'static str> {
        if !self.grants_any() {
            return vec![Capability::Deny.name()];
        }
        self.iter().map(Capability::name).collect()
    }
}

impl FromIterator<Capability> for Capabilities {
    fn from_iter<I: IntoIterator<Item = Capability>>(capabilities: I) -> Self {
        let mut set = Self::NONE;
        for capability in capabilities {
            set.insert(capability);
        }
        set
    }
}

impl BitOrAssign for Capabilities {
    fn bitor_assign(&mut self, other: Self) {
        self.0 |= other.0;
    }
}
