"""Runs the suite as whoever wrote a backend does: from the command line, in a folder without our settings."""

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
SECONDS = 900

IN_MEMORY = Path("/dev/shm")
"""Where databases are kept: what a killed process leaves needs no disk, and each commit waits for one."""


@dataclass(frozen=True)
class Verdict:
    """How a run ended: its exit code, the names of the tests that failed, what it printed."""

    code: int
    failed: frozenset[str]
    text: str


def run_suite(folder: Path, *arguments: str) -> Verdict:
    """Run the suite with these arguments."""
    command = [sys.executable, "-m", "ipamd.backends.conformance", "-q", "-rfE"]
    without = [part for plugin in ("cacheprovider", "schemathesis") for part in ("-p", f"no:{plugin}")]
    done = subprocess.run(
        [*command, *without, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), "TMPDIR": str(IN_MEMORY)},
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    failed = re.findall(r"^(?:FAILED|ERROR) \S+::(\w+)", done.stdout, re.MULTILINE)
    return Verdict(done.returncode, frozenset(failed), done.stdout + done.stderr)
