"""What is counted of the plugin's calls, in plain numbers."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Final

from ipamd.cni.caller import Caller
from ipamd.engine.measures import SECONDS, Histogram
from ipamd.models.node import NodeKey

OK: Final = "ok"


class CallMeasures:
    """Counts of the plugin's calls since the process began."""

    def __init__(self) -> None:
        self.outcomes: Counter[tuple[str, str]] = Counter()
        self.seconds: defaultdict[str, Histogram] = defaultdict(lambda: Histogram(SECONDS))
        self._spooled: dict[NodeKey, int] = {}
        self.held_elsewhere = 0
        """Releases that freed nothing while their container held addresses under another name."""

    def count(self, verb: str, outcome: str, seconds: float | None) -> None:
        """Count an answer: `ok`, the code of its CNI error, or `in_doubt`.

        `seconds` is None if the call was refused unread: its time says nothing about ipamd's speed.
        """
        self.outcomes[verb, outcome] += 1
        if seconds is not None:
            self.seconds[verb].observe(seconds)

    def note_spool(self, caller: Caller) -> None:
        """Remember how many releases wait on a node, from its last call."""
        if caller.spooled:
            self._spooled[caller.identity.node_key] = caller.spooled
        elif self._spooled:
            self._spooled.pop(caller.identity.node_key, None)

    @property
    def spooled(self) -> int:
        """How many releases wait on all nodes together."""
        return sum(self._spooled.values())
