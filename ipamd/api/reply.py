"""An answer that is sent in one piece, without a framework in between."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from http import HTTPStatus
from typing import Final

from msgspec import Struct

from ipamd.api.problems import Problem

Headers = Iterable[tuple[bytes, bytes]]

JSON: Final = b"content-type: application/json\r\n"

_STATUS_LINES: Final = {
    int(status): f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus
}
_NO_CONTENT: Final = int(HTTPStatus.NO_CONTENT)


class Reply(Struct, frozen=True):
    """Status, body and the headers that describe it."""

    status: int
    body: bytes
    headers: bytes = JSON
    """The header lines as they are sent, each with its line end."""

    @classmethod
    def of(cls, problem: Problem) -> Reply:
        """A problem document."""
        return cls(int(problem.status), problem.encoded(), _lines(problem.header_lines))

    def encoded(self, common: bytes, *, close: bool) -> bytes:
        """The bytes of the response. `common` has the header lines of every response of this server."""
        head = _head(self.status, common, self.headers, close)
        if self.status == _NO_CONTENT:
            return head + b"\r\n"
        return b"%bcontent-length: %d\r\n\r\n%b" % (head, len(self.body), self.body)


@lru_cache(maxsize=64)
def _head(status: int, common: bytes, headers: bytes, close: bool) -> bytes:
    """All lines before the length: the same for all calls of a second, or nearly."""
    own = b"" if status == _NO_CONTENT else headers
    return _STATUS_LINES[status] + common + (b"connection: close\r\n" if close else b"") + own


def _lines(headers: Headers) -> bytes:
    return b"".join([b"%b: %b\r\n" % header for header in headers])
