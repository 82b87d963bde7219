"""What an admin's change means for blocks. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from ipamd.addressing.block import effective_block_length
from ipamd.addressing.mask import Mask
from ipamd.addressing.ranges import Spans
from ipamd.models.errors import InvalidValue
from ipamd.models.pool import Pool


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


def validate(pool: Pool) -> None:
    """Raise InvalidValue where a pool contradicts itself."""
    for field, ranges in (("ranges", pool.ranges), ("exclusions", pool.exclusions)):
        for each in ranges:
            if each.first not in pool.subnet or each.last not in pool.subnet:
                raise InvalidValue(field, f"{each} is outside the subnet {pool.subnet}")
    gateway = pool.gateway
    if (
        gateway is not None
        and gateway not in pool.subnet
        and not (gateway.version == pool.family and gateway.is_link_local)
    ):
        raise InvalidValue("gateway", f"{gateway} is outside the subnet {pool.subnet}")
    for route in pool.routes:
        if route.dst.version != pool.family or (route.gw is not None and route.gw.version != pool.family):
            raise InvalidValue("routes", f"{route.dst} is not IPv{pool.family} as the subnet is")
    if pool.cooldown < 0:
        raise InvalidValue("cooldown", f"{pool.cooldown} is negative: write seconds, 0 or more")
    try:
        effective_block_length(pool.subnet, pool.block_length)
    except ValueError as error:
        raise InvalidValue("block_size", str(error)) from None


def validate_edit(old: Pool, new: Pool) -> None:
    """Raise InvalidValue where a pool changes what is fixed."""
    if (old.name, old.space) != (new.name, new.space):
        raise InvalidValue("name", "the name and the space of a pool cannot be changed: make another pool")
    if old.family != new.family or not old.subnet.subnet_of(new.subnet):  # type: ignore[arg-type]  # of one family
        raise InvalidValue("subnet", f"{old.subnet} can only grow: write a shorter prefix that contains it")
