"""Who asks, and what they may do. While ipamd has no tokens, everybody may do everything.

A token is looked up by its SHA-256, so that the time of a look-up tells nothing about existing tokens.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Final
from urllib.parse import parse_qs

from starlette.types import ASGIApp, Receive, Scope, Send
from structlog.contextvars import bound_contextvars

from ipamd.api.body import header
from ipamd.api.problems import Problem
from ipamd.api.segments import part, shown, with_names_whole
from ipamd.engine.acting import LOOPBACK, acting_as
from ipamd.engine.engine import Engine
from ipamd.models.errors import DomainError, InvalidValue, NotAllowed
from ipamd.models.instant import rfc3339
from ipamd.models.node import NodeKey, node_name
from ipamd.models.pool import DEFAULT_CLUSTER
from ipamd.models.token import Principal, Role, TokenHash, hash_of, looks_like_token

OPEN: Final = frozenset(("/healthz", "/readyz"))
JOIN: Final = "/v1/nodes/join"
TOKENS: Final = "/v1/tokens"
NETWORK: Final = ("/v1/network", "/v1/network/changes")
CENSUS: Final = "/v1/census"
OF_NODES: Final = ("/v1/leases", "/v1/leases/report", CENSUS)
"""A node tells in the body which one it is; the router compares."""

NETWORK_NODES: Final = "/v1/network/nodes"
INVENTORY: Final = "/v1/inventory"
REQUESTS: Final = "/v1/requests"
ASKED_ONLY: Final = frozenset(("/v1/check", "/v1/explain"))
"""Requests by POST that change nothing."""

LARGEST_TOKEN_FILE: Final = 1024

CERTIFICATE: Final = "ipamd.certificate"
PRINCIPAL: Final = "ipamd.principal"
"""Keys of a scope: the principal of the client certificate, and the principal that asks."""

_BEARER: Final = b"Bearer "


class Unknown(Exception):
    """No known token or certificate was sent. `str()` says what to do."""


@dataclass(frozen=True, slots=True)
class TokenFile:
    """A file with a token that the operator chose. `cluster` is that of a join or inventory token."""

    role: Role
    path: Path
    cluster: str | None = None

    @property
    def title(self) -> str:
        """The token's name in log and history."""
        return f"the {self.role} token file"

    def read(self) -> bytes:
        """The token. Raises InvalidValue if the file holds none."""
        option = f"--{self.role}-token-file"
        try:
            with self.path.open("rb") as opened:
                text = opened.read(LARGEST_TOKEN_FILE).strip(b"\n")
        except OSError as error:
            raise InvalidValue(option, f"{self.path} cannot be read: {error.strerror}") from None
        if not looks_like_token(text):
            raise InvalidValue(option, f"{self.path} holds no token: write one line, `ipamd_` and 43 letters")
        return text


class Access:
    """Finds the principal of a request by its token or certificate.

    With `always` a token is needed even if none exists yet: other machines can send requests here.
    """

    def __init__(self, engine: Engine, *, always: bool = False) -> None:
        self._engine = engine
        self._always = always
        self._own: dict[TokenHash, Principal] = {}

    def accept(self, own: TokenFile) -> None:
        """Accept the token of a file, in place of the earlier token of its role.

        Raises InvalidValue if the file holds no token, or the token of another of these files.
        """
        shown = hash_of(own.read())
        others = {known: other for known, other in self._own.items() if other.role is not own.role}
        if shown in others:
            raise InvalidValue(
                f"--{own.role}-token-file",
                f"{own.path} holds the same token as {others[shown].name}: make another",
            )
        self._own = {**others, shown: Principal(name=own.title, role=own.role, cluster=own.cluster)}

    @property
    def is_needed(self) -> bool:
        """Whether a request needs a token."""
        return self._always or self.has_tokens

    @property
    def has_tokens(self) -> bool:
        """Whether any token exists, expired or not."""
        return bool(self._own) or bool(self._engine.catalogue.snapshot.tokens)

    async def principal(self, scope: Scope) -> Principal:
        """Who asks. Raises Unknown, and Unavailable if the tokens cannot be read now."""
        if self._engine.is_stale:
            await self._engine.recent()
        return self.look_up(header(scope, b"authorization"), scope.get(CERTIFICATE))

    def look_up(self, authorization: bytes | None, certificate: Principal | Unknown | None) -> Principal:
        """The principal of a header `Authorization`, else of a client certificate. Raises Unknown."""
        if authorization is not None:
            found = self._bearer(authorization)
        elif isinstance(certificate, Unknown):
            raise Unknown(str(certificate))
        elif certificate is not None:
            found = certificate
        else:
            raise Unknown(
                "this request needs a token: send `Authorization: Bearer ipamd_...`; ipamctl takes it from "
                "--token-file, a node from the file `token` in its stateDir"
            )
        if found.until is not None and found.until <= time.time_ns() // 1000:
            raise Unknown(
                f"the token or certificate of {found.name} expired at {rfc3339(found.until)}: get a new one"
            )
        if found.token is not None:
            self._engine.used(found.token)
        return found

    def _bearer(self, authorization: bytes) -> Principal:
        scheme, text = authorization[: len(_BEARER)], authorization[len(_BEARER) :]
        if scheme == _BEARER or scheme.lower() == _BEARER.lower():
            shown = hash_of(text)
            found = self._engine.catalogue.principals.get(shown) or self._own.get(shown)
            if found is not None:
                return found
            if looks_like_token(text):
                raise Unknown("this token is unknown: it was revoked or renewed, or is for another ipamd")
        raise Unknown("this is not a token of ipamd: send `Authorization: Bearer ipamd_...`")


def speaks_for(principal: Principal) -> NodeKey | None:
    """The only node for which a principal may make calls, None for every node. Raises NotAllowed."""
    if principal.role is Role.NODE and principal.node is not None:
        return principal.node
    if principal.role is Role.ADMIN:
        return None
    raise NotAllowed(f"{principal.name} has the role {principal.role}: calls of a node need a node token")


def may(principal: Principal, method: str, path: str, query: bytes) -> bool:
    """Whether a principal may make this request to the admin API."""
    reads = method in ("GET", "HEAD")
    match principal.role:
        case Role.ADMIN:
            return True
        case Role.READER:
            return (reads and not path.startswith(TOKENS)) or (
                method == "POST" and (path in ASKED_ONLY or path == REQUESTS)
            )
        case Role.JOIN:
            return method == "POST" and path == JOIN
        case Role.INVENTORY:
            return method == "PUT" and path == INVENTORY
        case Role.NODE:
            if method == "PUT":
                return path.startswith(NETWORK_NODES) and _is_own(principal, path, query)
            return (method == "POST" and path in (JOIN, *OF_NODES)) or (
                reads and _is_own(principal, path, query)
            )


def _is_own(principal: Principal, path: str, query: bytes) -> bool:
    """Whether a node asks only about itself (its entry, the allocations on it), or its cluster's network."""
    if principal.node is None:
        return False
    cluster, name = principal.node
    given = parse_qs(query.decode("latin-1"), keep_blank_values=True)
    if path in NETWORK:
        return given.get("cluster", [DEFAULT_CLUSTER]) == [cluster]
    if path in ("/v1/allocations", CENSUS):
        return given.get("cluster") == [cluster] and [*map(node_name, given.get("node", ()))] == [name]
    around, _, named = path.rpartition("/")
    own = (f"/v1/nodes/{part(cluster)}", f"{NETWORK_NODES}/{part(cluster)}")
    return around in own and node_name(named) == part(name)


class Gate:
    """The admin API behind the look-up. Log lines behind it name in `by` who asked."""

    def __init__(self, application: ASGIApp, access: Access) -> None:
        self._application = application
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            scope = with_names_whole(scope)
        if scope["type"] != "http" or scope["path"] in OPEN or not self._access.is_needed:
            with acting_as(LOOPBACK):
                await self._application(scope, receive, send)
            return
        try:
            principal = await self._access.principal(scope)
        except Unknown as why:
            await unauthenticated(why)(scope, receive, send)
        except DomainError as error:
            await Problem.from_domain(error)(scope, receive, send)
        else:
            await self._admit(principal, scope, receive, send)

    async def _admit(self, principal: Principal, scope: Scope, receive: Receive, send: Send) -> None:
        if not may(principal, scope["method"], scope["path"], scope["query_string"]):
            asked = f"{scope['method']} {shown(scope['path'])}"
            why = f"{principal.name} has the role {principal.role}, which does not allow {asked}"
            if principal.role is Role.NODE:
                why += ": a node's token is for what concerns itself"
            await Problem.from_domain(NotAllowed(why))(scope, receive, send)
            return
        with bound_contextvars(by=principal.name), acting_as(principal.name):
            await self._application({**scope, PRINCIPAL: principal}, receive, send)


def unauthenticated(why: Unknown) -> Problem:
    """The answer to a request whose token is missing or unknown."""
    return Problem(
        HTTPStatus.UNAUTHORIZED, "unauthenticated", str(why), headers={"WWW-Authenticate": "Bearer"}
    )
