"""The files under /etc of the node on which the plugin runs, without touching the machine's."""

import json
import os
import shlex
from pathlib import Path
from typing import Any


def on_run(run: Path) -> tuple[str, ...]:
    """Give what runs a command where a folder stands in the place of /run."""
    user = () if os.geteuid() == 0 else ("--map-root-user",)
    mount = f'mount --bind {shlex.quote(str(run))} /run && exec "$@"'
    return ("unshare", "--mount", *user, "sh", "-c", mount, "sh")


class Node:
    """A folder that the plugin sees as /etc, in a mount namespace of its own."""

    def __init__(self, etc: Path) -> None:
        self.etc = etc
        (etc / "ipamd").mkdir(parents=True)

    @property
    def before(self) -> tuple[str, ...]:
        """Give what runs a command on this node."""
        user = () if os.geteuid() == 0 else ("--map-root-user",)
        mount = f'mount --bind {shlex.quote(str(self.etc))} /etc && exec "$@"'
        return ("unshare", "--mount", *user, "sh", "-c", mount, "sh")

    def set_node_json(self, content: bytes | dict[str, Any]) -> None:
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        (self.etc / "ipamd" / "node.json").write_bytes(data)
