"""The common part of every plugin's executable: from the environment to the exit code."""

from __future__ import annotations

import gc

from cni_plugin import VERSION, clock, environment, platform, versions
from cni_plugin.clock import DEFAULT_TIMEOUT
from cni_plugin.configuration import decode
from cni_plugin.failure import IO_FAILURE, Failure, reason
from cni_plugin.reply import Reply, note
from cni_plugin.stdin import read_stdin

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn

    from cni_plugin.environment import Invocation

    Work = Callable[[Invocation, Reply], int]


def serve(name: str, about: str, work: Work) -> int:
    """Serve one invocation and give the exit code.

    It reads the environment and stdin, and takes no arguments.

    `work` serves every verb but VERSION. Without CNI_COMMAND it prints what the plugin is, for people.
    """
    gc.disable()  # an invocation is over before collecting would pay
    platform.guard_streams()
    reply = Reply()
    try:
        invocation = environment.read(platform.environment)
        if invocation is None:
            note(f"{name} {VERSION}: {about}")
            note(f"CNI protocol versions supported: {', '.join(versions.VERSIONS)}")
            return 0
        return _tell_versions(reply) if invocation.verb == "VERSION" else work(invocation, reply)
    except Failure as failure:
        return reply.fail(failure)
    except Exception as error:  # noqa: BLE001 - the edge: a runtime is owed a reply whatever happens
        return reply.crash(f"{type(error).__name__}: {error}")


def leave(code: int) -> NoReturn:
    """End the process under CPython at once: nothing is left to clean up."""
    import os

    os._exit(code)


def _tell_versions(reply: Reply) -> int:
    """Answer VERSION, which needs no configuration."""
    stdin = read_stdin("VERSION", clock.after(platform.uptime_ns(), DEFAULT_TIMEOUT))
    given = versions.version(decode(stdin).values) if stdin.strip() else versions.NEWEST
    try:
        reply.write(versions.encode(given))
    except OSError as error:
        raise Failure(IO_FAILURE, f"stdout cannot be written: {reason(error)}") from error
    return 0
