"""The database engine, as far as no database need be there."""

URL = "postgresql://{{username}}:{{password}}@127.0.0.1:1/app?sslmode=disable"


def connection(**more):
    return {
        "plugin_name": "postgresql-database-plugin",
        "connection_url": URL,
        "username": "root",
        "password": "secret",
        "verify_connection": False,
        **more,
    }


def rows(row):
    def write(title, path, body, **more):
        return row(f"database: {title}", "PUT", f"database/{path}", body, **more)

    def read(title, path):
        return row(f"database: {title}", "GET", f"database/{path}")

    return [
        row("database: mount", "POST", "sys/mounts/database", {"type": "database"}),
        row("database: no connections", "LIST", "database/config"),
        write("connection of nothing", "config/a", {}),
        write("connection of an odd plugin", "config/a", {"plugin_name": "nosuch"}),
        write("connection without a URL", "config/a", {"plugin_name": "postgresql-database-plugin"}),
        write("connection to nobody", "config/a", connection(verify_connection=True)),
        read("connection that was refused", "config/a"),
        write("connection", "config/a", connection(allowed_roles="x*,y")),
        read("connection that is there", "config/a"),
        write("connection with an odd template", "config/a", {"username_template": "{{", "verify_connection": False}),
        write("connection with an odd lifetime", "config/a", {"max_connection_lifetime": "abc"}),
        write("connection with an odd number", "config/a", {"max_open_connections": "x"}),
        write("connection with odd hashing", "config/a", {"password_authentication": "x", "verify_connection": False}),
        write(
            "connection changed",
            "config/a",
            {
                "verify_connection": False,
                "max_open_connections": 7,
                "max_idle_connections": 3,
                "max_connection_lifetime": "5s",
                "username_template": "{{.RoleName}}-{{random 5}}",
                "root_rotation_statements": "ALTER X; ALTER Y",
                "password_policy": "nosuch",
                "password_authentication": "scram-sha-256",
                "disable_escaping": True,
            },
        ),
        read("connection that was changed", "config/a"),
        write(
            "connection with a password in its URL",
            "config/b",
            {
                "plugin_name": "postgresql-database-plugin",
                "connection_url": "postgresql://root:pw@127.0.0.1:1/app",
                "verify_connection": False,
            },
        ),
        read("connection without its password", "config/b"),
        write("rotate-root without a name", "rotate-root/b", {}),
        row("database: connections", "LIST", "database/config"),
        read("connection that is not there", "config/nosuch"),
        row("database: delete no connection", "DELETE", "database/config/nosuch"),
        write("reset", "reset/a", {}),
        write("reset nothing", "reset/nosuch", {}),
        write("rotate nothing", "rotate-root/nosuch", {}),
        row("database: no roles", "LIST", "database/roles"),
        write("role of nothing", "roles/x", {}),
        write("role", "roles/x", {"db_name": "a"}),
        read("role that is there", "roles/x"),
        write(
            "role changed",
            "roles/x",
            {
                "db_name": "a",
                "creation_statements": "CREATE ROLE \"{{name}}\"; GRANT a, b",
                "revocation_statements": ["DROP ROLE \"{{name}}\"", "X"],
                "default_ttl": "10m",
                "max_ttl": 3600,
            },
        ),
        read("role that was changed", "roles/x"),
        write("role with an odd type", "roles/y", {"db_name": "a", "credential_type": "nosuch"}),
        write("role with keys", "roles/y", {"db_name": "a", "credential_type": "rsa_private_key"}),
        read("role with keys that is there", "roles/y"),
        read("creds with keys", "creds/y"),
        read("creds of no role", "creds/nosuch"),
        write("role that is not allowed", "roles/z", {"db_name": "a", "creation_statements": "X y"}),
        read("creds that are not allowed", "creds/z"),
        row("database: roles", "LIST", "database/roles"),
        read("role that is not there", "roles/nosuch"),
        row("database: delete a role", "DELETE", "database/roles/z"),
        row("database: delete no role", "DELETE", "database/roles/nosuch"),
        row("database: no static roles", "LIST", "database/static-roles"),
        write("static role of nothing", "static-roles/s", {}),
        write("static role without a user", "static-roles/s", {"db_name": "a"}),
        write("static role without a time", "static-roles/s", {"db_name": "a", "username": "u"}),
        write(
            "static role too often",
            "static-roles/s",
            {"db_name": "a", "username": "u", "rotation_period": "1s"},
        ),
        write(
            "static role of a role's name",
            "static-roles/x",
            {"db_name": "a", "username": "u", "rotation_period": "1h"},
        ),
        write("rotate no static role", "rotate-role/nosuch", {}),
        read("no static role", "static-roles/nosuch"),
        read("creds of no static role", "static-creds/nosuch"),
        row("database: delete no static role", "DELETE", "database/static-roles/nosuch"),
        row("database: delete a connection", "DELETE", "database/config/a"),
        row("database: unmount", "DELETE", "sys/mounts/database"),
    ]
