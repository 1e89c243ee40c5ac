use serde_json::json;
use strongroom::framework::{Call, Engine, NoParams, Route, Template};
use strongroom::request::{Error, Reply};

use crate::harness::Server;

async fn nothing(_: &mut Call<'_>, _: NoParams) -> Result<Reply, Error> {
    Ok(Reply::default())
}

fn route(template: &'static str) -> Route {
    Route::new(template, template).read(nothing)
}

#[test]
fn template_captures() {
    for (template, path, captures) in [
        ("keys", "keys", Some("{}")),
        ("keys", "keys/", Some("{}")),
        ("keys/{name}", "keys/a", Some(r#"{"name":"a"}"#)),
        ("keys/{name}", "keys/a/", Some(r#"{"name":"a"}"#)),
        ("keys/{name}", "keys/a/config", None),
        ("keys/{name}", "keys", None),
        ("keys/{name}", "keys/", None),
        ("keys/{name}/config", "keys/a/config", Some(r#"{"name":"a"}"#)),
        ("data/{path...}", "data/a/b", Some(r#"{"path":"a/b"}"#)),
        ("data/{path...}", "data/a/", Some(r#"{"path":"a/"}"#)),
        ("data/{path...}", "data/", Some(r#"{"path":""}"#)),
        ("data/{path...}", "data", Some(r#"{"path":""}"#)),
        ("data/{path...}", "config", None),
        ("mounts/{path...}/tune", "mounts/a/b/tune", Some(r#"{"path":"a/b"}"#)),
        ("mounts/{path...}/tune", "mounts/tune", None),
        ("mounts/{path...}/tune", "mounts/a/tuned", None),
        ("{path...}", "", Some(r#"{"path":""}"#)),
    ] {
        let got = Template::parse(template).captures(path);
        let got = got.map(|captures| serde_json::to_string(&captures).unwrap());
        assert_eq!(got.as_deref(), captures, "{template} on {path}");
    }
}

#[test]
fn most_specific_route_comes_first_whatever_the_order() {
    let specific_first = [
        "keys",
        "keys/import",
        "keys/{name}/config",
        "keys/{name}",
        "keys/{path...}/tune",
        "keys/{path...}",
        "{path...}",
    ];
    for turn in 0..specific_first.len() {
        let mut declared = specific_first;
        declared.rotate_left(turn);
        let engine = Engine::new("e", "", declared.map(route)).unwrap();
        let position = |of| engine.routes().position(|route| route.help() == of).unwrap();
        assert!(position("keys/import") < position("keys/{name}"));
        assert!(position("keys/{name}") < position("{path...}"));
        assert!(position("keys/{name}/config") < position("{path...}"));
        assert!(position("keys") < position("keys/{path...}"));
        assert!(position("keys/{path...}/tune") < position("keys/{path...}"));
    }
}

#[test]
fn same_path_twice_is_an_error() {
    let overlap = Engine::new("e", "", ["keys/{name}", "keys/{id}"].map(route)).err().unwrap();
    assert_eq!(overlap.to_string(), "`keys/{name}` and `keys/{id}` match the same paths");
}

#[test]
fn every_engine_has_a_table_without_overlaps() {
    strongroom::sys::engine().unwrap();
    Server::new();
}

async fn tell_time(call: &mut Call<'_>, _: NoParams) -> Result<Reply, Error> {
    call.storage.put("last", &call.now)?;
    Reply::of(&json!({ "now": call.now }))
}

#[test]
fn clock_that_goes_back_does_not_take_the_requests_back() {
    let engine = Engine::new("time", "", [Route::new("now", "").write(tell_time)]).unwrap();
    let server = Server::with_mounts(vec![("time/", engine.mount(()).into())]);
    let mut told = Vec::new();
    for seconds in [10, 5, 20] {
        server.set_time(seconds);
        let reply = crate::harness::data(server.write("time/now", &json!({})).unwrap());
        told.push(reply["now"].as_u64().unwrap() - crate::harness::START.0);
    }
    assert_eq!(told, [10_000, 10_000, 20_000]);
}

/// Else a mount that comes and goes would cost memory for as long as its node leads.
#[test]
fn engine_goes_with_its_mount() {
    let server = Server::new();
    server.write("sys/mounts/x", &json!({"type": "kv"})).unwrap();
    server.write("sys/mounts/stays", &json!({"type": "kv"})).unwrap();
    let opened = |path: &str| {
        let router = &server.pipeline.router;
        let target = server.block_on(server.pipeline.internal(|txn| router.resolve(txn, path)));
        std::sync::Arc::downgrade(&target.unwrap().unwrap().mount)
    };
    let (x, stays) = (opened("x/a"), opened("stays/a"));
    assert!(x.upgrade().is_some() && x.ptr_eq(&opened("x/b")), "it is kept while it is mounted");
    server.delete("sys/mounts/x").unwrap();
    assert!(server.read("x/a").is_err());
    assert!(x.upgrade().is_none());
    assert!(stays.upgrade().is_some() && stays.ptr_eq(&opened("stays/a")));
    // Another at the same path, and another version of the same mount, are others.
    server.write("sys/mounts/x", &json!({"type": "kv"})).unwrap();
    let first = opened("x/a");
    server.write("sys/mounts/x/tune", &json!({"options": {"version": "2"}})).unwrap();
    assert!(!first.ptr_eq(&opened("x/a")) && first.upgrade().is_none());
}

#[test]
fn what_each_node_does_for_itself_is_no_act_of_the_cluster() {
    let routes = [route("a").acts_outside(), route("b").on_this_node()];
    assert!(Engine::new("test", "", routes).is_ok());
    for both in [route("both").on_this_node().acts_outside(), route("both").local().acts_outside()]
    {
        let refused = Engine::new("test", "", [both]).err().unwrap().to_string();
        assert!(refused.starts_with("`both` cannot act outside"), "{refused}");
    }
}
