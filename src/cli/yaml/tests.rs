use serde_json::json;

use super::*;

#[test]
fn yaml_is_as_go_writes_it() {
    let value = json!({
        "policies": ["root", "1"],
        "n": 1,
        "data": {"k": [{"b": 1, "a": "x"}, [1, 2]], "empty": {}, "none": []},
        "path/": {"t": "2026-11-24T08:00:00Z"},
        "text": "a: b", "word": "no", "nothing": "", "lines": "a\nb", "null": null,
    });
    assert_eq!(
        text(&value),
        r#"data:
  empty: {}
  k:
  - a: x
    b: 1
  - - 1
    - 2
  none: []
lines: "a\nb"
"n": 1
nothing: ""
"null": null
path/:
  t: "2026-11-24T08:00:00Z"
policies:
- root
- "1"
text: "a: b"
word: "no"
"#
    );
}
