"""`docker-compose.yml` on a Docker engine of its own, with images that hold this machine's programs.

No image is pulled: each is made of a program, the libraries it is linked to, and nothing else, under
the name that the file asks for.
"""

import atexit
import io
import json
import os
import pathlib
import re
import resource
import subprocess
import tarfile
import tempfile
import threading
import time

import harness
from harness import Case, Process, Server, clean_env, free_port, wait_for

# Which program stands in for each image; without an entry point where the official one's only
# passes a command on.
PROGRAMS = {
    "strongroom": (harness.STRONGROOM, "usr/bin/strongroom", "/usr/bin/strongroom"),
    "haproxy": ("haproxy", "usr/local/sbin/haproxy", None),
    "prom/prometheus": ("prometheus", "bin/prometheus", "/bin/prometheus"),
}
# As in deploy/container/Containerfile.
USER = 65532
NODES = ["node1", "node2", "node3"]
ENGINE_SECONDS_MAX = 40


def libraries(program):
    """What the program is linked to: the file of each, by the path it is looked for at."""
    said = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
    return sorted(set(re.findall(r"(/\S+) \(0x", said)))


def root_of_image(program, place):
    """A tar of a root with one program."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as tar:
        files = {library.lstrip("/"): library for library in libraries(program)} | {place: program}
        empty = ["etc/strongroom", "usr/local/etc/haproxy", "etc/prometheus", "var/lib"]
        parents = {
            str(parent)
            for name in [*files, *(f"{folder}/x" for folder in empty)]
            for parent in list(pathlib.PurePath(name).parents)[:-1]
        }
        for folder in sorted(parents):
            tar.addfile(directory(folder, 0))
        for folder in ("var/lib/strongroom", "prometheus"):
            tar.addfile(directory(folder, USER))
        for name, file in files.items():
            tar.add(os.path.realpath(file), arcname=name)
    return made.getvalue()


def directory(name, owner):
    entry = tarfile.TarInfo(name)
    entry.type, entry.mode = tarfile.DIRTYPE, 0o755
    entry.uid = entry.gid = owner
    return entry


class Engine:
    """A Docker daemon with folders and a socket of its own."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.host = f"unix://{folder}/docker.sock"
        self.daemon = Process(
            [
                harness.needs("dockerd"),
                f"--host={self.host}",
                f"--data-root={folder}/data",
                f"--exec-root={folder}/exec",
                f"--pidfile={folder}/dockerd.pid",
                "--storage-driver=vfs",
                # Without a bridge of its own, two engines do not fight over one.
                "--bridge=none",
            ],
            folder,
            "dockerd",
            clean_env(folder),
        )

    def is_up(self):
        return self.daemon.is_running() and self.run("docker", "info", "--format={{.ServerVersion}}", check=False).returncode == 0

    def run(self, program, *arguments, check=True, stdin=b"", env=None):
        done = subprocess.run(
            [harness.needs(program), *arguments],
            input=stdin,
            capture_output=True,
            env=clean_env(self.folder) | {"DOCKER_HOST": self.host} | (env or {}),
            cwd=harness.ROOT,
            timeout=240,
        )
        if check and done.returncode:
            said = (done.stdout + done.stderr).decode(errors="replace")
            raise AssertionError(f"{program} {arguments} ended with {done.returncode}\n{said}")
        return done

    def stop(self):
        self.daemon.stop()
        self.daemon.kill()


class Containers(Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.missing = None
        if os.geteuid() != 0:
            cls.missing = "dockerd needs root"
            return
        # A socket's path may have no more than 107 bytes.
        cls.engine = Engine(tempfile.mkdtemp(prefix="engine-", dir="/tmp"))
        cls.addClassCleanup(subprocess.run, ["rm", "-rf", str(cls.engine.folder)], check=False)
        cls.addClassCleanup(cls.engine.stop)
        engine = cls.engine
        wait_for("dockerd", lambda: engine.is_up() or not engine.daemon.is_running(), ENGINE_SECONDS_MAX)
        if not engine.daemon.is_running():
            cls.missing = f"{harness.UNABLE} run dockerd:\n{engine.daemon.output()[-2000:]}"
            return
        text = (harness.ROOT / "docker-compose.yml").read_text()
        for name, (program, place, entry) in PROGRAMS.items():
            tag = re.search(rf"image: {name}:(\S+)", text)[1].replace("${STRONGROOM_TAG:-local}", "local")
            changes = [f"--change=USER {USER}"] if name != "haproxy" else []
            changes += [f'--change=ENTRYPOINT ["{entry}"]'] if entry else []
            image = root_of_image(harness.needs(program), place)
            cls.engine.run("docker", "import", *changes, "-", f"{name}:{tag}", stdin=image)
        cls.ports = {"STRONGROOM_PORT": str(free_port()), "STRONGROOM_PROMETHEUS_PORT": str(free_port())}
        cls.project = f"strongroom{os.getpid()}"
        cls.addClassCleanup(cls.compose, "down", "--volumes", "--timeout=5", check=False)
        atexit.register(cls.engine.daemon.kill)
        cls.compose("up", "--detach", "--no-build")

    @classmethod
    def compose(cls, *arguments, **more):
        files = ["--file=docker-compose.yml"]
        # A daemon that was itself given a limit cannot give more than that.
        limits = {"memlock": resource.RLIMIT_MEMLOCK, "nofile": resource.RLIMIT_NOFILE}
        most = {name: resource.getrlimit(limit)[1] for name, limit in limits.items()}
        # What is unlimited is -1 here and for Docker.
        lower = {"memlock": most["memlock"], "nofile": min(65536, most["nofile"])}
        override = cls.engine.folder / "override.yml"
        override.write_text(json.dumps({"services": {node: {"ulimits": lower} for node in NODES}}))
        files.append(f"--file={override}")
        arguments = [*files, "--project-name", cls.project, *arguments]
        return cls.engine.run("docker-compose", *arguments, env=cls.ports, **more)

    def strongroom(self, node, *arguments, check=True):
        """Runs the command line in a node's container: there is no shell in it."""
        done = self.compose("exec", "-T", node, "/usr/bin/strongroom", *arguments, check=check)
        return done.stdout.decode()

    def run(self, result=None):
        before = len(result.problems)
        super().run(result)
        if len(result.problems) > before and not self.missing:
            logs = self.compose("logs", "--tail=40", check=False).stdout.decode(errors="replace")
            result.problems.append(("the end of the containers' logs", logs))

    def setUp(self):
        """Where no container can run, the file is at least read, and the test is skipped."""
        if self.missing:
            done = subprocess.run(
                [harness.needs("docker-compose"), "config", "--quiet"],
                cwd=harness.ROOT,
                capture_output=True,
                text=True,
                timeout=harness.COMMAND_SECONDS_MAX,
            )
            self.assertEqual(done.returncode, 0, done.stderr)
            self.skipTest(self.missing)

    def test_clients_of_the_proxy_go_on_when_the_leaders_container_is_killed(self):
        nodes = NODES
        for node in nodes:
            wait_for(f"{node} to answer", lambda node=node: "Sealed" in self.strongroom(node, "status", check=False))
        made = self.strongroom("node1", "operator", "init", "-key-shares=1", "-key-threshold=1")
        share = re.search(r"Unseal Key 1: (\S+)", made)[1]
        token = re.search(r"Initial Root Token: (\S+)", made)[1]
        self.strongroom("node1", "operator", "unseal", share)
        for node in nodes[1:]:
            wait_for(
                f"{node} to have joined",
                lambda node=node: re.search(r"Initialized +true", self.strongroom(node, "status", check=False)),
            )
            self.strongroom(node, "operator", "unseal", share)
        for node in nodes:
            wait_for(f"{node} to be open", lambda node=node: re.search(r"Sealed +false", self.strongroom(node, "status", check=False)))
        front = Server(f"http://127.0.0.1:{self.ports['STRONGROOM_PORT']}", token)
        wait_for("HAProxy to serve", lambda: self.quiet(lambda: front.read("sys/health?standbyok=true").status) == 200)
        self.expect(front.write("sys/mounts/kv", {"type": "kv"}), 204)
        answers, stop = [], threading.Event()

        def write():
            number = 0
            while not stop.is_set():
                number += 1
                started = time.monotonic()
                status = front.write(f"kv/{number}", {"n": number}).status
                answers.append((number, status, time.monotonic() - started))

        writer = threading.Thread(target=write, daemon=True)
        writer.start()
        try:
            wait_for("writes before", lambda: len(answers) > 20 or not writer.is_alive())
            leader = next(node for node in nodes if "active" in self.strongroom(node, "status"))
            self.engine.run("docker", "kill", self.container(leader))
            count = len(answers)
            wait_for("writes after", lambda: len(answers) > count + 50 or not writer.is_alive())
        finally:
            stop.set()
            writer.join(harness.COMMAND_SECONDS_MAX)
        self.assertGreater(len(answers), count + 50)
        self.assertEqual([answer for answer in answers if answer[1] != 204], [])
        for number, _, _ in answers[-60:]:
            self.assertEqual(self.expect(front.read(f"kv/{number}"), 200).data(), {"n": number})

    def container(self, service):
        return self.compose("ps", "-q", service).stdout.decode().strip()

    def quiet(self, ask):
        try:
            return ask()
        except (OSError, harness.http.client.HTTPException):
            return None

    def test_nodes_run_without_root_and_without_a_shell(self):
        shown = self.engine.run(
            "docker", "inspect", "--format={{.Config.User}} {{.HostConfig.ReadonlyRootfs}} {{.HostConfig.CapDrop}}",
            self.container("node2"),
        ).stdout.decode()
        self.assertEqual(shown.split(), [str(USER), "true", "[ALL]"])
        self.assertNotEqual(self.compose("exec", "-T", "node2", "/bin/sh", "-c", "true", check=False).returncode, 0)


class ContainerFile(Case):
    def test_the_image_has_no_root_and_no_shell(self):
        text = (harness.ROOT / "deploy/container/Containerfile").read_text()
        last = text[text.rindex("\nFROM ") :]
        self.assertIn("distroless", last.splitlines()[1])
        self.assertIn(f"USER {USER}:{USER}", last)
        self.assertNotIn("\nRUN ", last)
        # Its entry point is a list: without one, a shell would be needed.
        self.assertRegex(last, r'\nENTRYPOINT \["/usr/bin/strongroom"\]')
        # What the stage before makes is what this one takes.
        for place in re.findall(r"--from=build \S* ?(/root-of-image/\S+)|--from=build (/root-of-image/\S+)", last):
            self.assertIn((place[0] or place[1]).removeprefix("/root-of-image"), text)


__all__ = ["Containers", "ContainerFile"]
