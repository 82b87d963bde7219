"""How a command ends that did not do what was asked: one sentence and an exit code."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """What `ipamd-agent` ends with, beside 0; listed in docs/configuration.md."""

    REFUSED = 1
    USAGE = 2
    UNREACHABLE = 3


class Failure(Exception):
    """Ends the command. The sentence says what is wrong and what to do; it may hold foreign text."""

    def __init__(self, sentence: str, exit_code: ExitCode = ExitCode.REFUSED) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.exit_code = exit_code
