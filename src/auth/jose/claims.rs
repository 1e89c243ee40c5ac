//! Registered claims (RFC 7519, section 4.1), with the leeways that Vault gives.

use serde_json::{Map, Value};

use super::{JoseError, Verified};
use crate::clock::Timestamp;
use crate::crypto::SignatureAlgorithm;

/// What a token must claim; empty: anything.
#[derive(Debug, Default)]
pub struct Expected<'e> {
    pub issuer: &'e str,
    pub subject: &'e str,
    /// One of these.
    pub audiences: &'e [String],
    /// None: all that are known.
    pub algorithms: &'e [SignatureAlgorithm],
    pub leeways: Leeways,
}

/// Seconds; 0: Vault's own; negative: none.
#[derive(Clone, Copy, Debug, Default)]
pub struct Leeways {
    /// After `nbf` or `iat`, where there is no `exp`.
    pub expiration: i64,
    /// Before `exp`, where there is neither `nbf` nor `iat`.
    pub not_before: i64,
    /// By which clocks may differ.
    pub clock_skew: i64,
}

impl Expected<'_> {
    /// # Errors
    /// With the first claim that is not as expected.
    pub fn check(&self, token: &Verified, now: Timestamp) -> Result<(), JoseError> {
        let claims = &token.claims;
        let issuer = text(claims, "iss", "iss must be a string")?;
        let subject = text(claims, "sub", "sub must be a string")?;
        let audiences = texts(claims, "aud", "aud must be a string or a list of strings")?;
        text(claims, "jti", "jti must be a string")?;
        if !self.issuer.is_empty() && issuer != Some(self.issuer) {
            return Err(JoseError::Claim("invalid issuer (iss) claim"));
        }
        if !self.subject.is_empty() && subject != Some(self.subject) {
            return Err(JoseError::Claim("invalid subject (sub) claim"));
        }
        let is_meant = |audience: &&str| self.audiences.iter().any(|bound| bound == audience);
        if !self.audiences.is_empty() && !audiences.iter().any(is_meant) {
            return Err(JoseError::Claim(
                "invalid audience (aud) claim: audience claim does not match any expected audience",
            ));
        }
        if !self.algorithms.is_empty() && !self.algorithms.contains(&token.algorithm) {
            return Err(JoseError::Algorithm);
        }
        check_times(claims, self.leeways, now)
    }
}

/// # Errors
/// Where the token is not good now, or does not say when it is.
pub fn check_times(
    claims: &Map<String, Value>,
    leeways: Leeways,
    now: Timestamp,
) -> Result<(), JoseError> {
    let issued = number(claims, "iat")?;
    let (expires, not_before) = (number(claims, "exp")?, number(claims, "nbf")?);
    let begins = not_before.or(issued);
    if expires.is_none() && begins.is_none() {
        return Err(JoseError::Claim(
            "no issued at (iat), not before (nbf), or expiration time (exp) claims in token",
        ));
    }
    let leeway = |given: i64, usual: i64| if given == 0 { usual } else { given.max(0) };
    let latest = not_before.max(issued).unwrap_or_default();
    let expires =
        expires.unwrap_or_else(|| latest.saturating_add(leeway(leeways.expiration, LEEWAY)));
    let begins =
        begins.unwrap_or_else(|| expires.saturating_sub(leeway(leeways.not_before, LEEWAY)));
    let skew = leeway(leeways.clock_skew, CLOCK_SKEW);
    let now = i64::try_from(now.seconds()).unwrap_or(i64::MAX);
    if now > expires.saturating_add(skew) {
        return Err(JoseError::Claim("invalid expiration time (exp) claim: token is expired"));
    }
    if now.saturating_add(skew) < begins {
        return Err(JoseError::Claim("invalid not before (nbf) claim: token not yet valid"));
    }
    if issued.is_some_and(|issued| now.saturating_add(skew) < issued) {
        return Err(JoseError::Claim("invalid issued at (iat) claim: token issued in the future"));
    }
    Ok(())
}

/// Seconds since 1970, rounded down; `None` where there is no such claim.
///
/// # Errors
/// Where it is no number, or none that is a time.
pub fn number(claims: &Map<String, Value>, name: &str) -> Result<Option<i64>, JoseError> {
    let Some(value) = claims.get(name).filter(|value| !value.is_null()) else {
        return Ok(None);
    };
    let wrong = JoseError::Claim("expected number value to unmarshal NumericDate");
    match value {
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(seconds), _) => Ok(Some(seconds)),
            #[expect(clippy::cast_possible_truncation, reason = "its size was looked at")]
            (None, Some(seconds)) if seconds.abs() < SECONDS_MAX => {
                Ok(Some(seconds.floor() as i64))
            }
            _ => Err(wrong),
        },
        _ => Err(wrong),
    }
}

/// # Errors
/// `wrong`, where the claim is no string.
pub fn text<'c>(
    claims: &'c Map<String, Value>,
    name: &str,
    wrong: &'static str,
) -> Result<Option<&'c str>, JoseError> {
    match claims.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(JoseError::Claim(wrong)),
    }
}

/// One string, or a list of them.
///
/// # Errors
/// `wrong`, where the claim is neither.
pub fn texts<'c>(
    claims: &'c Map<String, Value>,
    name: &str,
    wrong: &'static str,
) -> Result<Vec<&'c str>, JoseError> {
    let one = |value: &'c Value| value.as_str().ok_or(JoseError::Claim(wrong));
    match claims.get(name) {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Array(list)) => list.iter().map(one).collect(),
        Some(value) => one(value).map(|text| vec![text]),
    }
}

/// Vault's: seconds.
const LEEWAY: i64 = 150;
const CLOCK_SKEW: i64 = 60;

/// Up to which a double tells seconds apart.
const SECONDS_MAX: f64 = 9_007_199_254_740_992.0;
