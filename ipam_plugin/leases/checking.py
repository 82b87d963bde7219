"""CHECK out of the store: the container's interface must still have what its seat gave."""

from __future__ import annotations

from cni_plugin.configuration import invalid, missing
from cni_plugin.failure import Failure
from cni_plugin.scanner import parse_object
from ipam_plugin.leases import asked

_UNAVAILABLE = 102


def addresses(answer: bytes) -> list[str]:
    """Give the addresses of a seat's answer."""
    return asked.of_result(parse_object(answer))


def compare(answer: bytes, values: dict[str, object]) -> None:
    """Failure 102 if prevResult lacks an address that the seat gave, 7 if there is none."""
    if "prevResult" not in values:
        raise missing("prevResult")
    previous = values["prevResult"]
    if not isinstance(previous, dict):
        raise invalid("prevResult", "must be an object", previous)
    seen = asked.of_result(previous)
    lacking = asked.beyond(addresses(answer), seen)
    if lacking:
        listed = ", ".join(seen) or "none"
        raise Failure(_UNAVAILABLE, f"{lacking}: this container holds it, but prevResult lists {listed}")
