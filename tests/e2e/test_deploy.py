"""What `deploy/` holds, read by the programs it is made for."""

import json
import re
import shutil
import socket
import subprocess
import tempfile
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

import deployed
import harness
from cluster import Cluster
from deployed import DEPLOY
from harness import Case, Process, Server, clean_env, free_port, wait_for

# What the units of Debian's own packages rarely reach; lower is better.
EXPOSURE_MAX = 1.5


class Files(Case):
    def check(self, program, *arguments, cwd=None, status=0):
        """What the program said, which ends with `status`."""
        done = subprocess.run(
            [harness.needs(program), *map(str, arguments)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            env=clean_env(self.folder),
            cwd=cwd or self.folder,
            timeout=harness.COMMAND_SECONDS_MAX,
        )
        said = done.stdout + done.stderr
        self.assertEqual(done.returncode, status, f"{program} {arguments}\n{said}")
        return said

    def write(self, name, text):
        path = f"{self.folder}/{name}"
        with open(path, "w") as file:
            file.write(text)
        return path

    def test_prometheus_reads_rules_and_configuration(self):
        for folder in ("prometheus", "compose"):
            with self.subTest(folder):
                copy = f"{self.folder}/{folder}"
                shutil.copytree(DEPLOY / "prometheus", copy)
                shutil.copy(DEPLOY / folder / "prometheus.yml", copy)
                deployed_ca = deployed.certificate(self.folder)[0]
                text = open(f"{copy}/prometheus.yml").read()
                text = text.replace("/etc/prometheus/strongroom-ca.pem", deployed_ca)
                self.write(f"{folder}/prometheus.yml", text)
                said = self.check("promtool", "check", "config", "prometheus.yml", cwd=copy)
                self.assertRegex(said, r"SUCCESS: \d\d rules found")
        self.check("promtool", "check", "rules", "--lint-fatal", DEPLOY / "prometheus/alerts.yml")

    def test_alerts_fire_when_they_should(self):
        tests = DEPLOY / "prometheus/alerts_test.yml"
        rules = re.findall(r"(?m)^ +- alert: (\w+)$", (DEPLOY / "prometheus/alerts.yml").read_text())
        tested = set(re.findall(r'alertname(?:: |=")(\w+)', tests.read_text()))
        self.assertGreater(len(rules), 20)
        self.assertEqual(sorted(set(rules) - tested), [], "alerts without a case")
        self.assertIn("SUCCESS", self.check("promtool", "test", "rules", tests))

    def test_haproxy_reads_its_configuration(self):
        certificate, key = deployed.certificate(self.folder)
        pem = self.write("pair.pem", open(certificate).read() + open(key).read())
        text = deployed.replaced(
            (DEPLOY / "haproxy/haproxy.cfg").read_text(),
            (r"/etc/haproxy/strongroom\.pem", pem),
            (r"/etc/haproxy/strongroom-ca\.crt", certificate),
            (r"strongroom-\d\.example\.com", "127.0.0.1"),
        )
        compose = deployed.replaced(
            (DEPLOY / "compose/haproxy.cfg").read_text(), (r"node\d:8200", "127.0.0.1:8200")
        )
        for name, text in (("shipped", text), ("compose", compose)):
            with self.subTest(name):
                said = self.check("haproxy", "-c", "-f", self.write(f"{name}.cfg", text))
                self.assertNotRegex(said, "ALERT|WARNING")

    def test_nginx_reads_its_configuration(self):
        certificate, key = deployed.certificate(self.folder)
        text = deployed.replaced(
            (DEPLOY / "nginx/strongroom.conf").read_text(),
            (r"/etc/nginx/strongroom/(server|ca)\.crt", certificate),
            (r"/etc/nginx/strongroom/server\.key", key),
            (r"strongroom-\d\.example\.com:8200", "127.0.0.1:8200"),
            (r"listen 8200", f"listen 127.0.0.1:{free_port()}"),
        )
        said = self.check("nginx", "-t", *deployed.nginx(self.folder, text))
        self.assertIn("test is successful", said)
        self.assertNotIn("[warn]", said)

    def test_nginx_sends_a_request_again_under_the_same_id(self):
        """To nodes that take a request, and go away without an answer."""
        nodes = [Silent(), Silent(), Silent()]
        for node in nodes:
            self.addCleanup(node.close)
        port = free_port()
        folder = tempfile.mkdtemp(dir=self.folder)
        # Else a node that failed is left alone for a while.
        never = (r"max_fails=1 fail_timeout=5s", "max_fails=0")
        arguments = deployed.plain_nginx(folder, [node.port for node in nodes], port, never)
        proxy = Process(arguments, folder, "nginx", clean_env(folder))
        self.addCleanup(proxy.kill)
        front = Server(f"http://127.0.0.1:{port}", "token")

        def is_up():
            try:
                return front.read("sys/metrics").status == 404
            except OSError:
                return False

        wait_for("nginx", is_up)
        seen = set()
        for method in ("PUT", "DELETE", "POST", "GET"):
            with self.subTest(method):
                for node in nodes:
                    node.heads.clear()
                body = None if method in ("DELETE", "GET") else {"a": "1" * 100_000}
                headers = {"X-Strongroom-Request-Id": "another's"}
                self.expect(front.send(method, "kv/x", body, headers=headers), 502)
                heads = [head for node in nodes for head in node.heads]
                told = [re.findall(r"(?im)^x-strongroom-request-id: (\S+)", head) for head in heads]
                self.assertEqual(len(told), 3, told)
                [one] = {tuple(ids) for ids in told}
                self.assertEqual(len(one), 1)
                self.assertRegex(one[0], r"^\d{13}(-[0-9a-f]{8})(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")
                self.assertLess(abs(int(one[0][:13]) / 1000 - time.time()), 30)
                seen.add(one[0])
        self.assertEqual(len(seen), 4, "an id is one request's")

    def test_systemd_reads_the_unit_and_finds_it_hardened(self):
        text = deployed.replaced(
            (DEPLOY / "systemd/strongroom.service").read_text(),
            (r"ExecStart=/usr/bin/strongroom", f"ExecStart={harness.STRONGROOM}"),
            (r"Documentation=\S+", "Documentation=https://example.com"),
        )
        unit = self.write("strongroom.service", text)
        # With it only /proc/<pid> is there: sys/host-info would be empty.
        self.assertNotRegex(text, "(?m)^ProcSubset=pid")
        self.assertEqual(self.check("systemd-analyze", "verify", "--man=false", unit), "")
        said = self.check("systemd-analyze", "security", "--offline=true", "--no-pager", unit)
        exposure = re.search(r"Overall exposure level for strongroom.service: ([0-9.]+)", said)
        self.assertLessEqual(float(exposure[1]), EXPOSURE_MAX, said)

    def test_what_the_readme_writes_to_is_the_units(self):
        """The user of the unit may write to these folders and to no other."""
        unit = (DEPLOY / "systemd/strongroom.service").read_text()
        folders = [
            f"{root}/{re.search(f'(?m)^{name}=(.+)$', unit)[1]}"
            for name, root in (("State", "/var/lib"), ("Logs", "/var/log"), ("Runtime", "/run"))
            for name in [f"{name}Directory"]
        ]
        text = (harness.ROOT / "README.md").read_text()
        written = re.findall(r'(?m)^\s*(?:path|log_file|pid_file|file_path)\s+= "(/[^"]+)"', text)
        self.assertGreater(len(written), 3)
        for path in written:
            self.assertTrue(any(f"{path}/".startswith(f"{folder}/") for folder in folders), path)

    def test_logrotate_reads_its_configuration(self):
        # The user is made by the package; here it need not be.
        text = deployed.replaced(
            (DEPLOY / "logrotate/strongroom").read_text(),
            (r"su strongroom strongroom", "su root root"),
            (r"/var/log/strongroom/", f"{self.folder}/"),
        )
        self.write("strongroom.log", "one line\n")
        file = self.write("logrotate.conf", text)
        said = self.check("logrotate", "-d", "--state", f"{self.folder}/state", file)
        self.assertNotIn("error:", said)
        self.assertIn("considering log", said)

    def test_scripts_are_without_a_known_fault(self):
        found = list(deployed.scripts())
        self.assertIn(harness.ROOT / "tests/run", found)
        self.check("shellcheck", "--severity=style", *found)

    def test_compose_reads_its_file(self):
        arguments = ["-f", harness.ROOT / "docker-compose.yml", "config"]
        said = self.check("docker-compose", *arguments)
        for service in ("node1", "node2", "node3", "haproxy", "prometheus"):
            self.assertRegex(said, rf"(?m)^  {service}:")

    def test_samples_name_their_nodes_and_each_other(self):
        for number in (1, 2, 3):
            text = (DEPLOY / f"config/node{number}.hcl").read_text()
            others = {1, 2, 3} - {number}
            joined = set(map(int, re.findall(r"leader_api_addr\s+= \"https://strongroom-(\d)", text)))
            self.assertEqual(joined, others)
            # Else what a proxy sends again takes effect twice.
            self.assertRegex(text, r"(?m)^  x_strongroom_request_id_authorized_addrs = \[")
        self.assertIn("x_strongroom_request_id_authorized_addrs", (harness.ROOT / "README.md").read_text())


class Silent:
    """A node that reads requests, keeps their heads, and ends each connection without an answer."""

    def __init__(self):
        self.heads = []
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self):
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            with connection:
                self.take(connection)

    def take(self, connection):
        head = b""
        while b"\r\n\r\n" not in head:
            more = connection.recv(65536)
            if not more:
                return
            head += more
        head, body = head.split(b"\r\n\r\n", 1)
        self.heads.append(head.decode())
        length = re.search(rb"(?i)\r\ncontent-length: (\d+)", head)
        left = (int(length[1]) if length else 0) - len(body)
        while left > 0 and (more := connection.recv(65536)):
            left -= len(more)

    def close(self):
        # A thread that waits in `accept` is not woken by `close` alone.
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()
        self.thread.join()


class Watched(Case):
    """A real Prometheus, with the shipped rules, on three real nodes."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.cluster = Cluster(
            tempfile.mkdtemp(dir=cls.folder),
            more_listener="  telemetry { unauthenticated_metrics_access = true }\n",
        )
        cls.addClassCleanup(cls.cluster.stop)
        cls.cluster.start()
        cls.port = free_port()
        cls.prometheus = cls.start_prometheus()
        cls.addClassCleanup(cls.prometheus.kill)

    @classmethod
    def start_prometheus(cls):
        program = harness.needs("prometheus")
        targets = json.dumps([f"127.0.0.1:{node.port}" for node in cls.cluster.nodes])
        configuration = deployed.replaced(
            (DEPLOY / "prometheus/prometheus.yml").read_text(),
            (r"(scrape|evaluation)_interval: 10s", r"\1_interval: 1s"),
            (r"scheme: https\n", "scheme: http\n"),
            (r"    tls_config:\n      ca_file: \S+\n", ""),
            (r"targets: \[.*\]", f"targets: {targets}"),
        )
        rules = deployed.replaced(
            (DEPLOY / "prometheus/alerts.yml").read_text(), (r"for: \d+[smh]", "for: 1s")
        )
        for name, text in (("prometheus.yml", configuration), ("alerts.yml", rules)):
            with open(f"{cls.folder}/{name}", "w") as file:
                file.write(text)
        arguments = [
            program,
            f"--config.file={cls.folder}/prometheus.yml",
            f"--storage.tsdb.path={cls.folder}/tsdb",
            f"--web.listen-address=127.0.0.1:{cls.port}",
        ]
        return Process(arguments, cls.folder, "prometheus", clean_env(cls.folder))

    def ask(self, path, **parameters):
        """The `data` of an answer of Prometheus; `None` while it does not answer."""
        assert self.prometheus.is_running(), self.prometheus.output()
        query = urllib.parse.urlencode(parameters)
        url = f"http://127.0.0.1:{self.port}/api/v1/{path}?{query}"
        try:
            with urllib.request.urlopen(url, timeout=harness.COMMAND_SECONDS_MAX) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            # It has just begun.
            if error.code == 503:
                return None
            raise AssertionError(f"{parameters}: {error.read().decode()}") from None
        except OSError:
            return None

    def firing(self):
        """Of each alert, where it fires: `{(alert, instance)}`."""
        found = self.ask("alerts")
        alerts = found["alerts"] if found else []
        return {
            (alert["labels"]["alertname"], alert["labels"].get("instance"))
            for alert in alerts
            if alert["state"] == "firing"
        }

    def values(self, query):
        found = self.ask("query", query=query)
        return [float(one["value"][1]) for one in found["result"]] if found else []

    def wait_for_all(self):
        query = 'up{job="strongroom"} + on (instance) vault_core_unsealed'
        wait_for("Prometheus to see three open nodes", lambda: self.values(query) == [2, 2, 2])

    def test_a_sealed_node_and_a_missing_leader_are_told(self):
        self.wait_for_all()
        causes = {"StrongroomSealed", "StrongroomNoActive", "StrongroomDown"}
        wait_for("a quiet start", lambda: not causes & {name for name, _ in self.firing()})
        sealed, other = self.cluster.standbys()
        active = self.cluster.active()
        sealed.process.kill()
        down = ("StrongroomDown", f"127.0.0.1:{sealed.port}")
        wait_for("the dead node to be told", lambda: down in self.firing())
        sealed.start()
        expected = ("StrongroomSealed", f"127.0.0.1:{sealed.port}")
        wait_for("the sealed node to be told", lambda: expected in self.firing())
        told = [place for name, place in self.firing() if name == "StrongroomSealed"]
        self.assertEqual(told, [f"127.0.0.1:{sealed.port}"])
        # Two of three are left, and one of them leads.
        self.assertNotIn("StrongroomNoActive", {name for name, _ in self.firing()})
        active.process.kill()
        other.process.kill()
        wait_for(
            "the missing leader to be told",
            lambda: "StrongroomNoActive" in {name for name, _ in self.firing()},
        )
        for node in (active, other):
            node.start()
        for node in self.cluster.nodes:
            node.unseal()
        for node in self.cluster.nodes:
            node.ready()
        self.wait_for_all()
        wait_for("the alerts to end", lambda: not causes & {name for name, _ in self.firing()})

    def test_every_panel_of_the_dashboard_can_be_asked_for(self):
        self.wait_for_all()
        answer = self.cluster.active().write("sys/mounts/watched", {"type": "kv"})
        self.assertIn(answer.status, (204, 400))
        dashboard = json.loads((DEPLOY / "grafana/strongroom.json").read_text())
        queries = [
            (panel["title"], self.query_of(target["expr"]))
            for panel in dashboard["panels"]
            for target in panel.get("targets", [])
        ]
        self.assertGreater(len(queries), 20)

        def empty():
            # An answer of 400, to what is no query, raises.
            return {title for title, query in queries if not self.ask("query", query=query)["result"]}

        # A rate needs two looks at what it is the rate of.
        wait_for("all panels to show something", lambda: empty() <= QUIET)

    def query_of(self, query):
        """As Grafana sends it: with the variables' values."""
        for name, value in (
            ("$__rate_interval", "1m"),
            ("$job", "strongroom"),
            ("$instance", ".*"),
        ):
            query = query.replace(name, value)
        self.assertNotIn("$", query)
        return query


# Panels without a line in a cluster that has just begun, plain HTTP, without audit and logins.
QUIET = {"Audit failures", "Certificates end in", "Forwarding", "Logins", "Server errors"}

__all__ = ["Files", "Watched"]
