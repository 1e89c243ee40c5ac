"""Seals that open by themselves, against what they are made for: a module of PKCS #11, and AWS."""

import glob
import json
import pathlib
import socket
import socketserver
import subprocess
import sys
import tempfile
import threading
import urllib.request

from cluster import Cluster
from harness import Case, Process, clean_env, free_port, needs, wait_for

PIN = "98765432"


class Seals(Case):
    def cluster(self, more, env, count=1):
        cluster = Cluster(tempfile.mkdtemp(dir=self.folder), count, more_configuration=more)
        cluster.env = env
        self.addCleanup(cluster.stop)
        return cluster

    def initialise(self, cluster):
        first, *others = cluster.nodes
        first.write_configuration([])
        first.start()
        answer = first.write("sys/init", {"recovery_shares": 3, "recovery_threshold": 2}, token="")
        made = self.expect(answer, 200).json()
        cluster.set_keys(made["recovery_keys"], made["root_token"])
        for node in others:
            node.start()
        for node in cluster.nodes:
            node.ready()
        wait_for("all to vote", lambda: cluster.voters() == {node.name for node in cluster.nodes})
        active = cluster.active()
        self.expect(active.write("sys/mounts/kv", {"type": "kv"}), 204)
        self.expect(active.write("kv/x", {"a": "1"}), 204)
        return cluster

    def restart(self, node):
        node.process.kill()
        return node.start()

    def reconfigured(self, cluster, more):
        [node] = cluster.nodes
        cluster.more_configuration = more
        node.write_configuration([])
        return self.restart(node)

    def open_again(self, cluster):
        """All killed, and started without anybody's help."""
        for node in cluster.nodes:
            node.process.kill()
        for node in cluster.nodes:
            node.start()
        for node in cluster.nodes:
            node.ready()
        self.reads(*cluster.nodes)

    def healthy(self, node):
        """Whether each seal answers, as the server says."""
        answer = self.expect(node.read("sys/seal-backend-status", token=""), 200).data()
        return {backend["name"]: backend["healthy"] for backend in answer["backends"]}

    def reads(self, *nodes):
        for node in nodes:
            self.assertEqual(self.expect(node.read("kv/x"), 200).data(), {"a": "1"})


class Pkcs11(Seals):
    def setUp(self):
        util, self.tool = needs("softhsm2-util"), needs("pkcs11-tool")
        found = glob.glob("/usr/lib/softhsm/*.so") + glob.glob("/usr/lib/*/softhsm/*.so")
        self.library = next(path for path in found if path.endswith("libsofthsm2.so"))
        self.tokens = pathlib.Path(tempfile.mkdtemp(dir=self.folder))
        (self.tokens / "conf").write_text(
            f"directories.tokendir = {self.tokens}\nobjectstore.backend = file\nlog.level = ERROR\n"
        )
        self.env = {"SOFTHSM2_CONF": str(self.tokens / "conf")}
        self.run_tool(util, "--init-token", "--free", "--label", "strong", "--so-pin", PIN, "--pin", PIN)

    def run_tool(self, *arguments):
        done = subprocess.run(
            arguments, env=clean_env(self.folder, **self.env), capture_output=True, text=True, timeout=60
        )
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def key(self, label, kind="AES:32", identity="01"):
        make = "--keygen" if kind.startswith("AES") else "--keypairgen"
        self.run_tool(
            self.tool, "--module", self.library, "--token-label", "strong", "--login", "--pin", PIN,
            make, "--key-type", kind, "--label", label, "--id", identity,
        )  # fmt: skip

    def seal(self, label="k", more="", pin=PIN):
        return (
            f'seal "pkcs11" {{\n  lib = "{self.library}"\n  token_label = "strong"\n'
            f'  pin = "{pin}"\n  key_label = "{label}"\n{more}}}\n'
        )

    def test_an_aes_key_of_a_module_opens_three_nodes_and_may_be_followed_by_another(self):
        self.key("k")
        three = self.initialise(self.cluster(self.seal(), self.env, 3))
        self.assertEqual(three.active().seal_status()["type"], "pkcs11")
        self.assertEqual(self.healthy(three.nodes[1]), {"pkcs11": True})
        self.open_again(three)
        # By the old key what it has wrapped, by the new one from then on.
        self.key("k2", identity="02")
        three.more_configuration = self.seal("k2")
        for node in three.nodes:
            node.write_configuration([peer for peer in three.nodes if peer is not node])
            self.restart(node).ready()
        wait_for(
            "the new key to wrap",
            lambda: any("wrapped by the seals" in node.process.output() for node in three.nodes),
        )
        self.reads(*three.nodes)

    def test_an_rsa_key_of_a_module_opens_a_node(self):
        self.key("k", "rsa:2048", "0a")
        # All that SoftHSM knows of OAEP is SHA-1.
        one = self.initialise(
            self.cluster(self.seal(more='  key_id = "0a"\n  rsa_oaep_hash = "sha1"\n'), self.env)
        )
        [node] = one.nodes
        self.restart(node).ready()
        self.reads(node)

    def test_a_module_without_key_token_or_the_right_pin_is_told(self):
        one = self.cluster(self.seal(), self.env)
        [node] = one.nodes
        node.write_configuration([])
        node.start()
        refused = node.write("sys/init", {"recovery_shares": 1, "recovery_threshold": 1}, token="")
        self.assertIn("no AES or RSA key with label=k", refused.json()["errors"][0])
        self.assertFalse(node.seal_status()["initialized"])
        self.key("k")
        # Many would lock the token; one is remembered.
        self.reconfigured(one, self.seal(pin="1111"))
        for _ in range(3):
            body = {"recovery_shares": 1, "recovery_threshold": 1}
            refused = node.write("sys/init", body, token="")
            self.assertIn("does not take `pin`", refused.json()["errors"][0])
        self.assertEqual(self.healthy(node), {"pkcs11": False})
        self.reconfigured(one, self.seal().replace('"strong"', '"other"'))
        refused = node.write("sys/init", {"recovery_shares": 1, "recovery_threshold": 1}, token="")
        self.assertIn('no token at Label("other")', refused.json()["errors"][0])
        self.reconfigured(one, self.seal())
        self.initialise_again(one)

    def initialise_again(self, cluster):
        [node] = cluster.nodes
        body = {"recovery_shares": 1, "recovery_threshold": 1}
        made = self.expect(node.write("sys/init", body, token=""), 200).json()
        cluster.set_keys(made["recovery_keys"], made["root_token"])
        node.ready()


class Way:
    """A port that leads to another one, while it is open."""

    def __init__(self, target):
        self.target, self.port, self.server = target, free_port(), None
        self.open()

    def open(self):
        target = self.target

        class Handler(socketserver.BaseRequestHandler):
            def handle(self):
                with socket.create_connection(("127.0.0.1", target)) as other:
                    back = threading.Thread(target=carry, args=(other, self.request))
                    back.start()
                    carry(self.request, other)
                    back.join()

        class Server(socketserver.ThreadingTCPServer):
            allow_reuse_address = True
            daemon_threads = True

        self.server = Server(("127.0.0.1", self.port), Handler)
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self):
        if self.server:
            self.server.shutdown()
            # Not those that are at work: a node that was killed has none.
            socketserver.TCPServer.server_close(self.server)
            self.server = None


def carry(source, target):
    try:
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        pass


class AwsKms(Seals):
    def setUp(self):
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.start_aws()
        self.env = {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret"}

    def start_aws(self):
        arguments = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(self.port)]
        self.aws = Process(arguments, self.folder, f"aws-{self.port}", clean_env(self.folder))
        self.addCleanup(self.aws.kill)
        wait_for("the stand-in for AWS", self.is_up)

    def is_up(self):
        self.assertTrue(self.aws.is_running(), self.aws.output())
        try:
            urllib.request.urlopen(f"{self.url}/moto-api/", timeout=5).read()
        except OSError:
            return False
        return True

    def ask(self, action, **body):
        request = urllib.request.Request(
            self.url,
            json.dumps(body).encode(),
            {
                "X-Amz-Target": f"TrentService.{action}",
                "Content-Type": "application/x-amz-json-1.1",
                "Authorization": "AWS4-HMAC-SHA256 Credential=a/20260101/eu-west-1/kms/aws4_request, "
                "SignedHeaders=host, Signature=0",
            },
        )
        return json.load(urllib.request.urlopen(request, timeout=10) or "{}")

    def key(self):
        return self.ask("CreateKey")["KeyMetadata"]["KeyId"]

    def seal(self, key, more=""):
        return (
            f'seal "awskms" {{\n  region = "eu-west-1"\n  kms_key_id = "{key}"\n'
            f'  endpoint = "{self.url}"\n{more}}}\n'
        )

    def test_a_key_of_kms_opens_three_nodes(self):
        three = self.initialise(self.cluster(self.seal(self.key()), self.env, 3))
        self.assertEqual(three.active().seal_status()["type"], "awskms")
        self.assertEqual(self.healthy(three.nodes[2]), {"awskms": True})
        self.open_again(three)

    def test_a_node_waits_for_kms_and_opens_once_it_answers(self):
        key, way = self.key(), Way(self.port)
        self.addCleanup(way.close)
        self.url = f"http://127.0.0.1:{way.port}"
        one = self.initialise(self.cluster(self.seal(key), self.env))
        [node] = one.nodes
        way.close()
        self.restart(node)
        node.process.wait_for_output("the key service cannot be reached")
        self.assertTrue(node.is_sealed())
        way.open()
        node.ready()
        self.reads(node)

    def test_a_key_that_is_not_there_founds_nothing(self):
        one = self.cluster(self.seal("alias/none"), self.env)
        [node] = one.nodes
        node.write_configuration([])
        node.start()
        refused = node.write("sys/init", {"recovery_shares": 1, "recovery_threshold": 1}, token="")
        self.assertIn("NotFoundException", refused.json()["errors"][0])
        self.assertFalse(node.seal_status()["initialized"])
