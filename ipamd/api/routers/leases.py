"""Leases: what nodes hold in advance, what they report of it, and what admins take back."""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus
from typing import Annotated, Any, Final

import structlog
from fastapi import APIRouter, Query, Request, Response

from ipamd.api.access import speaks_for
from ipamd.api.lean import Only
from ipamd.api.lease_reports import LeaseReports, check_speaks_for
from ipamd.api.paging import PageQuery, page_of_names
from ipamd.api.routers.access import Asker, Page, TheEngine
from ipamd.api.schemas.lease import (
    ASKING,
    REPORT,
    LeaseFilter,
    NodeOfLease,
    ShownLease,
    ShownRecall,
    ShownReported,
    ShownTold,
    document_of,
    told_counts,
    told_document,
)
from ipamd.cni import leasing
from ipamd.cni.error import CniError
from ipamd.engine.leasing.conversation import Asking, SeatState, WantedSeats
from ipamd.models.errors import InvalidValue, NotFound
from ipamd.models.node import NodeKey
from ipamd.models.token import Principal

router = APIRouter(prefix="/v1/leases", tags=["leases"])
log = structlog.get_logger()

JSON: Final = "application/json"


class LeasesQuery(LeaseFilter, PageQuery):
    """Which leases, and which page of them."""


@router.post("", response_model=ShownTold, openapi_extra=ASKING)
async def ask(call: Request, engine: TheEngine, asker: Asker) -> Response:
    """Tell a node what it may give: an agent's one conversation about its lease.

    The node names all that it has. The answer has new seats under the grant after the one that it took last,
    seats whose answers changed, what it gave back, and what it is to give back. A request with `wait` is
    answered when there is news, or after so many seconds.
    """
    body = leasing.read_asking(await call.body())
    check_speaks_for(body.node_key, _only(asker))
    told = await engine.leases.ask_until(_asking(body), body.wait)
    engine.heard_from(body.node_key)
    if told.is_news:
        log.info("lease", outcome="told", node=body.node, epoch=told.epoch, **told_counts(told))
    return Response(leasing.encoded(told_document(told)), media_type=JSON)


@router.post("/report", response_model=ShownReported, openapi_extra=REPORT)
async def report(call: Request, engine: TheEngine, asker: Asker) -> Response:
    """Carry out what a node did with its seats, in its order.

    Events that were acknowledged are passed over. A gap is refused (409, `report-gap`).
    """
    answer = await LeaseReports(engine).carry_out(await call.body(), _only(asker))
    return Response(answer, media_type=JSON)


@router.get("", response_model=Page[ShownLease])
async def list_leases(query: Annotated[LeasesQuery, Query()], engine: TheEngine) -> dict[str, Any]:
    """List the nodes with a lease, by cluster and name, with their seats."""
    leases = await engine.lease_uses.of_nodes(query.cluster, query.node, query.pool)
    page = page_of_names(leases, query, lambda lease: lease, lambda lease: lease.node)
    nodes = engine.catalogue.snapshot.nodes
    shown = [await engine.lease_uses.use_of(lease) for lease in page["items"]]
    return {**page, "items": [document_of(each, nodes.get(each.node)) for each in shown]}


@router.post("/recall", status_code=HTTPStatus.ACCEPTED)
async def recall(body: NodeOfLease, engine: TheEngine) -> ShownRecall:
    """Have a node give back the seats that it has: free ones with its next request, others when they end."""
    node = NodeKey(body.cluster, body.node)
    seats = await engine.leases.recall(node)
    if seats is None:
        raise NotFound("lease of node", f"{node.cluster}/{node.name}")
    log.info("lease", outcome="recalled", cluster=node.cluster, node=node.name, seats=seats)
    return {"cluster": node.cluster, "node": node.name, "recalled": seats}


def _only(asker: Principal | None) -> Only:
    return None if asker is None else speaks_for(asker)


def _asking(body: leasing.AskingBody) -> Asking:
    return Asking(
        node=body.node_key,
        machine=body.machine,
        boot=body.boot,
        store=body.store,
        epoch=body.epoch,
        granted=body.grant,
        seats={seat.seat: SeatState(seat.state) for seat in body.seats},
        wanted=_wanted(body.configurations),
        revision=body.revision,
        reported=body.reported,
        confirm=body.confirm,
    )


def _wanted(bodies: Sequence[leasing.ConfigurationBody]) -> list[WantedSeats]:
    wanted = []
    for place, body in enumerate(bodies):
        raw = bytes(body.config)
        try:
            config = leasing.configuration(raw)
            names = config.pool_names
            wanted.append(WantedSeats(body.key, raw, config.network, names, body.free))
        except (CniError, ValueError) as error:
            raise InvalidValue(f"configurations[{place}].config", str(error)) from None
    return wanted
