"""The MAC that a container's interface shall have, and who says so."""

from __future__ import annotations

from cni_plugin.failure import BAD_ENVIRONMENT, INVALID_CONFIGURATION, Failure
from cni_plugin.quoting import show

_BYTES = 6
_HEXADECIMAL = "0123456789abcdefABCDEF"
_ARGUMENT = "MAC"


def requested(configuration: dict[str, object], arguments: str) -> bytes | None:
    """Give the MAC that is asked for: runtimeConfig before args.cni, CNI_ARGS and the key `mac`.

    None if nobody asks. Failure 7, or 4 for CNI_ARGS, if it is no MAC of one interface.
    """
    runtime = configuration.get("runtimeConfig")
    args = configuration.get("args")
    of_cni = args.get("cni") if isinstance(args, dict) else None
    asked: tuple[tuple[str, object, int], ...] = (
        ("runtimeConfig.mac", _member(runtime, "mac"), INVALID_CONFIGURATION),
        ("args.cni.mac", _member(of_cni, "mac"), INVALID_CONFIGURATION),
        ("MAC in CNI_ARGS", argument(arguments, _ARGUMENT), BAD_ENVIRONMENT),
        ("mac", configuration.get("mac"), INVALID_CONFIGURATION),
    )
    for place, value, code in asked:
        if value is None or value == "":
            continue
        try:
            return parse(value)
        except ValueError as error:
            raise Failure(code, f"{place}: {error}, not {show(value)}") from error
    return None


def parse(value: object) -> bytes:
    """Read the MAC of one interface: six bytes in hexadecimal between colons or hyphens. ValueError."""
    text = value if isinstance(value, str) else ""
    parts = text.replace("-", ":").split(":")
    if len(parts) != _BYTES or not all(_is_byte(part) for part in parts):
        raise ValueError("must be a MAC like 02:00:00:00:00:01")
    mac = bytes([int(part, 16) for part in parts])
    if mac[0] & 1:
        raise ValueError("must be the MAC of one interface, with an even first byte: this one is multicast")
    if mac == bytes(_BYTES):
        raise ValueError("must be a MAC that an interface may have")
    return mac


def text(mac: bytes) -> str:
    """Write a MAC."""
    return ":".join([f"{byte:02x}" for byte in mac])


def argument(arguments: str, name: str) -> str | None:
    """Give the value of a name in CNI_ARGS, the last if it comes twice; None if it does not come."""
    found = None
    for pair in arguments.split(";"):
        key, equals, value = pair.partition("=")
        if equals and key == name:
            found = value
    return found


def _member(values: object, key: str) -> object:
    return values.get(key) if isinstance(values, dict) else None


def _is_byte(text: str) -> bool:
    return len(text) == 2 and all(c in _HEXADECIMAL for c in text)
