"""A node on a small disk that fills: it says so, serves on what it can, and loses nothing."""

import os
import subprocess
import tempfile
import unittest

import harness
from cluster import SHARES, THRESHOLD, Cluster
from harness import Case, Process, clean_env, needs, wait_for

# Two segments of the log and the reserve fit, with some room above.
DISK_MIB = 512
VALUE = "x" * (900 << 10)


class FullDisk(Case):
    def setUp(self):
        self.cluster = Cluster(tempfile.mkdtemp(dir=self.folder), count=1)
        [self.node] = self.cluster.nodes
        self.data = self.node.folder / "data"
        self.addCleanup(self.give_back)
        mount = [needs("mount"), "-t", "tmpfs", "-o", f"size={DISK_MIB}m,mode=700", "tmpfs"]
        done = subprocess.run([*mount, str(self.data)], capture_output=True, text=True)
        if done.returncode != 0:
            raise unittest.SkipTest(f"a file system cannot be mounted: {done.stderr.strip()}")
        self.start_alone()

    def give_back(self):
        for node in self.cluster.running():
            node.process.kill()
        if os.path.ismount(self.data):
            subprocess.run([needs("umount"), str(self.data)], check=True)
        self.cluster.stop()

    def start_alone(self):
        self.node.start()
        body = {"secret_shares": SHARES, "secret_threshold": THRESHOLD}
        made = self.expect(self.node.write("sys/init", body, token=""), 200).json()
        self.cluster.set_keys(made["keys"], made["root_token"])
        self.node.unseal()
        wait_for("the node to be active", self.node.is_active)
        self.expect(self.node.write("sys/mounts/kv", {"type": "kv"}), 204)

    def start_again(self):
        self.node.start()
        self.node.unseal()
        wait_for("the node to be active", self.node.is_active)

    def remount(self, options):
        command = [needs("mount"), "-o", f"remount,{options}", str(self.data)]
        subprocess.run(command, check=True)

    def free_bytes(self):
        space = os.statvfs(self.data)
        return space.f_bavail * space.f_frsize

    def fill(self, but_for_bytes):
        with open(self.data / "filler", "xb") as filler:
            os.posix_fallocate(filler.fileno(), 0, self.free_bytes() - but_for_bytes)

    def write(self, key, value="v"):
        return self.node.write(f"kv/{key}", {"value": value}).status

    def stored(self, key):
        return self.expect(self.node.read(f"kv/{key}"), 200).data()["value"]

    def refused_writes(self):
        """Every kind of write is refused with what to do, and what is there can be read."""
        wait_for("writes to be refused", lambda: self.write("probe") == 507)
        for send in (
            lambda: self.node.write("kv/refused", {"value": "v"}),
            lambda: self.node.delete("kv/before"),
            lambda: self.node.write("auth/token/create", {}),
        ):
            [text] = self.expect(send(), 507).errors()
            self.assertIn("disk", text)
            self.assertIn("free", text)
        self.assertEqual(self.stored("before"), "v")
        self.expect(self.node.read("kv/refused"), 404)
        self.assertEqual(self.node.health(), 200)

    def test_writes_are_507_while_the_disk_is_below_its_reserve_and_reads_go_on(self):
        self.assertEqual(self.write("before"), 204)
        self.fill(but_for_bytes=200 << 20)
        self.refused_writes()
        told = rf"ERROR .*data folder {self.data}: \d+ bytes of the disk are free, \d+ are kept in reserve"
        self.assertRegex(self.node.process.output(), told)
        (self.data / "filler").unlink()
        wait_for("writes to be taken", lambda: self.write("after") == 204)
        self.assertEqual(self.stored("before"), "v")
        self.node.process.kill()
        self.start_again()
        self.assertEqual((self.stored("before"), self.stored("after")), ("v", "v"))
        self.expect(self.node.read("kv/refused"), 404)

    def test_a_node_without_a_byte_left_reads_on_stops_cleanly_and_comes_back(self):
        for number in range(10):
            self.assertEqual(self.write(f"big/{number}", VALUE), 204)
        self.assertEqual(self.write("before"), 204)
        self.fill(but_for_bytes=0)
        self.refused_writes()
        self.assertEqual(self.node.process.stop(), 0, self.node.process.output())
        # As full as before.
        self.start_again()
        self.refused_writes()
        (self.data / "filler").unlink()
        wait_for("writes to be taken", lambda: self.write("after") == 204)
        self.node.process.kill()
        self.start_again()
        for number in range(10):
            self.assertEqual(self.stored(f"big/{number}"), VALUE)
        self.assertEqual((self.stored("before"), self.stored("after")), ("v", "v"))

    def test_a_disk_without_room_for_files_refuses_writes_and_loses_none(self):
        # No new file can be made, though there are bytes enough: that too is no room.
        wait_for("the spare segment", lambda: list(self.data.rglob("spare-*")))
        self.assertEqual(self.write("before"), 204)
        space = os.statvfs(self.data)
        self.remount(f"size=8g,nr_inodes={space.f_files - space.f_ffree}")
        acknowledged = 0
        while self.is_written(acknowledged):
            acknowledged += 1
            self.assertLess(acknowledged, 300, "the log has found room for files that cannot be")
        self.refused_writes()
        self.remount("nr_inodes=1000")
        wait_for("writes to be taken", lambda: self.write("after") == 204)
        self.node.process.kill()
        self.start_again()
        for number in range(acknowledged):
            self.assertEqual(self.stored(f"n/{number}"), f"{number}{VALUE}")
        self.assertEqual(self.stored("after"), "v")

    def test_a_data_folder_that_became_read_only_is_told_at_the_start_and_kept_as_it_is(self):
        self.assertEqual(self.write("before"), 204)
        self.node.process.stop()
        self.remount("ro")
        arguments = [harness.STRONGROOM, "server", f"-config={self.node.folder}/node.hcl"]
        process = Process(arguments, self.node.folder, "refused", clean_env(self.node.folder))
        self.addCleanup(process.kill)
        wait_for("the program to end", lambda: not process.is_running())
        self.assertEqual(process.popen.returncode, 1, process.output())
        why = "read-only file system: this process must be able to write there"
        self.assertEqual(process.output().splitlines()[-1], f"data folder {self.data}: {why}")
        self.remount("rw")
        self.start_again()
        self.assertEqual(self.stored("before"), "v")

    def is_written(self, number):
        """Whether it was acknowledged."""
        try:
            answer = self.node.write(f"kv/n/{number}", {"value": f"{number}{VALUE}"})
        except OSError:
            return False
        if answer.status != 204:
            self.assertIn(answer.status, (500, 503, 507), answer)
        return answer.status == 204


