"""Reads an HTTP/1.1 response from the bytes of a connection (RFC 9112), without I/O."""

from __future__ import annotations

_HEAD_BYTES = 16384
_BYTES = 1 << 20  # all that one connection may bring, interim answers and trailers too
_LINE_BYTES = 1024
_CHUNKS = 1 << 14  # each costs far more memory than its bytes
_VERSIONS = (b"HTTP/1.1", b"HTTP/1.0")
_DIGITS = b"0123456789"
_HEXADECIMAL = b"0123456789abcdefABCDEF"
_WITHOUT_BODY = (204, 304)
_SIZE, _DATA, _TRAILER = 0, 1, 2


class Malformed(ValueError):
    """The peer does not speak HTTP/1.1, or sends too much."""


class Response:
    """Takes bytes as they arrive until it is complete. Then `status` and `body` are valid."""

    def __init__(self) -> None:
        self.status = 0
        self.body = b""
        self._pending = b""
        self._at = 0  # where in it the reading is
        self._pieces: list[bytes] = []
        self._chunks = 0
        self._size = 0
        self._left: int | None = None  # bytes of the body or chunk to come; None: as many as come
        self._chunk: int | None = None  # what of a chunked body comes next; None: it is not chunked

    def feed(self, data: bytes) -> bool:
        """Take the next bytes. Tells whether the response is complete. Raises Malformed."""
        self._size += len(data)
        if self._size > _BYTES:
            raise Malformed("answer too large")
        self._pending = self._pending[self._at :] + data  # once a feed: a copy for each line is quadratic
        self._at = 0
        if self.status == 0 and not self._read_head():
            return False
        done = self._read_plain() if self._chunk is None else self._read_chunks()
        if done:
            self.body = b"".join(self._pieces)
        return done

    def end(self) -> bool:
        """Take the end of the connection. Tells whether the response is complete."""
        if self.status == 0 or self._chunk is not None or self._left is not None:
            return False
        self.body = b"".join(self._pieces)
        return True

    def _read_head(self) -> bool:
        while True:
            head = self._until(b"\r\n\r\n", _HEAD_BYTES)
            if head is None:
                return False
            lines = head.split(b"\r\n")
            status = _status(lines[0])
            if status >= 200:
                self.status = status
                self._read_headers(lines[1:])
                return True

    def _read_headers(self, lines: list[bytes]) -> None:
        chunked = False
        for line in lines:
            name, colon, value = line.partition(b":")
            name, value = name.lower(), value.strip()
            if not colon or not name or name != name.strip():
                raise Malformed("a header without a name")
            if name == b"content-length":
                length = _number(value, _DIGITS, 10)
                if self._left not in (None, length):
                    raise Malformed("two lengths")
                self._left = length
            elif name == b"transfer-encoding":
                if value.lower() != b"chunked" or chunked:
                    raise Malformed("an encoding that was not asked for")
                chunked = True
        if self.status in _WITHOUT_BODY:
            self._left = 0
        elif chunked:
            self._chunk, self._left = _SIZE, 0

    def _read_plain(self) -> bool:
        if self._left is None:
            self._take(len(self._pending) - self._at)
            return False
        self._left -= self._take(self._left)
        return self._left == 0

    def _read_chunks(self) -> bool:
        while True:
            if self._chunk == _DATA and self._left:
                self._left -= self._take(self._left)
                if self._left:
                    return False
            line = self._until(b"\r\n", _LINE_BYTES)
            if line is None:
                return False
            if self._chunk == _TRAILER:
                if line == b"":
                    return True
            elif self._chunk == _DATA:
                if line != b"":
                    raise Malformed("a chunk longer than its size")
                self._chunk = _SIZE
            else:
                self._chunks += 1
                if self._chunks > _CHUNKS:
                    raise Malformed("answer too large")
                self._left = _number(line.partition(b";")[0].strip(), _HEXADECIMAL, 16)
                self._chunk = _DATA if self._left else _TRAILER

    def _until(self, ending: bytes, limit: int) -> bytes | None:
        """Take the bytes before the ending, and the ending. None if it has not arrived yet."""
        end = self._pending.find(ending, self._at)
        if (end if end >= 0 else len(self._pending)) - self._at > limit:
            raise Malformed("a line or head too long")
        if end < 0:
            return None
        found = self._pending[self._at : end]
        self._at = end + len(ending)
        return found

    def _take(self, size: int) -> int:
        """Move at most so many bytes into the body. Gives how many."""
        piece = self._pending[self._at : self._at + size]
        self._at += len(piece)
        if piece:
            self._pieces.append(piece)
        return len(piece)


def _status(line: bytes) -> int:
    parts = line.split(b" ", 2)
    if len(parts) < 2 or parts[0] not in _VERSIONS or len(parts[1]) != 3:
        raise Malformed("no status line of HTTP/1.1")
    status = _number(parts[1], _DIGITS, 10)
    if status < 100:
        raise Malformed("no status of HTTP")
    return status


def _number(text: bytes, digits: bytes, base: int) -> int:
    if not text or len(text) > 8 or not all(byte in digits for byte in text):
        raise Malformed("no number where one belongs")
    return int(text.decode(), base)
