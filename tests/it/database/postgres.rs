//! Over a real PostgreSQL: what is there is looked up in it.

use super::servers::Postgres;
use super::*;
use crate::harness::line;
use crate::lease::{issue, leftovers, renew, revoke};

const CREATION: &str = "CREATE ROLE \"{{name}}\" LOGIN PASSWORD '{{password}}' VALID UNTIL \
                        '{{expiration}}'; GRANT SELECT ON ALL TABLES IN SCHEMA public TO \
                        \"{{name}}\"; GRANT USAGE ON SCHEMA other TO \"{{name}}\"; GRANT SELECT ON \
                        ALL TABLES IN SCHEMA other TO \"{{name}}\"";

/// With a role `app` of an hour.
fn server_of(postgres: &Postgres) -> Server {
    let server = Server::new();
    server.mount("database/", "database", &[]);
    let config = json!({
        "plugin_name": "postgresql-database-plugin",
        "connection_url": postgres.url(),
        "username": "root",
        "password": "first",
        "allowed_roles": "*",
    });
    server.write("database/config/db", &config).unwrap();
    let role = json!({ "db_name": "db", "creation_statements": CREATION, "default_ttl": "1h" });
    server.write("database/roles/app", &role).unwrap();
    server
}

fn postgres() -> Postgres {
    let postgres = Postgres::start().with_observer();
    postgres.ask("CREATE TABLE t (n int); CREATE SCHEMA other; CREATE TABLE other.t (n int)");
    postgres
}

#[test]
fn users_come_with_their_rights_and_go_with_their_leases() {
    let postgres = postgres();
    let server = server_of(&postgres);
    let reply = server.read("database/creds/app").unwrap();
    let lease = reply.lease.clone().unwrap();
    let made = data(reply);
    let (name, password) = (made["username"].as_str().unwrap(), made["password"].as_str().unwrap());
    assert_eq!(postgres.made(), [name]);
    let until = format!(
        "SELECT extract(epoch FROM rolvaliduntil)::int FROM pg_roles WHERE rolname = '{name}'"
    );
    assert_eq!(postgres.ask(&until), [(1_700_000_000 + 3605).to_string()]);
    // The tests' clock is behind the database's.
    postgres.ask(&format!("ALTER ROLE \"{name}\" VALID UNTIL 'infinity'"));
    for table in ["t", "other.t"] {
        let read = postgres.try_ask(&format!("SELECT count(*) FROM {table}"), name, password);
        assert_eq!(read, Some(vec!["0".to_owned()]), "{table}");
        assert_eq!(postgres.try_ask(&format!("DELETE FROM {table}"), name, password), None);
    }
    server.set_time(60);
    renew(&server, &lease.id, 7200).unwrap();
    assert_eq!(postgres.ask(&until), [(1_700_000_060 + 7205).to_string()]);
    revoke(&server, &lease.id).unwrap();
    work(&server);
    assert_eq!((postgres.made(), leftovers(&server)), (vec![], vec![]));
    assert_eq!(postgres.try_ask("SELECT 1", name, password), None);
}

#[test]
fn what_fails_half_way_leaves_nothing_and_tells_no_password() {
    let postgres = postgres();
    let server = server_of(&postgres);
    let table = [
        "CREATE ROLE \"{{name}}\" LOGIN PASSWORD '{{password}}'; GRANT nosuch TO \"{{name}}\"",
        "CREATE ROLE \"{{name}}\" LOGIN PASSWORD {{password}}",
        "nonsense",
    ];
    for creation in table {
        let role = json!({ "creation_statements": creation });
        server.write("database/roles/app", &role).unwrap();
        let told = line(server.read("database/creds/app"));
        assert!(told.starts_with("error failed to execute query: ERROR: "), "{told}");
        let audited = server.audited().join("\n");
        assert!(!audited.contains("PASSWORD"), "{audited}");
        work(&server);
        assert_eq!((postgres.made(), leftovers(&server)), (vec![], vec![]), "{creation}");
    }
}

#[test]
fn a_process_that_ends_at_any_step_leaves_no_user() {
    let postgres = postgres();
    let server = server_of(&postgres);
    for step in 0..2 {
        let event = |log: &strongroom::log::MemoryLog| log.change_leadership();
        if step == 0 {
            server.log.before_next_proposal(event);
        } else {
            before_the_second_entry(&server, event);
        }
        server.read("database/creds/app").unwrap_err();
        server.pipeline.forget();
        assert_eq!(postgres.made().len(), step, "the step {step}");
        server.set_time(100 * (step as u64 + 1));
        work(&server);
        assert_eq!((postgres.made(), leftovers(&server)), (vec![], vec![]), "the step {step}");
    }
}

#[test]
fn a_database_that_was_down_is_caught_up_with() {
    let mut postgres = postgres();
    let server = server_of(&postgres);
    for _ in 0..30 {
        issue(&server, "database/creds/app");
    }
    assert_eq!(postgres.made().len(), 30);
    postgres.kill();
    let told = line(server.read("database/creds/app"));
    assert!(told.contains("failed to connect"), "{told}");
    server.set_time(3700);
    work(&server);
    postgres.begin();
    server.set_time(3 * 3600);
    work(&server);
    assert_eq!((postgres.made(), leftovers(&server)), (vec![], vec![]));
    // The pool has got over it too.
    issue(&server, "database/creds/app");
}

#[test]
fn no_more_connections_are_opened_than_the_pool_has() {
    let postgres = postgres();
    let server = server_of(&postgres);
    let connections = json!({ "max_open_connections": 2 });
    server.write("database/config/db", &connections).unwrap();
    postgres.ask("ALTER ROLE root CONNECTION LIMIT 2");
    for _ in 0..100 {
        issue(&server, "database/creds/app");
    }
    server.set_time(3700);
    work(&server);
    assert_eq!((postgres.made(), leftovers(&server)), (vec![], vec![]));
    assert!(!postgres.log().contains("too many connections"), "{}", postgres.log());
}

#[test]
fn the_administrators_password_is_rotated_in_the_database_itself() {
    let postgres = postgres();
    let server = server_of(&postgres);
    server.write("database/rotate-root/db", &json!({})).unwrap();
    assert_eq!(postgres.try_ask("SELECT 1", "root", "first"), None);
    issue(&server, "database/creds/app");
    // The database has the next one, and the process ends before it is written down.
    before_the_second_entry(&server, |log| log.change_leadership());
    server.write("database/rotate-root/db", &json!({})).unwrap_err();
    server.pipeline.forget();
    issue(&server, "database/creds/app");
    server.set_time(61);
    work(&server);
    server.write("database/reset/db", &json!({})).unwrap();
    issue(&server, "database/creds/app");
    server.write("database/rotate-root/db", &json!({})).unwrap();
}

#[test]
fn a_static_users_password_follows() {
    let postgres = postgres();
    let server = server_of(&postgres);
    let scram = json!({ "password_authentication": "scram-sha-256" });
    server.write("database/config/db", &scram).unwrap();
    postgres.ask("CREATE ROLE app1 LOGIN PASSWORD 'old'");
    let role = json!({ "db_name": "db", "username": "app1", "rotation_period": "1h" });
    server.write("database/static-roles/s", &role).unwrap();
    let works = |server: &Server| {
        let made = read(server, "database/static-creds/s");
        let password = made["password"].as_str().unwrap().to_owned();
        assert!(postgres.try_ask("SELECT 1", "app1", &password).is_some());
        password
    };
    let first = works(&server);
    server.set_time(3600);
    work(&server);
    let second = works(&server);
    assert_ne!(first, second);
    // The database was given what it stores, and so its log has no password.
    assert!(!postgres.log().contains(&second), "the password is in the database's log");
    let lost = json!({ "db_name": "db", "username": "nosuch", "rotation_period": "1h" });
    let told = line(server.write("database/static-roles/t", &lost));
    assert!(told.contains("role \"nosuch\" does not exist"), "{told}");
    work(&server);
    assert!(server.read("database/static-roles/t").is_err());
}

#[test]
fn of_a_user_who_may_not_log_in_no_password_is_thrown_away() {
    let postgres = postgres();
    let server = server_of(&postgres);
    postgres.ask("CREATE ROLE app1 NOLOGIN PASSWORD 'old'");
    before_the_second_entry(&server, |log| log.change_leadership());
    let role = json!({ "db_name": "db", "username": "app1", "rotation_period": "1h" });
    server.write("database/static-roles/s", &role).unwrap_err();
    server.pipeline.forget();
    server.set_time(200);
    work(&server);
    let password = read(&server, "database/static-creds/s")["password"].clone();
    postgres.ask("ALTER ROLE app1 LOGIN");
    assert!(postgres.try_ask("SELECT 1", "app1", password.as_str().unwrap()).is_some());
}

#[test]
fn a_name_cannot_leave_its_quotes() {
    let postgres = postgres();
    let server = server_of(&postgres);
    let template =
        json!({ "username_template": "v-{{.RoleName}}\"; DROP TABLE t; -- {{random 5}}" });
    server.write("database/config/db", &template).unwrap();
    let lease = issue(&server, "database/creds/app");
    assert_eq!(postgres.made().len(), 1);
    assert_eq!(postgres.ask("SELECT count(*) FROM t"), ["0"]);
    revoke(&server, &lease.id).unwrap();
    work(&server);
    assert_eq!(postgres.made(), Vec::<String>::new());
}

#[test]
fn own_statements_end_a_user_and_one_who_is_gone_is_no_failure() {
    let postgres = postgres();
    let server = server_of(&postgres);
    let role = json!({
        "revocation_statements": "DROP OWNED BY \"{{name}}\"; DROP ROLE \"{{name}}\"",
    });
    server.write("database/roles/app", &role).unwrap();
    let (first, second) =
        (issue(&server, "database/creds/app"), issue(&server, "database/creds/app"));
    revoke(&server, &first.id).unwrap();
    let left = postgres.made();
    postgres.ask(&format!("DROP OWNED BY \"{0}\"; DROP ROLE \"{0}\"", left[0]));
    revoke(&server, &second.id).unwrap();
    work(&server);
    assert_eq!((postgres.made(), leftovers(&server)), (vec![], vec![]));
}

#[test]
fn credentials_that_do_not_work_are_refused_at_once() {
    let postgres = postgres();
    let server = server_of(&postgres);
    let table = [
        (json!({ "password": "wr0ng-pw" }), "password authentication failed for user \"root\""),
        (json!({ "connection_url": "postgresql://u@%2Fnonexistent/d" }), "failed to connect"),
        (json!({ "connection_url": "postgresql://u@h/d?sslkey=/etc/x" }), "would read a file"),
        (json!({ "connection_url": "" }), "connection_url cannot be empty"),
        (json!({ "username_template": "{{" }), "unable to initialize username template"),
        (json!({ "password_authentication": "x" }), "not a valid password authentication type"),
        (json!({ "max_connection_lifetime": "abc" }), "invalid max_connection_lifetime"),
        (json!({ "plugin_name": "nosuch" }), "plugin not found in the catalog: nosuch"),
        (json!({ "plugin_version": "v1" }), "plugin not found in the catalog"),
    ];
    let before = server.read("database/config/db").map(data).unwrap();
    for (body, expected) in table {
        let told = line(server.write("database/config/db", &body));
        assert!(told.starts_with("400 error creating database object: "), "{body}: {told}");
        assert!(told.contains(expected) && !told.contains("wr0ng"), "{body}: {told}");
    }
    assert_eq!(server.read("database/config/db").map(data).unwrap(), before);
    issue(&server, "database/creds/app");
}
