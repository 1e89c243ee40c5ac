"""Three nodes: any of them serves, and clients do not notice that one is lost."""

import concurrent.futures
import os
import tempfile
import threading
import time
import uuid

import deployed
import harness
from cluster import Cluster
from harness import Case, Client, Process, Server, clean_env, free_port, wait_for


class ThreeNodes(Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.cluster = Cluster(tempfile.mkdtemp(dir=cls.folder))
        cls.addClassCleanup(cls.cluster.stop)
        cls.cluster.start()
        answer = cls.cluster.active().write("sys/mounts/kv", {"type": "kv"})
        assert answer.status == 204, answer

    def setUp(self):
        """Each test finds three ready nodes, whatever the one before did."""
        for node in self.cluster.nodes:
            if not node.process.is_running():
                node.start()
            if node.is_sealed():
                node.unseal()
            node.ready()
        self.mount = "kv/" + self._testMethodName[5:30]

    def run(self, result=None):
        before = len(result.problems)
        super().run(result)
        if len(result.problems) > before:
            for node in self.cluster.nodes:
                result.problems.append((f"the end of {node.name}'s log", node.process.output()[-3000:]))

    def test_what_one_node_took_every_node_gives(self):
        for writer in self.cluster.nodes:
            self.expect(writer.write(f"{self.mount}/{writer.name}", {"by": writer.name}), 204)
            for reader in self.cluster.nodes:
                answer = self.expect(reader.read(f"{self.mount}/{writer.name}"), 200)
                self.assertEqual(answer.data(), {"by": writer.name})
        for reader in self.cluster.nodes:
            self.assertEqual(self.expect(reader.list(self.mount), 200).data()["keys"], ["n1", "n2", "n3"])

    def test_a_namespace_is_the_same_through_every_node(self):
        one, other = self.cluster.standbys()
        within = {"X-Vault-Namespace": "team"}
        self.expect(one.send("POST", "sys/namespaces/team", {}), 200)
        self.expect(one.send("POST", "sys/mounts/kv", {"type": "kv"}, headers=within), 204)
        self.expect(other.send("POST", "kv/x", {"v": "team"}, headers=within), 204)
        policy = {"policy": 'path "*" { capabilities = ["read", "update", "sudo"] }'}
        self.expect(other.send("POST", "sys/policies/acl/p", policy, headers=within), 204)
        made = one.send("POST", "auth/token/create", {"policies": ["p"]}, headers=within)
        token = self.expect(made, 200).json()["auth"]["client_token"]
        wraps = within | {"X-Vault-Wrap-TTL": "60"}
        wrapped = self.expect(other.send("GET", "kv/x", token=token, headers=wraps), 200)
        wrapped = wrapped.json()["wrap_info"]["token"]
        answer = one.send("POST", "sys/wrapping/unwrap", token=wrapped, headers=within)
        self.assertEqual(self.expect(answer, 200).data(), {"v": "team"})
        for node in self.cluster.nodes:
            for path, headers in (("kv/x", within), ("team/kv/x", {})):
                answer = self.expect(node.send("GET", path, token=token, headers=headers), 200)
                self.assertEqual(answer.data(), {"v": "team"})
            self.expect(node.send("GET", "kv/x", token=token), 403)
            self.expect(node.send("GET", "kv/x", headers={"X-Vault-Namespace": "none"}), 404)
            # What each node does for itself is no namespace's, however it is asked for.
            for path, headers in (("sys/seal", within), ("team/sys/seal", {}), ("sys/seal", {})):
                answer = node.send("POST", path, {}, token=token, headers=headers)
                self.assertIn(answer.status, (400, 403), f"{path} {headers} {answer.body}")
            for path in ("sys/monitor", "sys/host-info", "sys/storage/raft/snapshot"):
                answer = node.send("GET", path, token=token, headers=within)
                self.assertIn(answer.status, (400, 403), f"{path} {answer.body}")
            self.assertFalse(node.is_sealed())
        self.expect(other.send("DELETE", "sys/namespaces/team"), 200)
        self.expect(one.send("GET", "kv/x", token=token, headers=within), 404)

    def test_one_node_leads_and_all_know_which(self):
        active = self.cluster.active()
        self.assertEqual(sorted(node.health() for node in self.cluster.nodes), [200, 429, 429])
        for node in self.cluster.nodes:
            # A standby may have been unsealed a moment before it hears of its leader.
            leader = wait_for(
                f"{node.name} to know the leader",
                lambda node=node: (told := node.send("GET", "sys/leader", token="").json())[
                    "leader_address"
                ]
                and told,
            )
            self.assertEqual(leader["leader_address"], active.address)
            self.assertEqual(leader["is_self"], node is active)

    def test_a_standby_redirects_only_who_asks_for_it(self):
        standby = self.cluster.standbys()[0]
        headers = {"X-Vault-No-Request-Forwarding": "true"}
        answer = self.expect(standby.read(f"{self.mount}/x?version=1", headers=headers), 307)
        active = self.cluster.active()
        self.assertEqual(answer.headers["location"], f"{active.address}/v1/{self.mount}/x?version=1")

    def test_peers_are_listed_alike_by_both_command_lines(self):
        node = self.cluster.standbys()[0]
        shown = []
        for program in (harness.bao_program(), harness.STRONGROOM):
            client = Client(program, node, self.folder)
            shown.append(client.ok("operator", "raft", "list-peers").out)
            self.assertRegex(client.ok("status").out, "(?m)^HA Mode +standby$")
        self.assertEqual(shown[0], shown[1])
        self.assertEqual(shown[0].count("follower"), 2, shown[0])

    def test_each_node_saves_a_snapshot_that_is_whole_and_bao_takes_it_too(self):
        for node in self.cluster.nodes:
            for program in (harness.bao_program(), harness.STRONGROOM):
                self.expect(self.cluster.active().write(f"{self.mount}/x", {"by": node.name}), 204)
                file = f"{self.folder}/{node.name}-{uuid.uuid4()}.snap"
                client = Client(program, node, self.folder)
                client.ok("operator", "raft", "snapshot", "save", file)
                own = Client(harness.STRONGROOM, node, self.folder)
                said = own.json("operator", "raft", "snapshot", "inspect", file)
                checked = own.json("operator", "raft", "snapshot", "verify", file)
                self.assertEqual(said["Index"], checked["Index"])
                self.assertGreater(checked["Records"], 0)

    def test_a_snapshot_is_restored_through_each_node_by_each_command_line(self):
        vault = f"{self.folder}/vault"
        os.symlink(harness.STRONGROOM, vault)
        for node in self.cluster.nodes:
            for program in (harness.bao_program(), harness.STRONGROOM, vault):
                path = f"{self.mount}/{uuid.uuid4()}"
                active = self.cluster.active()
                self.expect(active.write(path, {"v": "before"}), 204)
                file = f"{self.folder}/{uuid.uuid4()}.snap"
                client = Client(program, node, self.folder)
                client.ok("operator", "raft", "snapshot", "save", file)
                self.expect(active.write(path, {"v": "after"}), 204)
                self.expect(active.write(f"{path}-new", {"v": "after"}), 204)
                client.ok("operator", "raft", "snapshot", "restore", file)
                for asked in self.cluster.nodes:
                    self.assertEqual(self.expect(asked.read(path), 200).data()["v"], "before")
                    self.expect(asked.read(f"{path}-new"), 404)
                client.ok("operator", "raft", "snapshot", "restore", "-force", file)
                self.assertEqual(self.expect(node.read(path), 200).data()["v"], "before")

    def test_what_is_no_snapshot_is_refused_by_each_node_and_changes_nothing(self):
        path = f"{self.mount}/{uuid.uuid4()}"
        self.expect(self.cluster.active().write(path, {"v": "kept"}), 204)
        good = f"{self.folder}/{uuid.uuid4()}.snap"
        Client(harness.STRONGROOM, self.cluster.nodes[0], self.folder).ok(
            "operator", "raft", "snapshot", "save", good
        )
        self.expect(self.cluster.active().write(path, {"v": "newer"}), 204)
        with open(good, "rb") as archive:
            whole = archive.read()
        bad = {"none": b"x" * 5_000_000, "cut": whole[:-9], "empty": b""}
        for node in self.cluster.nodes:
            for what, content in bad.items():
                file = f"{self.folder}/bad.snap"
                with open(file, "wb") as archive:
                    archive.write(content)
                for program in (harness.bao_program(), harness.STRONGROOM):
                    client = Client(program, node, self.folder)
                    refused = client.run("operator", "raft", "snapshot", "restore", file)
                    self.assertEqual(refused.status, 2, (what, refused))
            self.assertEqual(self.expect(node.read(path), 200).data()["v"], "newer")

    def test_a_snapshot_that_was_changed_is_refused(self):
        client = Client(harness.STRONGROOM, self.cluster.standbys()[0], self.folder)
        file = f"{self.folder}/changed.snap"
        client.ok("operator", "raft", "snapshot", "save", file)
        with open(file, "r+b") as archive:
            archive.truncate(archive.seek(0, 2) - 9)
        for command in ("inspect", "verify"):
            refused = client.run("operator", "raft", "snapshot", command, file)
            self.assertEqual(refused.status, 1, refused)
            self.assertIn("is no good", refused.err)

    def test_autopilot_is_shown_and_set_by_both_command_lines(self):
        node = self.cluster.standbys()[0]
        for program in (harness.bao_program(), harness.STRONGROOM):
            client = Client(program, node, self.folder)
            client.ok("operator", "raft", "autopilot", "set-config", "-max-trailing-logs=1234")
            shown = client.json("operator", "raft", "autopilot", "get-config")
            self.assertIn(1234, shown.values())
            state = client.json("operator", "raft", "autopilot", "state")
            self.assertIn("n1", str(state))

    def test_killing_the_leader_loses_nothing_at_the_other_nodes(self):
        active = self.cluster.active()
        others = [node for node in self.cluster.nodes if node is not active]
        self.under_load(others, active.process.kill)

    def test_stepping_down_is_not_noticed_anywhere(self):
        active = self.cluster.active()

        def step_down():
            self.expect(active.write("sys/step-down"), 204)
            wait_for("another to lead", lambda: not active.is_active() and self.cluster.active())

        self.under_load(self.cluster.nodes, step_down)

    def test_sigterm_of_the_leader_is_not_noticed_at_the_other_nodes(self):
        active = self.cluster.active()
        others = [node for node in self.cluster.nodes if node is not active]
        self.under_load(others, lambda: self.assertEqual(active.process.stop(), 0))

    def under_load(self, nodes, event):
        """Writers at these nodes, without tries of their own, while `event` happens. Every write is
        answered with 204, and every one is there afterwards.
        """
        count = {node.name: 0 for node in nodes}
        stop = threading.Event()

        def write(node):
            while not stop.is_set():
                number = count[node.name]
                answer = node.write(f"{self.mount}/{node.name}/{number}", {"n": number})
                self.expect(answer, 204)
                count[node.name] = number + 1

        with concurrent.futures.ThreadPoolExecutor(len(nodes)) as pool:
            writers = [pool.submit(write, node) for node in nodes]
            try:
                self.wait_for_progress(count, writers)
                event()
                self.wait_for_progress(count, writers)
            finally:
                stop.set()
            for writer in writers:
                writer.result()
        for node in nodes:
            keys = self.expect(node.list(f"{self.mount}/{node.name}"), 200).data()["keys"]
            expected = {str(number) for number in range(count[node.name])}
            self.assertLessEqual(expected, set(keys))

    def wait_for_progress(self, count, writers):
        """Until every writer has written twenty more, or one has failed."""
        before = dict(count)
        wait_for(
            "every writer to go on",
            lambda: any(writer.done() for writer in writers)
            or all(count[name] >= before[name] + 20 for name in count),
        )

    def test_of_two_hundred_clients_at_all_nodes_one_has_what_is_good_for_one_use(self):
        active = self.cluster.active()
        for kind in ("userpass", "approle"):
            path = f"{self.mount[3:9]}_{kind}"
            self.expect(active.write(f"sys/auth/{path}", {"type": kind}), 204)
        role = f"auth/{path}/role/once"
        self.expect(active.write(role, {"secret_id_num_uses": 1, "role_id": "once"}), 204)
        secret_id = active.write(f"{role}/secret-id").data()["secret_id"]
        token = active.write("auth/token/create", {"policies": "default", "num_uses": 1})
        wrapped = active.write("sys/wrapping/wrap", {"a": 1}, headers={"X-Vault-Wrap-TTL": "300"})
        wrapped = wrapped.json()["wrap_info"]["token"]
        rows = [
            ("a token", "GET", "auth/token/lookup-self", None, token.json()["auth"]["client_token"]),
            ("a wrapping token", "PUT", "sys/wrapping/unwrap", {}, wrapped),
            ("a secret id", "PUT", f"auth/{path}/login", {"role_id": "once", "secret_id": secret_id}, ""),
        ]
        for what, method, path, body, token in rows:
            with self.subTest(what), concurrent.futures.ThreadPoolExecutor(200) as pool:
                tries = [
                    pool.submit(self.cluster.nodes[number % 3].send, method, path, body, token=token)
                    for number in range(200)
                ]
                statuses = sorted(one.result().status for one in tries)
                self.assertEqual(statuses.count(200), 1, statuses)
                self.assertLessEqual(set(statuses), {200, 400, 403})

    def test_a_killed_node_catches_up_sealed_and_serves_once_unsealed(self):
        node = self.cluster.standbys()[0]
        node.process.kill()
        for number in range(30):
            answer = self.cluster.active().write(f"{self.mount}/{number}", {"n": number})
            self.expect(answer, 204)
        node.start()
        self.assertTrue(node.is_sealed())
        node.unseal().ready()
        for number in range(30):
            self.assertEqual(self.expect(node.read(f"{self.mount}/{number}"), 200).data(), {"n": number})

    def test_sealing_one_node_seals_that_node_alone(self):
        node = self.cluster.standbys()[0]
        self.expect(node.write("sys/seal"), 204)
        self.assertTrue(node.is_sealed())
        self.expect(node.read(f"{self.mount}/x"), 503)
        self.assertFalse(any(other.is_sealed() for other in self.cluster.nodes if other is not node))
        self.expect(self.cluster.active().write(f"{self.mount}/x", {"a": 1}), 204)

    def test_without_a_majority_nothing_is_acknowledged(self):
        standbys = self.cluster.standbys()
        active = self.cluster.active()
        for node in standbys:
            node.process.kill()
        answer = active.write(f"{self.mount}/lost", {"a": 1})
        self.expect(answer, 503)
        self.assertIn("retry-after", answer.headers)
        for node in standbys:
            node.start().unseal()
        self.assertEqual(self.cluster.active().write(f"{self.mount}/found", {"a": 1}).status, 204)

    def test_clients_of_haproxy_lose_nothing_when_the_leader_is_killed(self):
        program = harness.needs("haproxy")
        port = free_port()
        configuration = f"{self.folder}/haproxy.cfg"
        with open(configuration, "w") as file:
            file.write(deployed.haproxy(self.cluster.nodes, port, free_port()))
        self.lose_nothing_through([program, "-f", configuration, "-db"], port)

    def test_clients_of_nginx_lose_nothing_when_the_leader_is_killed(self):
        port = free_port()
        folder = tempfile.mkdtemp(dir=self.folder)
        ports = [node.port for node in self.cluster.nodes]
        self.lose_nothing_through(deployed.plain_nginx(folder, ports, port), port)

    def lose_nothing_through(self, proxy, port):
        """Every write through this proxy is answered with 204 or 200, and took effect once."""
        proxy = Process(proxy, self.folder, f"proxy-{port}", clean_env(self.folder))
        self.addCleanup(proxy.kill)
        fronts = [Server(f"http://127.0.0.1:{port}", self.cluster.root_token) for _ in range(2)]
        fronts[0].name, fronts[1].name = "front", "again"
        wait_for("the proxy", fronts[0].is_up)
        versions = f"versions-{port}"
        mounted = {"type": "kv", "options": {"version": "2"}}
        self.expect(self.cluster.active().write(f"sys/mounts/{versions}", mounted), 204)
        stop = threading.Event()

        def write_one_path(name):
            version = 0
            while not stop.is_set():
                version += 1
                body = {"data": {"n": version}}
                answer = fronts[0].write(f"{versions}/data/{name}", body)
                # One that took effect twice shows here.
                self.assertEqual(self.expect(answer, 200).data()["version"], version)
            return version

        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            writers = [pool.submit(write_one_path, str(number)) for number in range(4)]
            try:
                self.under_load(fronts, self.cluster.active().process.kill)
            finally:
                stop.set()
            for writer in writers:
                self.assertGreater(writer.result(), 0)

    def test_a_proxys_retry_takes_effect_once(self):
        mounted = {"type": "kv", "options": {"version": "2"}}
        self.expect(self.cluster.active().write("sys/mounts/retried", mounted), 204)
        now = int(time.time() * 1000)
        path = "retried/data/x"

        def write(node, headers, value=1):
            return node.write(path, {"data": {"a": value}}, headers=headers)

        headers = {"X-Strongroom-Request-Id": f"{now}-{uuid.uuid4()}"}
        answers = [write(node, headers) for node in self.cluster.nodes * 2]
        self.assertEqual([self.expect(answer, 200).data()["version"] for answer in answers], [1] * 6)
        self.expect(write(self.cluster.active(), headers, value=2), 400)
        late = {"X-Strongroom-Request-Id": f"{now - 60_000}-{uuid.uuid4()}"}
        self.expect(write(self.cluster.active(), late), 503)
        self.expect(write(self.cluster.active(), {"X-Strongroom-Request-Id": "mine"}), 400)
        self.assertEqual(self.expect(self.cluster.active().read(path), 200).data()["metadata"]["version"], 1)
