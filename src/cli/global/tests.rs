use super::*;

#[test]
fn flags_win_over_the_environment() {
    let env = Env::of([
        ("VAULT_ADDR", "http://env:1"),
        ("VAULT_NAMESPACE", "/env/"),
        ("VAULT_CACERT", "env.pem"),
        ("VAULT_SKIP_VERIFY", "true"),
        ("VAULT_MFA", "env"),
        ("VAULT_TOKEN", "token"),
        ("VAULT_WRAP_TTL", "1m"),
        ("VAULT_MAX_RETRIES", "5"),
        ("VAULT_CLIENT_TIMEOUT", "3"),
    ]);
    let client = GlobalFlags::default().client(&env).unwrap();
    let config = client.config();
    assert_eq!(config.address.to_string(), "http://env:1");
    assert_eq!(config.namespace.as_deref(), Some("env/"));
    assert_eq!(config.wrap_ttl.as_deref(), Some("60s"));
    assert_eq!(config.token.as_ref().unwrap().expose(), "token");
    assert_eq!(config.retries_max, 5);
    assert_eq!(config.timeout, Duration::from_secs(3));
    assert_eq!(config.tls.verification, Verification::Skip);
    assert_eq!(config.headers[0].1, "env");

    let flags = GlobalFlags {
        address: Some("http://flag:1".into()),
        namespace: Some("flag".into()),
        mfa: vec!["one".into(), "two".into()],
        wrap_ttl: Some("5s".into()),
        ..GlobalFlags::default()
    };
    let client = flags.client(&env).unwrap();
    let config = client.config();
    assert_eq!(config.address.to_string(), "http://flag:1");
    assert_eq!(config.namespace.as_deref(), Some("flag/"));
    assert_eq!(config.wrap_ttl.as_deref(), Some("5s"));
    assert_eq!(config.headers.len(), 2);
}

#[test]
fn what_cannot_be_used_is_refused() {
    let client = |flags: GlobalFlags, env: Env| flags.client(&env).map(|_| ()).unwrap_err().message;
    for (env, part) in [
        (Env::of([("VAULT_ADDR", "host:1")]), "invalid address"),
        (Env::of([("VAULT_SKIP_VERIFY", "maybe")]), "VAULT_SKIP_VERIFY"),
        (Env::of([("VAULT_MAX_RETRIES", "-1")]), "VAULT_MAX_RETRIES"),
        (Env::of([("VAULT_CACERT", "/nowhere/at/all")]), "/nowhere/at/all"),
        (Env::of([("VAULT_CLIENT_CERT", "x.pem")]), "both"),
    ] {
        let message = client(GlobalFlags::default(), env);
        assert!(message.contains(part), "{message}");
    }
    let flags = GlobalFlags {
        header: vec![("X-Vault-Token".into(), "x".into())],
        ..GlobalFlags::default()
    };
    assert!(client(flags, Env::default()).contains("not allowed"));
}
