//! `server -dev -dev-three-node`

use rustix::process::{Pid, Signal, kill_process};

use super::process::{Process, command};

#[test]
fn secret_outlives_the_leader_of_three_and_the_cluster_ends_with_its_parent() {
    let flags = ["-dev", "-dev-three-node", "-dev-listen-address=127.0.0.1:0"];
    let mut server = Process::start(&flags, &[("VAULT_DEV_ROOT_TOKEN_ID", "mine")]);
    server.line_with("Root Token: mine");
    let between = |start: &str| {
        let rest = server.said.split_once(start).unwrap().1;
        rest.split(['\'', '\n']).next().unwrap().to_owned()
    };
    let (url, leader) = (between("VAULT_ADDR='"), between("kill -9 "));
    let home = server.home().to_str().unwrap();
    let run = |arguments: &[&str]| {
        let env = [("VAULT_ADDR", url.as_str()), ("HOME", home)];
        let output = command(&env).args(arguments).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    run(&["kv", "put", "-mount=secret", "a", "b=before"]);
    let leader = Pid::from_raw(leader.parse().unwrap()).unwrap();
    kill_process(leader, Signal::KILL).unwrap();
    assert_eq!(run(&["kv", "get", "-mount=secret", "-field=b", "a"]), "before");
    run(&["kv", "put", "-mount=secret", "a", "b=after"]);
    assert_eq!(run(&["kv", "get", "-mount=secret", "-field=b", "a"]), "after");
    let peers = run(&["operator", "raft", "list-peers"]);
    assert_eq!(peers.matches("leader").count(), 1, "{peers}");
    server.line_with("has ended (signal: 9 (SIGKILL))");
    let folder = server.line_with("strongroom server -config=");
    server.signal(Signal::INT);
    assert!(server.ended().success(), "{}", server.said);
    let folder = folder.split_once('=').unwrap().1.rsplit_once('/').unwrap().0;
    assert!(!std::path::Path::new(folder).exists(), "{folder} is left");
}
