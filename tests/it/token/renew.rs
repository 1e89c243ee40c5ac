use super::*;

fn renew(server: &Server, token: &str, increment: &Value) -> Result<Reply, Error> {
    let params = json!({ "token": token, "increment": increment });
    server.write("auth/token/renew", &params)
}

#[test]
fn renewal_counts_from_now() {
    let server = Server::new();
    let token = create(&server, &json!({"policies": ["default"], "ttl": "1h"}));
    server.set_time(1800);
    let renewed = auth(renew(&server, &token, &json!(null)).unwrap());
    assert_eq!((renewed.ttl.as_secs(), renewed.client_token.as_str()), (3600, token.as_str()));
    assert_eq!(auth(renew(&server, &token, &json!("2h")).unwrap()).ttl.as_secs(), 7200);
    let seen = lookup(&server, &token);
    assert_eq!((&seen["creation_ttl"], &seen["ttl"]), (&json!(3600), &json!(7200)));
    assert_eq!(auth(renew(&server, &token, &json!(60)).unwrap()).ttl.as_secs(), 60);
    server.set_time(1859);
    assert!(lives(&server, &token));
    server.set_time(1860);
    assert!(!lives(&server, &token));
    assert_eq!(refusal(renew(&server, &token, &json!(60))), "token not found");
}

#[test]
fn nothing_is_renewed_past_its_maximum() {
    let server = Server::new();
    let params = json!({"policies": ["default"], "ttl": "1h", "explicit_max_ttl": "90m"});
    let token = create(&server, &params);
    server.set_time(3000);
    let reply = renew(&server, &token, &json!("1h")).unwrap();
    assert_eq!(
        reply.warnings,
        ["TTL of \"1h\" exceeded the effective max_ttl of \"40m\"; TTL value is capped \
          accordingly"]
    );
    assert_eq!(auth(reply).ttl.as_secs(), 2400);
    server
        .write("sys/auth/token/tune", &json!({"default_lease_ttl": "1m", "max_lease_ttl": "50m"}))
        .unwrap();
    assert_eq!(refusal(renew(&server, &token, &json!("1h"))), "past the max TTL, cannot renew");
    server.set_time(5400);
    assert!(!lives(&server, &token));
}

#[test]
fn periodic_token_is_renewed_without_end() {
    let server = Server::new();
    let token = create(&server, &json!({"policies": ["default"], "period": "24h"}));
    for day in 1..100 {
        server.set_time(day * 86_399);
        let renewed = auth(renew(&server, &token, &json!("100000h")).unwrap());
        assert_eq!(renewed.ttl.as_secs(), 86_400, "day {day}");
    }
    let params = json!({"policies": ["default"], "period": "1h", "explicit_max_ttl": "90m"});
    server.set_time(0);
    let bounded = create(&server, &params);
    let created = lookup(&server, &bounded)["creation_time"].as_u64().unwrap();
    server.set_time(created - 1_700_000_000 + 3000);
    assert_eq!(auth(renew(&server, &bounded, &json!(null)).unwrap()).ttl.as_secs(), 2400);
}

#[test]
fn what_cannot_be_renewed_is_refused_with_its_reason() {
    let server = Server::new();
    let fixed = create(&server, &json!({"policies": ["default"], "renewable": false}));
    let endless = create(&server, &json!({}));
    for (params, message) in [
        (json!({}), "missing token ID"),
        (json!({"token": "no"}), "token not found"),
        (json!({ "token": server.root }), "invalid lease ID"),
        (json!({ "token": endless }), "lease is not renewable"),
        (json!({ "token": fixed }), "lease is not renewable"),
        (
            json!({ "token": fixed, "increment": "-5" }),
            "Field validation failed: error converting input for field \"increment\": cannot \
             provide negative value '-5'",
        ),
    ] {
        assert_eq!(refusal(server.write("auth/token/renew", &params)), message, "{params}");
    }
}

#[test]
fn renewal_by_accessor_does_not_tell_the_token() {
    let server = Server::new();
    let token = create(&server, &json!({"policies": ["default"], "ttl": "1h"}));
    let params = json!({"accessor": lookup(&server, &token)["accessor"], "increment": 100});
    let renewed = auth(server.write("auth/token/renew-accessor", &params).unwrap());
    assert_eq!((renewed.client_token.as_str(), renewed.ttl.as_secs()), ("", 100));
    let renew_self = "auth/token/renew-self";
    let renewed = auth(server.send(Operation::Update, renew_self, &json!({}), &token).unwrap());
    assert_eq!((renewed.client_token, renewed.ttl.as_secs()), (token, 100));
}

#[test]
fn slow_clock_brings_nothing_back() {
    let server = Server::new();
    let token = create(&server, &json!({"policies": ["default"], "ttl": "1h"}));
    server.set_time(3600);
    create(&server, &json!({}));
    server.set_time(10);
    assert!(!lives(&server, &token), "the newest entry's time counts");
}
