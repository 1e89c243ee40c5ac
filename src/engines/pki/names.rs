//! Which names a role allows: Vault's rules, in Vault's order.

use super::role::Role;

/// Whether a role allows a host's name or an address of e-mail. `display_name` is the caller's.
pub(super) fn is_allowed(role: &Role, name: &str, display_name: &str) -> bool {
    let (host, is_email) = match name.split_once('@') {
        None => (name, false),
        Some((user, host)) if !user.is_empty() && !host.contains('@') => (host, true),
        Some(_) => return false,
    };
    let wildcard = host.contains('*').then(|| host.split_once('.')).map(|parts| {
        let (label, rest) = parts?;
        (is_wild_label(label) && !rest.contains('*')).then_some(rest)
    });
    // The name without its wildcard label.
    let reduced = match wildcard {
        None => host,
        Some(_) if is_email || !role.allow_wildcard_certificates => return false,
        Some(Some(rest)) => rest,
        Some(None) => return false,
    };
    let is_wildcard = wildcard.is_some();
    if role.enforce_hostnames && to_ascii(reduced).is_none() {
        return false;
    }
    if role.allow_any_name {
        return true;
    }
    if role.allow_localhost
        && ["localhost", "localdomain"].iter().any(|base| {
            reduced == *base && !is_wildcard
                || role.allow_subdomains
                    && (is_below(host, base) || is_wildcard && reduced == *base)
        })
    {
        return true;
    }
    if role.allow_token_displayname
        && !display_name.is_empty()
        && (name == display_name
            || role.allow_subdomains
                && (is_below(host, display_name) || is_wildcard && reduced == display_name))
    {
        return true;
    }
    role.allowed_domains.iter().filter(|domain| !domain.is_empty()).any(|domain| {
        role.allow_bare_domains
            && (name.eq_ignore_ascii_case(domain) || is_email && host.eq_ignore_ascii_case(domain))
            || role.allow_subdomains
                && (is_below(host, domain) || is_wildcard && reduced.eq_ignore_ascii_case(domain))
            || role.allow_glob_domains && domain.contains('*') && glob(domain, name)
    })
}

/// `a.example.com` is below `example.com`, in any case.
fn is_below(name: &str, base: &str) -> bool {
    let name = name.to_lowercase();
    name.strip_suffix(&base.to_lowercase()).is_some_and(|left| left.ends_with('.'))
}

/// Exactly one `*`, alone or with letters, digits and inner hyphens around it (RFC 6125, section
/// 6.4.3).
fn is_wild_label(label: &str) -> bool {
    let Some((before, after)) = label.split_once('*') else {
        return false;
    };
    let part = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    part(before) && part(after) && !before.starts_with('-') && !after.ends_with('-')
}

/// A host's name in the form that certificates hold (RFC 5890); `None` where it is none. A
/// wildcard is not looked at.
pub(super) fn to_ascii(name: &str) -> Option<String> {
    let (wild, rest) = match name.split_once('.') {
        Some((label, rest)) if is_wild_label(label) => (Some(label), rest),
        _ => (None, name),
    };
    let is_whole = rest.strip_suffix('.').unwrap_or(rest);
    let ascii = if is_whole.is_ascii() {
        is_whole.to_owned()
    } else {
        idna::domain_to_ascii(is_whole).ok()?
    };
    let dot = if rest.ends_with('.') { "." } else { "" };
    let valid = !ascii.is_empty() && ascii.len() <= 253 && ascii.split('.').all(is_label);
    valid.then(|| match wild {
        Some(label) => format!("{label}.{ascii}{dot}"),
        None => format!("{ascii}{dot}"),
    })
}

fn is_label(label: &str) -> bool {
    (1..=63).contains(&label.len())
        && !label.starts_with('-')
        && !label.ends_with('-')
        && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

/// `*` stands for any text, dots too.
pub(super) fn glob(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = text.strip_prefix(parts.next().unwrap_or_default()) else {
        return false;
    };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else {
        return rest.is_empty();
    };
    for part in middle {
        let Some((_, after)) = rest.split_once(part) else {
            return false;
        };
        rest = after;
    }
    rest.ends_with(last)
}
