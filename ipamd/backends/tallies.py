"""What becomes of tallies, the same in every backend. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from ipamd.backends.interface import TallyChange, TallyMoved
from ipamd.models.quota import Tally


def changed(changes: Mapping[Tally, TallyChange], found: Mapping[Tally, int]) -> dict[Tally, int]:
    """What tallies count after changes; `found` is what they count now. Raises TallyMoved."""
    for tally, one in changes.items():
        if one.most is not None and found.get(tally, 0) > one.most:
            raise TallyMoved
    return {tally: max(0, found.get(tally, 0) + one.by) for tally, one in changes.items()}
