use super::*;

#[test]
fn bao_wins_over_vault_and_empty_is_unset() {
    let env = Env::of([
        ("VAULT_ADDR", "vault"),
        ("BAO_ADDR", "bao"),
        ("VAULT_TOKEN", "t"),
        ("BAO_TOKEN", ""),
        ("VAULT_NAMESPACE", ""),
    ]);
    assert_eq!(env.get("ADDR"), Some("bao"));
    assert_eq!(env.get("TOKEN"), Some("t"));
    assert_eq!(env.get("NAMESPACE"), None);
    assert_eq!(env.get("CACERT"), None);
}
