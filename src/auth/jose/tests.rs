use serde_json::{Value, json};

use super::*;
use crate::clock::Timestamp;
use crate::crypto::{PublicNumbers, SigningAlgorithm, SigningKey};

fn base64(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

struct Signer {
    algorithm: SigningAlgorithm,
    key: SigningKey,
}

impl Signer {
    fn new(algorithm: SigningAlgorithm) -> Self {
        let pkcs8 = algorithm.generate().unwrap();
        Self { algorithm, key: SigningKey::from_pkcs8(algorithm, pkcs8.expose()).unwrap() }
    }

    fn jwk(&self, more: &Value) -> Value {
        let mut jwk = match self.key.public().unwrap() {
            PublicNumbers::Rsa { n, e } => json!({"kty": "RSA", "n": base64(&n), "e": base64(&e)}),
            PublicNumbers::Ec { x, y } => {
                let curve = match x.len() {
                    32 => "P-256",
                    48 => "P-384",
                    _ => "P-521",
                };
                json!({"kty": "EC", "crv": curve, "x": base64(&x), "y": base64(&y)})
            }
            PublicNumbers::Ed { x } => json!({"kty": "OKP", "crv": "Ed25519", "x": base64(&x)}),
        };
        jwk.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        jwk
    }

    fn keys(&self, more: &Value) -> KeySet {
        set(&json!([self.jwk(more)]))
    }

    fn sign_parts(&self, header: &[u8], payload: &[u8]) -> String {
        let message = format!("{}.{}", base64(header), base64(payload));
        let signature = self.key.sign(message.as_bytes()).unwrap();
        format!("{message}.{}", base64(&signature))
    }

    fn sign(&self, more: &Value) -> String {
        let mut header = json!({"alg": self.algorithm.name()});
        header.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.sign_parts(header.to_string().as_bytes(), CLAIMS)
    }
}

const CLAIMS: &[u8] = br#"{"sub":"bob"}"#;

fn set(keys: &Value) -> KeySet {
    KeySet::from_jwks(json!({ "keys": keys }).to_string().as_bytes()).unwrap()
}

fn outcome(keys: &KeySet, token: &str) -> Result<Map<String, Value>, JoseError> {
    keys.verify(&Token::parse(token)?).map(|verified| verified.claims)
}

/// RFC 7515, appendices A.2 and A.3: the same payload by two keys.
#[test]
fn tokens_of_rfc_7515_are_verified() {
    let payload = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
    let rsa = json!({"kty": "RSA", "e": "AQAB", "n": "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ"});
    let ec = json!({"kty": "EC", "crv": "P-256", "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"});
    let rs256 = format!(
        "eyJhbGciOiJSUzI1NiJ9.{payload}.cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw"
    );
    let es256 = format!(
        "eyJhbGciOiJFUzI1NiJ9.{payload}.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"
    );
    for (name, keys, token) in
        [("A.2", set(&json!([rsa, ec])), rs256), ("A.3", set(&json!([rsa, ec])), es256)]
    {
        let claims = outcome(&keys, &token).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(claims["iss"], "joe", "{name}");
        assert_eq!(number(&claims, "exp"), Ok(Some(1_300_819_380)), "{name}");
    }
}

/// RFC 8037, appendix A.4.
#[test]
fn signature_of_rfc_8037_is_verified() {
    let decode = |text: &str| URL_SAFE_NO_PAD.decode(text).unwrap();
    let key = PublicNumbers::Ed { x: decode("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo") };
    let signature = decode(
        "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg",
    );
    let message = b"eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc";
    let algorithm = SignatureAlgorithm::parse("EdDSA").unwrap();
    assert!(algorithm.verify(&key, message, &signature));
    assert!(!algorithm.verify(&key, b"another", &signature));
}

#[test]
fn tokens_of_every_algorithm_are_verified_by_their_own_key_alone() {
    let signers: Vec<Signer> = SigningAlgorithm::ALL.into_iter().map(Signer::new).collect();
    for (at, signer) in signers.iter().enumerate() {
        let token = signer.sign(&json!({}));
        for (other, owner) in signers.iter().enumerate() {
            let outcome = outcome(&owner.keys(&json!({})), &token);
            assert_eq!(
                outcome.is_ok(),
                at == other,
                "{:?} by {:?}",
                signer.algorithm,
                owner.algorithm
            );
        }
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "one table")]
fn token_that_is_not_what_its_owner_signed_is_refused() {
    let signer = Signer::new(SigningAlgorithm::Es256);
    let keys = signer.keys(&json!({"kid": "one"}));
    let good = signer.sign(&json!({"kid": "one"}));
    assert!(outcome(&keys, &good).is_ok());
    let parts: Vec<&str> = good.split('.').collect();
    let (header, payload, signature) = (parts[0], parts[1], parts[2]);
    let signature_bytes = URL_SAFE_NO_PAD.decode(signature).unwrap();
    let with_header =
        |header: Value| format!("{}.{payload}.{signature}", base64(header.to_string().as_bytes()));
    let with_signature = |bytes: &[u8]| format!("{header}.{payload}.{}", base64(bytes));
    let half = &signature_bytes[..32];
    let hmac = crate::crypto::hmac_sha256(
        signer.jwk(&json!({})).to_string().as_bytes(),
        &[format!("{}.{payload}", base64(br#"{"alg":"HS256"}"#)).as_bytes()],
    );
    let stranger = Signer::new(SigningAlgorithm::Es256);
    let jwk = stranger.jwk(&json!({}));
    let twice = br#"{"sub":"bob","sub":"eve"}"#;
    let rows: Vec<(&str, String, JoseError)> = vec![
        ("nothing", String::new(), JoseError::Parts),
        ("two parts", format!("{header}.{payload}"), JoseError::Parts),
        ("four parts", format!("{good}.x"), JoseError::Parts),
        ("no signature", format!("{header}.{payload}."), JoseError::Parts),
        ("too long", format!("{header}.{}.{signature}", "A".repeat(70_000)), JoseError::TooLong),
        ("padding", format!("{header}.{payload}.{signature}=="), JoseError::Base64),
        ("a space", format!("{header}.{payload}.{signature} "), JoseError::Base64),
        ("standard base64", format!("{header}.{payload}.+/+/"), JoseError::Base64),
        (
            "bits that mean nothing",
            format!("{header}.{}.{signature}", noncanonical(payload)),
            JoseError::Base64,
        ),
        ("alg none", with_header(json!({"alg": "none"})), JoseError::NoKey),
        ("alg None", with_header(json!({"alg": "None"})), JoseError::NoKey),
        ("no alg", with_header(json!({})), JoseError::NoKey),
        ("alg that is a list", with_header(json!({"alg": ["ES256"]})), JoseError::NoKey),
        (
            "HMAC by the public key",
            format!("{}.{payload}.{}", base64(br#"{"alg":"HS256"}"#), base64(&hmac)),
            JoseError::NoKey,
        ),
        ("another algorithm", with_header(json!({"alg": "ES384"})), JoseError::NoKey),
        ("another kind", with_header(json!({"alg": "RS256"})), JoseError::NoKey),
        ("another kid", signer.sign(&json!({"kid": "two"})), JoseError::NoKey),
        ("kid that is a path", signer.sign(&json!({"kid": "../one"})), JoseError::NoKey),
        ("kid that is a number", signer.sign(&json!({"kid": 1})), JoseError::Json),
        (
            "crit",
            signer.sign(&json!({"kid": "one", "crit": ["exp"], "exp": 1})),
            JoseError::Critical,
        ),
        ("empty crit", signer.sign(&json!({"kid": "one", "crit": []})), JoseError::Critical),
        ("its own key", stranger.sign(&json!({"kid": "one", "jwk": jwk})), JoseError::NoKey),
        (
            "its own keys",
            stranger.sign(&json!({"kid": "one", "jku": "http://localhost/"})),
            JoseError::NoKey,
        ),
        ("another's signature", stranger.sign(&json!({"kid": "one"})), JoseError::NoKey),
        (
            "another payload",
            format!("{header}.{}.{signature}", base64(br#"{"sub":"eve"}"#)),
            JoseError::NoKey,
        ),
        ("half a signature", with_signature(half), JoseError::NoKey),
        (
            "a longer signature",
            with_signature(&[&signature_bytes[..], &[0]].concat()),
            JoseError::NoKey,
        ),
        ("zeros", with_signature(&[0; 64]), JoseError::NoKey),
        (
            "a signature in DER",
            with_signature(&[&[0x30, 0x44][..], &signature_bytes].concat()),
            JoseError::NoKey,
        ),
        ("a member twice", signer.sign_parts(br#"{"alg":"ES256"}"#, twice), JoseError::Json),
        (
            "alg twice",
            signer.sign_parts(br#"{"alg":"none","alg":"ES256"}"#, CLAIMS),
            JoseError::Json,
        ),
        (
            "deep twice",
            signer.sign_parts(br#"{"alg":"ES256"}"#, br#"{"a":[{"b":1,"b":2}]}"#),
            JoseError::Json,
        ),
        ("no object", signer.sign_parts(br#"{"alg":"ES256"}"#, b"[1]"), JoseError::Json),
        ("no JSON", signer.sign_parts(br#"{"alg":"ES256"}"#, b"bob"), JoseError::Json),
        ("a header that is none", signer.sign_parts(b"[]", CLAIMS), JoseError::Json),
    ];
    for (name, token, expected) in rows {
        assert_eq!(outcome(&keys, &token).err(), Some(expected), "{name}: {token}");
    }
}

/// The same bytes in other text: the last character's spare bits are set.
fn noncanonical(part: &str) -> String {
    const ALPHABET: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let (rest, last) = part.split_at(part.len() - 1);
    assert_ne!(part.len() % 4, 0, "the part has spare bits");
    let at = ALPHABET.find(last).unwrap();
    format!("{rest}{}", &ALPHABET[at + 1..at + 2])
}

#[test]
fn published_keys_are_used_for_what_they_are_published_for() {
    let signer = Signer::new(SigningAlgorithm::Rs256);
    let token = signer.sign(&json!({"kid": "k"}));
    for (more, expected) in [
        (json!({}), true),
        (json!({"kid": "k", "use": "sig", "alg": "RS256", "key_ops": ["verify"]}), true),
        (json!({"kid": "other"}), false),
        (json!({"use": "enc"}), false),
        (json!({"alg": "RS384"}), false),
        (json!({"alg": "HS256"}), false),
        (json!({"alg": "RSA-OAEP"}), false),
        (json!({"key_ops": ["encrypt"]}), false),
        (json!({"kty": "oct", "k": "AAAA"}), false),
        (json!({"kty": "EC"}), false),
        (json!({"n": "AQAB"}), false),
        (json!({"e": ""}), false),
        (json!({"kid": 7}), false),
    ] {
        let keys = signer.keys(&more);
        assert_eq!(outcome(&keys, &token).is_ok(), expected, "{more}");
    }
    for text in ["", "{}", r#"{"keys":{}}"#, "[]"] {
        assert!(KeySet::from_jwks(text.as_bytes()).is_none(), "{text}");
    }
    let mixed = set(&json!([{"kty": "new"}, 5, signer.jwk(&json!({}))]));
    assert!(outcome(&mixed, &token).is_ok(), "what is not known is passed by");
}

#[test]
fn times_are_checked_with_vaults_leeways() {
    let now = 1_000_000_i64;
    let none = Leeways { expiration: -1, not_before: -1, clock_skew: -1 };
    let expired = Some("invalid expiration time (exp) claim: token is expired");
    let early = Some("invalid not before (nbf) claim: token not yet valid");
    let future = Some("invalid issued at (iat) claim: token issued in the future");
    let untimed =
        Some("no issued at (iat), not before (nbf), or expiration time (exp) claims in token");
    let no_time = Some("expected number value to unmarshal NumericDate");
    let rows = [
        (json!({}), Leeways::default(), untimed),
        (json!({"iat": null}), Leeways::default(), untimed),
        (json!({"exp": now + 600, "iat": now}), Leeways::default(), None),
        (json!({"exp": now - 60, "iat": now - 600}), Leeways::default(), None),
        (json!({"exp": now - 61, "iat": now - 600}), Leeways::default(), expired),
        (json!({"exp": now, "iat": now}), none, None),
        (json!({"exp": now - 1, "iat": now - 9}), none, expired),
        (json!({"exp": 0, "iat": now}), Leeways::default(), expired),
        (json!({"exp": -5, "iat": now}), Leeways::default(), expired),
        (json!({"iat": now - 210}), Leeways::default(), None),
        (json!({"iat": now - 211}), Leeways::default(), expired),
        (json!({"iat": now}), none, None),
        (json!({"iat": now - 1}), none, expired),
        (json!({"iat": now - 300, "nbf": now}), Leeways::default(), None),
        (json!({"exp": now + 210}), Leeways::default(), None),
        (json!({"exp": now + 211}), Leeways::default(), early),
        (json!({"exp": now + 600, "nbf": now + 60}), Leeways::default(), None),
        (json!({"exp": now + 600, "nbf": now + 61}), Leeways::default(), early),
        (json!({"exp": now + 600, "nbf": now, "iat": now + 61}), Leeways::default(), future),
        (json!({"exp": now + 600, "nbf": now + 1}), none, early),
        (json!({"exp": 1e300, "iat": now}), Leeways::default(), no_time),
        (json!({"exp": "1000600", "iat": now}), Leeways::default(), no_time),
        (json!({"exp": true, "iat": now}), Leeways::default(), no_time),
        (json!({"exp": (now as f64) + 0.5, "iat": now}), none, None),
        (json!({"exp": i64::MAX, "iat": i64::MIN, "nbf": i64::MIN}), Leeways::default(), None),
    ];
    for (claims, leeways, expected) in rows {
        let outcome =
            check_times(claims.as_object().unwrap(), leeways, Timestamp::from_seconds(1_000_000));
        let text = outcome.err().map(|error| error.to_string());
        assert_eq!(text.as_deref(), expected, "{claims} {leeways:?}");
    }
}

#[test]
fn digits_of_numbers_are_kept() {
    let object = strict::object(br#"{"n":12345678901234567890123,"f":1.50,"l":[null,true,-1]}"#);
    assert_eq!(
        Value::Object(object.unwrap()).to_string(),
        r#"{"n":12345678901234567890123,"f":1.50,"l":[null,true,-1]}"#
    );
}
