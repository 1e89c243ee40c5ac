use serde_json::json;

use super::*;

#[test]
fn redirect_leads_to_the_same_request_on_the_active_node() {
    let leader = Leader {
        id: 1,
        term: 1,
        name: "a".into(),
        api_address: "https://leader:8200".into(),
        cluster_address: "leader:8201".into(),
    };
    for (operation, path, params, expected) in [
        (Operation::Read, "a/b", json!({}), "a/b"),
        (Operation::Read, "a/b/", json!({}), "a/b/"),
        // Whoever lists need not have sent the slash that listing adds.
        (Operation::List, "a/b/", json!({}), "a/b?list=true"),
        (Operation::List, "a/b/", json!({"after": "x y"}), "a/b?list=true&after=x%20y"),
        (Operation::Delete, "a", json!({"b": ["c/d", "e"]}), "a?b=c%2Fd&b=e"),
        (Operation::Update, "a", json!({"b": "c"}), "a"),
        (Operation::Update, "a b/%/é?#", json!({}), "a%20b/%25/%C3%A9%3F%23"),
    ] {
        let params = params.as_object().cloned().unwrap_or_default();
        let request = Request { operation, path: path.into(), params, ..Request::default() };
        let expected = format!("https://leader:8200/v1/{expected}");
        assert_eq!(location(&leader, &request), expected, "{operation:?} {path}");
    }
}
