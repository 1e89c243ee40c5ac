use serde_json::json;
use strongroom::sys::note_version;

use crate::harness::{Server, data, line};

#[test]
fn each_version_is_noted_once_with_the_one_before() {
    let server = Server::new();
    assert_eq!(line(server.list("sys/version-history")), r#"200 {"keys":[],"key_info":{}}"#);
    let note = |version: &str| {
        server.block_on(async {
            server.pipeline.internal(|txn| note_version(txn, version, "2026-01-01")).await.unwrap();
        });
    };
    note("1.19.0");
    server.set_time(60);
    note("1.19.0");
    note("1.20.0");
    let own = env!("CARGO_PKG_VERSION");
    let names = ["1.19.0", "1.20.0"].map(|version| format!("{version}+strongroom.{own}"));
    let history = data(server.list("sys/version-history").unwrap());
    assert_eq!(history["keys"], json!(names));
    let details = &history["key_info"];
    assert_eq!(details[&names[0]]["previous_version"], json!(null));
    assert_eq!(details[&names[0]]["timestamp_installed"], "2023-11-14T22:13:20Z");
    assert_eq!(details[&names[1]]["previous_version"], json!(names[0]));
    assert_eq!(details[&names[1]]["build_date"], "2026-01-01");
}
