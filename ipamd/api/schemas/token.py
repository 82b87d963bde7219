"""Tokens as JSON."""

from __future__ import annotations

from typing import Annotated, Literal, cast

from pydantic import Field
from typing_extensions import TypedDict

from ipamd.api.schemas.text import Document, Moment, Name, NodeName, Word, moment
from ipamd.engine.administration.tokens import TokenRequest
from ipamd.models.documents import token_document
from ipamd.models.instant import Instant, rfc3339
from ipamd.models.token import Principal, Role, Token


class NewToken(Document):
    """A new token.

    A node token is bound to `cluster` and `node`, a join token to `cluster`. `name` appears in log and
    history. Without `expires` it is valid until it is revoked.
    """

    role: Literal["admin", "reader", "node", "join"]
    name: Name | None = None
    cluster: Word | None = None
    node: NodeName | None = None
    expires: Moment | None = None

    def request(self, asker: Principal | None) -> TokenRequest:
        """The request to the engine."""
        return TokenRequest(
            role=Role(self.role),
            name=self.name,
            cluster=self.cluster,
            node=self.node,
            expires=moment(self.expires) if self.expires is not None else None,
            by=asker.name if asker is not None else None,
        )


class Joining(Document):
    """A node that asks for its token: its name, and the SHA-256 of its secret as 64 hexadecimal digits."""

    node: NodeName
    proof: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class ShownToken(TypedDict):
    """A token as it is shown, without its text."""

    id: int
    role: Literal["admin", "reader", "node", "join"]
    name: str | None
    cluster: str | None
    node: str | None
    created: str
    created_by: str | None
    expires: str | None
    last_used: str | None


class MadeToken(ShownToken):
    """A token with its secret, which is told once."""

    token: str


def document_of(token: Token, used: Instant | None) -> ShownToken:
    """A token as it is shown, without its text."""
    last_used = rfc3339(used) if used is not None else None
    return cast(ShownToken, {**token_document(token), "last_used": last_used})
