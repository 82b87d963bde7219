"""The lean route for what nodes report of their leases: as many calls as there are containers.

Like the plugin's calls it has no framework in between. A refusal is a problem document, as everywhere else.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

import structlog

from ipamd.api.access import Unknown, unauthenticated
from ipamd.api.body import LARGEST_COLLECTION, why_not_json
from ipamd.api.lean import Only
from ipamd.api.problems import Problem, in_doubt, not_json, too_large
from ipamd.api.reply import Reply
from ipamd.backends.interface import InDoubt
from ipamd.cni import leasing
from ipamd.engine.engine import Engine
from ipamd.engine.leasing.reporting import Report
from ipamd.models.errors import DomainError, InvalidValue, NotAllowed
from ipamd.models.lease import SeatEvent, SeatEventKind
from ipamd.models.node import NodeKey

PATH: Final = b"/v1/leases/report"

log = structlog.get_logger()


class LeaseReports:
    """`POST /v1/leases/report`."""

    name: Final = "report"
    largest: Final = LARGEST_COLLECTION

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def answer(self, raw: bytes, only: Only) -> Reply:
        """Carry out a report, for the one node that the caller may speak for."""
        try:
            return Reply(HTTPStatus.OK, await self.carry_out(raw, only))
        except Problem as problem:
            return Reply.of(problem)
        except DomainError as error:
            return Reply.of(Problem.from_domain(error))
        except InDoubt as doubt:
            log.warning("lease", outcome="report in doubt", why=str(doubt))
            return Reply.of(in_doubt())

    async def carry_out(self, raw: bytes, only: Only) -> bytes:
        """The answer to a report. Raises DomainError, Problem and InDoubt."""
        try:
            body = leasing.read_report(raw)
        except InvalidValue:
            why = why_not_json(raw)
            if why is not None:
                raise not_json(why) from None
            raise
        node = body.node_key
        check_speaks_for(node, only)
        events = [await self._event(each, node) for each in body.events]
        done = await self._engine.reporting.report(
            Report(node=node, epoch=body.epoch, store=body.store, first=body.first, events=events)
        )
        self._engine.heard_from(node)
        return leasing.encoded({"acknowledged": done.acknowledged, "obeyed": done.obeyed})

    def refuse(self, error: Unknown | DomainError) -> Reply:
        """The answer to a caller without permission."""
        return Reply.of(unauthenticated(error) if isinstance(error, Unknown) else Problem.from_domain(error))

    def too_large(self) -> Reply:
        """The answer to a body that is too large."""
        return Reply.of(too_large(self.largest))

    async def _event(self, body: leasing.EventBody, node: NodeKey) -> SeatEvent:
        holder = leasing.identity_of(body.request, node)
        issued = leasing.issued_of(body.issued)
        return SeatEvent(
            kind=SeatEventKind(body.kind),
            seat=body.seat,
            holder=holder,
            digest=holder.digest,
            order=await self._engine.allocator.order_of(node, issued),
            age=body.age_ns // 1000,
            ending=leasing.ending_of(body),
            workload=leasing.workload_of(body.request),
            boot=issued.boot,
            netns=leasing.namespace_of(body.request),
        )


def check_speaks_for(node: NodeKey, only: Only) -> None:
    """Raise NotAllowed if a node asks about the lease of another."""
    if only is not None and node != only:
        raise NotAllowed(
            f"the lease is of node {node.name} of cluster {node.cluster}, but the token is for node "
            f"{only.name} of cluster {only.cluster}"
        )
