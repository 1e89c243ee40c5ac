"""Keys and seals on real nodes: rotation, rekey, root tokens, PGP, seals that open by themselves."""

import base64
import os
import pathlib
import shutil
import subprocess
import tempfile
import threading

import harness
from cluster import Cluster
from harness import Case, Client, needs, start_bao, wait_for

KEY_A = "00" * 31 + "0a"
KEY_B = "00" * 31 + "0b"


def static(key_id, key, more=""):
    return f'seal "static" {{\n  current_key_id = "{key_id}"\n  current_key = "{key}"\n{more}}}\n'


class Keys(Case):
    def cluster(self, count=1, more=""):
        cluster = Cluster(tempfile.mkdtemp(dir=self.folder), count, more_configuration=more)
        self.addCleanup(cluster.stop)
        return cluster

    def rekey(self, node, shares, **begin):
        """The last answer to a threshold of shares."""
        begun = self.expect(node.write("sys/rekey/init", begin, token=""), 200).json()
        for share in shares:
            body = {"key": share, "nonce": begun["nonce"]}
            answer = self.expect(node.write("sys/rekey/update", body, token=""), 200).json()
        self.assertTrue(answer["complete"], answer)
        return answer

    def restart(self, node):
        node.process.kill()
        return node.start()

    def refused_soon(self, node, shares, count):
        """The node is sealed, and these shares do not open it once it has the log."""

        def look():
            # What it has not applied yet it cannot know: then it opens, and once it has the log it is
            # sealed again, which a restart from the same disk would not show.
            if not node.is_sealed():
                node.ready()
                self.expect(node.write("sys/seal", {}), 204)
            wait_for("the log", lambda: (status := node.seal_status()) and status["n"] == count)
            for share in shares:
                answer = node.write("sys/unseal", {"key": share}, token="")
            return answer.status == 400

        wait_for("old shares to be refused", look)
        self.expect(node.write("sys/unseal", {"reset": True}, token=""), 200)


class ThreeNodes(Keys):
    def setUp(self):
        self.three = self.cluster(3).start()
        self.expect(self.three.active().write("sys/mounts/kv", {"type": "kv"}), 204)

    def test_a_rekey_and_rotations_under_writes_reach_every_node_and_outlive_kills(self):
        three = self.three
        off = three.standbys()[0]
        off.process.kill()
        written, failed, done = [], [], threading.Event()

        def write():
            number = 0
            while not done.is_set():
                answer = three.active().write(f"kv/{number}", {"n": number})
                (written if answer.status == 204 else failed).append(number)
                number += 1

        writer = threading.Thread(target=write)
        writer.start()
        try:
            through = three.standbys()[0]
            for _ in range(3):
                self.expect(through.write("sys/rotate", {}), 204)
            old = three.shares
            answer = self.rekey(through, old[:2], secret_shares=4, secret_threshold=2)
            self.expect(through.write("sys/rotate", {}), 204)
        finally:
            done.set()
            writer.join()
        self.assertEqual(failed, [])
        self.assertEqual(self.expect(three.active().read("sys/key-status"), 200).data()["term"], 5)
        new = answer["keys"]
        # At once: old or new shares open, whichever arrived.
        killed = three.active()
        for node in three.running():
            node.process.kill()
        for node in three.nodes:
            node.start()
        three.set_keys(new, three.root_token)
        for node in three.nodes:
            node.unseal().ready()
        for number in (written[0], written[-1]):
            for node in three.nodes:
                self.assertEqual(self.expect(node.read(f"kv/{number}"), 200).data(), {"n": number})
        self.restart(killed)
        self.refused_soon(killed, old[:2], 4)
        killed.unseal().ready()

    def test_a_change_of_leader_in_the_middle_says_that_shares_must_be_given_again(self):
        three = self.three
        begun = self.expect(
            three.active().write(
                "sys/rekey/init", {"secret_shares": 1, "secret_threshold": 1}, token=""
            ),
            200,
        ).json()
        body = {"key": three.shares[0], "nonce": begun["nonce"]}
        self.expect(three.active().write("sys/rekey/update", body, token=""), 200)
        lost = three.active()
        lost.process.kill()
        wait_for("another leader", lambda: three.active() is not lost)
        body["key"] = three.shares[1]
        answer = self.expect(three.active().write("sys/rekey/update", body, token=""), 400)
        self.assertIn("another node has become active since", answer.json()["errors"][0])
        self.restart(lost).unseal()

    def test_with_verification_a_kill_before_its_end_leaves_the_old_shares(self):
        three = self.three
        answer = self.rekey(
            three.active(),
            three.shares[:2],
            secret_shares=3,
            secret_threshold=2,
            require_verification=True,
        )
        new = answer["keys"]
        body = {"key": new[0], "nonce": answer["verification_nonce"]}
        self.expect(three.active().write("sys/rekey/verify", body, token=""), 200)
        for node in three.running():
            node.process.kill()
        for node in three.nodes:
            node.start()
        self.refused_soon(three.nodes[0], new[:2], 3)
        for node in three.nodes:
            node.unseal().ready()
        answer = self.rekey(
            three.active(),
            three.shares[:2],
            secret_shares=4,
            secret_threshold=2,
            require_verification=True,
        )
        for share in answer["keys"][:2]:
            body = {"key": share, "nonce": answer["verification_nonce"]}
            done = self.expect(three.active().write("sys/rekey/verify", body, token=""), 200)
        self.assertTrue(done.json()["complete"])
        node = self.restart(three.standbys()[0])
        self.refused_soon(node, three.shares[:2], 4)
        node.unseal(answer["keys"]).ready()


class CommandLines(Keys):
    def setUp(self):
        self.one = self.cluster().start()
        [self.node] = self.one.nodes

    def rounds(self, program):
        client = Client(program, self.node, self.folder)
        client.token = self.one.root_token
        self.assertIn("Success", client.ok("operator", "rotate").out)
        self.assertIn("Key Term", client.ok("operator", "key-status").out)

        begun = client.json("operator", "rekey", "-init", "-key-shares=3", "-key-threshold=2")
        nonce = begun["nonce"]
        client.json("operator", "rekey", f"-nonce={nonce}", self.one.shares[0])
        made = client.json("operator", "rekey", f"-nonce={nonce}", self.one.shares[1])
        self.assertEqual((len(made["keys_base64"]), made["complete"]), (3, True))
        self.one.set_keys(made["keys_base64"], self.one.root_token)

        begun = client.json("operator", "generate-root", "-init")
        nonce, otp = begun["nonce"], begun["otp"]
        client.json("operator", "generate-root", f"-nonce={nonce}", made["keys_base64"][0])
        done = client.json("operator", "generate-root", f"-nonce={nonce}", made["keys_base64"][2])
        encoded = done["encoded_root_token"]
        token = client.ok("operator", "generate-root", f"-decode={encoded}", f"-otp={otp}").out.strip()
        found = self.expect(self.node.read("auth/token/lookup-self", token=token), 200)
        self.assertEqual(found.data()["policies"], ["root"])

        client.ok("operator", "rekey", "-init", "-key-shares=1", "-key-threshold=1")
        client.ok("operator", "rekey", "-cancel")
        self.assertFalse(client.json("operator", "rekey", "-status")["started"])
        self.restart(self.node).unseal()

    def test_strongroom_rotates_rekeys_and_generates_a_root_token(self):
        self.rounds(harness.STRONGROOM)

    def test_bao_rotates_rekeys_and_generates_a_root_token(self):
        # Its commands ask for what needs a token there; the paths without are Vault's.
        client = Client(harness.bao_program(), self.node, self.folder)
        client.token = self.one.root_token
        self.assertIn("Success", client.ok("operator", "rotate").out)
        self.assertIn("Key Term", client.ok("operator", "key-status").out)

    def test_hvac_rekeys_and_generates_a_root_token(self):
        try:
            import hvac
        except ImportError:
            self.skipTest("hvac is missing")
        client = hvac.Client(self.node.address, token=self.one.root_token)
        client.sys.rotate_encryption_key()
        self.assertEqual(client.sys.get_encryption_key_status()["term"], 2)
        begun = client.sys.start_rekey(secret_shares=1, secret_threshold=1)
        made = client.sys.rekey_multi(self.one.shares[:2], nonce=begun["nonce"])
        self.assertTrue(made["complete"])
        self.one.set_keys(made["keys"], self.one.root_token)
        otp = "abcdefghijklmnopqrstuvwxyz01"
        begun = client.sys.start_root_token_generation(otp=otp)
        done = client.sys.generate_root(key=made["keys"][0], nonce=begun["nonce"])
        encoded = base64.b64decode(done["encoded_token"] + "==")
        token = bytes(a ^ b for a, b in zip(encoded, otp.encode())).decode()
        self.assertTrue(hvac.Client(self.node.address, token=token).is_authenticated())


class Pgp(Keys):
    def setUp(self):
        needs("gpg")
        self.home = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.home, ignore_errors=True)
        self.addCleanup(subprocess.run, ["gpgconf", "--homedir", self.home, "--kill", "all"])
        self.gpg("--quick-generate-key", "a@example.org", "default", "default", "never")
        self.binary = self.gpg("--export")
        self.file = pathlib.Path(self.home) / "a.asc"
        self.file.write_bytes(self.gpg("--armor", "--export"))
        self.one = self.cluster()
        [self.node] = self.one.nodes
        self.node.start()

    def gpg(self, *arguments, input=b""):
        fixed = ["gpg", "--homedir", self.home, "--batch", "--quiet", "--passphrase", ""]
        done = subprocess.run(
            [*fixed, "--pinentry-mode", "loopback", *arguments],
            input=input,
            capture_output=True,
            env={"PATH": os.environ["PATH"]},
        )
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def read(self, text):
        return self.gpg("--decrypt", input=base64.b64decode(text)).decode()

    def test_shares_and_root_token_are_for_their_holders_alone(self):
        client = Client(harness.STRONGROOM, self.node, self.folder)
        files = f"{self.file},{self.file}"
        made = client.json(
            "operator", "init", "-key-shares=2", "-key-threshold=2",
            f"-pgp-keys={files}", f"-root-token-pgp-key={self.file}",
        )
        shares = [self.read(text) for text in made["unseal_keys_b64"]]
        self.one.set_keys(shares, self.read(made["root_token"]))
        self.node.unseal()
        wait_for("the node to be active", self.node.is_active)
        self.expect(self.node.read("sys/mounts"), 200)

        key = base64.b64encode(self.binary).decode()
        answer = self.rekey(
            self.node, shares, secret_shares=2, secret_threshold=2, pgp_keys=[key, key], backup=True
        )
        kept = self.expect(self.node.read("sys/rekey/backup"), 200).data()
        [print] = set(answer["pgp_fingerprints"])
        self.assertEqual(kept["keys_base64"], {print: answer["keys_base64"]})
        self.expect(self.node.delete("sys/rekey/backup"), 204)
        self.expect(self.node.read("sys/rekey/backup"), 400)
        shares = [self.read(text) for text in answer["keys_base64"]]
        self.restart(self.node).unseal(shares)
        wait_for("the node to be active", self.node.is_active)

        body = {"pgp_key": key}
        begun = self.expect(self.node.write("sys/generate-root/attempt", body, token=""), 200).json()
        self.assertEqual(begun["pgp_fingerprint"], print)
        for share in shares:
            body = {"key": share, "nonce": begun["nonce"]}
            done = self.node.write("sys/generate-root/update", body, token="")
        token = self.read(self.expect(done, 200).json()["encoded_token"])
        self.expect(self.node.read("auth/token/lookup-self", token=token), 200)


class OpenByThemselves(Keys):
    def initialise(self, cluster, **body):
        first = cluster.nodes[0]
        first.write_configuration([])
        first.start()
        made = self.expect(first.write("sys/init", body, token=""), 200).json()
        cluster.set_keys(made.get("recovery_keys", []), made["root_token"])
        wait_for("the first node to be active", first.is_active)
        return made

    def test_nodes_join_and_open_after_each_start_without_anyone(self):
        three = self.cluster(3, static("a", KEY_A))
        made = self.initialise(three, recovery_shares=3, recovery_threshold=2)
        self.assertEqual((made["keys"], len(made["recovery_keys"])), ([], 3))
        for node in three.nodes[1:]:
            node.start()
        for node in three.nodes:
            node.ready()
        status = three.nodes[1].seal_status()
        self.assertEqual((status["type"], status["recovery_seal"]), ("static", True))
        self.assertEqual((status["t"], status["n"]), (2, 3))
        for node in three.nodes:
            node.process.kill()
        for node in three.nodes:
            node.start()
        for node in three.nodes:
            node.ready()
        self.expect(three.active().write("sys/rotate/root", {}), 204)
        self.restart(three.standbys()[0]).ready()
        self.root_token_by_recovery_shares(three)
        answer = self.expect(three.active().read("sys/seal-backend-status"), 200).data()
        self.assertTrue(answer["healthy"], answer)

    def root_token_by_recovery_shares(self, cluster):
        node = cluster.active()
        begun = self.expect(node.write("sys/generate-root/attempt", {}, token=""), 200).json()
        for share in cluster.shares[:2]:
            body = {"key": share, "nonce": begun["nonce"]}
            done = self.expect(node.write("sys/generate-root/update", body, token=""), 200).json()
        self.assertTrue(done["complete"])
        begin = {"secret_shares": 1, "secret_threshold": 1}
        answer = node.write("sys/rekey-recovery-key/init", begin, token="")
        nonce = self.expect(answer, 200).json()["nonce"]
        for share in cluster.shares[:2]:
            answer = node.write("sys/rekey-recovery-key/update", {"key": share, "nonce": nonce}, token="")
        cluster.set_keys(self.expect(answer, 200).json()["keys"], cluster.root_token)

    def reconfigured(self, cluster, more):
        [node] = cluster.nodes
        cluster.more_configuration = more
        node.write_configuration([])
        return self.restart(node)

    def test_the_key_of_the_configuration_may_change_and_a_second_seal_saves_the_data(self):
        one = self.cluster(1, static("a", KEY_A))
        self.initialise(one)
        [node] = one.nodes
        self.expect(node.write("sys/mounts/kv", {"type": "kv"}), 204)
        self.expect(node.write("kv/x", {"a": "1"}), 204)
        previous = f'  previous_key_id = "a"\n  previous_key = "{KEY_A}"\n'
        self.reconfigured(one, static("b", KEY_B, previous)).ready()
        node.process.wait_for_output("wrapped by the seals of the configuration")
        two = static("b", KEY_B, '  name = "first"\n') + static(
            "c", KEY_A, '  name = "second"\n  priority = 2\n'
        )
        self.reconfigured(one, two).ready()
        log = node.process.log
        wait_for("both to wrap", lambda: log.read_text().count("wrapped by the seals") == 2)
        # The first is lost.
        self.reconfigured(one, static("c", KEY_A, '  name = "second"\n')).ready()
        self.assertEqual(self.expect(node.read("kv/x"), 200).data(), {"a": "1"})

    def test_a_seal_is_migrated_to_a_key_and_back_to_shares(self):
        one = self.cluster().start()
        [node] = one.nodes
        self.reconfigured(one, static("a", KEY_A))
        wait_for("the log to be read", lambda: node.seal_status()["migration"])
        refused = node.write("sys/unseal", {"key": one.shares[0]}, token="")
        self.assertIn("migrate", self.expect(refused, 400).json()["errors"][0])
        client = Client(harness.STRONGROOM, node, self.folder)
        for share in one.shares[:2]:
            client.ok("operator", "unseal", "-migrate", share)
        node.process.wait_for_output("the seal has been migrated")
        self.restart(node).ready()
        status = node.seal_status()
        self.assertEqual((status["type"], status["t"], status["n"]), ("static", 2, 3))

        self.reconfigured(one, static("a", KEY_A, '  disabled = "true"\n'))
        wait_for("the log to be read", lambda: node.seal_status()["migration"])
        wrong = [share[:-4] + "abcd" for share in one.shares]
        self.expect(node.write("sys/unseal", {"key": wrong[0], "migrate": True}, token=""), 200)
        self.expect(node.write("sys/unseal", {"key": wrong[1], "migrate": True}, token=""), 400)
        for share in one.shares[1:]:
            body = {"key": share, "migrate": True}
            self.expect(node.write("sys/unseal", body, token=""), 200)
        log = node.process.log
        wait_for("the move back", lambda: log.read_text().count("has been migrated") == 2)
        self.reconfigured(one, "")
        wait_for("the log to be read", lambda: node.seal_status()["type"] == "shamir")
        node.unseal()
        wait_for("the node to be active", node.is_active)

    def test_transit_of_openbao_opens_once_it_is_there_again(self):
        bao = start_bao(self.folder)
        self.addCleanup(bao.stop)
        self.expect(bao.write("sys/mounts/transit", {"type": "transit"}), 204)
        self.expect(bao.write("transit/keys/unseal", {}), 200)
        seal = (
            f'seal "transit" {{\n  address = "{bao.address}"\n  token = "{bao.token}"\n'
            '  key_name = "unseal"\n  mount_path = "transit/"\n}\n'
        )
        one = self.cluster(1, seal)
        self.initialise(one, recovery_shares=1, recovery_threshold=1)
        [node] = one.nodes
        self.restart(node).ready()
        self.assertEqual(node.seal_status()["type"], "transit")
        # Refused is tried again, as unreachable is.
        self.expect(bao.write("transit/keys/unseal/config", {"min_decryption_version": 1}), 200)
        self.expect(bao.write("sys/remount", {"from": "transit", "to": "away"}), 200)
        self.restart(node)
        node.process.wait_for_output('still sealed: it is tried again')
        self.assertTrue(node.is_sealed())
        wait_for(
            "the way back",
            lambda: bao.write("sys/remount", {"from": "away", "to": "transit"}).status == 200,
        )
        node.ready()
