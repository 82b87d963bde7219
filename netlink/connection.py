"""A socket to the kernel: several requests in one send, each with its answer."""

from __future__ import annotations

import select

from netlink import message
from netlink.message import Message, Refusal, Request

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from netlink.shapes import Socket

FAMILY, KIND = 16, 3
"""What a socket is made with: AF_NETLINK, SOCK_RAW; beside them one of the protocols."""
ROUTE, NETFILTER = 0, 12
"""The protocols: links, addresses, neighbours and routes; packet filters and the tracking of connections."""

_NOTHING_THERE = 11  # EAGAIN
_SOL_NETLINK = 270
_ADD_MEMBERSHIP, _CAP_ACK, _EXT_ACK, _STRICT_CHECKING = 1, 10, 11, 12

_MOST_AT_ONCE = 64  # so that what is refused of them fits into the socket's buffer
_TRIES_OF_A_LIST = 30
# Not in one line: MicroPython freezes tuples of numbers above 8191 as objects, which `recv` takes for sizes.
_ANSWER = 8192
_LIST = 65536


class Answer:
    """What the kernel answered to one request: a refusal, or what was asked for."""

    def __init__(self) -> None:
        self.refusal: Refusal | None = None
        self.messages: list[Message] = []


class Interrupted(Exception):
    """A list changed each time while it was made; says how often it was tried."""


class Connection:
    """Asks the kernel, in the network namespace in which the socket was made.

    Methods raise OSError if the socket fails; what the kernel refuses is a value.
    """

    def __init__(self, socket: Socket) -> None:
        self._socket = socket
        self._sequence = 0
        for option in (_CAP_ACK, _EXT_ACK, _STRICT_CHECKING):
            socket.setsockopt(_SOL_NETLINK, option, 1)

    def close(self) -> None:
        self._socket.close()

    def fileno(self) -> int:
        return self._socket.fileno()

    def listen(self, group: int) -> None:
        """Hear from now on what the kernel announces to a group; whoever does so asks by `send` alone."""
        self._socket.setsockopt(_SOL_NETLINK, _ADD_MEMBERSHIP, group)

    def send(self, request: Request) -> None:
        """Send one request whose answer `hear` gives, among what is announced."""
        self._sequence += 1
        self._socket.send(message.encode(request, self._sequence, message.ACK))

    def hear(self, milliseconds: int) -> list[Message]:
        """Give what the kernel says next, nothing if it says nothing for so long."""
        poller = select.poll()
        poller.register(self._socket.fileno(), select.POLLIN)
        return message.decode(self._socket.recv(_ANSWER)) if poller.poll(milliseconds) else []

    def exchange(self, requests: list[Request]) -> list[Answer]:
        """Send requests and give their answers in the same order.

        The kernel carries them out one after another, also those behind one that it refuses.
        """
        answers: list[Answer] = []
        for start in range(0, len(requests), _MOST_AT_ONCE):
            answers += self._send(requests[start : start + _MOST_AT_ONCE])
        return answers

    def transaction(self, requests: list[Request]) -> list[Answer]:
        """Send a transaction of nftables, which takes effect as a whole or not at all."""
        return self._send(requests, end=2)

    def list_all(self, request: Request) -> list[Message]:
        """Give the list that is asked for, made again if it changed meanwhile.

        Raises OSError if the kernel refuses, Interrupted if it changed too often.
        """
        for _ in range(_TRIES_OF_A_LIST):
            told = list(self._list(request))
            if not any(one.tells_of_interruption() for one in told):
                return told[:-1]
        raise Interrupted(f"the kernel's list changed while it was made, {_TRIES_OF_A_LIST} times")

    def each(self, request: Request) -> Iterator[Message]:
        """Give the messages of a list as they come, even if it changes; OSError if the kernel refuses.

        Whoever does not read to its end gets no other list from this connection.
        """
        for one in self._list(request):
            if one.kind != message.DONE:
                yield one

    def _list(self, request: Request) -> Iterator[Message]:
        """Give the messages of a list, and the one that ends it."""
        self._sequence += 1
        sequence = self._sequence
        self._socket.send(message.encode(request, sequence, message.DUMP))
        while True:
            for one in message.decode(self._socket.recv(_LIST)):
                if one.sequence != sequence:
                    continue
                if one.kind in (message.ERROR, message.DONE):
                    refused = message.refusal(one)
                    if refused is not None:
                        raise OSError(refused.errno, refused.text)
                yield one
                if one.kind == message.DONE:
                    return

    def _send(self, requests: list[Request], end: int = 1) -> list[Answer]:
        """Send them at once. `end` from the last stands the one whose answer comes last.

        That one alone is asked to be acknowledged: the kernel carries all out before `send` returns, and says
        unasked which it refuses.
        """
        first = self._sequence + 1
        self._sequence += len(requests)
        acknowledged = self._sequence - end + 1
        encoded = []
        for number, request in enumerate(requests):
            flags = message.ACK if first + number == acknowledged else 0
            encoded.append(message.encode(request, first + number, flags))
        self._socket.send(b"".join(encoded))
        answers = [Answer() for _ in requests]
        while True:
            try:
                data = self._socket.recv(_ANSWER)
            except OSError as error:
                if error.errno == _NOTHING_THERE and any(one.refusal is not None for one in answers):
                    return (
                        answers  # a transaction whose first message was refused: nothing behind it was read
                    )
                raise
            for one in message.decode(data):
                number = one.sequence - first
                if not 0 <= number < len(requests):
                    continue  # of an exchange that failed before its end
                if one.kind != message.ERROR:
                    answers[number].messages.append(one)
                    continue
                answers[number].refusal = message.refusal(one)
                if one.sequence == acknowledged:
                    return answers
