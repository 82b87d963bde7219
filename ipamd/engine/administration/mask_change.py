"""What an admin's change means for blocks. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from ipamd.addressing.mask import Mask
from ipamd.addressing.ranges import Spans


@dataclass(frozen=True, slots=True)
class MaskChange:
    """What becomes of a pool's addresses when its mask changes.

    `lost` may not be held any more, `withdrawn` may be held but is not handed out unasked any more,
    `gained` may be handed out from now on.
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
        """The addresses whose blocks must be looked at again."""
        return Spans([*self.lost, *self.withdrawn, *self.gained])
