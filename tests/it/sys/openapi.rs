use std::collections::BTreeSet;

use serde_json::{Value, json};
use strongroom::request::{Body, Operation};

use crate::harness::Server;

fn document(server: &Server, params: &Value, token: &str) -> Value {
    let path = "sys/internal/specs/openapi";
    match server.send(Operation::Read, path, params, token).unwrap().body {
        Body::Bare(document) => document,
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_route_of_every_mount_is_told() {
    let server = Server::new();
    server.mount("kv/", "kv", &[("version", "2")]);
    server.mount("old/", "kv", &[("version", "1")]);
    let told = document(&server, &json!({}), &server.root);
    assert_eq!(told["openapi"], "3.0.2");
    for (path, method) in [
        ("/sys/mounts", "get"),
        ("/sys/mounts/{path}", "post"),
        ("/sys/mounts/{path}/tune", "post"),
        ("/kv/data/{path}", "patch"),
        ("/kv/metadata/{path}", "delete"),
        ("/old/{path}", "put"),
        ("/auth/token/create", "post"),
        ("/cubbyhole/{path}", "get"),
    ] {
        let method = if method == "put" { "post" } else { method };
        assert!(told["paths"][path].get(method).is_some(), "{method} {path}");
    }
    let enable = &told["paths"]["/sys/auth/{path}"];
    assert_eq!(enable["x-vault-sudo"], true);
    assert_eq!(told["paths"]["/sys/health"]["x-vault-unauthenticated"], true);
    assert_eq!(told["paths"]["/kv/data/{path}"]["x-vault-createSupported"], true);
    let patch = &told["paths"]["/kv/data/{path}"]["patch"]["requestBody"]["content"];
    assert!(patch.get("application/merge-patch+json").is_some(), "{patch}");
}

/// What the specification demands and a list of keys cannot show.
#[test]
fn names_differ_references_resolve_and_captures_are_parameters() {
    let server = Server::new();
    server.mount("kv/", "kv", &[("version", "2")]);
    server.mount("kv2/", "kv", &[("version", "2")]);
    for params in [json!({}), json!({"generic_mount_paths": true})] {
        let told = document(&server, &params, &server.root);
        let mut names = BTreeSet::new();
        for (path, item) in told["paths"].as_object().unwrap() {
            let wanted: BTreeSet<&str> = path
                .split('/')
                .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
                .collect();
            let parameters = item["parameters"].as_array().into_iter().flatten();
            let given: BTreeSet<&str> =
                parameters.map(|parameter| parameter["name"].as_str().unwrap()).collect();
            assert_eq!(given, wanted, "{path}");
            for (method, operation) in item.as_object().unwrap() {
                let Some(name) = operation.get("operationId") else { continue };
                assert!(names.insert(name.as_str().unwrap().to_owned()), "{method} {path}: {name}");
                assert!(operation["responses"].is_object(), "{path}");
            }
        }
        let text = told.to_string();
        for reference in text.split("#/components/schemas/").skip(1) {
            let name = reference.split('"').next().unwrap();
            assert!(told["components"]["schemas"][name].is_object(), "{name}");
        }
        // What JSON Schema has and OpenAPI 3.0 has not.
        for word in ["\"$schema\"", "\"const\"", "[\"string\",\"null\"]", "\"type\":\"null\""] {
            assert!(!text.contains(word), "{word}");
        }
    }
}

#[test]
fn generic_paths_stand_for_every_mount_of_a_kind() {
    let server = Server::new();
    server.mount("kv/", "kv", &[("version", "2")]);
    server.mount("kv2/", "kv", &[("version", "2")]);
    let told = document(&server, &json!({"generic_mount_paths": "true"}), &server.root);
    let path = &told["paths"]["/{kv_mount_path}/data/{path}"];
    assert!(path["get"].is_object(), "{path}");
    assert!(told["paths"].get("/kv/data/{path}").is_none());
    assert!(told["paths"]["/sys/mounts"].is_object());
    assert!(told["paths"]["/auth/token/create"].is_object());
}

#[test]
fn whoever_sees_no_mount_is_told_of_none() {
    let server = Server::new();
    server.mount("kv/", "kv", &[("version", "2")]);
    assert_eq!(document(&server, &json!({}), "")["paths"], json!({}));
    let made = server.write("auth/token/create", &json!({"policies": ["default"]})).unwrap();
    let told = document(&server, &json!({}), &made.auth.unwrap().client_token);
    assert!(told["paths"]["/cubbyhole/{path}"].is_object());
    assert!(told["paths"].get("/kv/data/{path}").is_none());
}
