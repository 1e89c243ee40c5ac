"""Users of a real PostgreSQL, made by a cluster whose leaders are killed, and used by programs that
others wrote."""

import concurrent.futures
import os
import pathlib
import pwd
import shutil
import subprocess
import tempfile
import unittest

from cluster import Cluster
from harness import Case, Client, DevCase, Process, bao_program, free_port, wait_for

try:
    import hvac
except ImportError:
    hvac = None

CREATION = (
    "CREATE ROLE \"{{name}}\" LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}'; "
    "GRANT SELECT ON ALL TABLES IN SCHEMA public TO \"{{name}}\";"
)


class Postgres:
    """With TLS, on a free port of the loopback. Administrators are `root` and, for the tests'
    own questions, `observer`."""

    def __init__(self, folder):
        found = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin/postgres"))
        if not found:
            raise unittest.SkipTest("the program postgres is missing: tests/run installs it")
        self.bin = found[-1].parent
        # Where whoever PostgreSQL runs as may come to.
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="pg", dir="/tmp"))
        self.port = free_port()
        (self.folder / "password").write_text("first")
        self._certificates()
        self.prefix = []
        if os.geteuid() == 0:
            user = pwd.getpwnam("postgres")
            for path in [self.folder, *self.folder.iterdir()]:
                os.chown(path, user.pw_uid, user.pw_gid)
            self.prefix = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
        subprocess.run(
            self.prefix
            + [self.bin / "initdb", "-U", "root", "-A", "scram-sha-256", "-N", "-D", "data"]
            + ["--pwfile=password"],
            cwd=self.folder, check=True, capture_output=True, timeout=120,
        )
        self.process = None
        self.start()
        self.ask("CREATE ROLE observer SUPERUSER LOGIN PASSWORD 'first'", user="root")
        self.ask("CREATE TABLE t (n int)")

    def _certificates(self):
        def openssl(*arguments):
            subprocess.run(["openssl", *arguments], cwd=self.folder, check=True, capture_output=True)

        openssl(
            "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
            "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=authority", "-days", "2",
        )
        openssl(
            "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
            "-keyout", "db.key", "-out", "db.csr", "-subj", "/CN=localhost",
        )
        (self.folder / "ext").write_text("subjectAltName=DNS:localhost\n")
        openssl(
            "x509", "-req", "-in", "db.csr", "-CA", "ca.pem", "-CAkey", "ca.key",
            "-CAcreateserial", "-days", "2", "-extfile", "ext", "-out", "db.pem",
        )
        os.chmod(self.folder / "db.key", 0o600)
        self.authority = (self.folder / "ca.pem").read_text()

    def start(self):
        settings = [
            f"port={self.port}", "listen_addresses=127.0.0.1", "ssl=on", "ssl_cert_file=../db.pem",
            "ssl_key_file=../db.key", f"unix_socket_directories={self.folder}", "fsync=off",
        ]
        flags = [flag for setting in settings for flag in ("-c", setting)]
        self.process = Process(
            self.prefix + [self.bin / "postgres", "-D", "data", *flags], self.folder, "postgres"
        )
        wait_for("PostgreSQL to answer", lambda: self.try_ask("SELECT 1", user="root"))

    def try_ask(self, query, user="observer", password="first"):
        done = subprocess.run(
            ["psql", "-XAtw", "-v", "ON_ERROR_STOP=1", "-h", self.folder, "-p", str(self.port)]
            + ["-U", user, "-c", query, "postgres"],
            env={**os.environ, "PGPASSWORD": password}, capture_output=True, text=True, timeout=60,
        )
        return done.stdout.split("\n") if done.returncode == 0 else None

    def ask(self, query, user="observer"):
        answer = self.try_ask(query, user)
        assert answer is not None, query
        return [line for line in answer if line]

    def users(self):
        return self.ask("SELECT rolname FROM pg_roles WHERE rolname LIKE 'v-%'")

    def connection(self, mode="verify-full"):
        return {
            "plugin_name": "postgresql-database-plugin",
            "connection_url": "postgresql://{{username}}:{{password}}@localhost:"
            f"{self.port}/postgres?sslmode={mode}&hostaddr=127.0.0.1",
            "username": "root",
            "password": "first",
            "tls_ca": self.authority,
            "allowed_roles": "*",
        }

    def stop(self):
        self.process.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


class Used(DevCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.postgres = Postgres(cls.folder)
        cls.addClassCleanup(cls.postgres.stop)

    def setUp(self):
        self.server.write("sys/mounts/database", {"type": "database"})
        self.expect(self.server.write("database/config/db", self.postgres.connection()), 204)
        role = {"db_name": "db", "creation_statements": CREATION, "default_ttl": "1h"}
        self.expect(self.server.write("database/roles/app", role), 204)

    def tearDown(self):
        self.server.send("DELETE", "sys/mounts/database")
        wait_for("the mount's users to be gone", lambda: not self.postgres.users())

    def test_bao_reads_renews_and_revokes_a_user(self):
        client = Client(bao_program(), self.server, self.folder)
        made = client.json("read", "-format=json", "database/creds/app")
        name, password = made["data"]["username"], made["data"]["password"]
        self.assertEqual(self.postgres.try_ask("SELECT count(*) FROM t", name, password)[0], "0")
        renewed = client.json("lease", "renew", "-format=json", made["lease_id"])
        self.assertEqual(renewed["lease_duration"], 3600)
        client.ok("lease", "revoke", made["lease_id"])
        wait_for("the user to be gone", lambda: name not in self.postgres.users())
        self.assertIsNone(self.postgres.try_ask("SELECT 1", name, password))

    def test_bao_configures_static_roles_and_rotates_them(self):
        self.postgres.ask("CREATE ROLE app1 LOGIN PASSWORD 'old'")
        client = Client(bao_program(), self.server, self.folder)
        client.ok("write", "database/static-roles/s", "db_name=db", "username=app1", "rotation_period=5s")
        first = client.json("read", "-format=json", "database/static-creds/s")["data"]["password"]
        self.assertTrue(self.postgres.try_ask("SELECT 1", "app1", first))

        def rotated():
            now = client.json("read", "-format=json", "database/static-creds/s")["data"]["password"]
            return now != first and self.postgres.try_ask("SELECT 1", "app1", now)

        wait_for("the password to be rotated by itself", rotated)
        client.ok("write", "-f", "database/rotate-role/s")

    def test_hvac_manages_the_engine(self):
        if hvac is None:
            self.skipTest("the package hvac is missing: tests/run installs it")
        database = hvac.Client(self.server.address, self.server.token).secrets.database
        self.assertEqual(database.list_connections()["data"]["keys"], ["db"])
        self.assertEqual(database.list_roles()["data"]["keys"], ["app"])
        database.create_role("more", "db", CREATION, default_ttl="1h", max_ttl="2h")
        made = database.generate_credentials("more")
        self.assertIn(made["data"]["username"], self.postgres.users())
        database.reset_connection("db")
        database.delete_role("more")

    def test_the_database_proves_who_it_is(self):
        for mode, authority, status in [
            ("verify-full", self.postgres.authority, 204),
            ("verify-ca", self.postgres.authority, 204),
            ("require", "", 204),
            ("disable", "", 204),
            ("verify-full", "", 400),
            ("verify-full", other_authority(), 400),
            ("require", other_authority(), 400),
        ]:
            with self.subTest(mode=mode, status=status):
                body = {**self.postgres.connection(mode), "tls_ca": authority}
                self.expect(self.server.write("database/config/db", body), status)
        by_address = self.postgres.connection()
        by_address["connection_url"] = by_address["connection_url"].replace("localhost", "other.test")
        answer = self.expect(self.server.write("database/config/db", by_address), 400)
        self.assertIn("error verifying connection", answer.errors()[0])


def other_authority():
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
            + ["-nodes", "-keyout", "k", "-out", "c", "-subj", "/CN=other", "-days", "2"],
            cwd=folder, check=True, capture_output=True,
        )
        return (pathlib.Path(folder) / "c").read_text()


class Killed(Case):
    def test_no_user_is_left_behind_by_leaders_that_are_killed(self):
        postgres = Postgres(self.folder)
        self.addCleanup(postgres.stop)
        cluster = Cluster(tempfile.mkdtemp(dir=self.folder))
        self.addCleanup(cluster.stop)
        cluster.start()
        active = cluster.active()
        self.expect(active.write("sys/mounts/database", {"type": "database"}), 204)
        self.expect(active.write("database/config/db", postgres.connection()), 204)
        role = {"db_name": "db", "creation_statements": CREATION, "default_ttl": "1h"}
        self.expect(active.write("database/roles/app", role), 204)
        # A password that is rotated all the time must be known afterwards.
        postgres.ask("CREATE ROLE app1 LOGIN PASSWORD 'old'")
        static = {"db_name": "db", "username": "app1", "rotation_period": "5s"}
        self.expect(active.write("database/static-roles/s", static), 204)

        known, stopped = set(), []

        def ask(number):
            while not stopped:
                node = cluster.nodes[number % len(cluster.nodes)]
                try:
                    answer = node.read("database/creds/app")
                except OSError:
                    continue
                if answer.status == 200:
                    known.add(answer.json()["data"]["username"])

        with concurrent.futures.ThreadPoolExecutor(6) as pool:
            asked = [pool.submit(ask, number) for number in range(6)]
            for _ in range(3):
                before = len(known)
                wait_for("users to be made", lambda before=before: len(known) > before + 20)
                killed = cluster.active()
                killed.process.kill()
                cluster.active()
                killed.start()
                killed.unseal()
                killed.ready()
            stopped.append(True)
            for done in asked:
                done.result()
        # Whoever was told of a user has one; whoever was not has none, a minute later.
        self.assertEqual(known - set(postgres.users()), set())
        leases = lambda: len(cluster.active().list("sys/leases/lookup/database/creds/app").data()["keys"])
        wait_for(
            "users without a lease to be gone", lambda: len(postgres.users()) == leases(), 150
        )
        active = cluster.active()
        self.expect(active.write("sys/leases/revoke-prefix/database/creds/app"), 204)
        wait_for("all users to be gone", lambda: not postgres.users(), 120)

        def password_works():
            password = active.read("database/static-creds/s").data()["password"]
            return postgres.try_ask("SELECT 1", "app1", password)

        wait_for("the static role's password to be the database's", password_works, 120)
