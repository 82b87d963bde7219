"""Reservations: addresses that are kept for one holder, or for nobody."""

from __future__ import annotations

from collections.abc import Iterable
from http import HTTPStatus
from itertools import islice
from typing import Annotated, Any, cast

import structlog
from fastapi import APIRouter, Query, Response

from ipamd.api.paging import PageQuery, page
from ipamd.api.preconditions import IfMatch, entity_tag, expected_revision
from ipamd.api.routers.access import CurrentCatalogue, Page, RowId, TheEngine
from ipamd.api.schemas.reservation import (
    MadeReservation,
    NewReservation,
    ReservationFilter,
    ShownReservation,
    document_of,
    outside_pools,
)
from ipamd.engine.catalogue import Catalogue
from ipamd.models.address import parse_address
from ipamd.models.errors import NotFound
from ipamd.models.reservation import Reservation

router = APIRouter(prefix="/v1/reservations", tags=["reservations"])
log = structlog.get_logger()


class ReservationsQuery(ReservationFilter, PageQuery):
    """Which reservations, and which page of them."""


@router.post("", status_code=HTTPStatus.CREATED)
async def reserve(body: NewReservation, engine: TheEngine, response: Response) -> MadeReservation:
    """Reserve an address, a prefix or a range; or the next free prefix of a pool, from its end on."""
    prefix = body.wanted_prefix()
    if prefix is None:
        reservation = await engine.administration.create_reservation(body.value())
    else:
        pool, length = prefix
        space = engine.catalogue.pools[pool].space if pool in engine.catalogue.pools else body.space
        make = body.model_copy(update={"space": space}).of
        reservation = await engine.administration.reserve_prefix(pool, length, make)
    log.info(
        "reservation",
        outcome="created",
        reservation=reservation.id,
        addresses=str(reservation.addresses),
        holder=reservation.holder,
    )
    response.headers["Location"] = f"/v1/reservations/{reservation.id}"
    made = cast(MadeReservation, _shown(reservation, response))
    if not engine.catalogue.is_in_a_pool(reservation):
        made["warning"] = outside_pools(reservation)
        log.warning("reservation", reservation=reservation.id, why=made["warning"])
    return made


@router.get("", response_model=Page[ShownReservation])
async def list_reservations(
    query: Annotated[ReservationsQuery, Query()], catalogue: CurrentCatalogue
) -> dict[str, Any]:
    """List reservations, oldest first."""
    candidates = _candidates(query, catalogue, query.after_number() or 0)
    found = islice((each for each in candidates if _matches(each, query)), query.limit + 1)
    return page(list(found), query.limit, document_of, lambda reservation: reservation.id)


@router.get("/{number}")
async def read_reservation(
    number: RowId, catalogue: CurrentCatalogue, response: Response
) -> ShownReservation:
    """Show one reservation."""
    return _shown(_reservation(catalogue, number), response)


@router.delete("/{number}", status_code=HTTPStatus.NO_CONTENT)
async def delete_reservation(
    number: RowId, engine: TheEngine, catalogue: CurrentCatalogue, if_match: IfMatch = None
) -> None:
    """End a reservation. A holder keeps the address that it has."""
    expected = expected_revision(if_match, _reservation(catalogue, number).revision)
    await engine.administration.delete_reservation(number, expected)
    log.info("reservation", outcome="deleted", reservation=number)


def _reservation(catalogue: Catalogue, number: int) -> Reservation:
    reservation = catalogue.snapshot.reservations.get(number)
    if reservation is None:
        raise NotFound("reservation", str(number))
    return reservation


def _shown(reservation: Reservation, response: Response) -> ShownReservation:
    response.headers.update(entity_tag(reservation.revision))
    return document_of(reservation)


def _candidates(query: ReservationsQuery, catalogue: Catalogue, after: int) -> Iterable[Reservation]:
    """The reservations with numbers above one by which a list is looked for, by an index if there is one."""
    if query.address is not None:
        narrow: Iterable[Reservation] = catalogue.reservations_with(parse_address(query.address))
    elif query.owner is not None or (query.name is not None and query.namespace is not None):
        narrow = catalogue.reserved_for(query.namespace, query.name, query.owner)
    else:
        return catalogue.reservations_after(after)
    return sorted((each for each in narrow if each.id > after), key=lambda each: each.id)


def _matches(reservation: Reservation, query: ReservationsQuery) -> bool:
    return (
        query.space in (None, reservation.space)
        and query.namespace in (None, reservation.namespace)
        and query.name in (None, reservation.name)
        and query.owner in (None, reservation.owner)
    )
