"""What a connection makes of what the kernel says, also of what it says seldom."""

from __future__ import annotations

import pytest

from netlink import message
from netlink.connection import Connection, Interrupted
from netlink.message import DONE, ERROR, Request

EAGAIN, EPERM = 11, 1
INTERRUPTED = 0x10
ASKED = Request(18, 0, bytes(16))


class Kernel:
    """A socket whose peer says what is to be said, in answer to each send."""

    def __init__(self, *said: list[bytes]) -> None:
        self._said = list(said)
        self._waiting: list[bytes] = []
        self.sent: list[bytes] = []

    def setsockopt(self, level: int, option: int, value: int) -> None:
        assert (level, value) == (270, 1)

    def send(self, data: bytes) -> int:
        self.sent.append(data)
        self._waiting += self._said.pop(0)
        return len(data)

    def recv(self, size: int) -> bytes:
        if not self._waiting:
            raise OSError(EAGAIN, "nothing there")
        return self._waiting.pop(0)

    def fileno(self) -> int:
        raise AssertionError("nobody waits for this kernel")

    def close(self) -> None:
        self._waiting = []


def saying(kind: int, sequence: int, body: bytes = bytes(4), flags: int = 0) -> bytes:
    return message.encode(Request(kind, flags, body), sequence)


def refusing(number: int, sequence: int) -> bytes:
    return saying(ERROR, sequence, (0x100000000 - number).to_bytes(4, "little"))


def test_only_the_last_of_several_is_asked_to_be_acknowledged() -> None:
    kernel = Kernel([refusing(EPERM, 1), saying(16, 2, b"link"), saying(ERROR, 3)])

    answers = Connection(kernel).exchange([ASKED, ASKED, ASKED])

    assert [one.flags & message.ACK for one in message.decode(kernel.sent[0])] == [0, 0, message.ACK]
    assert [one.refusal and one.refusal.errno for one in answers] == [EPERM, None, None]
    assert [one.body for one in answers[1].messages] == [b"link"]


def test_answers_of_an_earlier_exchange_are_passed_over() -> None:
    kernel = Kernel([saying(ERROR, 1)], [refusing(EPERM, 1), saying(16, 9), saying(ERROR, 2)])
    connection = Connection(kernel)
    connection.exchange([ASKED])

    [answer] = connection.exchange([ASKED])

    assert answer.refusal is None
    assert answer.messages == []


def test_an_answer_that_does_not_come_is_no_yes() -> None:
    with pytest.raises(OSError, match="nothing there"):
        Connection(Kernel([saying(16, 1)])).exchange([ASKED])


def test_a_transaction_that_is_refused_at_once_is_refused() -> None:
    answers = Connection(Kernel([refusing(EPERM, 1)])).transaction([ASKED, ASKED, ASKED])

    assert [one.refusal and one.refusal.errno for one in answers] == [EPERM, None, None]


@pytest.mark.parametrize("told", ["in the middle", "at the end"])
def test_a_list_that_is_interrupted_is_made_again(told: str) -> None:
    middle, end = (INTERRUPTED, 0) if told == "in the middle" else (0, INTERRUPTED)
    kernel = Kernel(
        [saying(16, 1, b"lost", middle), saying(DONE, 1, flags=end)],
        [saying(16, 2, b"kept"), saying(DONE, 2)],
    )

    assert [one.body for one in Connection(kernel).list_all(ASKED)] == [b"kept"]


def test_a_list_is_not_made_again_for_ever() -> None:
    kernel = Kernel(*[[saying(DONE, n, flags=INTERRUPTED)] for n in range(1, 1000)])

    with pytest.raises(Interrupted):
        Connection(kernel).list_all(ASKED)

    assert len(kernel.sent) == 30


def test_a_list_that_is_interrupted_is_read_to_its_end_as_it_comes() -> None:
    kernel = Kernel([saying(16, 1, b"one", INTERRUPTED), saying(16, 1, b"more"), saying(DONE, 1)])

    assert [one.body for one in Connection(kernel).each(ASKED)] == [b"one", b"more"]


@pytest.mark.parametrize(
    "kind",
    [pytest.param(ERROR, id="instead of a list"), pytest.param(DONE, id="at its end")],
)
def test_a_list_that_is_refused_fails(kind: int) -> None:
    kernel = Kernel([saying(kind, 1, (0x100000000 - EPERM).to_bytes(4, "little"))])

    with pytest.raises(OSError, match=str(EPERM)):
        Connection(kernel).list_all(ASKED)
