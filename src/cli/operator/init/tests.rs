use super::*;

#[test]
fn scripts_find_the_keys_and_the_token() {
    let made = object(json!({
        "keys": ["aa", "bb"], "keys_base64": ["qg==", "uw=="], "root_token": "hvs.root",
    }));
    let asked = object(json!({ "secret_shares": 2, "secret_threshold": 2 }));
    let made = Made::new(&made, &asked, false);
    let text = made.to_text("vault", false);
    assert!(
        text.starts_with(
            "Unseal Key 1: qg==\nUnseal Key 2: uw==\n\nInitial Root Token: hvs.root\n\n\
             Vault initialized with 2 key shares and a key threshold of 2."
        ),
        "{text}"
    );
    assert_eq!(
        made.to_value().to_string(),
        r#"{"unseal_keys_b64":["qg==","uw=="],"unseal_keys_hex":["aa","bb"],"unseal_shares":2,"unseal_threshold":2,"recovery_keys_b64":null,"recovery_keys_hex":null,"recovery_keys_shares":0,"recovery_keys_threshold":0,"root_token":"hvs.root"}"#
    );
}

#[test]
fn recovery_keys_are_named_so() {
    let made = object(json!({
        "keys": [], "keys_base64": [], "recovery_keys": ["aa"], "recovery_keys_base64": ["qg=="],
        "root_token": "hvs.root",
    }));
    let asked = object(json!({ "recovery_shares": 1, "recovery_threshold": 1 }));
    let text = Made::new(&made, &asked, true).to_text("vault", true);
    assert!(
        text.starts_with(
            "Recovery Key 1: qg==\n\nInitial Root Token: hvs.root\n\nSuccess! Vault is initialized"
        ),
        "{text}"
    );
}
