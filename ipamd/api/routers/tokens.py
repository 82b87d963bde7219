"""Tokens: create, list and revoke them."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any

import structlog
from fastapi import APIRouter, Query, Response

from ipamd.api.paging import PageQuery, page
from ipamd.api.routers.access import Asker, CurrentCatalogue, Page, RowId, TheEngine
from ipamd.api.schemas.token import MadeToken, NewToken, ShownToken, document_of
from ipamd.models.errors import NotFound
from ipamd.models.node import NodeKey

router = APIRouter(prefix="/v1/tokens", tags=["tokens"])
log = structlog.get_logger()


@router.post("", status_code=HTTPStatus.CREATED)
async def create_token(body: NewToken, engine: TheEngine, asker: Asker, response: Response) -> MadeToken:
    """Create a token. Only this answer has its secret, as `token`."""
    request = body.request(asker)
    if request.cluster is not None and request.node is not None:
        await engine.nodes.refuse_unknown_names("node", [NodeKey(request.cluster, request.node)])
    made = await engine.tokens.create(request)
    token = made.token
    log.info("token", outcome="created", token=token.id, role=token.role.value, principal=token.principal)
    response.headers["Location"] = f"/v1/tokens/{token.id}"
    response.headers["Cache-Control"] = "no-store"
    return {**document_of(token, None), "token": made.text}


@router.get("", response_model=Page[ShownToken])
async def list_tokens(
    query: Annotated[PageQuery, Query()], engine: TheEngine, catalogue: CurrentCatalogue
) -> dict[str, Any]:
    """List all tokens, oldest first, with their last use (roughly). Expired ones are listed for a month."""
    after = query.after_number() or 0
    found = [token for number, token in sorted(catalogue.snapshot.tokens.items()) if number > after]
    uses = await engine.uses()
    return page(
        found, query.limit, lambda token: document_of(token, uses.get(token.id)), lambda token: token.id
    )


@router.get("/{number}")
async def read_token(number: RowId, engine: TheEngine, catalogue: CurrentCatalogue) -> ShownToken:
    """Show one token, without its secret."""
    token = catalogue.snapshot.tokens.get(number)
    if token is None:
        raise NotFound("token", str(number))
    return document_of(token, (await engine.uses()).get(number))


@router.delete("/{number}", status_code=HTTPStatus.NO_CONTENT)
async def revoke_token(number: RowId, engine: TheEngine) -> None:
    """Revoke a token. Every replica refuses it within five seconds."""
    token = await engine.tokens.revoke(number)
    log.info("token", outcome="revoked", token=token.id, role=token.role.value, principal=token.principal)
