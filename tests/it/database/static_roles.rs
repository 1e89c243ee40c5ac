//! Users whose passwords are changed, over a database that fails at each step.

use super::*;
use crate::harness::line;
use crate::lease::leftovers;

fn role(server: &Server, fake: &Fake, more: &Value) {
    fake.add("app1", "old");
    let mut body = json!({ "db_name": "db", "username": "app1" });
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    server.write("database/static-roles/s", &body).unwrap();
}

fn password(server: &Server) -> String {
    read(server, "database/static-creds/s")["password"].as_str().unwrap().to_owned()
}

#[test]
fn a_password_is_rotated_when_it_is_due_and_when_someone_asks() {
    let (server, fake) = server();
    role(&server, &fake, &json!({ "rotation_period": "1h" }));
    let first = password(&server);
    assert_eq!((fake.password("app1"), first.len()), (first.clone(), 20));
    assert_eq!(read(&server, "database/static-creds/s")["ttl"], 3600);
    server.set_time(3599);
    work(&server);
    assert_eq!(password(&server), first);
    server.set_time(3600);
    work(&server);
    let second = password(&server);
    assert_ne!(second, first);
    assert_eq!(fake.password("app1"), second);
    server.write("database/rotate-role/s", &json!({})).unwrap();
    let third = password(&server);
    assert_ne!(third, second);
    assert_eq!((fake.password("app1"), leftovers(&server)), (third.clone(), vec![]));
    // An hour from then, and not from the one that was due.
    server.set_time(7199);
    work(&server);
    assert_eq!(password(&server), third);
    server.set_time(7200);
    work(&server);
    assert_ne!(password(&server), third);
}

#[test]
fn a_rotation_that_was_begun_is_finished_by_whoever_leads_next() {
    for mode in [Mode::Works, Mode::Loses, Mode::Refuses, Mode::Down] {
        let (server, fake) = server();
        role(&server, &fake, &json!({ "rotation_period": "1h" }));
        let before = password(&server);
        fake.set(mode);
        before_the_second_entry(&server, |log| log.change_leadership());
        server.write("database/rotate-role/s", &json!({})).unwrap_err();
        server.pipeline.forget();
        fake.set(Mode::Works);
        server.set_time(61);
        work(&server);
        assert_ne!(password(&server), before, "{mode:?}");
        assert_eq!(fake.password("app1"), password(&server), "{mode:?}");
        assert_eq!(leftovers(&server), Vec::<String>::new());
    }
}

#[test]
fn a_due_rotation_is_tried_until_the_database_is_up_again() {
    let (server, fake) = server();
    role(&server, &fake, &json!({ "rotation_period": "1h" }));
    let before = password(&server);
    fake.set(Mode::Down);
    for second in [3600, 3610, 3640, 3700] {
        server.set_time(second);
        work(&server);
        assert_eq!(password(&server), before);
    }
    fake.set(Mode::Works);
    server.set_time(4000);
    work(&server);
    assert_ne!(password(&server), before);
    assert_eq!(fake.password("app1"), password(&server));
}

#[test]
fn a_schedule_is_kept_and_its_window_is_not_overstepped() {
    let (server, fake) = server();
    // The tests' clock starts at 22:13:20 on a Tuesday.
    let schedule = json!({ "rotation_schedule": "0 23 * * *", "rotation_window": "1h" });
    role(&server, &fake, &schedule);
    let first = password(&server);
    assert_eq!(read(&server, "database/static-creds/s")["ttl"], 2800);
    server.set_time(2800);
    work(&server);
    let second = password(&server);
    assert_ne!(second, first);
    fake.set(Mode::Down);
    server.set_time(2800 + 86_400);
    work(&server);
    fake.set(Mode::Works);
    server.set_time(2800 + 86_400 + 3601);
    work(&server);
    server.set_time(2800 + 86_400 + 10_000);
    work(&server);
    assert_eq!((password(&server), fake.password("app1")), (second.clone(), second.clone()));
    server.set_time(2800 + 2 * 86_400);
    work(&server);
    assert_ne!(password(&server), second);
}

#[test]
fn a_new_role_is_there_whole_or_not_at_all() {
    for (mode, is_there) in
        [(Mode::Works, true), (Mode::Loses, true), (Mode::Refuses, false), (Mode::Down, false)]
    {
        let (server, fake) = server();
        fake.add("app1", "old");
        fake.set(mode);
        before_the_second_entry(&server, |log| log.change_leadership());
        let body = json!({ "db_name": "db", "username": "app1", "rotation_period": "1h" });
        server.write("database/static-roles/s", &body).unwrap_err();
        server.pipeline.forget();
        fake.set(Mode::Works);
        server.set_time(61);
        work(&server);
        assert_eq!(server.read("database/static-roles/s").is_ok(), is_there, "{mode:?}");
        if is_there {
            assert_eq!(password(&server), fake.password("app1"));
        } else {
            assert_eq!(fake.password("app1"), "old");
            server.write("database/static-roles/s", &body).unwrap();
        }
        assert_eq!(leftovers(&server), Vec::<String>::new());
    }
}

#[test]
fn a_password_that_comes_into_force_late_makes_the_role() {
    let (server, fake) = server();
    fake.add("app1", "old");
    fake.set(Mode::Late);
    let body = json!({ "db_name": "db", "username": "app1", "rotation_period": "1h" });
    server.write("database/static-roles/s", &body).unwrap_err();
    fake.set(Mode::Works);
    server.set_time(30);
    work(&server);
    fake.arrive();
    server.set_time(200);
    work(&server);
    assert_eq!(password(&server), fake.password("app1"));
    assert_ne!(password(&server), "old");
}

#[test]
fn a_role_whose_connection_is_gone_or_closed_to_it_is_not_rotated() {
    let (server, fake) = server();
    role(&server, &fake, &json!({ "rotation_period": "1h" }));
    let before = password(&server);
    server.write("database/config/db", &json!({ "allowed_roles": "other" })).unwrap();
    fake.acts();
    let told = line(server.write("database/rotate-role/s", &json!({})));
    assert!(told.contains("\"s\" is not an allowed role"), "{told}");
    server.delete("database/config/db").unwrap();
    server.set_time(3600);
    work(&server);
    assert_eq!((fake.acts(), intents(&server)), (vec![], 0));
    connect(&server);
    assert_eq!(password(&server), before);
    server.set_time(7200);
    work(&server);
    assert_ne!(password(&server), before);
}

#[test]
fn a_user_is_taken_over_as_it_is_where_that_is_asked_for() {
    let (server, fake) = server();
    fake.acts();
    let more = json!({ "rotation_period": "1h", "skip_import_rotation": true, "password": "old" });
    role(&server, &fake, &more);
    assert_eq!((fake.acts(), password(&server)), (vec![], "old".to_owned()));
    server.set_time(3600);
    work(&server);
    assert_ne!(password(&server), "old");
}

#[test]
fn what_cannot_be_is_refused_and_changes_nothing() {
    let (server, fake) = server();
    role(&server, &fake, &json!({ "rotation_period": "1h" }));
    let table = [
        ("t", json!({}), "400 database name is a required field"),
        (
            "t",
            json!({ "db_name": "db" }),
            "400 username is a required field to create a static account",
        ),
        (
            "t",
            json!({ "db_name": "db", "username": "u" }),
            "400 rotation_period is required to create static accounts",
        ),
        (
            "t",
            json!({ "db_name": "db", "username": "u", "rotation_period": "4s" }),
            "400 rotation_period must be 5 seconds or more",
        ),
        (
            "t",
            json!({ "db_name": "db", "username": "u", "rotation_schedule": "x" }),
            "400 could not parse rotation_schedule: expected exactly 5 fields, found 1: \"x\"",
        ),
        (
            "t",
            json!({ "db_name": "db", "username": "u", "rotation_period": "1h", "rotation_window": "1h" }),
            "400 rotation_window is invalid with use of rotation_period",
        ),
        (
            "t",
            json!({ "db_name": "db", "username": "u", "rotation_schedule": "* * * * *", "rotation_window": 3 }),
            "400 rotation_window must be 3600 seconds (an hour) or more",
        ),
        ("s", json!({ "username": "other" }), "400 cannot update static account username"),
        (
            "app",
            json!({ "db_name": "db", "username": "app1", "rotation_period": "1h" }),
            "400 Role and Static Role names must be unique",
        ),
    ];
    let before = (fake.password("app1"), read(&server, "database/static-roles/s"));
    let entries = server.entries();
    for (name, body, expected) in table {
        let outcome = server.write(&format!("database/static-roles/{name}"), &body);
        assert_eq!(line(outcome), expected, "{body}");
    }
    assert_eq!(server.entries(), entries);
    assert_eq!((fake.password("app1"), read(&server, "database/static-roles/s")), before);
    let rotated = line(server.write("database/rotate-role/none", &json!({})));
    assert_eq!(rotated, "400 no static role found for role name");
}
