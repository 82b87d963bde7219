"""An answer that is sent in one piece, without a framework in between."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from ipamd.api.problems import Problem

Headers = Iterable[tuple[bytes, bytes]]

JSON: Final = b"content-type: application/json\r\n"

_STATUS_LINES: Final = {
    int(status): f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus
}
_NO_CONTENT: Final = int(HTTPStatus.NO_CONTENT)


@dataclass(frozen=True, slots=True)
class Reply:
    """Status, body and the headers that describe it."""

    status: int
    body: bytes
    headers: bytes = JSON
    """The header lines as they are sent, each with its line end."""

    @classmethod
    def of(cls, problem: Problem) -> Reply:
        """A problem document."""
        return cls(int(problem.status), problem.encoded(), _lines(problem.header_lines))

    def encoded(self, common: Headers, *, close: bool) -> bytes:
        """The bytes of the response. `common` has the headers of every response of this server."""
        head = _STATUS_LINES[self.status] + _lines(common)
        if close:
            head += b"connection: close\r\n"
        if self.status == _NO_CONTENT:
            return head + b"\r\n"
        return b"%b%bcontent-length: %d\r\n\r\n%b" % (head, self.headers, len(self.body), self.body)


def _lines(headers: Headers) -> bytes:
    return b"".join([b"%b: %b\r\n" % header for header in headers])
