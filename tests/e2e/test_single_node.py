"""One replicated node: initialise, unseal, seal, and what is left after a crash."""

import pathlib
import tempfile

import harness
from cluster import SHARES, THRESHOLD, Cluster
from harness import Case, Client, wait_for


class SingleNode(Case):
    def setUp(self):
        self.cluster = Cluster(tempfile.mkdtemp(dir=self.folder), count=1)
        self.addCleanup(self.cluster.stop)
        [self.node] = self.cluster.nodes
        self.node.start()

    def client(self, program):
        return Client(program, self.node, self.folder)

    def initialise(self):
        answer = self.node.write(
            "sys/init", {"secret_shares": SHARES, "secret_threshold": THRESHOLD}, token=""
        )
        made = self.expect(answer, 200).json()
        self.cluster.set_keys(made["keys"], made["root_token"])
        self.node.unseal()
        wait_for("the node to be active", self.node.is_active)
        self.expect(self.node.write("sys/mounts/kv", {"type": "kv"}), 204)

    def life_of_a_server(self, program):
        client = self.client(program)
        self.assertEqual(client.run("status").status, 2)
        self.assertEqual(client.run("operator", "init", "-status").status, 2)
        made = client.json("operator", "init", "-key-shares=5", "-key-threshold=3")
        self.assertEqual(len(made["unseal_keys_b64"]), 5)
        self.assertEqual((made["unseal_shares"], made["unseal_threshold"]), (5, 3))
        self.assertNotEqual(client.run("operator", "init").status, 0)
        for number, share in enumerate(made["unseal_keys_b64"][1:4]):
            status = client.json("operator", "unseal", share)
            self.assertEqual(status["sealed"], number < 2, status)
        wait_for("the node to be active", self.node.is_active)
        client.token = self.node.token = made["root_token"]
        client.ok("secrets", "enable", "-version=2", "-path=secret", "kv")
        client.ok("kv", "put", "secret/a", "x=1")
        self.assertEqual(client.json("status")["storage_type"], "raft")
        peers = client.ok("operator", "raft", "list-peers").out
        self.assertRegex(peers, r"(?m)^n1 .*leader +true")
        client.ok("operator", "seal")
        self.assertEqual(client.run("status").status, 2)
        refused = client.run("kv", "get", "secret/a")
        self.assertIn("Vault is sealed", refused.err)
        for share in made["unseal_keys_hex"][2:5]:
            client.ok("operator", "unseal", share)
        wait_for("the node to be active", self.node.is_active)
        self.assertEqual(client.ok("kv", "get", "-field=x", "secret/a").out.strip(), "1")

    def test_bao_initialises_unseals_seals_and_unseals_again(self):
        self.life_of_a_server(harness.bao_program())

    def test_our_command_line_initialises_unseals_seals_and_unseals_again(self):
        self.life_of_a_server(harness.STRONGROOM)

    def test_before_init_health_is_501_and_nothing_is_served(self):
        self.assertEqual(self.node.health(), 501)
        self.assertEqual(self.node.send("GET", "sys/health?uninitcode=204", token="").status, 204)
        self.expect(self.node.write("sys/unseal", {"key": "00" * 33}, token=""), 400)
        self.expect(self.node.read("sys/mounts", token="x"), 503)

    def test_shares_that_cannot_be_are_refused(self):
        for shares, threshold in [(0, 0), (1, 2), (3, 1), (256, 2), (-1, 1), (3, 0), (3, 4)]:
            with self.subTest(shares=shares, threshold=threshold):
                body = {"secret_shares": shares, "secret_threshold": threshold}
                self.expect(self.node.write("sys/init", body, token=""), 400)
        self.assertEqual(self.node.health(), 501)

    def test_a_second_init_is_400(self):
        self.initialise()
        body = {"secret_shares": 1, "secret_threshold": 1}
        answer = self.expect(self.node.write("sys/init", body, token=""), 400)
        self.assertEqual(answer.errors(), ["Vault is already initialized"])

    def test_wrong_shares_unseal_nothing_and_right_ones_still_do(self):
        self.initialise()
        self.expect(self.node.write("sys/seal"), 204)
        self.assertEqual(self.node.health(), 503)
        wrong = ["01" * 33, "02" * 32 + "07"]
        self.expect(self.node.write("sys/unseal", {"key": wrong[0]}, token=""), 200)
        self.expect(self.node.write("sys/unseal", {"key": wrong[1]}, token=""), 400)
        status = self.node.seal_status()
        self.assertEqual((status["sealed"], status["progress"]), (True, 0))
        # The same share twice is one share.
        for _ in range(2):
            answer = self.node.write("sys/unseal", {"key": self.cluster.shares[0]}, token="")
            self.assertEqual(self.expect(answer, 200).json()["progress"], 1)
        reset = self.expect(self.node.write("sys/unseal", {"reset": True}, token=""), 200).json()
        self.assertEqual((reset["progress"], reset["nonce"]), (0, ""))
        self.node.unseal(self.cluster.shares[1:])

    def test_what_was_acknowledged_is_there_after_kill_9(self):
        self.initialise()
        for number in range(20):
            self.expect(self.node.write(f"kv/k/{number}", {"n": number}), 204)
        self.node.process.kill()
        self.node.start()
        self.assertEqual(self.node.health(), 503)
        self.expect(self.node.read("kv/k/0"), 503)
        self.node.unseal()
        wait_for("the node to be active", self.node.is_active)
        for number in range(20):
            self.assertEqual(self.node.read(f"kv/k/{number}").data(), {"n": number})

    def test_sigterm_ends_it_cleanly_and_it_comes_back_sealed(self):
        self.initialise()
        self.expect(self.node.write("kv/x", {"a": 1}), 204)
        self.assertEqual(self.node.process.stop(), 0, self.node.process.output())
        self.node.start()
        self.assertTrue(self.node.is_sealed())
        self.node.unseal()
        wait_for("the node to be active", self.node.is_active)
        self.assertEqual(self.node.read("kv/x").data(), {"a": 1})

    def test_nothing_readable_is_on_disk(self):
        self.initialise()
        secrets = [b"canary-of-a-value", b"canary-of-a-name", b"canary-of-a-path"]
        self.expect(
            self.node.write("kv/canary-of-a-path/canary-of-a-name", {"k": "canary-of-a-value"}), 204
        )
        secrets.append(self.cluster.root_token.encode())
        secrets += [bytes.fromhex(share) for share in self.cluster.shares]
        secrets += [share.encode() for share in self.cluster.shares]
        self.assertEqual(self.node.process.stop(), 0)
        files = [file for file in pathlib.Path(self.node.folder).rglob("*") if file.is_file()]
        self.assertTrue(any(file.stat().st_size > 0 for file in files if "data" in file.parts))
        for file in files:
            content = file.read_bytes()
            for secret in secrets:
                self.assertNotIn(secret, content, file)

    def test_files_are_for_their_owner_alone(self):
        self.initialise()
        for file in (self.node.folder / "data").rglob("*"):
            self.assertEqual(file.stat().st_mode & 0o077, 0, file)

    def test_what_cannot_be_a_share_is_400_and_forgets_no_share(self):
        self.initialise()
        self.expect(self.node.write("sys/seal"), 204)
        first, second, _ = self.cluster.shares
        self.expect(self.node.write("sys/unseal", {"key": first}, token=""), 200)
        missing = "'key' must be specified in request body as JSON, or 'reset' set to true"
        text = "'key' must be a valid hex or base64 string"
        for body, told in [
            ({}, missing),
            ({"key": ""}, missing),
            ({"key": None}, missing),
            ({"key": "hello world"}, text),
            ({"key": "\u00e9" * 10}, text),
            ({"key": "00"}, "invalid key: key is shorter than minimum 33 bytes"),
            ({"key": "01" * 40}, "invalid key: key is longer than maximum 33 bytes"),
            ({"key": ["a"]}, 'error converting input for field "key"'),
            ({"key": second, "reset": "x"}, 'error converting input for field "reset"'),
            ([], "failed to decode JSON input"),
        ]:
            with self.subTest(body=body):
                [error] = self.expect(self.node.write("sys/unseal", body, token=""), 400).errors()
                self.assertIn(told, error)
                status = self.node.seal_status()
                self.assertEqual((status["sealed"], status["progress"]), (True, 1))
        self.expect(self.node.write("sys/unseal", {"key": second}, token=""), 200)
        wait_for("the node to be active", self.node.is_active)
        self.assertIn("kv/", self.node.read("sys/mounts").data())

    def test_a_value_over_max_entry_size_is_413_and_what_was_there_stays(self):
        self.limits("max_entry_size = 131072")
        self.initialise()
        small, large = "x" * (120 << 10), "x" * (128 << 10)
        self.expect(self.node.write("kv/a", {"a": small}), 204)
        [error] = self.expect(self.node.write("kv/a", {"a": large}), 413).errors()
        told = f"put failed due to value being too large; got {len(large) + 8} bytes, max: 131072 bytes"
        self.assertEqual(error, told)
        self.assertEqual(self.node.read("kv/a").data(), {"a": small})

    def test_a_request_over_max_transaction_size_is_413_and_what_was_there_stays(self):
        # The value alone is not too large.
        self.limits('max_entry_size = "1MiB"\n  max_transaction_size = "1MiB"')
        self.initialise()
        self.expect(self.node.write("kv/a", {"a": "small"}), 204)
        value = "x" * ((1 << 20) - 8)
        [error] = self.expect(self.node.write("kv/a", {"a": value}), 413).errors()
        self.assertIn("a transaction may have 1048576 (max_transaction_size)", error)
        self.assertEqual(self.node.read("kv/a").data(), {"a": "small"})

    def limits(self, keys):
        self.node.process.stop()
        file = self.node.folder / "node.hcl"
        file.write_text(file.read_text().replace("storage \"raft\" {\n", f'storage "raft" {{\n  {keys}\n'))
        self.node.start()
