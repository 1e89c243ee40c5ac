"""Audit logs from outside: as OpenBao writes them, over failover, on a full disk, and reported."""

import json
import os
import pathlib
import re
import subprocess
import tempfile
import unittest

import harness
from cluster import Cluster
from harness import Case, Client, needs, run_strongroom, start_bao, start_dev, wait_for

# Of each server's own making, or of the program alone.
OURS = {"chain"}
HASH = re.compile(r"^hmac-sha256:[0-9a-f]{64}$")


def records(path):
    """Without those that only link the chain."""
    lines = [json.loads(line) for line in pathlib.Path(path).read_text().splitlines()]
    return [line for line in lines if line["type"] != "chain"]


def shape(value):
    """Names of members in their order, with the kind of each value."""
    if isinstance(value, dict):
        return {name: shape(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [shape(inner) for inner in value]
    if isinstance(value, str) and HASH.match(value):
        return "hash"
    return type(value).__name__


def drive(server):
    """The same requests to either server. The paths and sides that are compared."""
    policy = 'path "secret/*" { capabilities = ["read"] }'
    server.write("sys/policies/acl/reads", {"policy": policy})
    data = {"a": "plain", "n": 5, "b": True, "l": ["x", 1, {"k": "v"}], "nul": None}
    server.write("secret/data/foo", {"data": data, "options": {"cas": 0}})
    server.read("secret/data/foo")
    server.list("secret/metadata")
    server.read("secret/data/none")
    server.read("secret/data/foo", token="wrong")
    body = {"policies": ["reads"], "ttl": "1h", "meta": {"who": "me"}, "num_uses": 9}
    token = server.write("auth/token/create", body).json()["auth"]["client_token"]
    server.read("secret/data/foo", token=token)
    server.write("secret/data/foo", {"data": {}}, token=token)
    server.read("nomount/x")
    server.write("secret/data/foo", {"data": {"a": "b"}, "options": {"cas": 77}})
    return token


class Format(Case):
    def test_records_are_as_openbao_writes_them(self):
        folder = pathlib.Path(self.folder)
        bao = start_bao(
            folder,
            'audit "file" "log" {\n  options { file_path = "%s/bao.log" }\n}\n' % folder,
        )
        self.addCleanup(bao.stop)
        ours = start_dev(folder)
        self.addCleanup(ours.stop)
        options = {"file_path": f"{folder}/ours.log"}
        self.expect(ours.write("sys/audit/log", {"type": "file", "options": options}), 204)
        for server in (bao, ours):
            token = drive(server)
        compared = {
            "secret/data/foo",
            "secret/data/none",
            "secret/metadata/",
            "sys/policies/acl/reads",
            "auth/token/create",
            "nomount/x",
        }
        def is_compared(record):
            # What a development server does to itself has no address.
            request = record["request"]
            return request["path"] in compared and "remote_address" in request

        logs = [
            [record for record in records(folder / name) if is_compared(record)]
            for name in ("bao.log", "ours.log")
        ]
        self.assertEqual(len(logs[0]), len(logs[1]))
        for theirs, mine in zip(*logs):
            with self.subTest(type=theirs["type"], path=theirs["request"]["path"]):
                self.compare(theirs, mine)
        text = (folder / "ours.log").read_text()
        for secret in ("plain", ours.token, token):
            self.assertNotIn(f'"{secret}"', text)
        hashed = ours.write("sys/audit-hash/log", {"input": "plain"}).data()["hash"]
        self.assertIn(hashed, text)

    def compare(self, theirs, mine):
        mine = {name: value for name, value in mine.items() if name not in OURS}
        # Beside Vault's members: why a policy refuses.
        for name in ("rule", "refusal"):
            mine["auth"].get("policy_results", {}).pop(name, None)
        # Vault tells it in the request too; OpenBao only once a handler has run.
        for record in (theirs, mine):
            record["request"].pop("mount_accessor", None)
            record.get("response", {}).pop("mount_accessor", None)
        # Times are times to OpenBao here, and not hashed; to Vault they are text.
        metadata = [
            record.get("response", {}).get("data", {}) for record in (theirs, mine)
        ]
        for data in metadata:
            for holder in (data, data.get("metadata", {})):
                holder.pop("created_time", None)
        self.assertEqual(shape(theirs), shape(mine))
        # Order is part of it.
        self.assertEqual(list(theirs), list(mine))
        self.assertEqual(list(theirs["request"]), list(mine["request"]))
        self.assertEqual(list(theirs["auth"]), list(mine["auth"]))
        for place in ("type", "error"):
            self.assertEqual(theirs.get(place), mine.get(place))
        for place in ("operation", "mount_point", "mount_type", "mount_class", "client_id", "path"):
            if place == "client_id" and theirs["auth"].get("display_name") != "token":
                continue
            self.assertEqual(theirs["request"].get(place), mine["request"].get(place), place)


class Failover(Case):
    def test_every_answered_request_is_in_the_log_of_the_node_that_led(self):
        declared = 'audit "file" "log" {\n  options { file_path = "audit.log" }\n}\n'
        folder = tempfile.mkdtemp(dir=self.folder)
        cluster = Cluster(folder, more_configuration=declared).start()
        self.addCleanup(cluster.stop)
        active = cluster.active()
        wait_for("the declared device", lambda: "log/" in active.read("sys/audit").data())
        self.expect(active.write("sys/mounts/kv", {"type": "kv"}), 204)
        answered = []

        def ask(node, count):
            for number in range(count):
                answer = self.expect(node.read("sys/mounts"), 200)
                answered.append(answer.json()["request_id"])
                self.expect(node.write(f"kv/{number}", {"password": "CANARY"}), 204)

        standby = cluster.standbys()[0]
        ask(standby, 10)
        forwarded = [
            record
            for record in records(active.folder / "audit.log")
            if record["request"]["id"] == answered[-1]
        ]
        self.assertEqual([record["type"] for record in forwarded], ["request", "response"])
        for record in forwarded:
            self.assertEqual(record["forwarded_from"], f"127.0.0.1:{standby.cluster_port}")
            self.assertEqual(record["request"]["remote_address"], "127.0.0.1")
        # What a standby does itself is audited where it was judged, once.
        chain = active.read("sys/audit-chain/log").data()
        self.assertTrue(chain["head"])
        active.process.kill()
        ask(standby, 10)
        logs = [node.folder / "audit.log" for node in cluster.nodes]
        logs = [log for log in logs if log.exists()]
        self.assertEqual(len(logs), 2)
        sides = {}
        for log in logs:
            for record in records(log):
                sides.setdefault(record["request"]["id"], []).append(record["type"])
            self.assertNotIn("CANARY", log.read_text())
        for request in answered:
            self.assertEqual(sides[request], ["request", "response"], request)
        for log in logs:
            ran = run_strongroom("audit", "verify", f"-key={chain['key']}", str(log))
            self.assertEqual(ran.returncode, 0, ran.stdout)
        ran = run_strongroom("audit", "verify", f"-head={chain['head']}", str(logs[0]), str(logs[1]))
        self.assertNotIn("is not there", ran.stdout)
        active.start()
        active.unseal().ready()


class FullDisk(Case):
    def test_a_full_disk_refuses_requests_and_loses_none_that_was_answered(self):
        disk = pathlib.Path(tempfile.mkdtemp(dir=self.folder))
        mount = [needs("mount"), "-t", "tmpfs", "-o", "size=1m,mode=700", "tmpfs", str(disk)]
        done = subprocess.run(mount, capture_output=True, text=True)
        if done.returncode != 0:
            raise unittest.SkipTest(f"a file system cannot be mounted: {done.stderr.strip()}")
        self.addCleanup(subprocess.run, [needs("umount"), "-l", str(disk)], check=False)
        server = start_dev(self.folder)
        self.addCleanup(server.stop)
        options = {"file_path": f"{disk}/audit.log"}
        self.expect(server.write("sys/audit/log", {"type": "file", "options": options}), 204)
        answered = []
        value = {"data": {"x": ["y" * 40] * 500}}
        while True:
            answer = server.write("secret/data/a", value)
            if answer.status == 500:
                self.assertEqual(answer.errors(), ["internal error"])
                break
            answered.append(self.expect(answer, 200).json()["request_id"])
        self.assertGreater(len(answered), 3)
        versions = len(answered)
        # Short records may still have fitted; and a read is a request too.
        with open(disk / "filler", "wb", buffering=0) as filler:
            try:
                while True:
                    filler.write(b"x" * 4096)
            except OSError:
                pass
        wait_for("reads to be refused", lambda: server.read("secret/metadata/a").status == 500)
        whole = (disk / "audit.log").read_bytes()
        (pathlib.Path(self.folder) / "full.log").write_bytes(whole)
        os.unlink(disk / "filler")
        os.unlink(disk / "audit.log")
        metadata = self.expect(server.read("secret/metadata/a"), 200).data()
        self.assertIn(metadata["current_version"], (versions, versions + 1))
        seen = [record["request"]["id"] for record in records(pathlib.Path(self.folder) / "full.log")]
        for request in answered:
            self.assertEqual(seen.count(request), 2, request)
        ran = run_strongroom("audit", "verify", f"{self.folder}/full.log")
        self.assertEqual(ran.returncode, 0, ran.stdout)


class Commands(Case):
    def test_devices_are_enabled_listed_verified_reported_and_disabled(self):
        server = start_dev(self.folder)
        self.addCleanup(server.stop)
        client = Client(harness.STRONGROOM, server, self.folder)
        log = f"{self.folder}/commands.log"
        ran = client.ok("audit", "enable", "-path=main", "-description=of all", "-local", "file",
                        f"file_path={log}")
        self.assertEqual(ran.out, "Success! Enabled the file audit device at: main/\n")
        detailed = client.ok("audit", "list", "-detailed").out
        self.assertRegex(detailed, r"main/ +file +of all +local +file_path=" + re.escape(log))
        client.ok("kv", "put", "-mount=secret", "app", "password=CANARY")
        client.ok("kv", "get", "-mount=secret", "app")
        chain = client.json("read", "sys/audit-chain/main")["data"]
        ran = client.ok("audit", "verify", f"-key={chain['key']}", f"-head={chain['head']}", log)
        self.assertIn("The log is whole.", ran.out)
        verdict = client.json("audit", "verify", log)
        self.assertTrue(verdict["whole"])
        text = pathlib.Path(log).read_text().splitlines()
        changed = pathlib.Path(self.folder) / "changed.log"
        changed.write_text("\n".join(text[:3] + text[4:]) + "\n")
        ran = client.run("audit", "verify", str(changed))
        self.assertEqual(ran.status, 2, ran)
        self.assertIn(f"{changed}:4: record", ran.out)

        rows = client.ok("audit", "report", "-format=json", "-path=secret", "-since=1h", log).json()
        self.assertEqual([row["operation"] for row in rows], ["create", "read"])
        for row in rows:
            self.assertEqual((row["outcome"], row["policies"]), ("allowed", ["root"]))
        for form, start in (("csv", "time,outcome"), ("html", "<!doctype html>"), ("table", "Time")):
            ran = client.ok("audit", "report", f"-format={form}", log)
            self.assertTrue(ran.out.startswith(start), ran.out[:100])
            self.assertNotIn("CANARY", ran.out)
        self.assertEqual(client.run("kv", "get", "-format=html", "-mount=secret", "app").status, 1)
        ran = client.ok("audit", "disable", "main")
        self.assertEqual(
            ran.out, "Success! Disabled audit device (if it was enabled) at: main/\n"
        )
        self.assertIn("No audit devices are enabled.", client.run("audit", "list").out)
