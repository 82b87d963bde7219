"""The executable `ipamd-veth`."""

from __future__ import annotations

from cni_plugin import clock, configuration, versions
from cni_plugin.clock import DEFAULT_TIMEOUT
from cni_plugin.command import leave, serve
from cni_plugin.failure import (
    INVALID_CONFIGURATION,
    IO_FAILURE,
    NOT_AVAILABLE,
    UNSUPPORTED_FIELD,
    Failure,
)
from cni_plugin.stdin import read_stdin
from veth_plugin.execution import Execution

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

    from cni_plugin.environment import Invocation
    from cni_plugin.reply import Reply

NAME = "ipamd-veth"
_ABOUT = "a CNI main plugin that joins containers by veth pairs, routed or on a bridge"
_WHERE_NO_ADD_COULD_BE_SERVED = (UNSUPPORTED_FIELD, IO_FAILURE, INVALID_CONFIGURATION)


def main() -> int:
    """Serve one invocation and give the exit code."""
    return serve(NAME, _ABOUT, _work)


def run() -> NoReturn:
    """Serve one invocation under CPython, and end the process."""
    leave(main())


def _work(invocation: Invocation, reply: Reply) -> int:
    issued = clock.now()
    stdin = read_stdin(invocation.verb, clock.after(issued.uptime_ns, DEFAULT_TIMEOUT))
    given = configuration.decode(stdin)
    reply.version = versions.speaking(given.values)
    configuration.check(given.values, invocation.verb)
    execution = Execution(invocation, issued, reply, given)
    from veth_plugin.verbs import VERBS

    try:
        VERBS[invocation.verb](execution)
        reply.code = 0
    except Failure as failure:
        if invocation.verb == "STATUS" and failure.code in _WHERE_NO_ADD_COULD_BE_SERVED:
            failure.code = NOT_AVAILABLE
        reply.code = reply.fail(failure)
    execution.finish()
    return reply.code
