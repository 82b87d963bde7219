"""Create, renew and revoke tokens. Their texts are told once, and stored nowhere."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field, replace
from hmac import compare_digest
from typing import Final

from ipamd.backends.interface import CatalogueChange
from ipamd.engine.administration.catalogue_writer import CatalogueWriter
from ipamd.engine.token_moments import DAY, NODE_LIFETIME, OVERLAP, set_back, tokens_ahead
from ipamd.models.catalogue import Snapshot
from ipamd.models.errors import InvalidValue, NodeJoined, NodeShutOut, NotAllowed, NotFound
from ipamd.models.instant import Instant
from ipamd.models.node import SHUT_OUT, Node, NodeKey, node_name
from ipamd.models.token import Principal, Role, Token, hash_of

TEXT_BYTES: Final = 32
KEPT_EXPIRED: Final = 30 * DAY
"""How long an expired token is listed. After that the next creation of a token removes it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRequest:
    """A request for a token. `by` is the principal that asks, None while there are no tokens."""

    role: Role
    name: str | None = None
    cluster: str | None = None
    node: str | None = None
    expires: Instant | None = None
    by: str | None = None


@dataclass(frozen=True, slots=True)
class NewToken:
    """A token with its text, which exists nowhere else."""

    token: Token
    text: str = field(repr=False)


class Tokens(CatalogueWriter):
    """The operations on tokens. When a method returns, its change is durable, and this process knows it."""

    async def create(self, request: TokenRequest) -> NewToken:
        """Create a token. Raises InvalidValue."""
        now = self._clock()
        _validate(request, now)
        text = new_text()

        async def make(catalogue: CatalogueChange) -> Token:
            revision, snapshot = await self._begin(catalogue)
            for old in snapshot.tokens.values():
                if old.expires is not None and old.expires < self._clock.count() - KEPT_EXPIRED:
                    await catalogue.remove(old)
            token = Token(
                id=revision,
                hash=hash_of(text.encode()),
                role=request.role,
                name=request.name,
                cluster=request.cluster,
                node=node_name(request.node) if request.node is not None else None,
                created=now,
                created_by=request.by,
                expires=request.expires,
                revision=revision,
            )
            await catalogue.save(token)
            known = snapshot.nodes.get(token.node_key) if token.node_key is not None else None
            if known is not None and known.proof == SHUT_OUT:
                await catalogue.save(replace(known, proof=None))
            return token

        return NewToken(await self._change(make), text)

    async def set_back(self) -> int:
        """Set back the moments of tokens that a clock wrote which was ahead; how many tokens they were of."""
        snapshot, now = self._cache.catalogue.snapshot, self._clock()
        if not tokens_ahead(snapshot, now):
            return 0

        async def lower(catalogue: CatalogueChange) -> int:
            _, snapshot = await self._begin(catalogue)
            ahead = tokens_ahead(snapshot, now)
            for token in ahead:
                await catalogue.save(set_back(token, snapshot, now))
            return len(ahead)

        return await self._change(lower)

    async def revoke(self, number: int) -> Token:
        """Revoke a token. A node whose last one it is does not join again until it is forgotten.

        Raises NotFound.
        """

        async def revoke(catalogue: CatalogueChange) -> Token:
            _, snapshot = await self._begin(catalogue)
            token = snapshot.tokens.get(number)
            if token is None:
                raise NotFound("token", str(number))
            await catalogue.remove(token)
            others = (other for other in snapshot.tokens.values() if other.id != number)
            if token.node_key is not None and all(other.node_key != token.node_key for other in others):
                await catalogue.save(replace(_known(snapshot, token.node_key), proof=SHUT_OUT))
            return token

        return await self._change(revoke)

    async def join(self, name: str, proof: str, principal: Principal) -> NewToken:
        """Give a node its token, in place of an earlier one. Raises NodeJoined, NodeShutOut, NotAllowed.

        With a join token any node of the cluster gets one whose name is not taken, or that joined with the
        same proof. A node renews its own token.
        """
        node = _node_meant(name, principal)
        shown = hash_of(proof.encode())
        text = new_text()

        async def join(catalogue: CatalogueChange) -> Token:
            revision, snapshot = await self._begin(catalogue)
            known = _known(snapshot, node)
            own = sorted(
                (token for token in snapshot.tokens.values() if token.node_key == node),
                key=lambda token: (token.id != principal.token, token.id),
            )
            _refuse_stranger(known, shown, own, principal)
            if known.proof is None:
                await catalogue.save(replace(known, proof=shown))
            token = self._renewed(own[0] if own else None, node, text, principal, revision)
            for other in own[1:]:
                await catalogue.remove(other)
            await catalogue.save(token)
            return token

        return NewToken(await self._change(join), text)

    def _renewed(
        self, old: Token | None, node: NodeKey, text: str, principal: Principal, revision: int
    ) -> Token:
        now = self._clock()
        new = hash_of(text.encode())
        if old is None:
            return Token(
                id=revision,
                hash=new,
                role=Role.NODE,
                cluster=node.cluster,
                node=node.name,
                created=now,
                created_by=principal.name,
                expires=now + NODE_LIFETIME,
                revision=revision,
            )
        # Who shows the text before may never have got the answer with the one that replaced it.
        in_use = old.previous if principal.renewed and old.previous is not None else old.hash
        ends = [now + OVERLAP, *([old.expires] if old.expires is not None else [])]
        return replace(
            old,
            hash=new,
            expires=now + NODE_LIFETIME,
            previous=in_use,
            previous_until=min(ends),
            revision=revision,
        )


def new_text() -> str:
    """The text of a new token: 256 random bits."""
    return f"ipamd_{secrets.token_urlsafe(TEXT_BYTES)}"


def _node_meant(name: str, principal: Principal) -> NodeKey:
    if principal.role is Role.JOIN and principal.cluster is not None:
        return NodeKey(principal.cluster, node_name(name))
    if principal.node is not None and principal.node.name == node_name(name):
        return principal.node
    raise NotAllowed(
        f"{principal.name} cannot join as node {name}: send a join token, or the token of this node"
    )


def _known(snapshot: Snapshot, node: NodeKey) -> Node:
    return snapshot.nodes.get(node) or Node(cluster=node.cluster, name=node.name)


def _refuse_stranger(known: Node, shown: bytes, own: list[Token], principal: Principal) -> None:
    """Raise if the name of a node belongs to somebody else, or to nobody because an admin said so."""
    if known.proof == SHUT_OUT:
        raise NodeShutOut(known.cluster, known.name)
    if known.proof is not None:
        stranger = not compare_digest(known.proof, shown)
    else:
        stranger = principal.role is Role.JOIN and bool(own)
    if stranger:
        raise NodeJoined(known.cluster, known.name)
    if (
        principal.role is Role.NODE
        and principal.token is not None
        and principal.token not in {one.id for one in own}
    ):
        raise NotAllowed(f"the token of node {known.name} was revoked: send a join token")


def _validate(request: TokenRequest, now: Instant) -> None:
    if request.role is Role.INVENTORY:
        raise InvalidValue("role", "such a token is in a file: see `ipamd serve --inventory-token-file`")
    if request.role is Role.NODE and request.node is None:
        raise InvalidValue("node", "a node token needs a node: name it")
    if request.role in (Role.NODE, Role.JOIN) and request.cluster is None:
        raise InvalidValue("cluster", f"a {request.role} token needs a cluster: name it")
    if request.role is not Role.NODE and request.node is not None:
        raise InvalidValue("node", f"a token of the role {request.role} has no node: leave it out")
    if request.role not in (Role.NODE, Role.JOIN) and request.cluster is not None:
        raise InvalidValue("cluster", f"a token of the role {request.role} has no cluster: leave it out")
    if request.expires is not None and request.expires <= now:
        raise InvalidValue("expires", "this moment is in the past: name a later one")
