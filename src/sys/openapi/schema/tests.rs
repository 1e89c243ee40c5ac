use serde_json::json;

use super::of;

#[test]
fn what_openapi_lacks_is_said_its_way() {
    for (schema, expected) in [
        (json!(true), json!({})),
        (json!({"type": "string", "title": "A"}), json!({"type": "string"})),
        (json!({"type": ["string", "null"]}), json!({"type": "string", "nullable": true})),
        (json!({"type": "integer", "format": "int64"}), json!({"type": "integer"})),
        (
            json!({"type": "integer", "format": "duration"}),
            json!({"type": "integer", "format": "duration"}),
        ),
        (json!({"type": "array"}), json!({"type": "array", "items": {}})),
        (json!({"type": "array", "items": true}), json!({"type": "array", "items": {}})),
        (
            json!({"anyOf": [{"type": "integer"}, {"type": "null"}], "description": "d"}),
            json!({"type": "integer", "nullable": true, "description": "d"}),
        ),
        (
            json!({"anyOf": [{"type": "integer"}, {"type": "string"}]}),
            json!({"anyOf": [{"type": "integer"}, {"type": "string"}]}),
        ),
        (json!({"const": "x"}), json!({"enum": ["x"]})),
        (json!({"type": "string", "default": null}), json!({"type": "string"})),
        (
            json!({"type": "object", "additionalProperties": {"type": ["string", "null"]}}),
            json!({"type": "object", "additionalProperties": {"type": "string", "nullable": true}}),
        ),
    ] {
        assert_eq!(of(&schema), expected, "{schema}");
    }
}
