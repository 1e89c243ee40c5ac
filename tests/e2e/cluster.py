"""Real nodes of a replicated server, from configuration files, with what an operator does to them."""

import pathlib
import shutil

import harness
from harness import Process, Server, clean_env, free_port, wait_for

SHARES = 3
THRESHOLD = 2


class Node(Server):
    """One node. Its ports stay the same when it is started again."""

    def __init__(self, cluster, number):
        self.cluster = cluster
        self.name = f"n{number}"
        self.folder = pathlib.Path(cluster.folder) / self.name
        self.folder.mkdir()
        self.cluster_port = free_port()
        super().__init__(f"http://127.0.0.1:{free_port()}", cluster.root_token)

    def write_configuration(self, peers):
        joins = "".join(f'  retry_join {{ leader_api_addr = "{peer.address}" }}\n' for peer in peers)
        (self.folder / "node.hcl").write_text(
            f'storage "raft" {{\n  path = "{self.folder}/data"\n  node_id = "{self.name}"\n'
            f'  ha_profile = "{self.cluster.profile}"\n{joins}}}\n'
            f'listener "tcp" {{\n  address = "127.0.0.1:{self.port}"\n'
            f'  cluster_address = "127.0.0.1:{self.cluster_port}"\n  tls_disable = true\n'
            f'  x_strongroom_request_id_authorized_addrs = "127.0.0.1"\n{self.cluster.more_listener}}}\n'
            f'api_addr = "{self.address}"\ncluster_addr = "https://127.0.0.1:{self.cluster_port}"\n'
            f'{self.cluster.more_configuration}'
        )
        (self.folder / "data").mkdir(exist_ok=True)

    def start(self):
        arguments = [harness.STRONGROOM, "server", f"-config={self.folder}/node.hcl"]
        env = clean_env(self.folder, **self.cluster.env)
        self.process = Process(arguments, self.folder, self.name, env)
        wait_for(f"{self.name} to answer", self.answers)
        return self

    def answers(self):
        assert self.process.is_running(), f"{self.name} has ended:\n{self.process.output()}"
        return self.seal_status() is not None

    def seal_status(self):
        """`None` where nobody answers."""
        try:
            answer = self.send("GET", "sys/seal-status", token="")
        except OSError:
            return None
        return answer.json() if answer.status == 200 else None

    def is_sealed(self):
        status = self.seal_status()
        return status is None or status["sealed"]

    def health(self):
        try:
            return self.send("GET", "sys/health", token="").status
        except OSError:
            return None

    def is_active(self):
        return self.health() == 200

    def unseal(self, shares=None):
        """Waits until the node is in a cluster, and gives it a threshold of shares."""
        wait_for(
            f"{self.name} to be initialised",
            lambda: (status := self.seal_status()) and status["initialized"],
        )
        # A node that has just started may hear of a rekey only now: its shares are given again.
        try:
            wait_for(
                f"{self.name} to be unsealed",
                lambda: self.give(shares or self.cluster.shares) and not self.is_sealed(),
            )
        except AssertionError as error:
            log = self.process.output()[-3000:]
            raise AssertionError(f"{error}\n{self.seal_status()}\n{log}") from None
        return self

    def give(self, shares):
        for share in shares[:THRESHOLD]:
            answer = self.write("sys/unseal", {"key": share}, token="")
            if answer.status == 400 and "do not open the root key" in str(answer):
                self.write("sys/unseal", {"reset": True}, token="")
                return False
            assert answer.status == 200, f"{self.name}: {answer}\n{self.process.output()[-3000:]}"
        return True

    def ready(self):
        """Unsealed, and active or standby of a leader it knows."""
        wait_for(f"{self.name} to be ready", lambda: self.health() in (200, 429))
        return self


class Cluster:
    def __init__(self, folder, count=3, profile="lan", more_configuration="", more_listener=""):
        self.folder = folder
        self.profile = profile
        self.more_configuration = more_configuration
        self.more_listener = more_listener
        # Further variables of each node.
        self.env = {}
        self.root_token = ""
        self.shares = []
        self.nodes = [Node(self, number + 1) for number in range(count)]
        for node in self.nodes:
            node.write_configuration([peer for peer in self.nodes if peer is not node])

    def start(self):
        """All up, initialised, unsealed, and every node a voter."""
        first, *others = self.nodes
        # Alone, so that it does not ask peers that are not there yet.
        first.write_configuration([])
        first.start()
        made = first.write("sys/init", {"secret_shares": SHARES, "secret_threshold": THRESHOLD}, token="")
        assert made.status == 200, made
        self.set_keys(made.json()["keys"], made.json()["root_token"])
        first.unseal()
        wait_for("the first node to be active", first.is_active)
        for node in others:
            node.start()
        for node in others:
            node.unseal().ready()
        wait_for("every node to vote", lambda: self.voters() == {node.name for node in self.nodes})
        return self

    def set_keys(self, shares, root_token):
        self.shares = shares
        self.root_token = root_token
        for node in self.nodes:
            node.token = root_token

    def voters(self):
        answer = self.active().read("sys/storage/raft/configuration")
        assert answer.status == 200, answer
        servers = answer.data()["config"]["servers"]
        return {server["node_id"] for server in servers if server["voter"]}

    def active(self):
        """The node that leads, once one does."""

        def look():
            return next((node for node in self.running() if node.is_active()), None)

        return wait_for("a node to be active", look)

    def standbys(self):
        active = self.active()
        return [node for node in self.running() if node is not active]

    def running(self):
        return [node for node in self.nodes if node.process and node.process.is_running()]

    def stop(self):
        for node in self.running():
            node.process.kill()
        for node in self.nodes:
            shutil.rmtree(node.folder, ignore_errors=True)
