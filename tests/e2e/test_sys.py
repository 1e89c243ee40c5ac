"""`sys/` beside mounts and policies, as clients use it: OpenAPI, quotas, the log, CORS, explain."""

import json
import pathlib
import subprocess
import threading

import harness
from harness import STRONGROOM, Client, DevCase, wait_for

try:
    import hvac
except ImportError:
    hvac = None

try:
    import openapi_spec_validator
except ImportError:
    openapi_spec_validator = None


class OpenApi(DevCase):
    def test_the_document_is_valid(self):
        if openapi_spec_validator is None:
            self.skipTest("openapi-spec-validator is missing: tests/run installs it")
        for query in ("", "?generic_mount_paths=true"):
            answer = self.server.send("GET", f"sys/internal/specs/openapi{query}")
            self.assertEqual(answer.status, 200)
            document = json.loads(answer.body)
            openapi_spec_validator.validate(document)
            self.assertGreater(len(document["paths"]), 80)

    def test_a_stranger_is_told_no_path(self):
        answer = self.server.send("GET", "sys/internal/specs/openapi", token="")
        self.assertEqual(json.loads(answer.body)["paths"], {})


class Hvac(DevCase):
    def setUp(self):
        if hvac is None:
            self.skipTest("hvac is missing: tests/run installs it")
        self.client = hvac.Client(url=self.server.address, token=self.server.token)
        self.addCleanup(self.client.adapter.close)

    def test_quotas_live_their_life(self):
        sys = self.client.sys
        sys.create_or_update_quota(name="q", path="secret/", rate=9000.0, interval="2s")
        self.assertEqual(sys.read_quota("q")["data"]["interval"], 2)
        self.assertEqual(sys.list_quotas()["data"]["keys"], ["q"])
        sys.delete_quota("q")
        with self.assertRaises(hvac.exceptions.InvalidPath):
            sys.read_quota("q")


class Sys(DevCase):
    def test_a_client_over_its_rate_is_told_when_to_come_back(self):
        send = self.server.send
        send("PUT", "sys/mounts/limited", {"type": "kv"})
        send("PUT", "sys/quotas/config", {"enable_rate_limit_response_headers": True})
        send("PUT", "sys/quotas/rate-limit/l", {"rate": 2, "interval": "1h", "path": "limited/"})
        first = send("GET", "limited/x")
        self.assertEqual(first.status, 404)
        self.assertEqual(send("GET", "limited/x").status, 404)
        refused = send("GET", "limited/x")
        self.assertEqual(refused.status, 429)
        self.assertEqual(refused.headers["x-ratelimit-remaining"], "0")
        self.assertGreater(int(refused.headers["retry-after"]), 3000)
        self.assertIn("rate limit quota exceeded", json.loads(refused.body)["errors"][0])
        self.assertEqual(send("GET", "sys/mounts").status, 200)
        send("DELETE", "sys/quotas/rate-limit/l")
        self.assertEqual(send("GET", "limited/x").status, 404)

    def test_cors_holds_for_the_listeners(self):
        send = self.server.send
        origin = {"Origin": "http://a.example"}
        send("PUT", "sys/config/cors", {"allowed_origins": "http://a.example"})
        allowed = lambda: send("GET", "sys/health", headers=origin).headers.get(
            "access-control-allow-origin"
        )
        wait_for("the origin to be allowed", lambda: allowed() == "http://a.example")
        other = send("GET", "sys/health", headers={"Origin": "http://b.example"})
        self.assertEqual(other.status, 403)
        send("DELETE", "sys/config/cors")
        wait_for("nobody to be told", lambda: allowed() is None)

    def test_the_process_tells_of_itself(self):
        send = self.server.send
        data = lambda path: json.loads(send("GET", path).body)["data"]
        self.assertGreater(data("sys/host-info")["memory"]["total"], 0)
        self.assertEqual(data("sys/config/state/sanitized")["storage"]["type"], "inmem")
        requests = json.loads(send("GET", "sys/in-flight-req").body)
        paths = [request["request_path"] for request in requests.values()]
        self.assertEqual(paths, ["/v1/sys/in-flight-req"])
        self.assertEqual(len(data("sys/version-history?list=true")["keys"]), 1)

    def test_the_log_is_shown_as_it_is_written(self):
        arguments = [STRONGROOM, "monitor", "-log-level=info"]
        env = {"VAULT_ADDR": self.server.address, "VAULT_TOKEN": self.server.token, "HOME": "/"}
        monitor = subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True, env=env)
        self.addCleanup(monitor.stdout.close)
        self.addCleanup(monitor.wait)
        self.addCleanup(monitor.kill)
        lines = []
        reader = threading.Thread(target=lambda: lines.extend(iter(monitor.stdout.readline, "")))
        reader.daemon = True
        reader.start()

        def look():
            # Makes it read its certificates again, which it logs.
            self.server.send("POST", "sys/config/reload/tls", {})
            return any("reloaded" in line for line in lines)

        wait_for("a line of the log", look)


class Explain(DevCase):
    def setUp(self):
        self.cli = Client(STRONGROOM, self.server, self.folder)

    def test_the_command_line_tells_the_rule(self):
        policy = pathlib.Path(self.folder) / "web.hcl"
        policy.write_text('path "secret/data/web" {\n  capabilities = ["read"]\n}\n')
        self.cli.ok("policy", "write", "web", str(policy))
        allowed = self.cli.ok("explain", "-policy=web", "secret/data/web")
        self.assertIn("web line 1", allowed.out)
        refused = self.cli.run("explain", "-policy=web", "-operation=update", "secret/data/web")
        self.assertEqual(refused.status, 2)
        self.assertIn("does not grant `update`", refused.out)

    def test_policies_are_tested_without_a_server(self):
        folder = pathlib.Path(self.folder)
        (folder / "web.hcl").write_text('path "secret/data/web" { capabilities = ["read"] }\n')
        table = folder / "table.hcl"
        table.write_text(
            'policy "web" { file = "web.hcl" }\n'
            'test "a" { policies = ["web"] path = "secret/data/web" allow = ["read"] deny = ["update"] }\n'
        )
        held = self.cli.ok("policy", "test", str(table))
        self.assertIn("2 expectations hold, 0 do not", held.out)
        table.write_text(table.read_text().replace('deny = ["update"]', 'allow = ["update"]'))
        self.assertEqual(self.cli.run("policy", "test", str(table)).status, 2)

    def test_plugins_are_shown(self):
        self.assertIn("kv", self.cli.ok("plugin", "list", "secret").out)
        self.assertIn("builtin", self.cli.ok("plugin", "info", "secret", "kv").out)
        program = harness.bao_program()
        bao = Client(program, self.server, self.folder)
        self.assertIn("kv", bao.ok("plugin", "list").out)
