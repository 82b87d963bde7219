"""One call: what was asked, what is known for the answer, and the way back to the runtime."""

from __future__ import annotations

import select

from ipam_plugin import clock, configuration, environment, platform, request
from ipam_plugin.failure import INTERNAL, IO_FAILURE, TOO_LARGE, UNDECODABLE, Failure, reason
from ipam_plugin.files import next_piece, write_all
from ipam_plugin.scanner import NotJson, parse_object
from ipam_plugin.spool import Spool

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ipam_plugin.clock import Deadline, Moment
    from ipam_plugin.environment import Call

_STDIN, _STDOUT, _STDERR = 0, 1, 2
_STDIN_BYTES = 256 << 10
_STDIN_BYTES_GC = 4 << 20
_FIFO, _CHARACTERS, _SOCKET = 0o010000, 0o020000, 0o140000


class Reply:
    """The way to stdout, for one answer; knows in which cniVersion to speak."""

    def __init__(self) -> None:
        self.version = configuration.VERSIONS[-1]
        self.code: int | None = None  # the exit code, once the call has had its answer

    def write(self, data: bytes) -> None:
        """Write an answer; OSError where nobody takes it."""
        write_all(_STDOUT, data)

    def crash(self, what: str) -> int:
        """Tell of a defect and give the exit code: an answer that was given stays the only one."""
        if self.code is None:
            return self.fail(Failure(INTERNAL, "internal error", what))
        note(f"internal error after the answer: {what}")
        return self.code

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


def note(text: str) -> None:
    """Write a line for people on stderr; there is nobody to tell where that fails."""
    try:
        write_all(_STDERR, text.encode() + b"\n")
    except OSError:
        return


class Session:
    """A call with its configuration read and checked: all that a verb needs."""

    def __init__(
        self, call: Call, issued: Moment, reply: Reply, stdin: bytes, values: dict[str, object]
    ) -> None:
        settings = configuration.settings(values)
        self.call = call
        self.issued = issued
        self.reply = reply
        self.stdin = stdin
        self.settings = settings
        self.deadline = clock.after(issued.uptime_ns, settings.timeout)
        self.spool = Spool(settings.state_dir)
        self.headers = environment.trace_headers(platform.environment)
        self.tried = ""  # the entry that this call has spooled because ipamd would not have it now

    def request(self, *, undo: bool = False) -> bytes:
        """Give the lasting part of this call's request, or of the release of what it took."""
        return request.keep(self.call, self.settings, self.issued, self.stdin, undo=undo)


def read_stdin(verb: str, deadline: Deadline) -> bytes:
    """Read stdin to its end, before the deadline; Failure 5, or 103 where there is more than ipamd takes."""
    limit = _STDIN_BYTES_GC if verb == "GC" else _STDIN_BYTES
    pieces: list[bytes] = []
    size = 0
    try:
        patient = platform.file_status(_STDIN)[0] & platform.S_IFMT in (_FIFO, _CHARACTERS, _SOCKET)
        while True:
            if patient:
                _await_stdin(deadline)
            piece = platform.read(_STDIN, next_piece(size))
            if not piece:
                return b"".join(pieces)
            pieces.append(piece)
            size += len(piece)
            if size > limit:
                raise Failure(TOO_LARGE, f"the configuration on stdin has more than {limit} bytes")
    except OSError as error:
        raise Failure(IO_FAILURE, f"stdin cannot be read: {reason(error)}") from error


def decode(stdin: bytes) -> dict[str, object]:
    """Give the configuration; Failure 6 where stdin is not one JSON object."""
    try:
        return parse_object(stdin)
    except NotJson as error:
        raise Failure(UNDECODABLE, "the configuration on stdin is not a JSON object", str(error)) from error


def _await_stdin(deadline: Deadline) -> None:
    poller = select.poll()
    poller.register(_STDIN, select.POLLIN)
    if not poller.poll(deadline.left_ms()):
        raise Failure(IO_FAILURE, "stdin did not end in time")
