"""The execution of an invocation: what was asked, and all that is known for it."""

from __future__ import annotations

from cni_plugin import clock, environment, platform
from ipam_plugin import configuration, request
from ipam_plugin.spool import Spool

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cni_plugin.clock import Moment
    from cni_plugin.configuration import Configuration
    from cni_plugin.environment import Invocation
    from cni_plugin.reply import Reply


class Execution:
    """An invocation with its configuration read and checked: all that a verb needs."""

    def __init__(self, invocation: Invocation, issued: Moment, reply: Reply, given: Configuration) -> None:
        settings = configuration.settings(given.values, invocation.verb)
        self.invocation = invocation
        self.issued = issued
        self.reply = reply
        self.configuration = given
        self.network = str(given.values["name"])
        self.settings = settings
        self.deadline = clock.after(issued.uptime_ns, settings.timeout)
        self.spool = Spool(settings.state_dir)
        self.trace = environment.trace_headers(platform.environment)
        self.ended: Moment | None = None  # the DEL of this container that the leases carried out before
        self.tried = ""  # the entry that this execution has spooled because ipamd would not have it now

    def request(self, *, undo: bool = False) -> bytes:
        """Give the lasting part of this invocation's request, or of the release of what it took."""
        ended = None if undo else self.ended
        return request.keep(
            self.invocation, self.settings, self.issued, self.configuration.data, undo=undo, ended=ended
        )
