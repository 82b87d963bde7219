"""An IPAM plugin of CNI_PATH, run as its specification says: the same environment and stdin, stderr ours."""

from __future__ import annotations

import select

from cni_plugin import platform
from cni_plugin.failure import INTERNAL, IO_FAILURE, TRY_AGAIN, UNDECODABLE, Failure, reason
from cni_plugin.files import next_piece
from cni_plugin.scanner import NotJson, parse_object
from veth_plugin import program

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cni_plugin.clock import Deadline

_EAGAIN = 11
_ANSWER_BYTES = 1 << 20
_SHOWN = 200


class _Ended(Exception):
    """The program was ended before it had answered; says why."""


def run(path: str, verb: str, stdin: bytes, deadline: Deadline) -> bytes:
    """Run a plugin for a verb and give its answer; Failure with its own error if it refuses.

    Failure 5 if it cannot be started, 11 if it has not ended by the deadline, which ends it.
    """
    name = path[path.rfind("/") + 1 :]
    try:
        status, answer = _run(path, verb, stdin, deadline)
    except OSError as error:
        raise Failure(IO_FAILURE, f"{path} cannot be run: {reason(error)}") from error
    except _Ended as error:
        raise Failure(TRY_AGAIN, f"{name} {error}") from error
    if status != 0:
        raise refusal(name, status, answer)
    return answer


def decode(path: str, answer: bytes) -> dict[str, object]:
    """Give the object that a plugin answered; Failure 6 if its answer is none."""
    try:
        return parse_object(answer)
    except NotJson as error:
        name = path[path.rfind("/") + 1 :]
        raise Failure(UNDECODABLE, f"the answer of {name} is not a JSON object", str(error)) from error


def _run(path: str, verb: str, stdin: bytes, deadline: Deadline) -> tuple[int, bytes]:
    """Run a program and give its exit status and stdout."""
    given = program.memory_file(stdin)
    reading, writing = program.new_pipe()
    try:
        process = program.start(path, verb, given, writing)
        platform.close(writing)
        writing = -1
        watched = program.watch(process)
        try:
            answer = _read(reading, watched, deadline)
        except _Ended:
            program.kill(process)
            raise
        finally:
            platform.close(watched)
            status = program.status(process)
        return status, answer
    finally:
        for file in (given, reading, writing):
            if file >= 0:
                platform.close(file)


def _read(reading: int, watched: int, deadline: Deadline) -> bytes:
    """Read what a program writes until it has ended: a child that it leaves behind may keep the pipe open."""
    poller = select.poll()
    poller.register(reading, select.POLLIN)
    poller.register(watched, select.POLLIN)
    pieces: list[bytes] = []
    size = 0
    while True:
        ready = [file for file, _ in poller.poll(deadline.left_ms())]
        if not ready:
            raise _Ended("gave no answer in time")
        while reading in ready:
            piece = _read_piece(reading, size)
            if piece is None:
                break
            if not piece:
                poller.unregister(reading)
                break
            pieces.append(piece)
            size += len(piece)
            if size > _ANSWER_BYTES:
                raise _Ended(f"answered more than {_ANSWER_BYTES} bytes")
        if watched in ready and reading not in ready:
            return b"".join(pieces)


def _read_piece(reading: int, size: int) -> bytes | None:
    """Give what is in the pipe, None if there is nothing now, nothing at its end."""
    try:
        return platform.read(reading, next_piece(size))
    except OSError as error:
        if error.errno != _EAGAIN:
            raise
        return None


def refusal(name: str, status: int, answer: bytes) -> Failure:
    """Give a plugin's own error, out of what it answered."""
    try:
        values = parse_object(answer)
    except NotJson:
        values = {}
    code, msg, details = values.get("code"), values.get("msg"), values.get("details")
    if isinstance(code, int) and not isinstance(code, bool) and code > 0 and isinstance(msg, str):
        return Failure(code, msg, details if isinstance(details, str) else "")
    how = f"was ended by signal {-status}" if status < 0 else f"ended with status {status}"
    shown = "".join([chr(byte) if 0x20 <= byte < 0x7F else "?" for byte in answer[:_SHOWN]])
    return Failure(INTERNAL, f"{name} {how} and gave no error object", shown)
