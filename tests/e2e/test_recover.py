"""A majority that is lost for good: who is left becomes the cluster."""

import json
import shutil
import tempfile

import harness
from cluster import Cluster
from harness import Case, Client, Process, clean_env, wait_for


class Recover(Case):
    def cluster(self, count):
        cluster = Cluster(tempfile.mkdtemp(dir=self.folder), count)
        self.addCleanup(cluster.stop)
        cluster.start()
        self.expect(cluster.active().write("sys/mounts/kv", {"type": "kv"}), 204)
        return cluster

    def client(self, node):
        return Client(harness.STRONGROOM, node, self.folder)

    def members(self, node):
        answer = self.expect(node.read("sys/storage/raft/configuration"), 200)
        return sorted(server["node_id"] for server in answer.data()["config"]["servers"])

    def test_one_of_three_becomes_the_cluster_and_others_join_it(self):
        three = self.cluster(3)
        left = three.standbys()[0]
        lost = [node for node in three.nodes if node is not left]
        for number in range(20):
            self.expect(three.active().write(f"kv/{number}", {"n": number}), 204)
        # What was acknowledged is at two nodes at least: this one is to have it all.
        active = three.active()
        wait_for("the log", lambda: self.applied(active)[left.name] == self.applied(active)[active.name])
        for node in three.nodes:
            node.process.kill()
        client = self.client(left)
        refused = client.run("operator", "raft", "recover", "-path=/nowhere", f"-peer={left.name}")
        self.assertIn("no data folder of a server", refused.err)
        data = f"{left.folder}/data"
        client.ok("operator", "raft", "recover", f"-path={data}", "-peer=n9")
        arguments = [harness.STRONGROOM, "server", f"-config={left.folder}/node.hcl"]
        process = Process(arguments, left.folder, "refused", clean_env(left.folder))
        wait_for("the server to refuse", lambda: not process.is_running())
        self.assertIn('"n9" is no member of the cluster', process.output())
        client.ok("operator", "raft", "recover", f"-path={data}", "-cancel")
        client.ok("operator", "raft", "recover", f"-path={data}", f"-peer={left.name}")
        left.start()
        left.process.wait_for_output("the cluster has been recovered by raft/peers.json")
        left.unseal()
        wait_for("the node to be active", left.is_active)
        self.assertEqual(self.members(left), [left.name])
        for number in range(20):
            self.assertEqual(self.expect(left.read(f"kv/{number}"), 200).data(), {"n": number})
        self.expect(left.write("kv/new", {"n": 1}), 204)
        # With its old data a lost node is not let in; emptied, it joins as any other.
        came_back = lost[0]
        came_back.start()
        came_back.unseal()
        wait_for("the dropped to be noted", lambda: not (left.folder / "data/node/dropped").exists())
        self.assertEqual(self.members(left), [left.name])
        came_back.process.kill()
        for node in lost:
            shutil.rmtree(node.folder / "data")
            node.write_configuration([left])
            node.start()
            node.unseal().ready()
        wait_for("three to vote", lambda: three.voters() == {node.name for node in three.nodes})
        self.assertEqual(self.expect(lost[1].read("kv/new"), 200).data(), {"n": 1})
        # Once more from the same data: what was carried out is not repeated.
        left.process.kill()
        left.start()
        left.unseal().ready()
        self.assertEqual(self.members(left), ["n1", "n2", "n3"])

    def applied(self, node):
        answer = self.expect(node.read("sys/storage/raft/autopilot/state"), 200).data()
        return {server["name"]: server["last_index"] for server in answer["servers"].values()}

    def test_one_of_two_that_are_left_of_five_becomes_the_cluster_by_vaults_file(self):
        five = self.cluster(5)
        active = five.active()
        self.expect(active.write("kv/x", {"a": "1"}), 204)
        other = five.standbys()[0]
        for node in five.nodes:
            node.process.kill()
        peers = [
            {"id": node.name, "address": f"127.0.0.1:{node.cluster_port}", "non_voter": False}
            for node in (active, other)
        ]
        folder = active.folder / "data/raft"
        folder.mkdir()
        # Two logs that end apart could not be told from each other later.
        (folder / "peers.json").write_text(json.dumps(peers))
        arguments = [harness.STRONGROOM, "server", f"-config={active.folder}/node.hcl"]
        process = Process(arguments, active.folder, "refused", clean_env(active.folder))
        wait_for("the server to refuse", lambda: not process.is_running())
        self.assertIn("only one node can be kept", process.output())
        (folder / "peers.json").write_text(json.dumps(peers[:1]))
        active.start()
        active.unseal().ready()
        self.assertEqual(self.members(active), [active.name])
        self.assertFalse((folder / "peers.json").exists())
        shutil.rmtree(other.folder / "data")
        other.write_configuration([active])
        other.start()
        other.unseal().ready()
        self.assertEqual(self.expect(other.read("kv/x"), 200).data(), {"a": "1"})
        self.expect(other.write("kv/y", {"a": "2"}), 204)
