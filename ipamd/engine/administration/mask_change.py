"""What a change by an admin means for blocks. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from ipamd.addressing.mask import Mask
from ipamd.addressing.ranges import Spans


@dataclass(frozen=True, slots=True)
class MaskChange:
    """The addresses of a pool that a new mask treats differently.

    `lost` may no longer be held. `withdrawn` may be held, but are no longer given unasked. `gained` may be
    given from now on.
    """

    lost: Spans
    withdrawn: Spans
    gained: Spans

    @classmethod
    def between(cls, old: Mask, new: Mask) -> MaskChange:
        return cls(
            lost=old.usable.minus(new.usable),
            withdrawn=old.assignable.minus(new.assignable),
            gained=new.assignable.minus(old.assignable),
        )

    @property
    def touched(self) -> Spans:
        """The addresses whose blocks the change must look at."""
        return Spans([*self.lost, *self.withdrawn, *self.gained])
