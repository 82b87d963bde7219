"""A strict JSON scanner (RFC 8259).

MicroPython's own json accepts truncated texts, misplaced commas and raw control characters. So it cannot
decide whether stdin is invalid (code 6), or whether its bytes may be put into a request unchanged.
"""

from __future__ import annotations

MAX_DEPTH = 128
_EXACT_DIGITS = 18  # what a signed 64-bit integer always holds; longer ones become floats

_SPACE = b" \t\n\r"
_DIGITS = b"0123456789"
_HEXADECIMAL = "0123456789abcdefABCDEF"
_ESCAPES = {
    0x22: '"', 0x5C: "\\", 0x2F: "/", 0x62: "\b", 0x66: "\f", 0x6E: "\n", 0x72: "\r", 0x74: "\t",
}  # fmt: skip
_LITERALS: tuple[tuple[bytes, object], ...] = ((b"true", True), (b"false", False), (b"null", None))
# Where the second byte of a UTF-8 sequence is bound more closely (Unicode, table 3-7): lead, lowest, highest.
_SECOND_BYTES = ((0xE0, 0xA0, 0xBF), (0xED, 0x80, 0x9F), (0xF0, 0x90, 0xBF), (0xF4, 0x80, 0x8F))
_NEVER_IN_UTF8 = (b"\xc0", b"\xc1", b"\xf5", b"\xf6", b"\xf7")


class NotJson(ValueError):
    """The bytes are not one JSON value in UTF-8. The text says where and why."""

    def __init__(self, position: int, why: str) -> None:
        super().__init__(f"byte {position}: {why}")


def parse(data: bytes, places: dict[str, tuple[int, int]] | None = None) -> object:
    """Give the value in the bytes: dict, list, str, int, float, bool or None.

    If a name comes twice in an object, its last value counts. Integers of more than 18 digits become floats.
    `places` takes where the value of each member of the outermost object begins and ends.
    Raises NotJson, also for lone surrogates and for more than MAX_DEPTH levels.
    """
    _check_utf8(data)
    scanner = _Scanner(data, places)
    value = scanner.value(MAX_DEPTH)
    scanner.space()
    if scanner.at != len(data):
        raise NotJson(scanner.at, "text after the value")
    return value


def parse_object(data: bytes, places: dict[str, tuple[int, int]] | None = None) -> dict[str, object]:
    """Give the object in the bytes, as parse() does. Raises NotJson for any other value."""
    value = parse(data, places)
    if not isinstance(value, dict):
        raise NotJson(0, "not an object")
    return value


def _check_utf8(data: bytes) -> None:
    try:
        if len(data.decode()) == len(data):
            return
    except ValueError as error:
        raise NotJson(0, "not UTF-8") from error
    # MicroPython's decode lets overlong forms, surrogates and code points over U+10FFFF pass.
    for never in _NEVER_IN_UTF8:
        if never in data:
            raise NotJson(data.find(never), "not UTF-8")
    for lead, lowest, highest in _SECOND_BYTES:
        at = data.find(bytes([lead]))
        while at >= 0:
            if not lowest <= data[at + 1] <= highest:
                raise NotJson(at, "not UTF-8")
            at = data.find(bytes([lead]), at + 1)


class _Scanner:
    """Reads one value after another. A method begins at the byte `at`, and sets it after what it has read."""

    def __init__(self, data: bytes, places: dict[str, tuple[int, int]] | None) -> None:
        self.data = data + b"\0"  # which is no value and no separator, so that nobody looks for the end
        self.at = 0
        self.places = places

    def fail(self, why: str) -> NotJson:
        return NotJson(self.at, "cut off" if self.at >= len(self.data) - 1 else why)

    def space(self) -> int:
        """Skip white space and give the byte after it."""
        at = self.at
        byte = self.data[at]
        if byte > 0x20:
            return byte
        while byte in _SPACE:
            at += 1
            byte = self.data[at]
        self.at = at
        return byte

    def value(self, depth: int) -> object:
        first = self.space()
        if first == 0x22:
            return self.text()
        if first == 0x7B or first == 0x5B:
            if depth == 0:
                raise self.fail("nested too deeply")
            self.at += 1
            return self.members(depth) if first == 0x7B else self.items(depth)
        if first == 0x2D or first in _DIGITS:
            return self.number()
        for name, value in _LITERALS:
            if self.data.startswith(name, self.at):
                self.at += len(name)
                return value
        raise self.fail("no value")

    def members(self, depth: int) -> dict[str, object]:
        found: dict[str, object] = {}
        byte = self.space()
        if byte == 0x7D:
            self.at += 1
            return found
        while True:
            if byte != 0x22:
                raise self.fail("no name in quotes")
            name = self.text()
            if self.space() != 0x3A:
                raise self.fail("no colon after a name")
            self.at += 1
            start = self.at
            found[name] = self.value(depth - 1)
            if depth == MAX_DEPTH and self.places is not None:
                self.places[name] = start, self.at
            byte = self.space()
            if byte != 0x2C and byte != 0x7D:
                raise self.fail("neither comma nor closing brace")
            self.at += 1
            if byte == 0x7D:
                return found
            byte = self.space()

    def items(self, depth: int) -> list[object]:
        found: list[object] = []
        if self.space() == 0x5D:
            self.at += 1
            return found
        while True:
            found.append(self.value(depth - 1))
            byte = self.space()
            if byte != 0x2C and byte != 0x5D:
                raise self.fail("neither comma nor closing bracket")
            self.at += 1
            if byte == 0x5D:
                return found

    def text(self) -> str:
        start = self.at + 1
        end = self.data.find(b'"', start)
        piece = self.data[start:end]
        if end < 0 or b"\\" in piece or (piece and min(piece) < 0x20):
            return self.text_with_escapes()
        self.at = end + 1
        return piece.decode()

    def text_with_escapes(self) -> str:
        self.at += 1
        pieces: list[str] = []
        end = -1
        while True:
            if end < self.at:  # looked for again only where an escaped quote was passed: else quadratic
                end = self.data.find(b'"', self.at)
            if end < 0:
                self.at = len(self.data) - 1
                raise self.fail("")
            escape = self.data.find(b"\\", self.at, end)
            pieces.append(self.plain(end if escape < 0 else escape))
            if escape < 0:
                self.at += 1
                return "".join(pieces)
            pieces.append(self.escape())

    def plain(self, end: int) -> str:
        piece = self.data[self.at : end]
        if piece and min(piece) < 0x20:
            raise self.fail("a control character in a string")
        self.at = end
        return piece.decode()

    def escape(self) -> str:
        self.at += 1
        kind = self.data[self.at]
        if kind != 0x75:
            if kind not in _ESCAPES:
                raise self.fail("no such escape")
            self.at += 1
            return _ESCAPES[kind]
        code = self.code_unit()
        if 0xD800 <= code < 0xDC00 and self.data.startswith(b"\\u", self.at):
            self.at += 1
            low = self.code_unit()
            if not 0xDC00 <= low < 0xE000:
                raise self.fail("half of a surrogate pair")
            code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00)
        elif 0xD800 <= code < 0xE000:
            raise self.fail("half of a surrogate pair")
        return chr(code)

    def code_unit(self) -> int:
        """Read uXXXX."""
        digits = self.data[self.at + 1 : self.at + 5]
        if len(digits) < 4 or max(digits) > 0x7F:
            raise self.fail("not four hexadecimal digits")
        text = digits.decode()
        for digit in text:
            if digit not in _HEXADECIMAL:
                raise self.fail("not four hexadecimal digits")
        self.at += 5
        return int(text, 16)

    def number(self) -> int | float:
        start = self.at
        if self.data[self.at] == 0x2D:
            self.at += 1
        if self.data[self.at] == 0x30:
            self.at += 1
        else:
            self.digits()
        whole = self.at
        if self.data[self.at] == 0x2E:
            self.at += 1
            self.digits()
        if self.data[self.at] in b"eE":
            self.at += 1
            if self.data[self.at] in b"+-":
                self.at += 1
            self.digits()
        text = self.data[start : self.at].decode()
        return int(text) if whole == self.at and len(text) <= _EXACT_DIGITS else float(text)

    def digits(self) -> None:
        first = self.at
        while self.data[self.at] in _DIGITS:
            self.at += 1
        if self.at == first:
            raise self.fail("no digit in a number")
