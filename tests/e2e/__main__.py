"""Runs the end-to-end tests: `tests/run --e2e`, or this folder with the cache's Python.

Arguments are words; only tests whose name holds one of them run.
"""

import sys

import runner

sys.exit(runner.main(sys.argv[1:]))
