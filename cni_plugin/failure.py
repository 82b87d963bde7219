"""The plugin's own error if it cannot get an answer: a CNI error object."""

from __future__ import annotations

from cni_plugin.quoting import quote

INCOMPATIBLE_VERSION = 1
UNSUPPORTED_FIELD = 2
BAD_ENVIRONMENT = 4
IO_FAILURE = 5
UNDECODABLE = 6
INVALID_CONFIGURATION = 7
INVALID_NAMESPACE = 8
TRY_AGAIN = 11
NOT_AVAILABLE = 50
TOO_LARGE = 103
INTERNAL = 999

# MicroPython has no strerror; one table makes both Pythons say the same.
_TEXTS = {
    1: "not permitted",
    2: "no such file",
    5: "input or output error",
    9: "not open",
    11: "would block",
    13: "permission denied",
    17: "exists already",
    20: "not a folder",
    21: "a folder",
    22: "invalid argument",
    24: "too many open files",
    28: "no space left",
    30: "read-only file system",
    32: "the other side has closed",
    36: "name too long",
    40: "too many symbolic links",
    101: "network unreachable",
    103: "connection aborted",
    104: "connection reset",
    110: "timed out",
    111: "connection refused",
    112: "host down",
    113: "no route to host",
}


class Failure(Exception):
    """An error with the CNI error code, a sentence for people and optional details."""

    def __init__(self, code: int, msg: str, details: str = "") -> None:
        super().__init__(msg)
        self.code = code
        self.msg = msg
        self.details = details

    def encode(self, version: str) -> bytes:
        """Give the error object of the specification (section 5, "Error") in that cniVersion."""
        text = f'{{"cniVersion":{quote(version)},"code":{self.code},"msg":{quote(self.msg)}'
        if self.details:
            text += f',"details":{quote(self.details)}'
        return (text + "}").encode()


class BadPem(ValueError):
    """A TLS file does not contain what it should. `key` names it as in the configuration."""

    def __init__(self, key: str, why: str) -> None:
        super().__init__(f"{key} {why}")
        self.key = key
        self.why = why


def reason(error: OSError) -> str:
    """Say an error of the operating system in words, or by its number if there are none."""
    number = error.errno
    if isinstance(number, int):
        return _TEXTS.get(number) or f"error {number}"
    return str(error)
