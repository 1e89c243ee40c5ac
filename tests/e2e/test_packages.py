"""Packages: made, looked at, and installed into a folder, removed and purged."""

import os
import pathlib
import re
import shutil
import subprocess
import unittest

import harness
from harness import Case, clean_env

BUILD = harness.ROOT / "deploy/packaging/build-package"


class Package(Case):
    """Of no kind itself."""

    kind = tool = None

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        harness.needs(cls.tool)
        # What people install has no symbols; and it is packed in a tenth of the time.
        program = f"{cls.folder}/strongroom"
        shutil.copy(harness.STRONGROOM, program)
        subprocess.run([harness.needs("strip"), program], check=True)
        cls.program = program
        cls.package = cls.build("first")

    @classmethod
    def build(cls, name):
        output = pathlib.Path(cls.folder) / name
        output.mkdir()
        env = clean_env(cls.folder, SOURCE_DATE_EPOCH="1700000000")
        cls.say([BUILD, cls.kind, cls.program, output], env=env)
        [package] = output.iterdir()
        return package

    @staticmethod
    def say(arguments, env=None, status=0):
        done = subprocess.run(
            list(map(str, arguments)), env=env, capture_output=True, text=True,
            timeout=harness.COMMAND_SECONDS_MAX, stdin=subprocess.DEVNULL,
        )
        assert done.returncode == status, f"{arguments}\n{done.stdout}{done.stderr}"
        return done.stdout

    def same_again(self):
        self.assertEqual(self.build("second").read_bytes(), self.package.read_bytes())

    def empty_root(self):
        if os.getuid() != 0:
            raise unittest.SkipTest(f"{harness.UNABLE} install packages: not root")
        root = pathlib.Path(self.folder) / "root"
        root.mkdir()
        return root


class DebianPackage(Package):
    kind, tool = "deb", "dpkg-deb"

    def test_a_deb_says_what_it_is_and_holds_what_is_needed(self):
        self.assertRegex(self.package.name, r"^strongroom_\d+\.\d+\.\d+_\w+\.deb$")
        info = self.say(["dpkg-deb", "--info", self.package])
        for line in (r"Package: strongroom", r"Depends: libc6 \(>= 2\.", r"conffiles"):
            self.assertRegex(info, line)
        contents = self.say(["dpkg-deb", "--contents", self.package])
        for path, mode in (
            ("usr/bin/strongroom", "-rwxr-xr-x"),
            ("usr/lib/systemd/system/strongroom.service", "-rw-r--r--"),
            ("usr/lib/sysusers.d/strongroom.conf", "-rw-r--r--"),
            ("etc/strongroom/", "drwxr-x---"),
            ("etc/strongroom/strongroom.hcl", "-rw-r-----"),
            ("usr/share/man/man1/strongroom.1.gz", "-rw-r--r--"),
            ("usr/share/man/man1/strongroom-kv-get.1.gz", "-rw-r--r--"),
            ("usr/share/bash-completion/completions/strongroom", "-rw-r--r--"),
            ("usr/share/doc/strongroom/runbooks/disk-full.md", "-rw-r--r--"),
        ):
            with self.subTest(path):
                found = re.search(rf"(?m)^(\S+) root/root .* \./{re.escape(path)}$", contents)
                self.assertTrue(found, f"{path}\n{contents}")
                self.assertEqual(found[1], mode)
        self.assertNotRegex(contents, r"\./var/")

    def test_the_same_program_gives_the_same_deb(self):
        self.same_again()

    def test_a_deb_is_installed_and_removed_and_keeps_what_people_have_changed(self):
        root = self.empty_root()
        for folder in ("var/lib/dpkg/info", "var/lib/dpkg/updates", "etc"):
            (root / folder).mkdir(parents=True)
        for file in ("var/lib/dpkg/status", "var/lib/dpkg/available", "etc/passwd", "etc/group"):
            (root / file).write_text("")
        # No C library is there, and no shell: scripts are run outside, on this root.
        dpkg = ["dpkg", f"--root={root}", "--force-script-chrootless", "--force-depends"]
        self.say([*dpkg, "--install", self.package])
        self.assertIn("strongroom", (root / "etc/passwd").read_text())
        group = re.search(r"(?m)^strongroom:[^:]*:(\d+)", (root / "etc/group").read_text())[1]
        config = root / "etc/strongroom/strongroom.hcl"
        self.assertEqual((config.stat().st_uid, config.stat().st_gid), (0, int(group)))
        self.assertEqual(config.stat().st_mode & 0o777, 0o640)
        said = self.say([root / "usr/bin/strongroom", "version"])
        self.assertIn("Strongroom v", said)
        # It is a valid configuration as it stands.
        self.say([root / "usr/bin/strongroom", "operator", "validate-config", config])

        config.write_text("# changed\n")
        self.say([*dpkg, "--force-confold", "--install", self.package])
        self.assertEqual(config.read_text(), "# changed\n")
        data = root / "var/lib/strongroom"
        data.mkdir()
        (data / "kept").write_text("data")
        self.say([*dpkg, "--remove", "strongroom"])
        self.assertFalse((root / "usr/bin/strongroom").exists())
        self.assertEqual(config.read_text(), "# changed\n")
        self.say([*dpkg, "--purge", "strongroom"])
        self.assertFalse(config.exists())
        self.assertEqual((data / "kept").read_text(), "data")


class RpmPackage(Package):
    kind, tool = "rpm", "rpmbuild"

    def test_an_rpm_says_what_it_is_and_holds_what_is_needed(self):
        self.assertRegex(self.package.name, r"^strongroom-\d+\.\d+\.\d+-1\.\w+\.rpm$")
        contents = self.say(["rpm", "-qlvp", self.package])
        for path, mode in (
            ("/usr/bin/strongroom", "-rwxr-xr-x"),
            ("/usr/lib/systemd/system/strongroom.service", "-rw-r--r--"),
            ("/etc/strongroom", "drwxr-x---"),
            ("/etc/strongroom/strongroom.hcl", "-rw-r-----"),
            ("/usr/share/man/man1/strongroom.1.gz", "-rw-r--r--"),
            ("/usr/share/zsh/site-functions/_strongroom", "-rw-r--r--"),
        ):
            with self.subTest(path):
                found = re.search(rf"(?m)^(\S+) .* {re.escape(path)}$", contents)
                self.assertTrue(found, f"{path}\n{contents}")
                self.assertEqual(found[1], mode)
        config = self.say(["rpm", "-qp", "--configfiles", self.package])
        self.assertEqual(config, "/etc/strongroom/strongroom.hcl\n")
        self.assertIn("libc.so.6", self.say(["rpm", "-qp", "--requires", self.package]))
        scripts = self.say(["rpm", "-qp", "--scripts", self.package])
        self.assertIn("useradd --system", scripts)

    def test_the_same_program_gives_the_same_rpm(self):
        self.same_again()

    def test_an_rpm_is_installed_and_removed_and_keeps_what_people_have_changed(self):
        root = self.empty_root()
        rpm = ["rpm", f"--root={root}"]
        self.say([*rpm, "--install", "--nodeps", "--noscripts", self.package])
        self.assertIn("Strongroom v", self.say([root / "usr/bin/strongroom", "version"]))
        config = root / "etc/strongroom/strongroom.hcl"
        self.assertEqual(config.stat().st_mode & 0o777, 0o640)
        config.write_text("# changed\n")
        self.say([*rpm, "--erase", "--nodeps", "--noscripts", "strongroom"])
        self.assertFalse((root / "usr/bin/strongroom").exists())
        self.assertEqual((config.parent / "strongroom.hcl.rpmsave").read_text(), "# changed\n")
