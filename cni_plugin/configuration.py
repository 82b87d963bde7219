"""What the specification demands of every network configuration."""

from __future__ import annotations

from cni_plugin import environment, versions
from cni_plugin.failure import INVALID_CONFIGURATION, UNDECODABLE, Failure
from cni_plugin.quoting import show
from cni_plugin.scanner import NotJson, parse_object


def decode(stdin: bytes) -> dict[str, object]:
    """Give the configuration; Failure 6 if stdin is not one JSON object."""
    try:
        return parse_object(stdin)
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
