"""Whom each token stands for, found by the token's hash. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from ipamd.models.token import Principal, Token, TokenHash


def principals(tokens: Iterable[Token]) -> dict[TokenHash, Principal]:
    """The principals of some tokens, also those of texts that a renewal replaced a moment ago."""
    found: dict[TokenHash, Principal] = {}
    for token in tokens:
        principal = principal_of(token)
        found[token.hash] = principal
        if token.previous is not None:
            found[token.previous] = replace(principal, until=token.previous_until, renewed=True)
    return found


def principal_of(token: Token) -> Principal:
    """Whom a token stands for."""
    return Principal(
        name=token.principal,
        role=token.role,
        cluster=token.cluster,
        node=token.node_key,
        token=token.id,
        until=token.expires,
    )
