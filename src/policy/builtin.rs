//! The policies that every server has, and rules for names.

#[cfg(test)]
mod tests;

/// May do everything. Has no text; see [`super::Acl::root`].
pub const ROOT: &str = "root";

/// On every token, unless asked otherwise.
pub const DEFAULT: &str = "default";

/// Of the token that holds a wrapped response.
pub const RESPONSE_WRAPPING: &str = "response-wrapping";

/// Of the token that waits for others to agree.
pub const CONTROL_GROUP: &str = "control-group";

/// Bytes of a name.
pub const NAME_BYTES_MAX: usize = 512;

/// As every name is stored and compared.
///
/// # Errors
/// With a text for the caller, where nothing is left of it, it is too long, or cannot be printed.
pub fn normalize_name(name: &str) -> Result<String, &'static str> {
    let name = name.trim().to_lowercase();
    if name.is_empty() {
        return Err("policy name must not be empty");
    }
    if name.len() > NAME_BYTES_MAX {
        return Err("policy name is longer than 512 bytes");
    }
    if name.chars().any(char::is_control) {
        return Err("policy name must be printable");
    }
    Ok(name)
}

/// A list of policies as tokens have it: trimmed, in lower case, each once, sorted.
pub fn sanitize_names<S: AsRef<str>>(names: impl IntoIterator<Item = S>) -> Vec<String> {
    let names = names.into_iter().map(|name| name.as_ref().trim().to_lowercase());
    let mut names: Vec<String> = names.filter(|name| !name.is_empty()).collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// Cannot be written or deleted by anyone.
pub fn is_reserved(name: &str) -> bool {
    matches!(name, ROOT | RESPONSE_WRAPPING | CONTROL_GROUP)
}

/// Is not listed, and cannot be given to a token by a caller.
pub fn is_hidden(name: &str) -> bool {
    matches!(name, RESPONSE_WRAPPING | CONTROL_GROUP)
}

/// Cannot be deleted; `default` can be written, though.
pub fn is_permanent(name: &str) -> bool {
    name == DEFAULT || is_reserved(name)
}

/// Texts that a new server stores. [`ROOT`] has none.
pub const TEXTS: [(&str, &str); 3] = [
    (DEFAULT, DEFAULT_TEXT),
    (RESPONSE_WRAPPING, RESPONSE_WRAPPING_TEXT),
    (CONTROL_GROUP, CONTROL_GROUP_TEXT),
];

const DEFAULT_TEXT: &str = r#"# What every token may do. Change it as you like; it cannot be deleted.

# The token itself.
path "auth/token/lookup-self" {
  capabilities = ["read"]
}

path "auth/token/renew-self" {
  capabilities = ["update"]
}

path "auth/token/revoke-self" {
  capabilities = ["update"]
}

# Which capabilities the token has, path by path or all together. The latter is for user
# interfaces, and its form may change.
path "sys/capabilities-self" {
  capabilities = ["update"]
}

path "sys/internal/ui/resultant-acl" {
  capabilities = ["read"]
}

# The entity behind the token.
path "identity/entity/id/{{identity.entity.id}}" {
  capabilities = ["read"]
}

path "identity/entity/name/{{identity.entity.name}}" {
  capabilities = ["read"]
}

# Leases whose id is known to the caller. Older clients use the first path.
path "sys/renew" {
  capabilities = ["update"]
}

path "sys/leases/renew" {
  capabilities = ["update"]
}

path "sys/leases/lookup" {
  capabilities = ["update"]
}

# Storage of the token's own, gone when the token is.
path "cubbyhole/*" {
  capabilities = ["create", "delete", "list", "read", "update"]
}

# Response wrapping.
path "sys/wrapping/wrap" {
  capabilities = ["update"]
}

path "sys/wrapping/lookup" {
  capabilities = ["update"]
}

path "sys/wrapping/unwrap" {
  capabilities = ["update"]
}

# Hashes of what the caller sends.
path "sys/tools/hash" {
  capabilities = ["update"]
}

path "sys/tools/hash/*" {
  capabilities = ["update"]
}

# How far a request is that waits for others to agree.
path "sys/control-group/request" {
  capabilities = ["update"]
}

# Logging in elsewhere through this server.
path "identity/oidc/provider/+/authorize" {
  capabilities = ["read", "update"]
}
"#;

const RESPONSE_WRAPPING_TEXT: &str = r#"path "cubbyhole/response" {
  capabilities = ["create", "read"]
}

path "sys/wrapping/unwrap" {
  capabilities = ["update"]
}

path "auth/token/revoke-self" {
  capabilities = ["update"]
}
"#;

const CONTROL_GROUP_TEXT: &str = r#"path "cubbyhole/control-group" {
  capabilities = ["create", "delete", "read", "update"]
}

path "sys/wrapping/unwrap" {
  capabilities = ["update"]
}
"#;
