"""That a run of the tests which is killed leaves none of its mounts behind: nobody else ever had them."""

import subprocess
import sys
from pathlib import Path

from tests.node_executable import ROOT

MOUNTING = """
import subprocess, sys
from tests import mounts
mounts.take_own()
subprocess.run(["mount", "-t", "tmpfs", "none", sys.argv[1]], check=True)
subprocess.run(["ip", "netns", "add", sys.argv[2]], check=True)
print(flush=True)
sys.stdin.read()
"""


def test_what_a_run_mounts_is_seen_by_nobody_else_and_goes_when_it_is_killed(scratch: Path) -> None:
    folder = scratch / "mounted"
    folder.mkdir()
    named = f"{scratch.name}-named"
    command = [sys.executable, "-c", MOUNTING, str(folder), named]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as run:
        assert run.stdout is not None
        assert run.stdout.readline() == b"\n"
        its = Path(f"/proc/{run.pid}/mountinfo").read_text()
        assert str(folder) in its and named in its

        assert str(folder) not in mounted() and named not in mounted()
        assert not Path("/run/netns", named).exists()
        run.kill()


def mounted() -> str:
    return Path("/proc/self/mountinfo").read_text()
