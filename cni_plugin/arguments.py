"""CNI_ARGS that are not UTF-8: what others wrote is left out, what we read must be text."""

from __future__ import annotations

_VARIABLE = b"CNI_ARGS="
_ENVIRONMENT = "/proc/self/environ"
_READ = ("IP", "MAC", "IgnoreUnknown", "K8S_POD_NAMESPACE", "K8S_POD_NAME", "K8S_POD_UID")
_TRUE = (b"1", b"true")


def readable(malformed: list[str]) -> str:
    """Give the pairs that are UTF-8; name a pair that is not among the faults if it may not be left out."""
    kept: list[str] = []
    others: list[str] = []
    may_leave_out = False
    for pair in _pairs():
        key, _, value = pair.partition(b"=")
        try:
            kept.append(pair.decode())
            if key == b"IgnoreUnknown":
                may_leave_out = value.lower() in _TRUE
        except ValueError:
            others.append(_shown(key))
    for key_text in others:
        if not may_leave_out or key_text in _READ:
            malformed.append(f"CNI_ARGS is not UTF-8 in {key_text}")
    if not others:
        malformed.append("CNI_ARGS is not UTF-8")
    return ";".join(kept)


def _pairs() -> list[bytes]:
    with open(_ENVIRONMENT, "rb") as file:
        for variable in file.read().split(b"\0"):
            if variable.startswith(_VARIABLE):
                return variable[len(_VARIABLE) :].split(b";")
    return []


def _shown(key: bytes) -> str:
    try:
        return key.decode()
    except ValueError:
        return "the name of a key"
