"""Finds the suites, runs them, prints a line for each test and a closing line.

What takes too long fails with its name, the rest goes on.
"""

import faulthandler
import os
import pathlib
import runpy
import signal
import sys
import time
import traceback
import unittest

from harness import UNABLE

HERE = pathlib.Path(__file__).parent

# The slowest test takes some 20 s. Between tests a class is set up: images are made, clusters started.
TEST_SECONDS_MAX = float(os.environ.get("STRONGROOM_TEST_SECONDS_MAX", 300))
BETWEEN_SECONDS_MAX = 2 * TEST_SECONDS_MAX


class Overdue(Exception):
    """Raised in the midst of what takes too long. Not an `OSError`: tests wait for the end of those."""


class Watchdog:
    """Lets the main thread alone raise [`Overdue`], with what runs at that moment shown first."""

    def __init__(self):
        self.what = ""
        self.seconds = 0.0
        self.show = runpy.run_path(str(HERE.parent / "watch"))["processes"]
        signal.signal(signal.SIGALRM, self.bark)

    def watch(self, what, seconds):
        """Until the next call, and again and again: what cleans up may hang as well."""
        self.what, self.seconds = what, seconds
        signal.setitimer(signal.ITIMER_REAL, seconds, seconds)
        # Should the exception not help, as where a thread is waited for at exit.
        faulthandler.dump_traceback_later(4 * seconds + 60, exit=True, file=sys.stdout)

    def stop(self):
        signal.setitimer(signal.ITIMER_REAL, 0)
        faulthandler.cancel_dump_traceback_later()

    def bark(self, number, frame):
        print(f"HANGS   {self.what}: more than {self.seconds:.0f} s. Processes:", flush=True)
        print(self.show(), flush=True)
        faulthandler.dump_traceback(file=sys.stdout, all_threads=True)
        raise Overdue(f"{self.what}: more than {self.seconds:.0f} s")


class Report(unittest.TestResult):
    """One line a test. A skipped test is loud, and a failed one where CI=true: what it lacks can be
    installed there. A machine that cannot do what the test needs, whatever is installed, is no
    fault of the program's: that is as loud, and no failure."""

    def __init__(self, watchdog):
        super().__init__()
        self.watchdog = watchdog
        self.passed = 0
        self.failed = 0
        self.skipped_count = 0
        self.problems = []
        self._started = 0.0
        self._sub_failed = False

    def startTest(self, test):
        super().startTest(test)
        self.watchdog.watch(name(test), TEST_SECONDS_MAX)
        self._started = time.monotonic()
        self._sub_failed = False

    def stopTest(self, test):
        super().stopTest(test)
        self.watchdog.watch(f"what comes after {name(test)}", BETWEEN_SECONDS_MAX)

    def addSuccess(self, test):
        if not self._sub_failed:
            self.passed += 1
            self._line("ok", test)

    def addFailure(self, test, error):
        self._problem(test, error)

    def addError(self, test, error):
        # Also for what fails in setUpClass, where `test` stands for the class.
        self._problem(test, error)

    def addSubTest(self, test, subtest, error):
        if error is None:
            return
        text = "".join(traceback.format_exception(*error))
        if not self._sub_failed:
            self._sub_failed = True
            self.failed += 1
            self._line("FAILED", test)
        self.problems.append((f"{name(test)} {subtest._subDescription()}", text))

    def addSkip(self, test, reason):
        if os.environ.get("CI") == "true" and not reason.startswith(UNABLE):
            self.failed += 1
            self._line("FAILED", test, f"(skipped: {reason}; not allowed where CI=true)")
        else:
            self.skipped_count += 1
            self._line("SKIPPED", test, f"({reason})")

    def _problem(self, test, error):
        if not self._sub_failed:
            self.failed += 1
            self._line("FAILED", test)
        self.problems.append((name(test), "".join(traceback.format_exception(*error))))

    def _line(self, verdict, test, more=""):
        took = time.monotonic() - self._started if self._started else 0.0
        print(f"{verdict:7} {name(test)} {took:.2f}s {more}".rstrip(), flush=True)


def name(test):
    """`kv v2: a deleted version is 404 with its metadata`, of module and method."""
    if not hasattr(test, "_testMethodName"):
        return str(test)
    module = type(test).__module__.removeprefix("test_").replace("_", " ")
    method = test._testMethodName.removeprefix("test_").replace("_", " ")
    return f"{module}: {method}"


def cases(suite):
    for item in suite:
        if isinstance(item, unittest.TestSuite):
            yield from cases(item)
        else:
            yield item


def main(words, folder=HERE):
    if not os.environ.get("STRONGROOM_BIN"):
        print("set STRONGROOM_BIN to the built program (tests/run does)", file=sys.stderr)
        return 2
    loader = unittest.TestLoader()
    found = list(cases(loader.discover(str(folder), pattern="test_*.py", top_level_dir=str(folder))))
    chosen = [
        test
        for test in found
        # What could not be imported is never left out.
        if not words
        or any(word in name(test) for word in words)
        or type(test).__name__ == "_FailedTest"
    ]
    watchdog = Watchdog()
    report = Report(watchdog)
    try:
        watchdog.watch("what comes before the first test", BETWEEN_SECONDS_MAX)
        unittest.TestSuite(chosen).run(report)
    except (KeyboardInterrupt, Overdue) as error:
        report.failed += 1
        report.problems.append(("the run was ended", repr(error)))
    finally:
        watchdog.stop()
    for title, text in report.problems:
        print(f"\n=== {title}\n{text}")
    ran = report.passed + report.failed + report.skipped_count
    if ran == 0:
        print("no end-to-end test ran")
        report.failed += 1
    skipped = f", {report.skipped_count} skipped" if report.skipped_count else ""
    print(f"\ne2e: {report.passed} passed, {report.failed} failed{skipped}", flush=True)
    return 1 if report.failed else 0
