"""`python -m tests.faults.launcher <module> [arguments]`: arm the failpoint of the environment, then run the module."""

import runpy
import sys

from tests.faults import failpoints

if __name__ == "__main__":
    failpoints.arm()
    sys.argv = sys.argv[1:]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
