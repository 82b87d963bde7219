"""What the specification demands of every network configuration."""

from __future__ import annotations

from cni_plugin import environment, versions
from cni_plugin.failure import INVALID_CONFIGURATION, UNDECODABLE, Failure
from cni_plugin.quoting import show
from cni_plugin.scanner import NotJson, parse_object


class Configuration:
    """A network configuration: its bytes as they came, its values, and where each member's value stands."""

    def __init__(self, data: bytes, values: dict[str, object], places: dict[str, tuple[int, int]]) -> None:
        self.data = data
        self.values = values
        self._places = places

    def text_of(self, key: str) -> bytes:
        """Give the bytes of a member's value as they came, none if there is no such member."""
        start, end = self._places.get(key, (0, 0))
        return self.data[start:end].strip()


def decode(stdin: bytes) -> Configuration:
    """Give the configuration; Failure 6 if stdin is not one JSON object."""
    places: dict[str, tuple[int, int]] = {}
    try:
        return Configuration(stdin, parse_object(stdin, places), places)
    except NotJson as error:
        raise Failure(UNDECODABLE, "the configuration on stdin is not a JSON object", str(error)) from error


def check(configuration: dict[str, object], verb: str) -> None:
    """Check version and network name; Failure 1 or 7."""
    versions.check(configuration, verb)
    if "name" not in configuration:
        raise missing("name")
    name = configuration["name"]
    if not isinstance(name, str) or not environment.is_name(name):
        raise invalid(
            "name", "must begin with a letter or digit, and may have letters, digits, '_', '.' and '-'", name
        )


def invalid(key: str, why: str, value: object) -> Failure:
    """Give the error for a value, code 7."""
    return Failure(INVALID_CONFIGURATION, f"{key}: {why}, not {show(value)}")


def missing(key: str) -> Failure:
    """Give the error for a missing key, code 7."""
    return Failure(INVALID_CONFIGURATION, f"{key}: is missing")
