"""The executable `ipamd-ipam`, and the same work inside the process of the main plugin."""

from __future__ import annotations

from cni_plugin import clock, configuration, versions
from cni_plugin.clock import DEFAULT_TIMEOUT
from cni_plugin.command import leave, serve
from cni_plugin.failure import INVALID_CONFIGURATION, IO_FAILURE, NOT_AVAILABLE, Failure
from cni_plugin.reply import note
from cni_plugin.stdin import read_stdin
from ipam_plugin.execution import Execution

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

    from cni_plugin.clock import Moment
    from cni_plugin.configuration import Configuration
    from cni_plugin.environment import Invocation
    from cni_plugin.reply import Reply

NAME = "ipamd-ipam"
_OF_A_CONTAINER = ("ADD", "DEL")
_ABOUT = "a CNI IPAM plugin that asks ipamd, run by a CNI main plugin"


def main() -> int:
    """Serve one invocation and give the exit code."""
    return serve(NAME, _ABOUT, _work)


def run() -> NoReturn:
    """Serve one invocation under CPython, and end the process."""
    leave(main())


def execute(invocation: Invocation, issued: Moment, given: Configuration, reply: Reply) -> Execution | None:
    """Execute a verb whose configuration is decoded. Gives what deliver() needs after the answer is written.

    The main plugin calls it too, in its own process and with an answer of its own.
    """
    execution = None
    try:
        reply.version = versions.speaking(given.values)
        configuration.check(given.values, invocation.verb)
        execution = Execution(invocation, issued, reply, given)
        found = execution.settings.found_node
        if found and found.remark and invocation.verb in _OF_A_CONTAINER:
            note(found.remark)
        from ipam_plugin.verbs import VERBS

        reply.code = VERBS[invocation.verb](execution)
    except Failure as failure:
        if invocation.verb == "STATUS" and failure.code in (INVALID_CONFIGURATION, IO_FAILURE):
            failure.code = NOT_AVAILABLE  # a node on which no ADD could be served
        reply.code = reply.fail(failure)
    return execution


def has_served(network: str) -> bool:
    """Tell whether an ADD of the network succeeded on this node, as far as the usual stateDir says it."""
    from ipam_plugin import last_add
    from ipam_plugin.configuration import STATE_DIR

    return bool(last_add.read(STATE_DIR, network))


def deliver(execution: Execution | None) -> None:
    """Deliver what waits in the spool. Its code is loaded only if something waits."""
    if execution is not None and execution.spool.count():
        from ipam_plugin import delivery

        delivery.deliver(execution.spool, execution.tried, execution.settings.destination)


def _work(invocation: Invocation, reply: Reply) -> int:
    issued = clock.now()
    stdin = read_stdin(invocation.verb, clock.after(issued.uptime_ns, DEFAULT_TIMEOUT))
    execution = execute(invocation, issued, configuration.decode(stdin), reply)
    deliver(execution)
    return reply.code or 0
