use zeroize::Zeroizing;

use super::*;

fn outline(method: hyper::Method, is_list: bool, body: &str) -> Outline {
    Outline {
        method,
        url: "http://a:1/v1/secret/data/x".into(),
        path: "secret/data/x".into(),
        is_list,
        headers: vec![("x-vault-request".into(), "true".into())],
        has_token: true,
        body: Zeroizing::new(body.into()),
    }
}

#[test]
fn curl_reads_the_token_when_it_runs() {
    assert_eq!(
        curl(&outline(GET, false, ""), "vault"),
        "curl -H \"X-Vault-Request: true\" -H \"X-Vault-Token: $(vault print token)\" \
         \"http://a:1/v1/secret/data/x\""
    );
    let put = curl(&outline(crate::client::PUT, false, r#"{"a":"it's"}"#), "vault");
    assert!(put.starts_with("curl -X PUT "), "{put}");
    assert!(put.contains(r#"-d '{"a":"it'\''s"}'"#), "{put}");
}

#[test]
fn what_a_shell_would_expand_is_escaped() {
    assert_eq!(double_quoted(r#"a"$b`c\"#), r#""a\"\$b\`c\\""#);
}

#[test]
fn policies_name_the_capabilities_of_a_request() {
    for (method, is_list, capabilities) in [
        (GET, false, r#""read""#),
        (GET, true, r#""list""#),
        (DELETE, false, r#""delete""#),
        (PATCH, false, r#""patch""#),
        (crate::client::PUT, false, r#""create", "update""#),
    ] {
        let wanted = format!("path \"secret/data/x\" {{\n  capabilities = [{capabilities}]\n}}");
        assert_eq!(policy(&outline(method, is_list, "")), wanted);
    }
}
