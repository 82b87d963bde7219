"""The IPAM plugin that a configuration names: one of CNI_PATH, or ipamd-ipam in this very process."""

from __future__ import annotations

import os

from cni_plugin import clock, platform
from cni_plugin.failure import INVALID_CONFIGURATION, TRY_AGAIN, Failure
from cni_plugin.quoting import show
from cni_plugin.reply import Reply, note
from ipam_plugin import command
from veth_plugin import executable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cni_plugin.clock import Moment
    from cni_plugin.configuration import Configuration
    from cni_plugin.environment import Invocation
    from ipam_plugin.execution import Execution

IN_PROCESS = "ipamd-ipam"
_SELF = "ipamd-veth"
_SECONDS = 60.0  # for an executable; ipamd-ipam knows its own `timeout`
_EXECUTABLE = 0o111


class Executable:
    """A plugin of CNI_PATH."""

    undoes_itself = False

    def __init__(self, path: str, stdin: bytes) -> None:
        self._path = path
        self._stdin = stdin

    def ask(self, verb: str) -> dict[str, object]:
        """Run it for a verb and give its result, an empty one for all but ADD; Failure if it refuses."""
        deadline = clock.after(platform.uptime_ns(), _SECONDS)
        answer = executable.run(self._path, verb, self._stdin, deadline)
        return executable.decode(self._path, answer) if verb == "ADD" else {}

    def finish(self) -> None:
        """Do nothing: it has done everything."""


class InProcess:
    """ipamd-ipam. An ADD that it does not answer with a result it has undone itself, or will."""

    undoes_itself = True

    def __init__(self, invocation: Invocation, issued: Moment, given: Configuration) -> None:
        self._invocation = invocation
        self._issued = issued
        self._configuration = given
        self._execution: Execution | None = None

    def ask(self, verb: str) -> dict[str, object]:
        """Ask ipamd for a verb as ipamd-ipam does; Failure if it refuses."""
        own = verb == self._invocation.verb
        issued = self._issued if own else clock.now()
        reply = _Kept()
        invocation = self._invocation if own else self._invocation.again(verb)
        self._execution = command.execute(invocation, issued, self._configuration, reply)
        if reply.code:
            raise executable.refusal(IN_PROCESS, reply.code, reply.data)
        return executable.decode(IN_PROCESS, reply.data) if verb == "ADD" else {}

    def finish(self) -> None:
        """Deliver what waits on this node, now that the runtime has its reply."""
        command.deliver(self._execution)


if TYPE_CHECKING:
    Delegate = Executable | InProcess


def of(invocation: Invocation, issued: Moment, given: Configuration) -> Delegate:
    """Give the IPAM plugin of a configuration; Failure 7 if it names none that is there."""
    name = type_of(given.values)
    if name == IN_PROCESS:
        return InProcess(invocation, issued, given)
    return Executable(find(name, invocation.path), given.data)


def of_release(invocation: Invocation, issued: Moment, given: Configuration) -> Delegate | None:
    """Give whom a DEL or GC asks, None for nobody; Failure 11 if an executable is named that is not there.

    No ADD has succeeded with a section that names no IPAM plugin: the runtime has lost that of the ADD. Then
    ipamd-ipam is asked if it has served this network on this node, by what it has kept of that. Addresses
    of any other plugin are known to that plugin alone.
    """
    try:
        name = type_of(given.values)
    except Failure as failure:
        if command.has_served(str(given.values["name"])):
            return InProcess(invocation, issued, given)
        note(f"no IPAM plugin is asked to free addresses: {failure.msg}")
        return None
    if name == IN_PROCESS:
        return InProcess(invocation, issued, given)
    try:
        return Executable(find(name, invocation.path), given.data)
    except Failure as failure:
        why = f"{failure.msg}; the container's addresses stay taken until it is there and is asked again"
        raise Failure(TRY_AGAIN, why) from failure


def type_of(values: dict[str, object]) -> str:
    """Give the name of the IPAM plugin; Failure 7 if there is none or it is more than a name."""
    if "ipam" not in values:
        raise Failure(INVALID_CONFIGURATION, "ipam: is missing; ipamd-veth asks an IPAM plugin for addresses")
    section = values["ipam"]
    if not isinstance(section, dict):
        raise Failure(INVALID_CONFIGURATION, f"ipam: must be an object, not {show(section)}")
    if "type" not in section:
        raise Failure(INVALID_CONFIGURATION, "ipam.type: is missing; it names the IPAM plugin")
    name = section["type"]
    plain = isinstance(name, str) and name not in ("", ".", "..") and "/" not in name and "\0" not in name
    if not plain:
        why = "must be the plain name of an IPAM plugin in CNI_PATH"
        raise Failure(INVALID_CONFIGURATION, f"ipam.type: {why}, not {show(name)}")
    if name == _SELF:
        raise Failure(INVALID_CONFIGURATION, f"ipam.type: {_SELF} is a main plugin and gives no addresses")
    assert isinstance(name, str)
    return name


def find(name: str, folders: str) -> str:
    """Give the path of an executable in the folders of CNI_PATH; Failure 7 if none has it."""
    for folder in folders.split(":"):
        path = f"{folder}/{name}"
        try:
            mode = os.stat(path)[0]
        except OSError:
            continue  # the next folder, as a shell does
        if folder and mode & platform.S_IFMT == platform.S_IFREG and mode & _EXECUTABLE:
            return path
    why = f"no executable of that name in CNI_PATH {folders}"
    raise Failure(INVALID_CONFIGURATION, f"ipam.type: {why}: {show(name)}")


class _Kept(Reply):
    """A reply to this process instead of to the runtime."""

    def __init__(self) -> None:
        super().__init__()
        self.data = b""

    def write(self, data: bytes) -> None:
        self.data += data
