"""How a failing command ends: with one sentence and an exit code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import IntEnum
from typing import Any


class ExitCode(IntEnum):
    """The exit codes of `ipamctl` beside 0. Its help and docs/configuration.md list them."""

    REFUSED = 1
    USAGE = 2
    UNREACHABLE = 3


class CommandFailed(Exception):
    """Ends the command. `sentence` says what is wrong and what to do; it may hold foreign text.

    The `details` follow on lines of their own. `problem` is ipamd's problem document, if it sent one.
    """

    def __init__(
        self,
        sentence: str,
        exit_code: ExitCode,
        problem: Mapping[str, Any] | None = None,
        details: Sequence[str] = (),
    ) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.exit_code = exit_code
        self.problem = problem
        self.details = details
