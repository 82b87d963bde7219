"""The executable: one call of a runtime, from the environment to the exit code."""

from __future__ import annotations

import gc

from ipam_plugin import VERSION, clock, configuration, environment, platform
from ipam_plugin.configuration import DEFAULT_TIMEOUT, VERSIONS
from ipam_plugin.failure import (
    INVALID_CONFIGURATION,
    IO_FAILURE,
    NOT_AVAILABLE,
    Failure,
    reason,
)
from ipam_plugin.quoting import quote
from ipam_plugin.session import Reply, Session, decode, note, read_stdin

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

    from ipam_plugin.clock import Moment
    from ipam_plugin.environment import Call

_ABOUT = (
    f"ipamd-ipam {VERSION}: a CNI IPAM plugin that asks ipamd, run by a CNI main plugin\n"
    + f"CNI protocol versions supported: {', '.join(VERSIONS)}"
)


def main() -> int:
    """Answer one call and give the exit code. Reads the environment and stdin; takes no arguments."""
    gc.disable()  # a call is over before collecting would pay
    platform.guard_streams()
    reply = Reply()
    try:
        call = environment.read(platform.environment)
        if call is None:
            note(_ABOUT)
            return 0
        return tell_versions(reply) if call.verb == "VERSION" else _answer(call, reply)
    except Failure as failure:
        return reply.fail(failure)
    except Exception as error:  # noqa: BLE001 - the edge: a runtime is owed an answer whatever happens
        return reply.crash(f"{type(error).__name__}: {error}")


def run() -> NoReturn:
    """Leave with main()'s exit code, at once: nothing is left to finalise."""
    import os

    os._exit(main())


def tell_versions(reply: Reply) -> int:
    """Tell the versions, in whatever version the question came; VERSION wants no configuration."""
    stdin = read_stdin("VERSION", clock.after(platform.uptime_ns(), DEFAULT_TIMEOUT))
    given = configuration.version(decode(stdin)) if stdin.strip() else VERSIONS[-1]
    supported = ",".join([quote(one) for one in VERSIONS])
    answer = f'{{"cniVersion":{quote(given)},"supportedVersions":[{supported}]}}'
    try:
        reply.write(answer.encode())
    except OSError as error:
        raise Failure(IO_FAILURE, f"stdout cannot be written: {reason(error)}") from error
    return 0


def answer(
    call: Call, issued: Moment, stdin: bytes, values: dict[str, object], reply: Reply
) -> Session | None:
    """Answer a call whose configuration is read, and give what deliver() needs once the answer is away.

    Also for the main plugin, which calls it in its own process with a reply of its own.
    """
    session = None
    try:
        reply.version = speaking(values)
        configuration.check(values, call.verb)
        session = Session(call, issued, reply, stdin, values)
        from ipam_plugin.verbs import VERBS

        reply.code = VERBS[call.verb](session)
    except Failure as failure:
        if call.verb == "STATUS" and failure.code in (INVALID_CONFIGURATION, IO_FAILURE):
            failure.code = NOT_AVAILABLE  # a node on which no ADD could be served
        reply.code = reply.fail(failure)
    return session


def deliver(session: Session | None) -> None:
    """Deliver what waits; loaded only where something does."""
    if session is not None and session.spool.count():
        from ipam_plugin import delivery

        delivery.deliver(session.spool, session.tried, session.settings.destination)


def speaking(values: dict[str, object]) -> str:
    """Give the version for error objects: the configuration's where it is one, else the newest."""
    given = configuration.version(values)
    return given if given in VERSIONS else VERSIONS[-1]


def _answer(call: Call, reply: Reply) -> int:
    issued = clock.now()
    stdin = read_stdin(call.verb, clock.after(issued.uptime_ns, DEFAULT_TIMEOUT))
    session = answer(call, issued, stdin, decode(stdin), reply)
    deliver(session)
    return reply.code or 0
