use serde_json::{Value, json};
use strongroom::request::Operation;

use super::{ACCESSOR, log_in, may_read, policy, read, server, write};
use crate::harness::{data, line};
use crate::token::work_off;

const NO_ID: &str = "00000000-0000-4000-8000-000000000000";

#[test]
fn bad_input_is_refused_with_its_reason_and_changes_nothing() {
    let server = server();
    let group = write(&server, "identity/group", &json!({"name": "g"}));
    let outer = json!({"name": "outer", "member_group_ids": [group]});
    let outer = write(&server, "identity/group", &outer);
    let external = write(&server, "identity/group", &json!({"name": "x", "type": "external"}));
    let entries = server.entries();
    let one = format!("identity/group/id/{group}");
    let of_external = format!("identity/group/id/{external}");
    let alias = |name: &str, accessor: &str, id: &str| json!({"name": name, "mount_accessor": accessor, "canonical_id": id});
    let path = "identity/group-alias";
    let cycle = format!("400 cyclic relationship detected for member group ID {outer:?}");
    let itself = format!("400 member group ID {group:?} is same as the ID of the group");
    let nobody = format!("400 invalid entity ID {NO_ID:?}");
    let no_group = format!("400 invalid member group ID {NO_ID:?}");
    for (path, params, answer) in [
        ("identity/group", json!({"type": "weird"}), "400 invalid group type \"weird\""),
        ("identity/group", json!({"id": "x"}), "400 invalid group ID"),
        (
            "identity/group",
            json!({"name": "G", "type": "external"}),
            "400 group type cannot be changed",
        ),
        ("identity/group", json!({"policies": "root"}), "400 policies cannot contain root"),
        (&one, json!({"name": "OUTER"}), "400 group name is already in use"),
        (&one, json!({"member_group_ids": [outer]}), &cycle),
        (&one, json!({"member_group_ids": [group]}), &itself),
        (&one, json!({"member_entity_ids": [NO_ID]}), &nobody),
        (&one, json!({"member_group_ids": [NO_ID]}), &no_group),
        (
            &of_external,
            json!({"member_entity_ids": [NO_ID]}),
            "400 member entities can't be set manually for external groups",
        ),
        (
            &of_external,
            json!({"member_group_ids": [group]}),
            "400 member groups can't be set for external groups",
        ),
        (path, alias("", ACCESSOR, ""), "400 missing alias name"),
        (path, alias("a", "", ""), "400 missing mount_accessor"),
        (path, alias("a", "nosuch", ""), "400 invalid mount accessor \"nosuch\""),
        (path, alias("a", ACCESSOR, NO_ID), "400 invalid group ID given in 'canonical_id'"),
        (path, alias("a", ACCESSOR, &group), "400 alias can't be set on an internal group"),
        (path, json!({"id": "x", "name": "a"}), "400 invalid group alias ID"),
        ("identity/lookup/group", json!({}), "400 query parameter not supplied"),
    ] {
        assert_eq!(line(server.write(path, &params)), answer, "{path} {params}");
    }
    assert_eq!(server.entries(), entries);
}

#[test]
fn nested_groups_bring_the_policies_of_all_above_at_once() {
    let server = server();
    for name in ["inner", "middle", "outer"] {
        let text = format!("path \"{name}/*\" {{ capabilities = [\"read\"] }}");
        policy(&server, name, &text);
    }
    let ann = log_in(&server, "ann", &json!({}));
    let token = &ann.client_token;
    assert!(!may_read(&server, token, "inner/x"));
    let inner = json!({"name": "i", "policies": "inner", "member_entity_ids": [ann.entity_id]});
    let inner = write(&server, "identity/group", &inner);
    let middle = json!({"name": "m", "policies": "middle", "member_group_ids": [inner]});
    let middle = write(&server, "identity/group", &middle);
    let outer = json!({"name": "o", "policies": "outer", "member_group_ids": [middle]});
    let outer = write(&server, "identity/group", &outer);
    for name in ["inner", "middle", "outer"] {
        assert!(may_read(&server, token, &format!("{name}/x")), "{name}");
    }
    let shown = read(&server, &format!("identity/entity/id/{}", ann.entity_id));
    assert_eq!(shown["direct_group_ids"], json!([inner]));
    assert_eq!(shown["inherited_group_ids"].as_array().unwrap().len(), 2);
    let shown = read(&server, &format!("identity/group/id/{middle}"));
    assert_eq!(shown["parent_group_ids"], json!([outer]));
    // The bridge falls; what is above it is out of reach.
    server.delete(&format!("identity/group/id/{middle}")).unwrap();
    assert!(may_read(&server, token, "inner/x"));
    assert!(!may_read(&server, token, "middle/x"));
    assert!(!may_read(&server, token, "outer/x"));
    let shown = read(&server, &format!("identity/group/id/{outer}"));
    assert_eq!(shown["member_group_ids"], Value::Null);
    server.write(&format!("identity/group/id/{inner}"), &json!({"policies": []})).unwrap();
    assert!(!may_read(&server, token, "inner/x"));
}

#[test]
fn renewal_leaves_and_joins_groups_where_the_method_knows_them() {
    let server = server();
    for name in ["x", "y"] {
        let group = json!({"name": name, "type": "external", "policies": format!("p{name}")});
        let group = write(&server, "identity/group", &group);
        let alias = json!({"name": name, "mount_accessor": ACCESSOR, "canonical_id": group});
        write(&server, "identity/group-alias", &alias);
    }
    let auth = log_in(&server, "ann", &json!({"groups": ["x"]}));
    assert_eq!(auth.identity_policies, ["px"]);
    let renewed = || {
        let body = json!({"token": auth.client_token});
        let renewed = server.write("auth/token/renew", &body).unwrap().auth.unwrap();
        renewed.identity_policies
    };
    assert_eq!(renewed(), ["px"], "the method says nothing");
    for (groups, expected) in [
        (json!(["x", "y"]), json!(["px", "py"])),
        (json!(["y", "nosuch"]), json!(["py"])),
        (json!([]), json!([])),
    ] {
        server.write("auth/fake/groups", &json!({ "groups": groups })).unwrap();
        assert_eq!(json!(renewed()), expected, "{groups}");
    }
    // The entity was merged into another: the token is the other's, and so are the groups.
    let other = write(&server, "identity/entity", &json!({"name": "eve"}));
    let merge = json!({"from_entity_ids": [auth.entity_id], "to_entity_id": other});
    server.write("identity/entity/merge", &merge).unwrap();
    server.write("auth/fake/groups", &json!({"groups": ["x"]})).unwrap();
    assert_eq!(renewed(), ["px"]);
    assert_eq!(read(&server, "identity/group/name/x")["member_entity_ids"], json!([other]));
}

#[test]
fn external_groups_have_whom_the_method_names_at_each_login() {
    let server = server();
    let group = json!({"name": "x", "type": "external", "policies": "px"});
    let group = write(&server, "identity/group", &group);
    let alias = json!({"name": "Dev", "mount_accessor": ACCESSOR, "canonical_id": group});
    let alias = write(&server, "identity/group-alias", &alias);
    let auth = log_in(&server, "ann", &json!({"groups": ["dev", "nosuch"], "policies": ["p"]}));
    assert_eq!(auth.token_policies, ["default", "p"]);
    assert_eq!(auth.identity_policies, ["px"]);
    assert_eq!(auth.policies, ["default", "p", "px"]);
    let members =
        || read(&server, &format!("identity/group/id/{group}"))["member_entity_ids"].clone();
    assert_eq!(members(), json!([auth.entity_id]));
    // The same login again writes the token alone: one entry, and no more records of it.
    let again = log_in(&server, "ann", &json!({"groups": ["DEV"]}));
    assert_eq!(again.entity_id, auth.entity_id);
    assert_eq!(again.identity_policies, ["px"]);
    let without = log_in(&server, "ann", &json!({}));
    assert_eq!(without.identity_policies, Vec::<String>::new());
    assert_eq!(members(), Value::Null);
    // What an alias brought it takes along, before the job has come to the members.
    let auth = log_in(&server, "ann", &json!({"groups": ["dev"]}));
    assert_eq!(auth.identity_policies, ["px"]);
    server.delete(&format!("identity/group-alias/id/{alias}")).unwrap();
    let lookup =
        |token: &str| data(server.write("auth/token/lookup", &json!({"token": token})).unwrap());
    assert_eq!(lookup(&auth.client_token).get("identity_policies"), None);
    work_off(&server);
    assert_eq!(members(), Value::Null);
}

/// What a mount has said of someone goes with the name by which it knew them.
#[test]
fn whoever_is_known_to_a_mount_no_more_is_in_none_of_its_groups() {
    for way in ["deleted", "renamed", "moved"] {
        let server = server();
        let group = json!({"name": "x", "type": "external", "policies": "px"});
        let group = write(&server, "identity/group", &group);
        let alias = json!({"name": "dev", "mount_accessor": ACCESSOR, "canonical_id": group});
        write(&server, "identity/group-alias", &alias);
        let internal = write(&server, "identity/group", &json!({"name": "i", "policies": "pi"}));
        let ann = log_in(&server, "ann", &json!({"groups": ["dev"]}));
        let members = json!({"member_entity_ids": [ann.entity_id]});
        server.write(&format!("identity/group/id/{internal}"), &members).unwrap();
        let policies = || {
            let token = json!({"token": ann.client_token});
            data(server.write("auth/token/lookup", &token).unwrap())["identity_policies"].clone()
        };
        assert_eq!(policies(), json!(["pi", "px"]), "{way}");
        let shown = read(&server, &format!("identity/entity/id/{}", ann.entity_id));
        let own = shown["aliases"][0]["id"].as_str().unwrap().to_owned();
        let own = format!("identity/entity-alias/id/{own}");
        let of = |name: &str, entity: &str| json!({"name": name, "mount_accessor": ACCESSOR, "canonical_id": entity});
        match way {
            "deleted" => drop(server.delete(&own).unwrap()),
            "renamed" => drop(server.write(&own, &of("bob", &ann.entity_id)).unwrap()),
            _ => {
                let other = write(&server, "identity/entity", &json!({"name": "other"}));
                server.write(&own, &of("ann", &other)).unwrap();
            }
        }
        assert_eq!(policies(), json!(["pi"]), "{way}");
        let shown = read(&server, &format!("identity/group/id/{group}"));
        assert_eq!(shown["member_entity_ids"], Value::Null, "{way}");
        // Another name by which the mount knows them brings back nothing.
        if way == "deleted" {
            write(&server, "identity/entity-alias", &of("ann", &ann.entity_id));
            assert_eq!(policies(), json!(["pi"]), "{way}");
        }
    }
}

#[test]
fn members_with_long_records_are_cleared_in_shorter_steps() {
    let server = server();
    let mut ids = Vec::new();
    for number in 0..30 {
        ids.push(write(&server, "identity/entity", &json!({"name": format!("e{number}")})));
    }
    let group = write(&server, "identity/group", &json!({"name": "g", "member_entity_ids": ids}));
    server.change("root/core/", |core| {
        for id in &ids {
            let others = (0..1000).map(|other| (format!("{other:036}"), json!("")));
            let mut groups: serde_json::Map<_, _> = others.collect();
            groups.insert(group.clone(), "".into());
            core.put(&format!("identity/membership/{id}"), &groups).unwrap();
        }
    });
    server.delete(&format!("identity/group/id/{group}")).unwrap();
    // Of more than 40 kB each.
    assert!(work_off(&server) >= 2);
    let shown = read(&server, &format!("identity/entity/id/{}", ids[0]));
    assert_eq!(shown["group_ids"], json!([]));
}

#[test]
fn members_of_a_deleted_group_forget_it_in_steps() {
    let server = server();
    let mut ids = Vec::new();
    for number in 0..600 {
        ids.push(write(&server, "identity/entity", &json!({"name": format!("e{number}")})));
    }
    let group = json!({"name": "g", "policies": "pg", "member_entity_ids": ids});
    let group = write(&server, "identity/group", &group);
    let listed = data(server.list("identity/group/id/").unwrap());
    assert_eq!(listed["key_info"][&group]["num_member_entities"], 600);
    server.delete(&format!("identity/group/id/{group}")).unwrap();
    let shown = read(&server, &format!("identity/entity/id/{}", ids[0]));
    assert_eq!(shown["group_ids"], json!([]));
    assert!(work_off(&server) >= 2);
    // The name is free, and nobody is in the new group.
    let group = write(&server, "identity/group", &json!({"name": "g"}));
    let shown = read(&server, &format!("identity/group/id/{group}"));
    assert_eq!(shown["member_entity_ids"], Value::Null);
}

#[test]
fn two_groups_cannot_close_a_circle_together() {
    let server = server();
    let a = write(&server, "identity/group", &json!({"name": "a"}));
    let b = write(&server, "identity/group", &json!({"name": "b"}));
    let params = json!({"member_group_ids": [a]});
    let rival = server.start(Operation::Update, "identity/group/name/b", &params, &server.root);
    let rival = std::sync::Mutex::new(Some(Box::pin(rival)));
    server.log.before_next_proposal(move |_| {
        let rival = rival.lock().unwrap().take().unwrap();
        futures_util::FutureExt::now_or_never(rival).unwrap().unwrap();
    });
    let answer = line(server.write("identity/group/name/a", &json!({"member_group_ids": [b]})));
    assert!(answer.contains("cyclic relationship"), "{answer}");
}
