"""The CNI_ variables of an invocation, checked (code 4)."""

from __future__ import annotations

from cni_plugin.failure import BAD_ENVIRONMENT, Failure
from cni_plugin.quoting import show

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    Variables = Callable[[str], str | None]

_ID, _NETNS, _IFNAME, _ARGS, _PATH = "CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME", "CNI_ARGS", "CNI_PATH"
_REQUIRED = {
    "ADD": (_ID, _NETNS, _IFNAME, _PATH),
    "CHECK": (_ID, _NETNS, _IFNAME, _PATH),
    "DEL": (_ID, _IFNAME, _PATH),
    "GC": (_PATH,),
    "STATUS": (_PATH,),
    "VERSION": (),
}
_OF_A_CONTAINER = ("ADD", "CHECK", "DEL")
_FIRST = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"  # the frequent ones first
_FURTHER = _FIRST + b"_.-"
_IFNAME_BYTES = 15
# Unicode's White_Space; MicroPython's isspace knows ASCII only, and CPython's takes in four that are not.
_WHITE_SPACE = (
    "\t\n\v\f\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000"
)
_TRACE = ("TRACEPARENT", "TRACESTATE", "BAGGAGE")
_TRACE_BYTES = 8192


class Invocation:
    """An invocation, from the environment. Variables that the verb does not use are empty."""

    def __init__(self, verb: str, values: dict[str, str], netns_override: bool) -> None:
        self.verb = verb
        self.container_id = values.get(_ID, "")
        self.netns = values.get(_NETNS, "")
        self.ifname = values.get(_IFNAME, "")
        self.args = values.get(_ARGS, "")
        self.path = values.get(_PATH, "")
        self.netns_override = netns_override
        self._values = values

    def again(self, verb: str) -> Invocation:
        """Give the same invocation for another verb."""
        return Invocation(verb, self._values, self.netns_override)


def read(variable: Variables) -> Invocation | None:
    """Read the invocation, None without CNI_COMMAND. `variable` raises ValueError for invalid UTF-8.

    Failure 4 names all missing variables at once, and all malformed ones.
    """
    verb = _text(variable, "CNI_COMMAND", [])
    if verb == "":
        return None
    if verb not in _REQUIRED:
        raise Failure(BAD_ENVIRONMENT, f"unknown CNI_COMMAND {show(verb)}")
    malformed: list[str] = []
    names = (_ID, _NETNS, _IFNAME, _ARGS, _PATH) if verb in _OF_A_CONTAINER else _REQUIRED[verb]
    values = {name: _value(variable, name, malformed, verb) for name in names}
    missing = [name for name in _REQUIRED[verb] if values[name] == ""]
    if values.get(_ID) and not is_name(values[_ID]):
        malformed.append(
            f"{_ID} must begin with a letter or digit, and may have letters, digits, '_', '.' and '-'"
        )
    if values.get(_IFNAME):
        malformed.extend(_ifname_faults(values[_IFNAME]))
    faults = [f"required env variables [{','.join(missing)}] missing"] if missing else []
    if faults or malformed:
        raise Failure(BAD_ENVIRONMENT, "; ".join(faults + malformed))
    return Invocation(verb, values, _text(variable, "CNI_NETNS_OVERRIDE", []).lower() in ("true", "1"))


def is_name(text: str) -> bool:
    """Tell whether a container ID or a network name has the specification's alphabet."""
    data = text.encode()
    return text != "" and data[0] in _FIRST and data.strip(_FURTHER) == b""  # a walk costs MicroPython more


def trace_headers(variable: Variables) -> list[tuple[str, str]]:
    """Give the tracing variables as HTTP headers, without those that could be more than one header line."""
    headers = []
    for name in _TRACE:
        try:
            value = variable(name)
        except ValueError:
            continue  # not UTF-8: nothing that a tracer wrote
        if value and len(value) <= _TRACE_BYTES and not _has_controls(value):
            headers.append((name.lower(), value))
    return headers


def _value(variable: Variables, name: str, malformed: list[str], verb: str) -> str:
    unneeded = (name == _ARGS and verb != "ADD") or (name == _NETNS and verb == "DEL")
    faults: list[str] = []
    value = _text(variable, name, faults)
    if faults and name == _ARGS and not unneeded:
        from cni_plugin import arguments

        return arguments.readable(malformed)
    if faults and unneeded:
        return ""
    malformed.extend(faults)
    return value


def _text(variable: Variables, name: str, malformed: list[str]) -> str:
    try:
        return variable(name) or ""
    except ValueError:
        malformed.append(f"{name} is not UTF-8")
    return "?"  # there, and already named as malformed


def _ifname_faults(name: str) -> list[str]:
    if name in (".", ".."):
        return [f"{_IFNAME} is {name}"]
    faults = []
    if len(name.encode()) > _IFNAME_BYTES:
        faults.append(f"{_IFNAME} is longer than {_IFNAME_BYTES} bytes")
    if not is_name(name) and any(c in "/:" or c in _WHITE_SPACE for c in name):
        faults.append(f"{_IFNAME} has '/', ':' or white space")
    return faults


def _has_controls(text: str) -> bool:
    return any(ord(c) < 0x20 or 0x7F <= ord(c) < 0xA0 for c in text)
