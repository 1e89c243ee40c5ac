use serde_json::json;

use crate::harness::{Server, data, line};

const STRONG: &str = "length = 20\nrule \"charset\" { charset = \"abcdefghijklmnop\" }\n\
                      rule \"charset\" { charset = \"0123456789\" min-chars = 3 }";

#[test]
fn a_password_policy_is_written_read_used_and_deleted() {
    let server = Server::new();
    let write = |name: &str, text: &str| {
        line(server.write(&format!("sys/policies/password/{name}"), &json!({"policy": text})))
    };
    assert_eq!(line(server.list("sys/policies/password")), "204");
    assert_eq!(write("a", STRONG), "204");
    assert_eq!(write("b/c", STRONG), "204");
    assert_eq!(line(server.list("sys/policies/password")), r#"200 {"keys":["a","b/c"]}"#);
    let read = data(server.read("sys/policies/password/a").unwrap());
    assert_eq!(read["policy"], STRONG);
    for name in ["a", "b/c"] {
        let path = format!("sys/policies/password/{name}/generate");
        let made = data(server.read(&path).unwrap());
        let password = made["password"].as_str().unwrap();
        assert_eq!(password.len(), 20);
        assert!(password.bytes().filter(u8::is_ascii_digit).count() >= 3, "{password}");
        assert_ne!(made, data(server.read(&path).unwrap()));
    }
    // In base64, as Terraform sends it.
    assert_eq!(write("d", "bGVuZ3RoPTIwCnJ1bGUgImNoYXJzZXQiIHsgY2hhcnNldD0iYWJjZGVmIiB9"), "204");
    for _ in 0..2 {
        assert_eq!(line(server.delete("sys/policies/password/a")), "204");
    }
    let absent = "error 1 error occurred:\n\t* policy does not exist\n\n";
    assert_eq!(line(server.read("sys/policies/password/a")), absent);
    assert_eq!(line(server.read("sys/policies/password/a/generate")), absent);
    assert_eq!(line(server.write("sys/policies/password/b/generate", &json!({}))), "405");
}

#[test]
fn what_can_be_guessed_is_told_and_what_cannot_be_made_is_refused() {
    let server = Server::new();
    let write =
        |text: &str| line(server.write("sys/policies/password/a", &json!({"policy": text})));
    let warned = write("length = 20\nrule \"charset\" { charset = \"ab\" }");
    assert!(warned.starts_with("200 ! passwords of this policy can be guessed"), "{warned}");
    let before = server.entries();
    for (text, expected) in [
        ("", "400 missing policy"),
        ("  ", "400 missing policy"),
        ("length = 20", "400 invalid password policy: no charset specified"),
        ("{", "400 invalid password policy: unable to decode"),
    ] {
        let refused = write(text);
        assert!(refused.starts_with(expected), "{refused}");
    }
    assert_eq!(server.entries(), before);
}
