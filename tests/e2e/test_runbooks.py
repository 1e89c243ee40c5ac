"""The pages of `deploy/runbooks`, followed to the letter on three real nodes."""

import re
import shutil
import signal
import subprocess
import tempfile

import harness
from cluster import Cluster
from deployed import DEPLOY
from harness import Case, clean_env, wait_for

RUNBOOKS = DEPLOY / "runbooks"
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)

# Pages that begin with a node that has just been started, and is therefore sealed: its number.
SEALED = {
    "lost-one-node": [3],
    "lost-two-nodes": [2, 3],
    "lost-all-nodes": [1, 2, 3],
    "lost-shares": [3],
    "rolling-upgrade": [3],
}


def pages():
    return sorted(path for path in RUNBOOKS.glob("*.md") if path.stem != "README")


class Runbooks(Case):
    def test_every_alert_names_a_page_that_exists(self):
        named = re.findall(r"runbook: (\S+)", (DEPLOY / "prometheus/alerts.yml").read_text())
        self.assertGreater(len(named), 20)
        for path in named:
            self.assertTrue((harness.ROOT / path).exists(), path)

    def test_every_page_is_listed_and_every_link_leads_somewhere(self):
        index = (RUNBOOKS / "README.md").read_text()
        for page in pages():
            self.assertIn(f"({page.name})", index)
        for page in RUNBOOKS.glob("*.md"):
            for link in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
                self.assertTrue((RUNBOOKS / link).exists(), f"{page.name}: {link}")

    def test_what_is_not_run_says_why(self):
        """A block is run, or is `text` with a sentence just before or behind it."""
        for page in pages():
            text = page.read_text()
            for block in BLOCK.finditer(text):
                # What is HCL is given to the nodes where the page is followed.
                self.assertIn(block[1], ("sh", "text", "hcl"), f"{page.name}: {block[2]}")
                if block[1] == "text":
                    around = text[: block.start()].rstrip().rsplit("\n\n", 1)[1]
                    around += text[block.end() :].lstrip().split("\n\n", 1)[0]
                    self.assertRegex(around, r"\btest\b", f"{page.name}: no reason near\n{block[2]}")


class Followed(Case):
    """One cluster for all pages, put in order before each."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.cluster = Cluster(tempfile.mkdtemp(dir=cls.folder))
        cls.addClassCleanup(cls.cluster.stop)
        cls.cluster.start()

    def prepare(self, sealed, configuration=None):
        """All ready but for these, by their numbers, which have just been started.

        With `configuration` every node has that to read when it is started next.
        """
        nodes = self.cluster.nodes
        for node in nodes:
            if not node.process.is_running():
                node.start()
        for node in nodes:
            if node.is_sealed():
                node.unseal()
        for node in nodes:
            node.ready()
        for number in sealed:
            node = nodes[number - 1]
            node.process.signal(signal.SIGTERM)
            node.process.popen.wait(harness.STOP_SECONDS_MAX)
            node.process.kill()
        if configuration is not None:
            self.configure(configuration)
        for number in sealed:
            nodes[number - 1].start()
        if len(sealed) == 1:
            self.cluster.active()

    def configure(self, more):
        self.cluster.more_configuration = more
        for node in self.cluster.nodes:
            node.write_configuration([peer for peer in self.cluster.nodes if peer is not node])

    def restart(self, number):
        node = self.cluster.nodes[number - 1]
        node.stop()
        return node.start()

    def follow_migration(self, page):
        """Each part of the page that has a configuration is for nodes that were restarted with it."""
        key = harness.pathlib.Path(self.folder) / "seal-1.key"
        key.write_text("5a" * 32)
        parts = re.split(r"(?m)^(?=## )", page.read_text())
        there, back = [part for part in parts if "```hcl" in part]
        others = [part for part in parts if part not in (there, back)]
        self.addCleanup(self.configure, "")
        for part, kind in ((there, "static"), (back, "shamir")):
            [configuration] = [block[2] for block in BLOCK.finditer(part) if block[1] == "hcl"]
            configuration = configuration.replace("/etc/strongroom/seal-1.key", str(key))
            self.prepare([2, 3], configuration)
            self.follow_text(f"{page.name} {kind}", part)
            if kind == "static":
                self.restart(1).ready()
            for node in self.cluster.nodes:
                self.assertEqual(node.seal_status()["type"], kind, node.name)
        self.configure("")
        for number in (2, 3, 1):
            self.restart(number).unseal().ready()
        self.follow_text(page.name, "".join(others))

    def follow(self, page):
        if page.stem == "seal-migration":
            self.follow_migration(page)
            return
        self.prepare(SEALED.get(page.stem, []))
        self.follow_text(page.name, page.read_text())

    def follow_text(self, name, text):
        blocks = [block[2] for block in BLOCK.finditer(text) if block[1] == "sh"]
        self.assertTrue(blocks, f"{name} has no command to run")
        shell = tempfile.mkdtemp(dir=self.folder)
        # Each block is said before it is run, so that a failure names it.
        script = "".join(f"echo '--- block {number}'\n{text}\n" for number, text in enumerate(blocks, 1))
        nodes = self.cluster.nodes
        env = clean_env(
            shell,
            VAULT_ADDR=nodes[0].address,
            VAULT_TOKEN=self.cluster.root_token,
            # What passes while a node catches up is tried again, as a person would.
            VAULT_MAX_RETRIES="5",
            SHARE1=self.cluster.shares[0],
            SHARE2=self.cluster.shares[1],
            **{f"NODE{number}": node.address for number, node in enumerate(nodes, 1)},
        )
        folder = harness.pathlib.Path(harness.STRONGROOM).parent
        env["PATH"] = f"{folder}:{env['PATH']}"
        try:
            done = subprocess.run(
                ["bash", "-euo", "pipefail", "-c", script],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                env=env,
                cwd=shell,
                timeout=harness.COMMAND_SECONDS_MAX,
            )
        except subprocess.TimeoutExpired as error:
            logs = "\n".join(f"== {node.name}\n{node.process.output()[-3000:]}" for node in nodes)
            raise AssertionError(f"{error.stdout}\n{logs}") from None
        self.assertEqual(done.returncode, 0, f"{name}:\n{done.stdout}")
        self.assertEqual(list(harness.pathlib.Path(shell).glob("*")), [], f"{name} leaves files")

    def renew(self, number):
        """A node that was removed joins again, with an empty data folder."""
        node = self.cluster.nodes[number - 1]
        node.process.kill()
        shutil.rmtree(node.folder / "data")
        node.write_configuration([peer for peer in self.cluster.nodes if peer is not node])
        node.start().unseal().ready()
        names = {one.name for one in self.cluster.nodes}
        wait_for("the new node to vote", lambda: self.cluster.voters() == names)


def test_of(page):
    def test(self):
        self.follow(page)
        if page.stem == "lost-one-node":
            # Its removal is part of the page.
            self.assertEqual(self.cluster.voters(), {"n1", "n2"})
            self.renew(3)

    return test


for _page in pages():
    setattr(Followed, f"test_{_page.stem.replace('-', '_')}_can_be_followed", test_of(_page))


__all__ = ["Followed", "Runbooks"]
