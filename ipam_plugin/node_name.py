"""The name of the node on which we are, if neither configuration nor node.json says it.

The name is the key to all that the node holds. So the one under which an ADD first succeeded stays, in the
file `node` of stateDir, when the host gets another: at a reboot its name may have turned into the long one.
"""

from __future__ import annotations

from cni_plugin import platform
from cni_plugin.failure import BAD_ENVIRONMENT, INVALID_CONFIGURATION, IO_FAILURE, Failure, reason
from cni_plugin.files import read_regular
from cni_plugin.quoting import show

NAME_BYTES = 253
FILE = "node"
_MISSING = (2, 20)


class Found:
    """A name; `remark` is what a person should hear of it, `is_kept` whether the file has it."""

    def __init__(self, name: str, *, is_kept: bool, remark: str = "") -> None:
        self.name = name
        self.is_kept = is_kept
        self.remark = remark


def find(state_dir: str) -> Found:
    """Find the name: NODE_NAME, the file in stateDir, the host's.

    The file goes before a NODE_NAME that is the same name with or without its domain, or in another case.
    """
    path = f"{state_dir}/{FILE}"
    variable = _variable()
    kept = _read(path)
    if kept is not None and (not variable or _is_same_host(variable, kept)):
        _check(kept, path)
        now = variable or platform.host_name()
        says = "NODE_NAME" if variable else "the host"
        remark = ""
        if now.lower() != kept.lower():
            remark = f"this node stays {kept}, as {path} keeps it, though {says} now says {show(now)}"
        return Found(kept, is_kept=True, remark=remark)
    name, source = (variable, "NODE_NAME") if variable else (platform.host_name(), "the host name")
    _check(name, source)
    return Found(name, is_kept=kept is not None)


def is_name(name: str) -> bool:
    """Tell whether a node or a cluster can have that name."""
    data = name.encode()
    return 0 < len(data) <= NAME_BYTES and min(data) > 0x20 and 0x7F not in data


def _is_same_host(one: str, other: str) -> bool:
    one, other = one.lower(), other.lower()
    return one == other or one.startswith(other + ".") or other.startswith(one + ".")


def _variable() -> str:
    try:
        return platform.environment("NODE_NAME") or ""
    except ValueError as error:
        raise Failure(BAD_ENVIRONMENT, "NODE_NAME is not UTF-8") from error


def _check(name: str, source: str) -> None:
    if not is_name(name):
        raise Failure(INVALID_CONFIGURATION, f"{source} is no name for a node: {show(name)}")


def _read(path: str) -> str | None:
    try:
        return read_regular(path, NAME_BYTES + 2).data.decode().strip()
    except OSError as error:
        if error.errno in _MISSING:
            return None
        raise Failure(IO_FAILURE, f"{path} cannot be read: {reason(error)}") from error
    except ValueError as error:
        raise Failure(INVALID_CONFIGURATION, f"{path} is no name for a node: {error}") from error
