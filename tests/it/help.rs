use serde_json::{Value, json};
use strongroom::request::{Body, Error, Operation};

use crate::harness::Server;

fn help(server: &Server, path: &str, token: &str) -> Result<String, Error> {
    let reply = server.send(Operation::Help, path, &Value::Null, token)?;
    let Body::Bare(help) = reply.body else { panic!("{reply:?}") };
    assert_eq!(help["see_also"], Value::Null);
    Ok(help["help"].as_str().unwrap().to_owned())
}

#[test]
fn help_tells_of_every_path_its_operations_and_its_parameters() {
    let server = Server::new();
    server.mount("kv/", "kv", &[("version", "2")]);
    let of = |path: &str| help(&server, path, &server.root).unwrap();
    let mount = of("kv/");
    for part in ["## DESCRIPTION", "    data/{path...}\n", "    config\n"] {
        assert!(mount.contains(part), "{part} is not in {mount}");
    }
    let config = of("kv/config");
    for part in [
        "Matching Route: config\n",
        "    read (GET)\n",
        "    create, update (POST, PUT)\n",
        "    max_versions (int)\n        How many versions",
        "    delete_version_after (duration)\n",
        "    cas_required (bool)\n",
    ] {
        assert!(config.contains(part), "{part} is not in {config}");
    }
    assert!(of("sys/mounts/x/tune").contains("Matching Route: mounts/{path...}/tune\n"));
    assert!(of("auth/token/create").contains("    policies (list of string)\n"));
}

#[test]
fn help_is_for_whoever_has_a_token() {
    let server = Server::new();
    let made = server.write("auth/token/create", &json!({"policies": ["default"]})).unwrap();
    let token = made.auth.unwrap().client_token;
    assert!(help(&server, "sys/step-down", &token).is_ok());
    assert!(matches!(help(&server, "sys/step-down", ""), Err(Error::Denied)));
    assert!(matches!(help(&server, "sys/step-down", "nosuch"), Err(Error::Denied)));
    assert!(matches!(help(&server, "sys/nosuch", &token), Err(Error::UnsupportedPath)));
    assert!(matches!(help(&server, "nosuch/x", &token), Err(Error::NoRoute(_))));
}
