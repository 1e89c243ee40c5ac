use serde_json::{Value, json};

use super::{ACCESSOR, enable, log_in, read, server, write};
use crate::harness::{data, line};

const NO_ID: &str = "00000000-0000-4000-8000-000000000000";

#[test]
fn bad_input_is_refused_with_its_reason_and_changes_nothing() {
    let server = server();
    let bob = write(&server, "identity/entity", &json!({"name": "bob"}));
    write(&server, "identity/entity", &json!({"name": "carl"}));
    let long = |length| "x".repeat(length);
    let many: serde_json::Map<String, Value> =
        (0..65).map(|number| (number.to_string(), "v".into())).collect();
    let entries = server.entries();
    let one = format!("identity/entity/id/{bob}");
    for (path, params, answer) in [
        ("identity/entity", json!({"id": NO_ID}), "400 entity not found from id"),
        ("identity/entity", json!({"id": "../sys"}), "400 entity not found from id"),
        ("identity/entity", json!({"policies": ["root"]}), "400 policies cannot contain root"),
        ("identity/entity", json!({"policies": [" ROOT "]}), "400 policies cannot contain root"),
        (&one, json!({"name": "CARL"}), "400 entity name is already in use"),
        ("identity/entity", json!({"name": long(513)}), "400 the name is longer than 512 bytes"),
        ("identity/entity", json!({"name": "a\nb"}), "400 the name must be printable"),
        (
            "identity/entity",
            json!({"metadata": many}),
            "400 1 error occurred:\n\t* invalid entity metadata: metadata cannot contain more \
             than 64 key/value pairs\n\n",
        ),
        (
            "identity/entity",
            json!({"disabled": "perhaps"}),
            "400 Field validation failed: error converting input for field \"disabled\": \
             expected a boolean",
        ),
        ("identity/entity/batch-delete", json!({}), "400 missing entity ids to delete"),
        ("identity/entity/merge", json!({}), "400 missing entity id to merge to"),
        (
            "identity/entity/merge",
            json!({"to_entity_id": NO_ID, "from_entity_ids": [bob]}),
            "400 entity id to merge to is invalid",
        ),
        (
            "identity/entity/merge",
            json!({"to_entity_id": bob, "from_entity_ids": [NO_ID]}),
            "400 entity id to merge from is invalid",
        ),
        (
            "identity/entity/merge",
            json!({"to_entity_id": bob, "from_entity_ids": [bob]}),
            "400 to_entity_id should not be present in from_entity_ids",
        ),
    ] {
        assert_eq!(line(server.write(path, &params)), answer, "{path} {params}");
    }
    for field in ["key", "value"] {
        let length = if field == "key" { 129 } else { 513 };
        let metadata =
            if field == "key" { json!({long(length): "v"}) } else { json!({"k": long(length)}) };
        let answer = line(server.write("identity/entity", &json!({"metadata": metadata})));
        assert!(answer.contains(&format!("{field} is too long")), "{answer}");
    }
    assert_eq!(server.entries(), entries);
}

#[test]
fn alias_and_lookup_that_say_too_little_or_too_much_are_refused() {
    let server = server();
    let bob = write(&server, "identity/entity", &json!({"name": "bob"}));
    let entries = server.entries();
    for (path, params, answer) in [
        (
            "identity/entity-alias",
            json!({"name": "x"}),
            "400 'id' or 'mount_accessor' and 'name' must be provided",
        ),
        (
            "identity/entity-alias",
            json!({"name": "x", "mount_accessor": "nosuch"}),
            "400 invalid mount accessor \"nosuch\"",
        ),
        (
            "identity/entity-alias",
            json!({"name": "x", "mount_accessor": ACCESSOR, "canonical_id": NO_ID}),
            "400 invalid canonical ID",
        ),
        (
            "identity/entity-alias",
            json!({"name": "x", "mount_accessor": ACCESSOR, "custom_metadata": {"k": ""}}),
            "400 1 error occurred:\n\t* custom_metadata validation failed: length of value for \
             key k is 0 but must be 0 < len(value) <= 512\n\n",
        ),
        ("identity/entity-alias", json!({"id": "x"}), "400 invalid alias ID provided"),
        ("identity/lookup/entity", json!({}), "400 query parameter not supplied"),
        (
            "identity/lookup/entity",
            json!({"id": bob, "name": "bob"}),
            "400 query parameter conflict; please supply distinct set of query parameters",
        ),
        (
            "identity/lookup/entity",
            json!({"alias_name": "x"}),
            "400 both 'alias_name' and 'alias_mount_accessor' needs to be set",
        ),
    ] {
        assert_eq!(line(server.write(path, &params)), answer, "{path} {params}");
    }
    assert_eq!(server.entries(), entries);
}

#[test]
fn entity_is_found_by_id_name_and_alias_whatever_the_case() {
    let server = server();
    let id = write(
        &server,
        "identity/entity",
        &json!({"name": "Bob/.x%", "metadata": ["a=b"], "policies": "P1,default"}),
    );
    let alias = json!({"name": "Bobby", "mount_accessor": ACCESSOR, "canonical_id": id,
        "custom_metadata": {"c": "d"}});
    let alias = write(&server, "identity/entity-alias", &alias);
    let by_id = read(&server, &format!("identity/entity/id/{id}"));
    assert_eq!(by_id["name"], "Bob/.x%");
    assert_eq!(by_id["policies"], json!(["default", "p1"]));
    assert_eq!(by_id["metadata"], json!({"a": "b"}));
    assert_eq!(by_id["aliases"][0]["mount_path"], "auth/fake/");
    for query in [
        json!({"id": id}),
        json!({"name": "BOB/.X%"}),
        json!({"alias_id": alias}),
        json!({"alias_name": "BOBBY", "alias_mount_accessor": ACCESSOR}),
    ] {
        let found = data(server.write("identity/lookup/entity", &query).unwrap());
        assert_eq!(found, by_id, "{query}");
    }
    for query in [
        json!({"id": "x"}),
        json!({"name": "nosuch"}),
        json!({"alias_id": "nosuch"}),
        json!({"alias_name": "BOBBY", "alias_mount_accessor": "auth_other"}),
    ] {
        assert_eq!(line(server.write("identity/lookup/entity", &query)), "204", "{query}");
    }
    assert_eq!(read(&server, &format!("identity/alias/id/{alias}"))["name"], "Bobby");
}

#[test]
fn renamed_entity_is_found_by_its_new_name_alone() {
    let server = server();
    let id = write(&server, "identity/entity", &json!({"name": "old"}));
    let one = format!("identity/entity/id/{id}");
    assert_eq!(line(server.write(&one, &json!({"name": "new"}))), "204");
    assert_eq!(line(server.read("identity/entity/name/old")), "404");
    assert_eq!(read(&server, "identity/entity/name/new")["id"], id);
    assert_eq!(data(server.list("identity/entity/name/").unwrap())["keys"], json!(["new"]));
    // The name is free again.
    assert_ne!(write(&server, "identity/entity/name/old", &json!({})), id);
}

#[test]
fn entity_has_one_alias_in_each_mount_and_a_name_leads_to_one() {
    let server = server();
    enable(&server, "second/", "auth_second_1");
    let bob = write(&server, "identity/entity", &json!({"name": "bob"}));
    let carl = write(&server, "identity/entity", &json!({"name": "carl"}));
    let alias = |name: &str, accessor: &str, id: &str| json!({"name": name, "mount_accessor": accessor, "canonical_id": id});
    let first = write(&server, "identity/entity-alias", &alias("b", ACCESSOR, &bob));
    write(&server, "identity/entity-alias", &alias("b", "auth_second_1", &bob));
    write(&server, "identity/entity-alias", &alias("c", ACCESSOR, &carl));
    for (params, answer) in [
        (
            alias("b2", ACCESSOR, &bob),
            "400 Alias already exists for requested entity and mount accessor",
        ),
        (
            alias("c", ACCESSOR, &bob),
            "400 Alias cannot be updated as the given entity already has an alias for this mount ",
        ),
        (
            json!({"id": first, "name": "C"}),
            "400 alias with combination of mount accessor and name already exists",
        ),
        (
            json!({"id": first, "mount_accessor": "auth_second_1", "name": "free"}),
            "400 Alias cannot be updated as the given entity already has an alias for this mount ",
        ),
        (json!({"id": first}), "204"),
    ] {
        assert_eq!(line(server.write("identity/entity-alias", &params)), answer, "{params}");
    }
    // It moves to another entity, and is renamed.
    let dora = write(&server, "identity/entity", &json!({"name": "dora"}));
    server.write("identity/entity-alias", &json!({"id": first, "canonical_id": dora})).unwrap();
    server.write("identity/entity-alias", &json!({"id": first, "name": "d"})).unwrap();
    assert_eq!(log_in(&server, "d", &json!({})).entity_id, dora);
    assert_eq!(read(&server, "identity/entity/name/bob")["aliases"].as_array().unwrap().len(), 1);
    server.delete(&format!("identity/entity-alias/id/{first}")).unwrap();
    assert_ne!(log_in(&server, "d", &json!({})).entity_id, dora);
}

#[test]
fn merge_moves_aliases_and_groups_and_tokens_follow() {
    let server = server();
    enable(&server, "second/", "auth_second_1");
    super::policy(&server, "pa", r#"path "cubbyhole/*" { capabilities = ["read"] }"#);
    let from = log_in(&server, "ann", &json!({}));
    let to = write(&server, "identity/entity", &json!({"name": "to"}));
    let group = json!({"name": "g", "policies": "pa", "member_entity_ids": [from.entity_id]});
    let group = write(&server, "identity/group", &group);
    let merge = json!({"from_entity_ids": [from.entity_id], "to_entity_id": to});
    assert_eq!(line(server.write("identity/entity/merge", &merge)), "204");
    let merged = read(&server, &format!("identity/entity/id/{to}"));
    assert_eq!(merged["merged_entity_ids"], json!([from.entity_id]));
    assert_eq!(merged["aliases"][0]["merged_from_canonical_ids"], json!([from.entity_id]));
    assert_eq!(merged["direct_group_ids"], json!([group]));
    let members = read(&server, &format!("identity/group/id/{group}"))["member_entity_ids"].clone();
    assert_eq!(members, json!([to]));
    assert_eq!(line(server.read(&format!("identity/entity/id/{}", from.entity_id))), "404");
    // The old token has what the group grants; a login leads to the one that stays.
    assert!(super::may_read(&server, &from.client_token, "cubbyhole/x"));
    assert_eq!(log_in(&server, "ann", &json!({})).entity_id, to);
    // And once more, into a third.
    let third = write(&server, "identity/entity", &json!({"name": "third"}));
    let merge = json!({"from_entity_ids": [to], "to_entity_id": third});
    server.write("identity/entity/merge", &merge).unwrap();
    assert!(super::may_read(&server, &from.client_token, "cubbyhole/x"));
}

#[test]
fn merge_of_two_aliases_of_one_mount_asks_which_stays() {
    let server = server();
    let ann = log_in(&server, "ann", &json!({})).entity_id;
    let bob = log_in(&server, "bob", &json!({})).entity_id;
    let alias = |id: &str| {
        let entity = read(&server, &format!("identity/entity/id/{id}"));
        entity["aliases"][0]["id"].as_str().unwrap().to_owned()
    };
    let (of_ann, of_bob) = (alias(&ann), alias(&bob));
    let entries = server.entries();
    for keep in [json!([]), json!(["nosuch"]), json!([of_ann, of_bob])] {
        let merge = json!({"from_entity_ids": [ann], "to_entity_id": bob,
            "conflicting_alias_ids_to_keep": keep});
        let reply = server.write("identity/entity/merge", &merge).unwrap();
        assert_eq!(reply.status, Some(400));
        let body = data(reply);
        assert!(body["errors"][0].as_str().unwrap().contains("same mount accessor"));
        assert_eq!(body["data"][1]["entity_id"], ann);
    }
    assert_eq!(server.entries(), entries);
    let merge = json!({"from_entity_ids": [ann], "to_entity_id": bob,
        "conflicting_alias_ids_to_keep": [of_ann]});
    assert_eq!(line(server.write("identity/entity/merge", &merge)), "204");
    assert_eq!(log_in(&server, "ann", &json!({})).entity_id, bob);
    assert_ne!(log_in(&server, "bob", &json!({})).entity_id, bob);
}

/// Of two aliases of one mount, what the mount has said of the one that gives way goes with it.
#[test]
fn merge_keeps_the_groups_of_the_alias_that_stays() {
    for kept in ["ann", "bob"] {
        let server = server();
        for name in ["ann", "bob"] {
            let group = json!({"name": name, "type": "external"});
            let group = write(&server, "identity/group", &group);
            let alias = json!({"name": name, "mount_accessor": ACCESSOR, "canonical_id": group});
            write(&server, "identity/group-alias", &alias);
        }
        let [(ann, of_ann), (bob, of_bob)] = ["ann", "bob"].map(|name| {
            let id = log_in(&server, name, &json!({"groups": [name]})).entity_id;
            let shown = read(&server, &format!("identity/entity/id/{id}"));
            (id, shown["aliases"][0]["id"].clone())
        });
        let keep = if kept == "ann" { of_ann } else { of_bob };
        let merge = json!({"from_entity_ids": [ann], "to_entity_id": bob,
            "conflicting_alias_ids_to_keep": [keep]});
        assert_eq!(line(server.write("identity/entity/merge", &merge)), "204");
        for name in ["ann", "bob"] {
            let members =
                &read(&server, &format!("identity/group/name/{name}"))["member_entity_ids"];
            let expected = if name == kept { json!([bob]) } else { Value::Null };
            assert_eq!(*members, expected, "{kept} {name}");
        }
    }
}

#[test]
fn deleted_entity_leaves_nothing_behind() {
    let server = server();
    let before = server.entries();
    let auth = log_in(&server, "ann", &json!({}));
    assert_eq!(server.entries() - before, 1, "a first login is one entry");
    let id = auth.entity_id;
    let group = json!({"name": "g", "member_entity_ids": [id]});
    let group = write(&server, "identity/group", &group);
    server.write("identity/entity/batch-delete", &json!({"entity_ids": [id, "nosuch"]})).unwrap();
    assert_eq!(line(server.list("identity/entity/id/")), "204");
    assert_eq!(line(server.list("identity/entity/name/")), "204");
    assert_eq!(line(server.list("identity/entity-alias/id/")), "204");
    assert_eq!(
        read(&server, &format!("identity/group/id/{group}"))["member_entity_ids"],
        Value::Null
    );
    assert!(!super::may_read(&server, &auth.client_token, "auth/token/lookup-self"));
}
