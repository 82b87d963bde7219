"""The answer to the runtime: one result or one error object on stdout, and an exit code."""

from __future__ import annotations

from cni_plugin.failure import INTERNAL, Failure
from cni_plugin.files import write_all
from cni_plugin.versions import NEWEST

_STDOUT, _STDERR = 1, 2


class Reply:
    """The answer to one invocation, in its cniVersion."""

    def __init__(self) -> None:
        self.version = NEWEST
        self.code: int | None = None  # the exit code, once the runtime has its reply

    def write(self, data: bytes) -> None:
        """Write a result. OSError if nobody reads it."""
        write_all(_STDOUT, data)

    def fail(self, failure: Failure) -> int:
        """Write an error object and give the exit code."""
        return self.refuse(failure.encode(self.version))

    def refuse(self, error: bytes) -> int:
        """Write an error object's bytes and give the exit code."""
        try:
            self.write(error)
        except OSError:
            note(error.decode())
        return 1

    def crash(self, what: str) -> int:
        """Report a bug and give the exit code. If there was an answer, it stays the only one."""
        if self.code is None:
            return self.fail(Failure(INTERNAL, "internal error", what))
        note(f"internal error after the answer: {what}")
        return self.code


def note(text: str) -> None:
    """Write a line for people to stderr. If that fails, nobody can be told."""
    try:
        write_all(_STDERR, text.encode() + b"\n")
    except OSError:
        return
