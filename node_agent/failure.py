"""How a failing command ends: with one sentence and an exit code."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """The exit codes of `ipamd-agent` beside 0. docs/configuration.md lists them."""

    REFUSED = 1
    USAGE = 2
    UNREACHABLE = 3


class CommandFailed(Exception):
    """Ends the command. The sentence says what is wrong and what to do; it may hold foreign text."""

    def __init__(self, sentence: str, exit_code: ExitCode = ExitCode.REFUSED) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.exit_code = exit_code
