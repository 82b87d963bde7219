"""The entry point of `ipamd-agent`.

An agent that runs for months loads no parser of command lines: that would be a fifth of its memory.
So a child reads the command line of `run`, hands over what it says, and ends.
"""

from __future__ import annotations

import ctypes
import logging
import os
import sys
from typing import Final, NoReturn

from node_agent.failure import CommandFailed
from node_agent.text import complain

NAME: Final = "ipamd-agent"
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8  # malloc.h
_LARGE: Final = 1 << 16


def main() -> None:
    """Run the command that the command line names."""
    if "run" not in sys.argv[1:]:
        _parse(None)
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        _parse(writing)
    os.close(writing)
    _run(reading, child)


def _parse(pipe: int | None) -> NoReturn:
    """Read the command line, and do what it says; `run` writes its options into the pipe."""
    from node_agent.command_line import application

    application(prog_name=NAME, obj=pipe)
    sys.exit()


def _let_memory_go() -> None:
    """Have glibc give back what a pass over thousands of routes needed: else each thread keeps some."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # musl has none
    if mallopt is not None:
        mallopt(_ARENA_MAX, 1)
        mallopt(_MMAP_THRESHOLD, _LARGE)
        mallopt(_TRIM_THRESHOLD, _LARGE)


def _run(pipe: int, child: int) -> None:
    """Run the agent by the options that a child writes. If it writes none, it has done all there is to do."""
    import uvloop

    _let_memory_go()
    from hosting import logs
    from node_agent import running
    from node_agent.run_options import RunOptions

    with os.fdopen(pipe, "rb") as written:
        told = written.read()
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if not told or code:
        sys.exit(code)
    options = RunOptions.decode(told)
    logs.configure(logging.INFO, options.log_format)
    try:
        uvloop.run(running.run(running.Settings.of(options)))
    except CommandFailed as failure:
        complain(failure.sentence)
        sys.exit(failure.exit_code)
