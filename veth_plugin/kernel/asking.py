"""Asking the kernel, and saying in the words of CNI why it refused."""

from __future__ import annotations

from cni_plugin import platform
from cni_plugin.failure import IO_FAILURE, TRY_AGAIN, Failure, reason
from netlink.connection import Connection, Interrupted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from netlink.connection import Answer
    from netlink.message import Message, Refusal, Request

NO_SUCH_FILE, EXISTS, NO_SUCH_DEVICE, INVALID, NOT_SUPPORTED = 2, 17, 19, 22, 95
NETWORK_UNREACHABLE = 101
NO_NFTABLES = NOT_SUPPORTED


def connect(protocol: int) -> Connection:
    """Give a connection to the kernel, in the network namespace in which this process is; Failure 5."""
    try:
        return Connection(platform.netlink_socket(protocol))
    except OSError as error:
        raise Failure(IO_FAILURE, f"the kernel gives no netlink socket: {reason(error)}") from error


class Step:
    """A request, what it is for in words, and the errors for which it is done all the same."""

    def __init__(self, request: Request, purpose: str, passed: tuple[int, ...] = ()) -> None:
        self.request = request
        self.purpose = purpose
        self.passed = passed


def carry_out(connection: Connection, steps: list[Step]) -> list[Answer]:
    """Carry out steps in one send and give their answers; Failure 5 of the first that the kernel refuses."""
    answers = exchange(connection, [step.request for step in steps])
    for step, answer in zip(steps, answers):
        if answer.refusal is not None and answer.refusal.errno not in step.passed:
            raise refused(step.purpose, answer.refusal)
    return answers


def exchange(connection: Connection, requests: list[Request]) -> list[Answer]:
    """Send requests and give their answers; Failure 5 if the kernel does not answer."""
    try:
        return connection.exchange(requests)
    except OSError as error:
        raise Failure(IO_FAILURE, f"the kernel does not answer: {reason(error)}") from error


def transact(connection: Connection, requests: list[Request]) -> Refusal | None:
    """Send a transaction and give its first refusal, if any; Failure 5 if the kernel does not answer."""
    try:
        answers = connection.transaction(requests)
    except OSError as error:
        raise Failure(IO_FAILURE, f"the kernel does not answer: {reason(error)}") from error
    refusals = [answer.refusal for answer in answers if answer.refusal is not None]
    return refusals[0] if refusals else None


def list_all(
    connection: Connection, request: Request, what: str, passed: tuple[int, ...] = ()
) -> list[Message]:
    """Give a list of the kernel's, empty for errors that are passed over; Failure 5 or 11."""
    try:
        return connection.list_all(request)
    except OSError as error:
        if error.errno in passed:
            return []
        raise Failure(IO_FAILURE, f"the kernel does not list {what}: {reason(error)}") from error
    except Interrupted as error:
        raise Failure(TRY_AGAIN, f"{what}: {error}") from error


def refused(purpose: str, refusal: Refusal, code: int = IO_FAILURE) -> Failure:
    """Give the failure for what the kernel refused."""
    details = f"error {refusal.errno} of the kernel" if refusal.text else ""
    return Failure(code, f"{purpose}: {refusal.text or reason(OSError(refusal.errno))}", details)
