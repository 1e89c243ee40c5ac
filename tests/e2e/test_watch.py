"""What hangs is ended and named: by `tests/watch`, and by the runner of these tests."""

import os
import pathlib
import signal
import subprocess
import sys
import textwrap

import harness
from harness import Case, wait_for

WATCH = harness.ROOT / "tests/watch"
# Looks like a program of Rust's tests, of which the second does not end and has started a process.
TESTS = """\
#!/bin/sh
if [ "$1" = --list ]; then
    printf 'a::ends: test\\nb::hangs: test\\nc::fails: test\\nd::waits: test\\n'
    exit
fi
echo 'test a::ends ... ok'
echo 'test c::fails ... FAILED'
sleep 1000 &
echo $! >child
wait
"""
RUNNER = """\
import sys
sys.path.insert(0, sys.argv[1])
import runner
sys.exit(runner.main([], sys.argv[2]))
"""
SUITE = """\
import threading
import unittest

class Hangs(unittest.TestCase):
    def test_a_lock_that_nobody_gives_back(self):
        lock = threading.Lock()
        lock.acquire()
        lock.acquire()

    def test_the_next_one(self):
        pass

class HangsBefore(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        threading.Event().wait()

    def test_never_comes(self):
        pass
"""


class Watch(Case):
    def run_it(self, *arguments, **more):
        done = subprocess.run(
            [sys.executable, *map(str, arguments)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=self.folder,
            timeout=harness.COMMAND_SECONDS_MAX,
            **more,
        )
        return done.returncode, done.stdout

    def script(self, name, text):
        path = pathlib.Path(self.folder) / name
        path.write_text(text)
        path.chmod(0o755)
        return path

    def test_names_the_test_that_hangs_and_ends_what_it_started(self):
        program = self.script("program", TESTS)
        status, said = self.run_it(WATCH, "--rust", "3", program)
        self.assertEqual(status, 124, said)
        self.assertIn("HANGS b::hangs\n", said)
        self.assertNotIn("HANGS d::waits", said)
        self.assertIn("\n  d::waits\n", said)
        self.assertIn("sleep 1000", said)
        self.assertIn("\ntest result: FAILED. 1 passed; 2 failed;", said)
        self.assert_gone(int((pathlib.Path(self.folder) / "child").read_text()))

    def test_passes_on_how_a_program_ended(self):
        for program, expected in [("exit 0", 0), ("exit 7", 7), ("kill -TERM $$", 143)]:
            with self.subTest(program):
                status, said = self.run_it(WATCH, "60", "/bin/sh", "-c", f"echo hello; {program}")
                self.assertEqual((status, said), (expected, "hello\n"))

    def test_does_not_wait_for_what_is_left_running(self):
        # It holds the output open: whoever reads that would wait for it.
        program = self.script("leaves", "#!/bin/sh\necho 'test a ... ok'\nsleep 1000 &\necho $! >left\n")
        status, said = self.run_it(WATCH, "--rust", "60", program)
        self.assertEqual(status, 0, said)
        self.assertIn("left running", said)
        self.assert_gone(int((pathlib.Path(self.folder) / "left").read_text()))

    def test_asks_orphans_for_their_status(self):
        # The inner shell ends first; what it leaves is ours, ends, and must not stay as a zombie.
        text = "sh -c 'sleep 0.1 & echo $! >orphan'; while kill -0 $(cat orphan) 2>/dev/null; do sleep 0.05; done"
        status, said = self.run_it(WATCH, "20", "/bin/sh", "-c", text)
        self.assertEqual(status, 0, said)

    def test_ends_what_it_watches_when_it_is_ended(self):
        child = pathlib.Path(self.folder) / "watched"
        watch = harness.Process(
            [sys.executable, str(WATCH), "60", "/bin/sh", "-c", f"echo $$ >{child}; sleep 1000; true"],
            self.folder,
            "watch",
        )
        self.addCleanup(watch.kill)
        wait_for("the program", lambda: child.exists() and child.read_text().endswith("\n"))
        watch.signal(signal.SIGTERM)
        self.assertEqual(watch.popen.wait(harness.STOP_SECONDS_MAX), 130)
        self.assert_gone(int(child.read_text()))

    def test_the_runner_fails_what_hangs_and_goes_on(self):
        suites = pathlib.Path(self.folder) / "suites"
        suites.mkdir()
        (suites / "test_of_time.py").write_text(textwrap.dedent(SUITE))
        env = os.environ | {"STRONGROOM_TEST_SECONDS_MAX": "0.5"}
        status, said = self.run_it("-c", RUNNER, harness.ROOT / "tests/e2e", suites, env=env)
        self.assertEqual(status, 1, said)
        self.assertIn("HANGS   of time: a lock that nobody gives back: more than", said)
        self.assertRegex(said, r'File ".*test_of_time.py", line \d+ in test_a_lock_that_nobody_gives_back')
        self.assertRegex(said, r"\nok      of time: the next one")
        self.assertIn("HANGS   what comes after of time: the next one: more than", said)
        self.assertIn("\ne2e: 1 passed, 2 failed\n", said)

    def assert_gone(self, process):
        try:
            os.kill(process, 0)
        except ProcessLookupError:
            return
        self.fail(f"process {process} is still there")
