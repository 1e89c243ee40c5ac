"""What the command line tells an operator of a whole cluster."""

import tempfile

import harness
from cluster import Cluster
from harness import Case, Client, Process, clean_env, wait_for


class WholeCluster(Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.cluster = Cluster(
            tempfile.mkdtemp(dir=cls.folder),
            more_listener="  telemetry { unauthenticated_metrics_access = true }\n",
        )
        cls.addClassCleanup(cls.cluster.stop)
        cls.cluster.start()

    def setUp(self):
        for node in self.cluster.nodes:
            if not node.process.is_running():
                node.start()
            if node.is_sealed():
                node.unseal()
            node.ready()
        self.client = Client(harness.STRONGROOM, self.cluster.active(), self.folder)
        self.named = [f"-node={node.address}" for node in self.cluster.nodes]

    def roles(self, ran):
        return {one["api_address"]: one["role"] for one in ran.json()["nodes"]}

    def seal(self, node):
        """By a restart."""
        node.process.kill()
        node.start()

    def test_status_of_all_shows_each_node_and_ends_as_the_worst(self):
        ran = self.client.run("status", "-all", "-format=json")
        self.assertEqual(ran.status, 0, ran)
        self.assertEqual(sorted(self.roles(ran).values()), ["active", "standby", "standby"])
        for one in ran.json()["nodes"]:
            self.assertGreaterEqual(one["term"], 1)
            self.assertGreaterEqual(one["lag"], 0)
            self.assertGreater(one["certificate_days"], 0)
        table = self.client.ok("status", "-all").out
        self.assertRegex(table, r"(?m)^Node +Address +Role +Unseal +Version +Term +Lag +Cert Days$")
        self.assertRegex(table, r"(?m)^n2 ")
        sealed = self.cluster.standbys()[0]
        self.seal(sealed)
        ran = self.client.run("status", "-all", "-format=json")
        self.assertEqual(ran.status, 2, ran)
        self.assertEqual(self.roles(ran)[sealed.address], "sealed")
        self.assertIn("0/2", self.client.run("status", "-all").out)
        sealed.process.kill()
        ran = self.client.run("status", "-all", "-format=json")
        self.assertEqual(ran.status, 1, ran)
        self.assertEqual(self.roles(ran)[sealed.address], "unreachable")
        self.assertIn(sealed.address, ran.err)

    def test_watching_goes_on_until_it_is_interrupted(self):
        env = clean_env(self.folder, VAULT_TOKEN="")
        process = Process([harness.STRONGROOM, "status", "-all", "-watch", *self.named], self.folder, "watch", env)
        self.addCleanup(process.kill)
        wait_for("two tables", lambda: process.output().count("Cert Days") >= 2)
        self.assertTrue(process.is_running())

    def test_one_share_goes_to_every_sealed_node(self):
        sealed = self.cluster.standbys()
        for node in sealed:
            self.seal(node)
        # The one node that is left has no majority of open nodes, but still leads.
        first, second = self.cluster.shares[:2]
        ran = self.client.run("operator", "unseal", "-all", "-format=json", *self.named, "-", stdin=first)
        self.assertEqual(ran.status, 0, ran)
        results = {one["api_address"]: (one["result"], one["progress"]) for one in ran.json()["nodes"]}
        active = (set(results) - {node.address for node in sealed}).pop()
        self.assertEqual(results.pop(active)[0], "was unsealed already")
        self.assertEqual(set(results.values()), {("took the key", 1)})
        ran = self.client.ok("operator", "unseal", "-all", *self.named, "-", stdin=second)
        self.assertEqual(ran.out.count(" unsealed"), 3, ran)
        for node in sealed:
            wait_for(f"{node.name} to be open", lambda node=node: not node.is_sealed())
        self.assertNotIn(first, ran.out)

    def test_a_wrong_share_and_a_node_that_is_down_are_told_of(self):
        sealed, down = self.cluster.standbys()
        self.seal(sealed)
        down.process.kill()
        ran = self.client.run("operator", "unseal", "-all", *self.named, "-", stdin="not a share")
        self.assertEqual(ran.status, 2, ran)
        self.assertRegex(ran.out, rf"{down.address}.*refused")
        self.assertTrue(sealed.is_sealed())

    def test_nodes_that_cannot_be_found_are_to_be_named(self):
        for command in (["status"], ["operator", "unseal"]):
            ran = self.client.run(*command, "-all", VAULT_TOKEN="none", BAO_TOKEN="none")
            self.assertEqual(ran.status, 2, ran)
            self.assertIn("-node=URL", ran.err)
            ran = self.client.run(*command, *self.named)
            self.assertEqual(ran.status, 1, ran)
            self.assertIn("-all", ran.err)


__all__ = ["WholeCluster"]
