"""The lean route for the plugin's calls: bytes in, one decision, bytes out. No framework in between.

The answer to a commit in doubt has no CNI error object; nor has the server's answer to an unforeseen error.
So the plugin learns that its ADD may have taken addresses, and spools an undo.
"""

from __future__ import annotations

from asyncio import get_running_loop
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from time import perf_counter
from typing import Any, Final
from urllib.parse import unquote_to_bytes

import structlog
from httptools import parse_url
from msgspec import Struct
from starlette.types import Scope

from hosting.logs import frequent
from ipamd.api.access import Access, Unknown, speaks_for
from ipamd.api.body import LARGEST_BODY, LARGEST_COLLECTION
from ipamd.api.call_measures import OK, CallMeasures
from ipamd.api.held_elsewhere import HeldElsewhere
from ipamd.api.lean import LeanRoute, Only
from ipamd.api.lease_reports import PATH as REPORT
from ipamd.api.lease_reports import LeaseReports
from ipamd.api.problems import in_doubt
from ipamd.api.reply import JSON, Reply
from ipamd.backends.interface import InDoubt
from ipamd.cni import request
from ipamd.cni.caller import Caller
from ipamd.cni.error import CniError, Code, too_large
from ipamd.engine.allocation.collection import Collection
from ipamd.engine.engine import Engine
from ipamd.models.address import IPAddress, text_of
from ipamd.models.allocation import Workload
from ipamd.models.errors import DomainError, NotAllowed
from ipamd.models.issued import Issued
from ipamd.models.outcome import Granted, Refused, Released
from ipamd.models.request import AllocationRequest, Release

PREFIX: Final = "/v1/cni/"

_OK: Final = int(HTTPStatus.OK)
_NO_CONTENT: Final = int(HTTPStatus.NO_CONTENT)
_BUSY: Final = HTTPStatus.SERVICE_UNAVAILABLE
_LATER: Final = JSON + b"retry-after: 1\r\n"

log = structlog.get_logger()


class _CniAnswer(Struct, frozen=True):
    """The answer, and what the log says about it."""

    caller: Caller
    body: bytes
    outcome: str
    facts: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Verb:
    """One of the plugin's commands. `answer` takes a body of at most `largest` bytes."""

    name: str
    decide: Callable[[bytes, Only], Awaitable[_CniAnswer]]
    measures: CallMeasures
    largest: int = LARGEST_BODY
    _answered: list[tuple[_CniAnswer, float]] = field(default_factory=list)

    async def answer(self, raw: bytes, only: Only) -> Reply:
        """Decide, log and count a call."""
        began = perf_counter()
        try:
            answer = await self.decide(raw, only)
        except CniError as error:
            return self._refused(error, began)
        except DomainError as error:
            return self._refused(CniError.from_domain(error), began)
        except InDoubt as doubt:
            log.warning(self.name, outcome="in doubt", why=str(doubt))
            self.measures.count(self.name, "in_doubt", perf_counter() - began)
            return Reply.of(in_doubt())
        # The caller waits for its answer, not for the log.
        if not self._answered:
            get_running_loop().call_soon(self._note)
        self._answered.append((answer, perf_counter() - began))
        return Reply(_OK if answer.body else _NO_CONTENT, answer.body)

    def _note(self) -> None:
        """Log and count what was answered in a turn of the event loop."""
        answered = self._answered.copy()
        self._answered.clear()
        for answer, seconds in answered:
            frequent.info(self.name, _told(answer.outcome, answer.caller) | answer.facts)
            self.measures.count(self.name, OK, seconds)
            self.measures.note_spool(answer.caller)

    def refuse(self, error: Unknown | DomainError) -> Reply:
        """The answer to a caller without permission."""
        if isinstance(error, Unknown):
            answer = self._refused(CniError(Code.NOT_ALLOWED, str(error)))
            return Reply(HTTPStatus.UNAUTHORIZED, answer.body)
        return self._refused(CniError.from_domain(error))

    def too_large(self) -> Reply:
        """The answer to a body that is too large."""
        return self._refused(too_large(f"the request is larger than {self.largest} bytes"))

    def _refused(self, error: CniError, began: float | None = None) -> Reply:
        told = _told("refused", error.caller) if error.caller is not None else {"outcome": "refused"}
        frequent.info(self.name, {**told, "code": int(error.code), "why": error.message})
        seconds = perf_counter() - began if began is not None else None
        self.measures.count(self.name, str(int(error.code)), seconds)
        return Reply(error.status, error.encode(), _LATER if error.status == _BUSY else JSON)


class Calls:
    """`POST /v1/cni/{add,del,check,gc,status}`; beside them, what nodes report of calls that they served."""

    def __init__(self, engine: Engine, access: Access, measures: CallMeasures) -> None:
        self.measures = measures
        self._held_elsewhere = HeldElsewhere(engine.queries, measures)
        self._engine = engine
        self._access = access
        verbs = (
            Verb("add", self._add, measures),
            Verb("del", self._del, measures),
            Verb("check", self._check, measures),
            Verb("gc", self._gc, measures, LARGEST_COLLECTION),
            Verb("status", self._status, measures),
        )
        self._verbs = {f"{PREFIX}{verb.name}".encode(): verb for verb in verbs}
        self._reports = LeaseReports(engine)

    def route_of(self, url: bytes) -> LeanRoute | None:
        """What answers a request by POST to a target; None if a framework does."""
        return self._reports if url == REPORT else self.verb_of(url)

    def verb_of(self, url: bytes) -> Verb | None:
        """The command in a request's target."""
        return self._verbs.get(url) or self._verbs.get(_path_of(url))

    @property
    def ask_who_calls(self) -> bool:
        """Whether a call needs a token."""
        return self._access.is_needed

    async def asker(self, scope: Scope) -> Only:
        """The only node for which a request may call that needs a token, None for every node.

        Raises Unknown, NotAllowed, Unavailable.
        """
        return speaks_for(await self._access.principal(scope))

    async def _add(self, raw: bytes, only: Only) -> _CniAnswer:
        call = request.read_add(raw)
        self._admit(call.caller, only)
        if call.ended is not None:
            await self._end_first(call.request, call.ended)
        outcome = await self._engine.allocate(call.request)
        if not isinstance(outcome, Granted):
            raise CniError.from_domain(_error(outcome)).to(call.caller)
        try:
            body = call.results.encode(outcome, call.caller.version)
        except CniError as error:
            await self._give_back(call.request, outcome)
            raise error.to(call.caller) from None
        return _CniAnswer(
            call.caller,
            body,
            "repeated" if outcome.repeated else "granted",
            {
                "addresses": _joined(tuple(grant.address for grant in outcome.grants)),
                "pools": " ".join(grant.pool.name for grant in outcome.grants),
                **_workload(call.request.workload),
            },
        )

    async def _end_first(self, asked: AllocationRequest, ended: Issued) -> None:
        """Carry out a DEL that the node did by itself, and whose report is on its way."""
        release = Release(digest=asked.digest, node=asked.node_key, issued=ended, timeout=asked.timeout)
        outcome = await self._engine.submit(release)
        if isinstance(outcome, Refused):
            raise CniError.from_domain(outcome.error)

    async def _give_back(self, taken: AllocationRequest, granted: Granted) -> None:
        """Undo an ADD whose addresses have no form in the version that it asked for."""
        if not granted.repeated:
            await self._engine.submit(
                Release(
                    digest=taken.digest,
                    node=taken.node_key,
                    issued=taken.issued,
                    undo=taken.issued is not None,
                )
            )

    async def _del(self, raw: bytes, only: Only) -> _CniAnswer:
        call = request.read_del(raw)
        self._admit(call.caller, only)
        outcome = await self._engine.submit(call.release)
        if not isinstance(outcome, Released):
            raise CniError.from_domain(_error(outcome)).to(call.caller)
        if outcome.addresses:
            self._held_elsewhere.freed(call.release.digest)
        elif not call.release.undo and not outcome.spared:
            self._held_elsewhere.freed_nothing(call.caller.identity)
        done = "released" if outcome.addresses else "nothing held"
        return _CniAnswer(call.caller, b"", done, {"undo": call.release.undo, **_released(outcome)})

    async def _check(self, raw: bytes, only: Only) -> _CniAnswer:
        call = request.read_check(raw)
        self._admit(call.caller, only)
        refused = await self._engine.queries.check(call.caller.identity, call.addresses)
        if refused is not None:
            raise CniError.from_domain(refused.error).to(call.caller)
        return _CniAnswer(call.caller, b"", "held", {"addresses": _joined(call.addresses)})

    async def _gc(self, raw: bytes, only: Only) -> _CniAnswer:
        call = request.read_gc(raw)
        self._admit(call.caller, only)
        identity = call.caller.identity
        sweep = Collection(
            cluster=identity.cluster,
            node=identity.node,
            network=identity.network,
            keep=call.keep,
            issued=call.issued,
        )
        try:
            outcome = await self._engine.collector.collect(sweep)
        except DomainError as error:
            raise CniError.from_domain(error).to(call.caller) from None
        return _CniAnswer(call.caller, b"", "collected", {"kept": len(call.keep), **_released(outcome)})

    async def _status(self, raw: bytes, only: Only) -> _CniAnswer:
        call = request.read_status(raw)
        self._admit(call.caller, only)
        why: str | None = None
        if call.wanted is not request.StatusScope.INSTALLATION:
            why = await self._engine.queries.ready()
        if why is None and call.wanted is request.StatusScope.CAPACITY:
            identity = call.caller.identity
            error = await self._engine.queries.why_no_room(
                call.pool_names, identity.node_key, identity.network, None
            )
            why = str(error) if error is not None else None
        if why is not None:
            raise CniError(Code.NOT_AVAILABLE, why).to(call.caller)
        return _CniAnswer(call.caller, b"", "available", {"wanted": call.wanted.value})

    def _admit(self, caller: Caller, only: Only) -> None:
        """Raise if a node calls in the name of another."""
        node = caller.identity.node_key
        if only is not None and node != only:
            why = f"the call is for node {node.name} of cluster {node.cluster}"
            raise CniError.from_domain(
                NotAllowed(f"{why}, but the token is for node {only.name} of cluster {only.cluster}")
            ).to(caller)
        self._engine.heard_from(node)


def _path_of(target: bytes) -> bytes:
    """The path in a request's target. The target may be a whole URL (RFC 9112, section 3.2.2)."""
    path = target.partition(b"?")[0]
    if not path.startswith(b"/"):
        path = parse_url(target).path or b""
    return unquote_to_bytes(path)


def _error(outcome: object) -> DomainError:
    if isinstance(outcome, Refused):
        return outcome.error
    raise AssertionError(f"the engine answered {outcome!r}")


def _told(outcome: str, caller: Caller) -> dict[str, Any]:
    identity = caller.identity
    told: dict[str, Any] = {
        "outcome": outcome,
        "cluster": identity.cluster,
        "network": identity.network,
        "node": identity.node,
        "container_id": identity.container_id,
        "ifname": identity.ifname,
    }
    if caller.spooled:
        told["spooled"] = caller.spooled
    return told


def _workload(workload: Workload) -> dict[str, str]:
    named = {}
    if workload.namespace is not None:
        named["namespace"] = workload.namespace
    if workload.name is not None:
        named["name"] = workload.name
    return named


def _released(outcome: Released) -> dict[str, Any]:
    return {"addresses": _joined(outcome.addresses), "spared": outcome.spared}


def _joined(addresses: tuple[IPAddress, ...]) -> str:
    return " ".join(map(text_of, addresses))
