"""Read the network configuration from stdin, within the time of an invocation."""

from __future__ import annotations

import select

from cni_plugin import platform
from cni_plugin.failure import IO_FAILURE, TOO_LARGE, Failure, reason
from cni_plugin.files import next_piece

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cni_plugin.clock import Deadline

_STDIN = 0
_BYTES = 256 << 10
_BYTES_OF_GC = 4 << 20  # it lists every attachment of the network
_FIFO, _CHARACTERS, _SOCKET = 0o010000, 0o020000, 0o140000


def read_stdin(verb: str, deadline: Deadline) -> bytes:
    """Read stdin to its end before the deadline. Failure 5, or 103 if it is more than ipamd accepts."""
    limit = _BYTES_OF_GC if verb == "GC" else _BYTES
    pieces: list[bytes] = []
    size = 0
    try:
        may_block = platform.file_status(_STDIN)[0] & platform.S_IFMT in (_FIFO, _CHARACTERS, _SOCKET)
        while True:
            if may_block:
                _wait(deadline)
            piece = platform.read(_STDIN, next_piece(size))
            if not piece:
                return b"".join(pieces)
            pieces.append(piece)
            size += len(piece)
            if size > limit:
                raise Failure(TOO_LARGE, f"the configuration on stdin has more than {limit} bytes")
    except OSError as error:
        raise Failure(IO_FAILURE, f"stdin cannot be read: {reason(error)}") from error


def _wait(deadline: Deadline) -> None:
    poller = select.poll()
    poller.register(_STDIN, select.POLLIN)
    if not poller.poll(deadline.left_ms()):
        raise Failure(IO_FAILURE, "stdin did not end in time")
