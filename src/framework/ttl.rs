use crate::clock::Timestamp;
use crate::mount::MountConfig;

/// How long tokens and leases may live, in seconds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct TtlLimits {
    pub default: u64,
    pub max: u64,
}

/// What a token or lease asks for, in seconds; 0 wherever nothing is said.
#[derive(Clone, Copy, Debug, Default)]
pub struct TtlTerms {
    /// By the caller: a time to live, or a renewal's increment.
    pub requested: u64,
    /// Where nothing is requested: a role's, or what was granted last. Without it the mount's.
    pub usual: u64,
    /// Of a role, counted from issue.
    pub max: u64,
    /// Counted from issue; holds for periodic tokens too.
    pub explicit_max: u64,
    /// Each renewal gives as much again, without end.
    pub period: u64,
}

/// What is granted, in seconds from now.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Granted {
    pub ttl: u64,
    /// To tell the caller where less is granted than was asked.
    pub warning: Option<String>,
}

impl TtlLimits {
    /// As in Vault, a mount's own values replace the system's, larger ones too.
    #[must_use]
    pub fn of(self, config: &MountConfig) -> Self {
        let or = |own: u64, system: u64| if own > 0 { own } else { system };
        Self {
            default: or(config.default_lease_ttl, self.default),
            max: or(config.max_lease_ttl, self.max),
        }
    }

    /// At creation `issued` is now. `None` where nothing is left: it cannot be renewed.
    pub fn grant(self, terms: &TtlTerms, issued: Timestamp, now: Timestamp) -> Option<Granted> {
        let periodic = terms.period > 0;
        let (asked, name) = if periodic {
            (terms.period, "period")
        } else {
            let usual = if terms.usual > 0 { terms.usual } else { self.default };
            (if terms.requested > 0 { terms.requested } else { usual }, "TTL")
        };
        // Whole seconds, rounded up, so that none lives longer than it may.
        let age = now.since(issued).as_millis().div_ceil(1000);
        let age = u64::try_from(age).unwrap_or(u64::MAX);
        // A period is capped by the mount's maximum each time; all else adds up from issue.
        let mut most = if periodic { self.max } else { self.max.saturating_sub(age) };
        for max in [if periodic { 0 } else { terms.max }, terms.explicit_max] {
            if max > 0 {
                most = most.min(max.saturating_sub(age));
            }
        }
        if most == 0 {
            return None;
        }
        let value = if periodic { "period value" } else { "TTL value" };
        let warning = (asked > most).then(|| {
            format!(
                "{name} of \"{}\" exceeded the effective max_ttl of \"{}\"; {value} is capped \
                 accordingly",
                duration_text(asked),
                duration_text(most)
            )
        });
        Some(Granted { ttl: asked.min(most), warning })
    }
}

impl Default for TtlLimits {
    /// 768 hours each, as in Vault.
    fn default() -> Self {
        Self { default: 2_764_800, max: 2_764_800 }
    }
}

/// As Vault writes durations, such as `768h` or `1h30m`.
pub fn duration_text(seconds: u64) -> String {
    let parts = [(seconds / 3600, "h"), (seconds / 60 % 60, "m"), (seconds % 60, "s")];
    let text: String = parts
        .into_iter()
        .filter(|(number, _)| *number > 0)
        .map(|(number, unit)| format!("{number}{unit}"))
        .collect();
    if text.is_empty() { "0s".into() } else { text }
}

#[cfg(test)]
mod tests;
