"""Moments of tokens: how long they are valid, and those that a clock wrote which was ahead."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from ipamd.models.catalogue import Snapshot
from ipamd.models.instant import AHEAD, SECOND, Instant
from ipamd.models.node import SHUT_OUT
from ipamd.models.token import Token

DAY: Final = 24 * 60 * 60 * SECOND

NODE_LIFETIME: Final = 90 * DAY
"""How long the token of a joined node is valid. The node renews it long before."""

OVERLAP: Final = 10 * 60 * SECOND
"""How long a renewed token stays valid, because calls of the node may be under way with it."""


def set_back(token: Token, snapshot: Snapshot, now: Instant) -> Token:
    """A token without moments that a clock wrote which was ahead.

    The expiry of a node's token is computed here when the node joins. Every other one was chosen by somebody.
    """
    made_ahead = token.created > now + AHEAD
    changed = replace(token, created=now) if made_ahead else token
    if token.previous_until is not None and token.previous_until > now + OVERLAP + AHEAD:
        changed = replace(changed, previous_until=now + OVERLAP)
    node = snapshot.nodes.get(token.node_key) if token.node_key is not None else None
    joined = node is not None and node.proof not in (None, SHUT_OUT)
    computed = joined and (made_ahead or token.previous is not None)
    if computed and token.expires is not None and token.expires > now + NODE_LIFETIME + AHEAD:
        changed = replace(changed, expires=now + NODE_LIFETIME)
    return changed


def tokens_ahead(snapshot: Snapshot, now: Instant) -> list[Token]:
    """The tokens with moments that a clock wrote which was ahead."""
    return [token for token in snapshot.tokens.values() if set_back(token, snapshot, now) != token]
