"""JavaScript's client, node-vault: what people's programs call."""

import os
import pathlib
import subprocess
import tempfile

from cluster import Cluster
from harness import Case, clean_env, needs

SCRIPT = pathlib.Path(__file__).parent / "node" / "drive.js"


class NodeVault(Case):
    def test_node_vault_drives_a_server_from_its_initialisation_on(self):
        modules = os.environ.get("STRONGROOM_NODE_MODULES")
        if not modules:
            self.skipTest("node-vault is missing: tests/run installs it")
        cluster = Cluster(tempfile.mkdtemp(dir=self.folder), count=1)
        self.addCleanup(cluster.stop)
        [node] = cluster.nodes
        node.start()
        done = subprocess.run(
            [needs("node"), str(SCRIPT), node.address],
            capture_output=True,
            text=True,
            timeout=120,
            env=clean_env(node.folder, NODE_PATH=modules),
        )
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertEqual(done.stdout.count("ok: "), 6, done.stdout)
