"""Which prefix a container has beside its addresses, kept on the node while the container lives.

Runtimes keep the results of ADDs, but no key that the specification does not know. After ipamd's database
was put back, the node's agent says by these records what lives here. They are in /run: what they tell of ends
when that does.
"""

from __future__ import annotations

import os

from cni_plugin.failure import reason
from cni_plugin.files import make_folders, replace
from cni_plugin.reply import note
from ipam_plugin.request import members_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ipam_plugin.execution import Execution

FOLDER = "/run/ipamd/prefixes"
_KEY = b'"ipamd.io/prefixes"'
_MODE = 0o755


def keep(execution: Execution, answer: bytes) -> None:
    """Keep the answer to an ADD if it tells of a prefix. What cannot be kept is told, and fails nothing."""
    if _KEY not in answer:
        return
    members = ",".join(members_of(execution.invocation))
    try:
        make_folders(FOLDER, _MODE)
        replace(FOLDER, _name(execution), b"".join([b"{", members.encode(), b',"result":', answer, b"}"]))
    except OSError as error:
        note(f"the prefix of this container cannot be kept in {FOLDER}: {reason(error)}")


def forget(execution: Execution) -> None:
    """Forget what a container had that goes."""
    try:
        os.unlink(f"{FOLDER}/{_name(execution)}")
    except OSError:
        return  # most have none


def _name(execution: Execution) -> str:
    invocation = execution.invocation
    return f"{execution.network}-{invocation.container_id}-{invocation.ifname}"
