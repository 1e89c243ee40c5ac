//! Users that are made and taken away, over a database that fails at each step.

use super::*;
use crate::harness::line;
use crate::lease::{issue, leftovers, renew, revoke};
use strongroom::request::Error;

#[test]
fn a_user_is_written_down_before_it_is_made_and_goes_with_its_lease() {
    let (server, fake) = server();
    fake.acts();
    let seen = fake.clone();
    server.log.before_next_proposal(move |log| {
        assert_eq!(seen.acts(), Vec::<String>::new(), "not before it is written down");
        let seen = seen.clone();
        log.before_next_proposal(move |_| assert_eq!(seen.acts(), ["create"]));
    });
    let reply = server.read("database/creds/app").unwrap();
    let lease = reply.lease.clone().unwrap();
    let made = data(reply);
    let name = made["username"].as_str().unwrap().to_owned();
    assert!(name.starts_with("v-root-app-"), "{name}");
    assert_eq!(fake.users(), std::slice::from_ref(&name));
    assert_eq!(fake.password(&name), made["password"].as_str().unwrap());
    assert_eq!((made["password"].as_str().unwrap().len(), intents(&server)), (20, 0));
    revoke(&server, &lease.id).unwrap();
    work(&server);
    assert_eq!((fake.users(), leftovers(&server)), (vec![], vec![]));
}

#[test]
fn wherever_the_process_ends_no_user_is_left_behind() {
    for mode in [Mode::Works, Mode::Loses, Mode::Refuses, Mode::Down] {
        let (server, fake) = server();
        fake.set(mode);
        before_the_second_entry(&server, |log| log.change_leadership());
        server.read("database/creds/app").unwrap_err();
        server.pipeline.forget();
        let was_made = matches!(mode, Mode::Works | Mode::Loses);
        assert_eq!((fake.users().len(), intents(&server)), (usize::from(was_made), 1));
        fake.set(Mode::Works);
        server.set_time(61);
        work(&server);
        assert_eq!((fake.users(), leftovers(&server)), (vec![], vec![]), "{mode:?}");
    }
}

#[test]
fn what_was_not_done_for_sure_leaves_nothing_to_look_for() {
    for mode in [Mode::Down, Mode::Refuses] {
        let (server, fake) = server();
        fake.set(mode);
        let outcome = server.read("database/creds/app");
        assert!(matches!(outcome, Err(Error::Failed(_))), "{outcome:?}");
        fake.acts();
        work(&server);
        assert_eq!((fake.acts(), leftovers(&server)), (vec![], vec![]), "{mode:?}");
    }
}

#[test]
fn a_user_that_comes_into_being_late_is_found() {
    let (server, fake) = server();
    fake.set(Mode::Late);
    server.read("database/creds/app").unwrap_err();
    fake.set(Mode::Works);
    work(&server);
    assert_eq!(intents(&server), 1, "the database may still be at it");
    let name = core(&server, |core| {
        let ids = core.list("lease/intent/test_database").unwrap();
        let key = format!("lease/intent/test_database/{}", ids[0]);
        let stored: strongroom::lease::StoredIntent = core.get(&key).unwrap().unwrap();
        stored.intent["user"]["username"].as_str().unwrap().to_owned()
    });
    fake.add(&name, "late");
    server.set_time(70);
    work(&server);
    assert_eq!((fake.users(), leftovers(&server)), (vec![], vec![]));
}

#[test]
fn what_was_begun_with_a_connection_that_is_gone_does_not_keep_its_mount() {
    let (server, fake) = server();
    fake.add("app1", "old");
    let role = json!({ "db_name": "db", "username": "app1", "rotation_period": "1h" });
    server.write("database/static-roles/s", &role).unwrap();
    fake.set(Mode::Loses);
    server.read("database/creds/app").unwrap_err();
    server.write("database/rotate-role/s", &json!({})).unwrap_err();
    server.delete("database/config/db").unwrap();
    fake.set(Mode::Works);
    work(&server);
    assert_eq!(intents(&server), 2);
    // Beyond the longest pause between two tries.
    for hour in [20, 25, 30] {
        server.set_time(hour * 3600);
        work(&server);
    }
    server.delete("sys/mounts/database").unwrap();
    work(&server);
    server.set_time(60 * 3600);
    work(&server);
    assert_eq!(leftovers(&server), Vec::<String>::new());
}

#[test]
fn revocation_waits_for_a_database_that_is_down_and_catches_up() {
    let (server, fake) = server();
    server.write("database/roles/app", &json!({ "default_ttl": "1m" })).unwrap();
    for _ in 0..5 {
        issue(&server, "database/creds/app");
    }
    fake.set(Mode::Down);
    for minute in 2..60 {
        server.set_time(minute * 60);
        work(&server);
    }
    assert_eq!((fake.users().len(), crate::lease::states(&server, "test_database")[3]), (5, 0));
    fake.set(Mode::Works);
    server.set_time(2 * 3600);
    work(&server);
    assert_eq!((fake.users(), leftovers(&server)), (vec![], vec![]));
}

#[test]
fn a_renewal_tells_the_database_the_new_end() {
    let (server, fake) = server();
    let times = json!({ "default_ttl": "10m", "max_ttl": "30m" });
    server.write("database/roles/app", &times).unwrap();
    let lease = issue(&server, "database/creds/app");
    fake.acts();
    assert_eq!(renew(&server, &lease.id, 0).unwrap().ttl.as_secs(), 600);
    // Ten minutes and five seconds after the start.
    assert_eq!(fake.acts(), ["renew until 2023-11-14 22:23:25+0000"]);
    assert_eq!(renew(&server, &lease.id, 7200).unwrap().ttl.as_secs(), 1800);
    assert_eq!(fake.acts(), ["renew until 2023-11-14 22:43:25+0000"]);
    fake.set(Mode::Down);
    assert!(renew(&server, &lease.id, 0).is_err());
}

#[test]
fn the_administrators_password_is_rotated_and_known_to_nobody() {
    let (server, fake) = server();
    fake.add("root", "first");
    fake.acts();
    server.write("database/rotate-root/db", &json!({})).unwrap();
    assert_eq!(fake.acts(), ["set root", "login root"]);
    assert_ne!(fake.password("root"), "first");
    issue(&server, "database/creds/app");
    assert_eq!(fake.opened().last(), Some(&fake.password("root")));
    let shown = serde_json::to_string(&read(&server, "database/config/db")).unwrap();
    assert!(!shown.contains(&fake.password("root")), "{shown}");
}

#[test]
fn a_rotation_of_the_administrators_password_survives_the_process() {
    // Before the entry that says it is done: the database may have it or not.
    for (mode, changes) in [(Mode::Works, true), (Mode::Loses, true), (Mode::Refuses, false)] {
        let (server, fake) = server();
        fake.add("root", "first");
        fake.set(mode);
        before_the_second_entry(&server, |log| log.change_leadership());
        server.write("database/rotate-root/db", &json!({})).unwrap_err();
        server.pipeline.forget();
        fake.set(Mode::Works);
        assert_eq!(fake.password("root") != "first", changes, "{mode:?}");
        let again = line(server.write("database/rotate-root/db", &json!({})));
        assert!(again.contains("being rotated"), "{again}");
        server.set_time(61);
        work(&server);
        issue(&server, "database/creds/app");
        assert_eq!(fake.opened().last(), Some(&fake.password("root")), "{mode:?}");
        server.write("database/rotate-root/db", &json!({})).unwrap();
        issue(&server, "database/creds/app");
        assert_eq!(fake.opened().last(), Some(&fake.password("root")), "{mode:?}");
    }
}

#[test]
fn an_administrators_password_that_comes_into_force_late_is_not_forgotten() {
    let (server, fake) = server();
    fake.add("root", "first");
    fake.set(Mode::Late);
    server.write("database/rotate-root/db", &json!({})).unwrap_err();
    fake.set(Mode::Works);
    // The old one is still in force when it is looked at first.
    for second in [10, 30, 59] {
        server.set_time(second);
        work(&server);
    }
    fake.arrive();
    server.set_time(200);
    work(&server);
    issue(&server, "database/creds/app");
    assert_ne!(fake.password("root"), "first");
    assert_eq!(fake.opened().last(), Some(&fake.password("root")));
}

#[test]
fn a_password_that_the_url_cannot_hold_is_not_set() {
    let (server, fake) = server();
    fake.add("root", "first");
    let policy = "length = 12\nrule \"charset\" {\n  charset = \"a' \"\n}";
    server.write("sys/policies/password/p", &json!({ "policy": policy })).unwrap();
    let words = json!({
        "connection_url": "host=h user={{username}} password={{password}}", "password_policy": "p",
    });
    server.write("database/config/db", &words).unwrap();
    fake.acts();
    let told = line(server.write("database/rotate-root/db", &json!({})));
    assert!(told.contains("passwords that connection_url cannot hold"), "{told}");
    assert_eq!((fake.acts(), intents(&server)), (vec![], 0));
    let url = json!({ "connection_url": "fake://{{username}}:{{password}}@host" });
    server.write("database/config/db", &url).unwrap();
    server.write("database/rotate-root/db", &json!({})).unwrap();
}

#[test]
fn a_template_that_makes_the_same_name_again_is_refused() {
    let (server, _) = server();
    for (template, is_taken) in
        [("v-{{.RoleName}}", false), ("v-{{unix_time}}", false), ("v-{{random 4}}", true)]
    {
        let told =
            line(server.write("database/config/db", &json!({ "username_template": template })));
        assert_eq!(told == "204", is_taken, "{told}");
        assert!(is_taken || told.contains("another name each time"), "{told}");
    }
}

#[test]
fn nothing_is_made_where_it_may_not_be() {
    let (server, fake) = server();
    server.write("database/config/db", &json!({ "allowed_roles": ["x*", "y"] })).unwrap();
    server.write("database/roles/xa", &json!({ "db_name": "db" })).unwrap();
    server.write("database/roles/lost", &json!({ "db_name": "nosuch" })).unwrap();
    let rsa = json!({ "db_name": "db", "credential_type": "rsa_private_key" });
    server.write("database/roles/y", &rsa).unwrap();
    let entries = server.entries();
    fake.acts();
    let table = [
        ("app", "error \"app\" is not an allowed role"),
        ("xa", "error empty creation statements"),
        ("lost", "400 failed to find entry for connection with name: \"nosuch\""),
        ("y", "400 unsupported credential_type: \"rsa_private_key\""),
        ("none", "400 unknown role: none"),
    ];
    for (role, expected) in table {
        assert_eq!(line(server.read(&format!("database/creds/{role}"))), expected);
    }
    assert_eq!((server.entries() - entries, fake.acts()), (0, Vec::<String>::new()));
}
