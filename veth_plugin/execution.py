"""An invocation of the main plugin that is being executed: what was asked, and whom it asks in turn."""

from __future__ import annotations

from cni_plugin.versions import speaking
from veth_plugin import delegate

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from cni_plugin.clock import Moment
    from cni_plugin.configuration import Configuration
    from cni_plugin.environment import Invocation
    from cni_plugin.reply import Reply
    from veth_plugin.delegate import Delegate


class Execution:
    """An invocation with its configuration decoded."""

    def __init__(self, invocation: Invocation, issued: Moment, reply: Reply, given: Configuration) -> None:
        self.invocation = invocation
        self.issued = issued
        self.reply = reply
        self.configuration = given
        self.values = given.values
        self.network = str(self.values["name"])
        self.version = speaking(self.values)
        self.afterwards: list[Callable[[], None]] = []  # what waits until the runtime has its reply
        self._ipam: Delegate | None = None

    def ipam(self) -> Delegate:
        """Give the IPAM plugin; Failure 7 if the configuration names none that is there."""
        if self._ipam is None:
            self._ipam = delegate.of(self.invocation, self.issued, self.configuration)
        return self._ipam

    def free(self) -> None:
        """Have the IPAM plugin carry out a DEL or GC, if any can be asked; its Failure, or 11."""
        self._ipam = delegate.of_release(self.invocation, self.issued, self.configuration)
        if self._ipam is not None:
            self._ipam.ask(self.invocation.verb)

    def finish(self) -> None:
        """Do what waits until the runtime has its reply."""
        for step in self.afterwards:
            step()
        if self._ipam is not None:
            self._ipam.finish()
