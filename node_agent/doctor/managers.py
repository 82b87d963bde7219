"""Programs that manage the host's network, and were not told to leave alone what is ours."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from node_agent.doctor.finding import Finding
from node_agent.installation import host_managers
from node_agent.installation.root import Root


def find(root: Root, plugins: Sequence[dict[str, Any]]) -> list[Finding]:
    """Look for the files that `install` would write for networks with these main plugins."""
    found = []
    for file in host_managers.files(root, plugins):
        path = root / file.path
        if not path.is_file() or path.read_bytes() != file.data:
            found.append(
                Finding(
                    f"{file.path} is not there as `ipamd-agent install` writes it, so "
                    f"{host_managers.HARM[file.path]}",
                    "run `ipamd-agent install`, then restart that program",
                )
            )
    return found
