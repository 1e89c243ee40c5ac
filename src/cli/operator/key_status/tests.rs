use serde_json::json;

use super::*;
use crate::cli::status::object;

#[test]
fn a_key_status_is_three_lines() {
    let state = object(json!({
        "term": 1, "install_time": "2026-11-24T09:06:16.153875088+01:00", "encryptions": 33,
    }));
    assert_eq!(
        text(&state),
        "Key Term            1\n\
         Install Time        24 Nov 26 08:06 UTC\n\
         Encryption Count    33"
    );
}
