"""Rust's client, vaultrs: what people's programs call."""

import os
import subprocess
import tempfile

from cluster import Cluster
from harness import Case, clean_env


class Vaultrs(Case):
    def test_vaultrs_drives_a_server_from_its_initialisation_on(self):
        program = os.environ.get("STRONGROOM_VAULTRS")
        if not program:
            self.skipTest("the program with vaultrs is missing: tests/run builds it")
        cluster = Cluster(tempfile.mkdtemp(dir=self.folder), count=1)
        self.addCleanup(cluster.stop)
        [node] = cluster.nodes
        node.start()
        done = subprocess.run(
            [program, node.address],
            capture_output=True,
            text=True,
            timeout=120,
            env=clean_env(node.folder),
        )
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertEqual(done.stdout.count("ok: "), 8, done.stdout)
