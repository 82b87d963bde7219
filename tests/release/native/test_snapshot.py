"""What the node executable has in memory when it begins: its loaded modules, and nothing of the build."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.node_executable import ROOT

# Writes its memory as variant/main.c does; later it prints what it has.
PROGRAM = """
#include <stdio.h>
#include <stdlib.h>
#include "snapshot.h"

static const void *kept;
static int loaded;

int main(int count, char **arguments) {
    if (loaded == 0) {
        snapshot_write(1);
        loaded = 42;
        kept = KEPT;
        return snapshot_write(1) ? 0 : 1;
    }
    printf("%d", loaded);
    return 0;
}
"""


def made(folder: Path, kept: str) -> Path:
    """Compile the program, which keeps an address beside its number."""
    source, program = folder / "program.c", folder / "program"
    source.write_text(PROGRAM)
    variant = ROOT / "native" / "variant"
    command = ["musl-gcc", "-static", "-no-pie", f"-DKEPT={kept}", f"-I{variant}"]
    subprocess.run([*command, variant / "snapshot.c", source, "-o", program], check=True, timeout=120)
    return program


def snapshot(program: Path) -> subprocess.CompletedProcess[str]:
    tool = ROOT / "native" / "snapshot.py"
    return subprocess.run(
        [sys.executable, tool, program, program], capture_output=True, text=True, timeout=120
    )


def test_a_program_begins_with_what_it_had_when_it_was_made(scratch: Path) -> None:
    program = made(scratch, "&loaded")

    taken = snapshot(program)
    begun = subprocess.run([program], capture_output=True, text=True, timeout=120)

    assert taken.returncode == 0, taken
    assert (begun.returncode, begun.stdout) == (0, "42")


@pytest.mark.parametrize("kept", ["arguments", 'getenv("ANOTHER")', "(void *)(long)count"])
def test_memory_that_depends_on_the_process_is_refused(scratch: Path, kept: str) -> None:
    program = made(scratch, kept)
    before = program.read_bytes()

    taken = snapshot(program)

    assert "differs from run to run" in taken.stderr
    assert (taken.returncode, program.read_bytes()) == (1, before)
