"""What the parts of the agent that keep a lease know of it together."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from cni_plugin.platform import uptime_ns

if TYPE_CHECKING:
    from node_agent.leasing.holding import View


class State:
    """How the lease is at the moment."""

    def __init__(self) -> None:
        self.wake = asyncio.Event()
        """Set if ipamd is to be asked now."""
        self.over = asyncio.Event()
        """Set if ipamd has said that the lease is over: its database may be an older one."""
        self.there = asyncio.Event()
        """Set while the store is there."""
        self.view: View | None = None
        """The store as it was read last, None if there is none."""
        self.why: str | None = None
        """Why the node does not get what it wants."""
        self.asked_at = 0.0
        """When ipamd was asked last, by the monotonic clock."""
        self.refused: dict[bytes, tuple[float, str]] = {}
        """The configurations of which ipamd leases nothing: when it said so, and why."""
        self.reported_at: float | None = None
        """When ipamd acknowledged a report last, in seconds since 1970."""

    @property
    def is_open(self) -> bool:
        """Whether seats may be given now."""
        return self.view is not None and self.view.is_open and self.view.until > uptime_ns()

    @property
    def seconds_left(self) -> int:
        """How long the node may give without ipamd."""
        return 0 if self.view is None else max(0, (self.view.until - uptime_ns()) // 1_000_000_000)

    @property
    def unreported(self) -> int:
        """How many events ipamd does not have."""
        return 0 if self.view is None else self.view.last - self.view.reported

    @property
    def oldest_seconds(self) -> float:
        """The age of the oldest of them, 0 if there is none."""
        oldest = None if self.view is None else self.view.oldest
        return 0.0 if oldest is None else max(0, uptime_ns() - oldest) / 1e9

    def count(self, state: int) -> int:
        """How many seats are in a state."""
        return 0 if self.view is None else self.view.count(state)

    def reasons(self) -> list[str]:
        """Why ipamd leases nothing, of all configurations."""
        return sorted({why for _, why in self.refused.values()})
