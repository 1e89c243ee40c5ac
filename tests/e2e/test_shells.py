"""Completion in real shells, manual pages as `man` and `mandoc` read them, and `debug`."""

import json
import os
import pathlib
import pty
import re
import select
import signal
import socket
import subprocess
import tarfile
import time

import harness
from harness import Case, Client, DevCase, clean_env


class Terminal:
    """An interactive shell, and all that it has shown."""

    def __init__(self, arguments, env, folder):
        self.shown = ""
        self.process, self.end = pty.fork()
        if self.process == 0:
            os.chdir(folder)
            os.execvpe(arguments[0], arguments, env)

    def types(self, text):
        os.write(self.end, text.encode())

    def shows(self, pattern, seconds=harness.COMMAND_SECONDS_MAX):
        """Reads on until it has shown this, after what was found last."""
        deadline = time.monotonic() + seconds
        while True:
            found = re.search(pattern, self.shown)
            if found:
                self.shown = self.shown[found.end() :]
                return found
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self.end], [], [], left)[0]:
                raise AssertionError(f"does not show {pattern!r}: {self.shown[-2000:]!r}")
            try:
                self.shown += os.read(self.end, 65536).decode(errors="replace")
            except OSError:
                raise AssertionError(f"ended before {pattern!r}: {self.shown[-2000:]!r}") from None

    def close(self):
        if self.process:
            os.kill(self.process, signal.SIGKILL)
            os.waitpid(self.process, 0)
            os.close(self.end)
            self.process = None


class Completion(DevCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.programs = f"{cls.folder}/bin"
        os.mkdir(cls.programs)
        os.symlink(harness.STRONGROOM, f"{cls.programs}/strongroom")
        cls.env = clean_env(cls.folder) | {
            "PATH": f"{cls.programs}:{os.environ['PATH']}:/usr/bin:/bin",
            "VAULT_ADDR": cls.server.address,
            "VAULT_TOKEN": cls.server.token,
            "TERM": "dumb",
        }
        for path in ("plain-mount", "other-mount"):
            cls.server.write(f"sys/mounts/{path}", {"type": "kv"})
        cls.server.write("plain-mount/folder/only", {"value": "found-in-plain"})
        cls.server.write("secret/data/deep/inside", {"data": {"value": "found-in-versioned"}})

    def completed(self, line, **more):
        """What a shell would be told of this line."""
        done = subprocess.run(
            [harness.STRONGROOM],
            env=self.env | {"COMP_LINE": line} | more,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=harness.COMMAND_SECONDS_MAX,
        )
        self.assertEqual((done.returncode, done.stderr), (0, ""), line)
        return done.stdout.split("\n")[:-1]

    def terminal(self, *arguments):
        found = Terminal([harness.needs(arguments[0]), *arguments[1:]], self.env, self.folder)
        self.addCleanup(found.close)
        return found

    def test_mounts_paths_and_policies_are_asked_of_the_server(self):
        for line, expected in (
            ("strongroom read pl", ["plain-mount/"]),
            ("strongroom read plain-mount/", ["plain-mount/folder/"]),
            ("strongroom list plain-mount/folder/o", ["plain-mount/folder/only"]),
            ("strongroom kv get secret/", ["secret/deep/"]),
            ("strongroom kv get secret/deep/", ["secret/deep/inside"]),
            ("strongroom kv get -mount=secret deep/", ["deep/inside"]),
            ("strongroom kv get -mount secret deep/", ["deep/inside"]),
            ("strongroom kv get -mount oth", ["other-mount/"]),
            ("strongroom read secret/data/deep/", ["secret/data/deep/inside"]),
            ("strongroom read secret/da", ["secret/data/"]),
            ("strongroom read auth/tok", ["auth/token/"]),
            ("strongroom read au", ["auth/"]),
            ("strongroom policy read def", ["default"]),
            ("strongroom secrets disable pl", ["plain-mount/"]),
            ("strongroom auth tune to", ["token/"]),
            ("strongroom read -address=http://127.0.0.1:1 pl", []),
        ):
            with self.subTest(line):
                self.assertEqual(self.completed(line), expected)

    def test_without_a_server_or_a_token_nothing_is_said(self):
        line = "strongroom read "
        nobody = self.completed(line, VAULT_ADDR="http://127.0.0.1:1")
        self.assertEqual(nobody, ["auth/", "cubbyhole/", "identity/", "sys/"])
        begun = time.monotonic()
        # It takes the connection, and says nothing.
        silent = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(silent.close)
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        self.completed("strongroom kv get ", VAULT_ADDR=address)
        self.assertLess(time.monotonic() - begun, 10, "whoever pressed the key waits")
        self.assertEqual(self.completed("strongroom kv get pl", VAULT_TOKEN="wrong"), [])
        self.assertEqual(self.completed("strongroom kv get x", VAULT_ADDR="::"), [])

    def test_bash_completes_with_one_line_as_for_vault(self):
        shell = self.terminal("bash", "--norc", "--noprofile", "-i")
        shell.types("complete -C strongroom strongroom; echo read''y\n")
        shell.shows("ready")
        shell.types("strongroom vers\t\n")
        shell.shows(r"Strongroom v\d")
        shell.types("strongroom list pla\t\n")
        shell.shows(r"folder/")

    def test_shells_complete_commands_mounts_and_paths(self):
        for arguments, source in (
            (["bash", "--norc", "--noprofile", "-i"], "source <(strongroom completion bash)"),
            (
                ["zsh", "-f", "-i"],
                "autoload -U compinit && compinit -u; source <(strongroom completion zsh)",
            ),
            (["fish", "--no-config", "-i"], "strongroom completion fish | source"),
        ):
            with self.subTest(arguments[0]):
                shell = self.terminal(*arguments)
                shell.types(source + "; echo read''y\n")
                shell.shows("ready")
                # Each is run as it was completed: only then is there something to show.
                shell.types("strongroom kv get -field=value pla\tfol\ton\t\n")
                shell.shows("found-in-plain")
                shell.types("strongroom kv get -fie\t value sec\tde\tin\t\n")
                shell.shows("found-in-versioned")
                shell.close()

    def test_completion_is_installed_and_removed_as_by_vault(self):
        home = pathlib.Path(self.folder) / "home"
        (home / ".config/fish").mkdir(parents=True)
        (home / ".bashrc").write_text("alias a=b")
        (home / ".zshrc").write_text("autoload -U +X bashcompinit && bashcompinit\n")
        env = self.env | {"HOME": str(home)}

        def run(flag, status=0):
            done = subprocess.run(
                [harness.STRONGROOM, flag], env=env, capture_output=True, text=True, timeout=60
            )
            self.assertEqual(done.returncode, status, done)
            return done.stdout + done.stderr

        run("-autocomplete-install")
        line = f"complete -C {harness.STRONGROOM} strongroom"
        self.assertEqual((home / ".bashrc").read_text(), f"alias a=b\n{line}\n")
        zsh = (home / ".zshrc").read_text()
        self.assertEqual(zsh.count("bashcompinit\n"), 1)
        self.assertIn(f"complete -o nospace -C {harness.STRONGROOM} strongroom\n", zsh)
        fish = home / ".config/fish/completions/strongroom.fish"
        self.assertIn("complete -c strongroom", fish.read_text())
        self.assertIn("already installed", run("-autocomplete-install", 1))
        self.assertEqual((home / ".bashrc").read_text(), f"alias a=b\n{line}\n")
        run("-autocomplete-uninstall")
        self.assertEqual((home / ".bashrc").read_text(), "alias a=b\n")
        self.assertFalse(fish.exists())
        self.assertIn("not installed", run("--autocomplete-uninstall", 1))
        for path in (home / ".bashrc", home / ".zshrc"):
            path.unlink()
        (home / ".config/fish").rename(home / "away")
        self.assertIn("found no shell", run("-autocomplete-install", 1))


class ManualPages(Case):
    def test_every_page_is_read_without_a_warning(self):
        man, mandoc = harness.needs("man"), harness.needs("mandoc")
        folder = f"{self.folder}/man1"
        harness.run_strongroom("man", f"-output={folder}")
        pages = sorted(pathlib.Path(folder).iterdir())
        self.assertGreater(len(pages), 60)
        env = clean_env(self.folder) | {"LC_ALL": "C.UTF-8", "MANWIDTH": "80", "MANROFFSEQ": ""}
        linted = subprocess.run(
            [mandoc, "-T", "lint", "-W", "warning", *pages],
            capture_output=True, text=True, timeout=harness.COMMAND_SECONDS_MAX,
        )
        self.assertEqual(linted.stdout + linted.stderr, "")
        for page in pages[:3] + pages[-3:]:
            with self.subTest(page.name):
                shown = subprocess.run(
                    [man, "--warnings=w", "-E", "UTF-8", "-l", "-Tutf8", page],
                    env=env, capture_output=True, text=True, timeout=harness.COMMAND_SECONDS_MAX,
                )
                self.assertEqual((shown.returncode, shown.stderr), (0, ""))
                self.assertIn(page.name.removesuffix(".1"), shown.stdout)

    def test_the_date_can_be_fixed(self):
        env = clean_env(self.folder) | {"SOURCE_DATE_EPOCH": "86400"}
        first = harness.run_strongroom("man", env=env)
        self.assertIn(".TH \"STRONGROOM\" 1 1970-01-02 ", first.stdout)


class Debug(DevCase):
    CANARY = "c4n4ry-7731"

    def bundle(self, name, *flags, token=None):
        client = Client(harness.STRONGROOM, self.server, self.folder, token)
        return client.run("debug", f"-output={self.folder}/{name}", *flags)

    def contents(self, name):
        with tarfile.open(f"{self.folder}/{name}") as archive:
            members = archive.getmembers()
            self.assertEqual({member.mode for member in members}, {0o600})
            return {
                member.name.split("/", 1)[1]: archive.extractfile(member).read().decode()
                for member in members
            }

    def test_a_bundle_tells_much_and_nothing_secret(self):
        server = self.server
        server.write("secret/data/x", {"data": {"password": self.CANARY}})
        server.write("sys/auth/userpass", {"type": "userpass"})
        server.write("auth/userpass/users/a", {"password": self.CANARY})
        server.write("auth/userpass/login/a", {"password": self.CANARY})
        server.read(f"auth/token/lookup/{self.CANARY}")
        ran = self.bundle("all.tar.gz", "-duration=3s", "-interval=1s", "-metrics-interval=1s")
        self.assertEqual(ran.status, 0, ran)
        self.assertIn("Success! Bundle written to: ", ran.out)
        self.assertEqual(os.stat(f"{self.folder}/all.tar.gz").st_mode & 0o777, 0o600)
        files = self.contents("all.tar.gz")
        index = json.loads(files["index.json"])
        self.assertEqual(sorted(index["output"]["files"]), sorted(set(files) - {"index.json"}))
        self.assertEqual(
            {"config.json", "host.json", "metrics.json", "replication_status.json",
             "requests.json", "server_status.json"} - set(files), set(),
        )
        self.assertEqual(index["interval_seconds"], 1)
        self.assertGreaterEqual(len(json.loads(files["metrics.json"])), 2)
        status = json.loads(files["server_status.json"])
        self.assertGreaterEqual(len(status), 2)
        self.assertEqual(status[0]["data"]["seal"]["sealed"], False)
        self.assertIn("listeners", json.loads(files["config.json"])[0]["data"])
        for name, text in files.items():
            for secret in (self.CANARY, server.token):
                self.assertNotIn(secret, text, name)

    def test_targets_are_chosen_and_what_is_refused_is_noted(self):
        ran = self.bundle(
            "some", "-duration=1s", "-target=config", "-target=server-status", "-compress=false",
            token="wrong",
        )
        self.assertEqual(ran.status, 0, ran)
        folder = pathlib.Path(self.folder) / "some"
        self.assertEqual(folder.stat().st_mode & 0o777, 0o700)
        index = json.loads((folder / "index.json").read_text())
        self.assertEqual(index["targets"], ["config", "server-status"])
        self.assertEqual([error["target"] for error in index["errors"]], ["config"])
        names = sorted(file.name for file in folder.iterdir())
        self.assertEqual(names, ["index.json", "server_status.json"])
        again = self.bundle("some", "-duration=1s", "-compress=false")
        self.assertEqual(again.status, 1, again)
        self.assertIn("there already", again.err)
        for flags, words in (
            (["-duration=0"], "-duration must be"),
            (["-interval=-1s"], "-interval must be"),
            (["-target=pprof"], "pprof"),
            (["-log-format=xml"], "xml"),
        ):
            with self.subTest(flags):
                ran = self.bundle("other", *flags)
                self.assertEqual(ran.status, 1, ran)
                self.assertIn(words, ran.err)
                self.assertFalse(os.path.exists(f"{self.folder}/other.tar.gz"))
