"""Change requests: somebody asks, an admin decides.

A reservation is made in the transaction that ends its request. An address is taken in a batch, which is
another transaction: so its request is marked first, and approving it again goes on where it was interrupted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from ipamd.backends.interface import Backend, CatalogueChange
from ipamd.engine.acting import who_acts
from ipamd.engine.administration.catalogue_writer import CatalogueWriter
from ipamd.engine.administration.editing import Editing
from ipamd.models.change_request import (
    MOST_OPEN,
    MOST_OPEN_OF_ONE,
    ChangeRequest,
    RequestKind,
    RequestQuery,
    RequestState,
)
from ipamd.models.errors import NotFound, RequestDecided, TooManyRequests
from ipamd.models.reservation import Reservation


class ChangeRequests(CatalogueWriter):
    """When a method returns, its change is durable."""

    async def create(self, kind: RequestKind, wanted: Mapping[str, Any], note: str | None) -> ChangeRequest:
        """Ask for something. Raises TooManyRequests."""
        by = who_acts()
        await _refuse_more(self._backend, by)
        asked = ChangeRequest(kind=kind, wanted=wanted, note=note, created=self._clock(), created_by=by)

        async def create(catalogue: CatalogueChange) -> ChangeRequest:
            return await _saved(catalogue, replace(asked, id=await catalogue.raise_revision()))

        return await self._change(create)

    async def refuse(self, number: int, reason: str) -> ChangeRequest:
        """Refuse a request. Raises NotFound, RequestDecided."""
        decide = self._decision(RequestState.REFUSED, reason)

        async def refuse(catalogue: CatalogueChange) -> ChangeRequest:
            await catalogue.raise_revision()
            request = await _undecided(catalogue, number)
            if request.state is RequestState.APPROVING:
                raise RequestDecided(
                    f"request {number} is being approved by {request.decided_by}, and its address may be "
                    "taken: approve it, then release the address"
                )
            return await _saved(catalogue, decide(request))

        return await self._change(refuse)

    async def approve_reservation(
        self, number: int, reservation: Reservation, reason: str | None
    ) -> ChangeRequest:
        """Make the reservation that a request asks for.

        Raises NotFound, RequestDecided, InvalidValue, ReservationConflicts.
        """
        decide = self._decision(RequestState.APPROVED, reason)

        async def approve(catalogue: CatalogueChange) -> ChangeRequest:
            editing = Editing(catalogue, *await self._begin(catalogue))
            request = await _undecided(catalogue, number)
            made = await editing.create_reservation(reservation)
            editing.agree()
            outcome = {"reservation": made.id, "address": str(made.addresses)}
            return await _saved(catalogue, replace(decide(request), outcome=outcome))

        return await self._change(approve)

    async def begin_approval(self, number: int, reason: str | None) -> ChangeRequest:
        """Mark a request before its address is taken. From here on nobody refuses it.

        Raises NotFound, RequestDecided.
        """
        decide = self._decision(RequestState.APPROVING, reason)

        async def begin(catalogue: CatalogueChange) -> ChangeRequest:
            await catalogue.raise_revision()
            request = await _undecided(catalogue, number)
            return await _saved(catalogue, decide(request))

        return await self._change(begin)

    async def end_approval(self, number: int, outcome: Mapping[str, Any] | None) -> ChangeRequest:
        """Note what was taken; None if nothing could be: then the request is open again. Raises NotFound.

        What was taken counts, whatever another admin has made of the request meanwhile.
        """
        decide = self._decision(RequestState.APPROVED, None)

        async def end(catalogue: CatalogueChange) -> ChangeRequest:
            await catalogue.raise_revision()
            request = await _known(catalogue, number)
            if request.state is RequestState.APPROVED:
                return request
            if outcome is not None:
                return await _saved(
                    catalogue, replace(decide(request), reason=request.reason, outcome=outcome)
                )
            if request.state is not RequestState.APPROVING:
                return request
            reopened = replace(request, state=RequestState.OPEN, decided=None, decided_by=None, reason=None)
            return await _saved(catalogue, reopened)

        return await self._change(end)

    def _decision(self, state: RequestState, reason: str | None) -> Callable[[ChangeRequest], ChangeRequest]:
        """What who acts makes of a request. It is made before the change, which may run on a thread."""
        at, by = self._clock(), who_acts()
        return lambda request: replace(request, state=state, decided=at, decided_by=by, reason=reason)


async def _saved(catalogue: CatalogueChange, request: ChangeRequest) -> ChangeRequest:
    await catalogue.save_request(request)
    return request


async def _known(catalogue: CatalogueChange, number: int) -> ChangeRequest:
    request = await catalogue.request(number)
    if request is None:
        raise NotFound("request", str(number))
    return request


async def _undecided(catalogue: CatalogueChange, number: int) -> ChangeRequest:
    request = await _known(catalogue, number)
    if request.is_over:
        raise RequestDecided(f"request {number} was {request.state} by {request.decided_by}: make another")
    return request


async def _refuse_more(backend: Backend, by: str) -> None:
    """Raise TooManyRequests if too many wait already."""
    for query, most in (
        (RequestQuery(state=RequestState.OPEN, by=by), MOST_OPEN_OF_ONE),
        (RequestQuery(state=RequestState.OPEN), MOST_OPEN),
    ):
        if len(await backend.ledger.requests(query, None, most)) >= most:
            whose = f" of {by}" if query.by is not None else ""
            raise TooManyRequests(f"{most} requests{whose} wait for an admin: wait until some are decided")
