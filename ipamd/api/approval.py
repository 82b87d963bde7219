"""The approval of a request: what is asked for is made as if the admin had made it."""

from __future__ import annotations

from ipamd.api.owner_allocation import AllocationKey, allocate_for_owner
from ipamd.api.schemas.allocation import NewAllocation
from ipamd.api.schemas.reservation import NewReservation
from ipamd.engine.acting import who_acts
from ipamd.engine.engine import Engine
from ipamd.models.change_request import ChangeRequest, RequestKind
from ipamd.models.errors import DomainError, Unavailable


async def approve(number: int, reason: str | None, engine: Engine) -> ChangeRequest:
    """Approve a request. If what it asks for is refused, the request stays open, and the refusal is raised.

    Raises NotFound, RequestDecided, and what is raised where it is made without a request.
    """
    request = await engine.queries.request(number)
    if request.kind is RequestKind.RESERVATION:
        wanted = NewReservation.model_validate(request.wanted).value()
        return await engine.requests.approve_reservation(number, wanted, reason)
    await engine.requests.begin_approval(number, reason)
    try:
        outcome = await _allocate(request, engine)
    except Unavailable:
        raise  # it may have been taken: who approves again finds it
    except DomainError:
        await engine.requests.end_approval(number, None)
        raise
    return await engine.requests.end_approval(number, outcome)


async def _allocate(request: ChangeRequest, engine: Engine) -> dict[str, int | str]:
    """Take the address once: the request is the key. What was taken counts, also if it was released since."""
    wanted = NewAllocation.model_validate(request.wanted)
    key = AllocationKey(str(request.id), wanted.fingerprint(), "request")
    taken = await engine.queries.by_idempotency_key(key.kept or "")
    if taken is None:
        taken = await allocate_for_owner(wanted, key, engine, await engine.refresh(), who_acts())
    return {"allocation": taken.stored_id, "address": str(taken.address), "pool": taken.pool}
