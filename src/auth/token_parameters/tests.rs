use super::*;

fn input(value: Value) -> TokenParametersInput {
    serde_json::from_value(value).unwrap()
}

#[test]
fn what_is_given_changes_and_the_newer_name_wins() {
    let mut parameters = TokenParameters::default();
    parameters.change(input(serde_json::json!({"policies": ["B", "a"], "ttl": 60}))).unwrap();
    let mut data = Map::new();
    parameters.describe(&mut data);
    assert_eq!(data["policies"], serde_json::json!(["a", "b"]));
    assert_eq!((&data["ttl"], &data["token_ttl"]), (&60.into(), &60.into()));
    let both = serde_json::json!({"token_policies": ["c"], "policies": ["d"], "token_num_uses": 2});
    parameters.change(input(both)).unwrap();
    let mut data = Map::new();
    parameters.describe(&mut data);
    assert_eq!(data["token_policies"], serde_json::json!(["c"]));
    assert!(!data.contains_key("policies") && !data.contains_key("num_uses"));
    assert_eq!((&data["ttl"], &data["token_num_uses"]), (&60.into(), &2.into()));
}

#[test]
fn what_does_not_fit_is_refused() {
    for (value, message) in [
        (serde_json::json!({"token_ttl": 3, "token_max_ttl": 2}), "'token_ttl' cannot be greater"),
        (serde_json::json!({"token_type": "x"}), "invalid 'token_type' value \"x\""),
        (serde_json::json!({"token_type": "batch", "token_period": 9}), "periodic tokens"),
        (serde_json::json!({"token_type": "default-batch", "token_num_uses": 9}), "limited use"),
        (serde_json::json!({"token_num_uses": -1}), "'token_num_uses' cannot be negative"),
        (serde_json::json!({"period": -1}), "cannot provide negative value '-1'"),
        (serde_json::json!({"token_bound_cidrs": ["x"]}), "is no IP address"),
    ] {
        let error = TokenParameters::default().change(input(value.clone())).unwrap_err();
        assert!(error.to_string().contains(message), "{value}: {error}");
    }
}

#[test]
fn mount_decides_the_type_where_the_role_does_not() {
    use RoleTokenType::{Batch, Default, DefaultService, Service};
    for (mount, role, expected) in [
        ("default-service", Default, TokenType::Service),
        ("default-service", Batch, TokenType::Batch),
        ("default-batch", Default, TokenType::Batch),
        ("default-batch", Service, TokenType::Service),
        ("default-batch", DefaultService, TokenType::Service),
        ("batch", Service, TokenType::Batch),
        ("service", Batch, TokenType::Service),
        ("", Default, TokenType::Service),
    ] {
        assert_eq!(role.resolve(mount), expected, "{mount} {role:?}");
    }
}

#[test]
fn renewal_knows_what_a_login_would_give_now() {
    let mut parameters = TokenParameters::default();
    let given = serde_json::json!({"token_policies": ["b", "a"], "token_ttl": 9});
    parameters.change(input(given)).unwrap();
    let names = |text: &str| text.split(',').map(str::to_owned).collect::<Vec<_>>();
    assert!(parameters.gives(&names("a,b,default")));
    assert!(!parameters.gives(&names("a,b")) && !parameters.gives(&names("a,b,c,default")));
    parameters.token_no_default_policy = true;
    assert!(parameters.gives(&names("a,b")));
    assert_eq!(parameters.renewal(), LoginTerms { ttl: 9, ..LoginTerms::default() });
}
