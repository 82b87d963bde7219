"""The static executable under a name that is not a plugin's: it refuses, because it cannot guess."""

from __future__ import annotations

from cni_plugin.command import serve
from cni_plugin.failure import NOT_AVAILABLE, Failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cni_plugin.environment import Invocation
    from cni_plugin.reply import Reply

_NAMES = "ipamd-ipam or ipamd-veth"


def main() -> int:
    """Serve one invocation and give the exit code."""
    return serve("ipamd", f"CNI plugins in one file; its name says which: {_NAMES}", _refuse)


def _refuse(invocation: Invocation, reply: Reply) -> int:
    raise Failure(NOT_AVAILABLE, f"this file has a name that is not a plugin's: rename it to {_NAMES}")
