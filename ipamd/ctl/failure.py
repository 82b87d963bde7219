"""How a command ends that did not do what was asked: one sentence and an exit code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import IntEnum
from typing import Any


class ExitCode(IntEnum):
    """What `ipamctl` ends with, beside 0; listed in its help and in docs/configuration.md."""

    REFUSED = 1
    USAGE = 2
    UNREACHABLE = 3


class CommandFailed(Exception):
    """Ends the command. `sentence` says what is wrong and what to do; it may hold foreign text.

    `details` follow it, a line each. `problem` is the document that ipamd refused with, if it did.
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
