"""The principal of each token, found by the hash of the token. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from ipamd.models.token import Principal, Token, TokenHash


def principals(tokens: Iterable[Token]) -> dict[TokenHash, Principal]:
    """The principals of some tokens, also under the old hashes of renewed tokens."""
    found: dict[TokenHash, Principal] = {}
    for token in tokens:
        principal = principal_of(token)
        found[token.hash] = principal
        if token.previous is not None:
            found[token.previous] = replace(principal, until=token.previous_until, renewed=True)
    return found


def principal_of(token: Token) -> Principal:
    """The principal of a token."""
    return Principal(
        name=token.principal,
        role=token.role,
        cluster=token.cluster,
        node=token.node_key,
        token=token.id,
        until=token.expires,
    )
