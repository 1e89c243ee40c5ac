"""Finds the suites, runs them, prints a line for each test and a closing line."""

import os
import pathlib
import sys
import time
import traceback
import unittest

HERE = pathlib.Path(__file__).parent


class Report(unittest.TestResult):
    """One line a test. A skipped test is loud, and a failed one where CI=true."""

    def __init__(self):
        super().__init__()
        self.passed = 0
        self.failed = 0
        self.skipped_count = 0
        self.problems = []
        self._started = 0.0
        self._sub_failed = False

    def startTest(self, test):
        super().startTest(test)
        self._started = time.monotonic()
        self._sub_failed = False

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
        if os.environ.get("CI") == "true":
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


def main(words):
    if not os.environ.get("STRONGROOM_BIN"):
        print("set STRONGROOM_BIN to the built program (tests/run does)", file=sys.stderr)
        return 2
    loader = unittest.TestLoader()
    found = list(cases(loader.discover(str(HERE), pattern="test_*.py", top_level_dir=str(HERE))))
    chosen = [
        test
        for test in found
        # What could not be imported is never left out.
        if not words
        or any(word in name(test) for word in words)
        or type(test).__name__ == "_FailedTest"
    ]
    report = Report()
    try:
        unittest.TestSuite(chosen).run(report)
    except KeyboardInterrupt:
        report.failed += 1
    for title, text in report.problems:
        print(f"\n=== {title}\n{text}")
    ran = report.passed + report.failed + report.skipped_count
    if ran == 0:
        print("no end-to-end test ran")
        report.failed += 1
    skipped = f", {report.skipped_count} skipped" if report.skipped_count else ""
    print(f"\ne2e: {report.passed} passed, {report.failed} failed{skipped}", flush=True)
    return 1 if report.failed else 0
